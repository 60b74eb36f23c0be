"""What crops of one photo on both sides of a split are worth: random against grouped 5-fold cross-validation.

python benchmarks/grouped_leak.py CACHE TABLE     (a cache of emergency_small; its CSV with a `photo` column)
"""

import csv
from pathlib import Path

import click
import numpy as np
from arguments import FILE, FOLDER
from scipy.stats import sem, t
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bottleneck_features.features import open_features

SEEDS, FOLDS = 20, 5


@click.command(help=__doc__)
@click.argument("cache", type=FOLDER)
@click.argument("table", type=FILE)
def main(cache: Path, table: Path) -> None:
    """Print the accuracy of both protocols: mean over seeds with a t interval, and the paired difference."""
    splits = open_features(cache)
    ids, labels = (np.concatenate([getattr(split, name) for split in splits.values()]) for name in ("ids", "y"))
    rows = np.concatenate([split.x[:].astype(np.float32) for split in splits.values()])
    with table.open(newline="", encoding="utf-8") as file:
        photos = {row["image_names"]: row["photo"] for row in csv.DictReader(file)}
    groups = np.array([photos[Path(name).name] for name in ids])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    found = {"random": [], "grouped": []}
    for seed in range(SEEDS):
        for name, splitter, parted in (("random", StratifiedKFold, None), ("grouped", StratifiedGroupKFold, groups)):
            folds = splitter(FOLDS, shuffle=True, random_state=seed)
            predicted = cross_val_predict(model, rows, labels, groups=parted, cv=folds)
            found[name].append(float((predicted == labels).mean()))
    found["random minus grouped"] = np.subtract(found["random"], found["grouped"]).tolist()
    for name, values in found.items():
        reach = sem(values) * t.ppf(0.975, SEEDS - 1)
        print(
            f"{name}: {np.mean(values):.1%} ± {reach:.1%} (95 %, {SEEDS} seeds; {len(labels)} images, {len(set(groups))} photos)"
        )


if __name__ == "__main__":
    main()
