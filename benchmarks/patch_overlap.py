"""How much test patches overlap, and how little patches of 17 photographs say of other photographs.

python benchmarks/patch_overlap.py artifacts/runs/photo-patches/compare
"""

import re
from pathlib import Path

import click
import numpy as np
from arguments import FOLDER
from scipy.stats import bootstrap

from bottleneck_features.pipeline.datasets.sources.embedded import PATCH
from bottleneck_features.pipeline.evaluation.predictions import PREDICTIONS_FILE


@click.command(help=__doc__)
@click.argument("folder", type=FOLDER)
def main(folder: Path) -> None:
    """Print which share of the patches overlaps another, and each method's accuracy bootstrapped over photographs."""
    with np.load(folder / PREDICTIONS_FILE, allow_pickle=False) as kept:
        labels = kept["labels"]
        places = np.array([[int(word) for word in re.findall(r"-[yx](\d+)", one)] for one in kept["ids"].tolist()])
        found = {name.split("/")[1]: kept[name] for name in kept.files if name.startswith("predicted/")}
    apart = np.abs(places[:, None] - places[None])
    shared = np.prod(np.maximum(0, PATCH - apart), axis=2) / PATCH**2 * (labels[:, None] == labels[None])
    np.fill_diagonal(shared, 0)
    largest = shared.max(axis=1)
    print(
        f"{np.mean(largest > 0):.0%} of {len(labels)} overlap another, {np.mean(largest >= 0.25):.0%} by a quarter or more"
    )
    for name, predicted in found.items():
        rates = np.array([np.mean(predicted[labels == one] == one) for one in np.unique(labels)])
        low, high = bootstrap((rates,), np.mean, rng=np.random.default_rng(0)).confidence_interval
        print(f"{name}: {rates.mean():.1%} [{low:.1%}, {high:.1%}] over {len(rates)} photographs")


if __name__ == "__main__":
    main()
