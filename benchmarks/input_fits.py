"""What stretching, cropping and padding cost: `python benchmarks/input_fits.py HOME DATA…`.

DATA and what follows it is what a command takes: a folder or table, or `-e NAME`, then `--name` and `--set`. Stage one is run
for each `input.fit`. The best probe is cross-validated on the training images, on the same folds for each: five, drawn twice.
Where the data bring a test split, logistic regression on the last layer is fitted on a few training images of each class too,
the same ones for each, and scored on all test images. Differences are from `stretch`: in folds with the corrected resampled t
interval, over draws with Student's.
"""

import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
from arguments import NEW
from scipy.stats import t
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bottleneck_features.features import Features
from bottleneck_features.models.parallel import workers
from bottleneck_features.pipeline.asked_experiment import asked_experiment
from bottleneck_features.pipeline.evaluation.folded_set import FoldedSet
from bottleneck_features.pipeline.evaluation.folds import folded_difference
from bottleneck_features.pipeline.evaluation.study import Study, open_study
from bottleneck_features.pipeline.method_names import BEST_PROBE
from bottleneck_features.pipeline.methods.best_probe import probes_of_fold
from bottleneck_features.pipeline.methods.cross_validation import Folding, cross_validate

FITS = {
    "stretch": ("input.fit=stretch",),
    "crop 0.875": ("input.fit=crop", "input.crop_share=0.875"),
    "crop 1": ("input.fit=crop", "input.crop_share=1.0"),
    "pad": ("input.fit=pad",),
}
FOLDING = Folding(5, 2)
FEW, DRAWS = (1, 2, 5), 50


def extracted(home: Path, words: tuple[str, ...], settings: tuple[str, ...]) -> Study:
    """Run stage one, and open what it has written."""
    given = list(pairwise(words))
    overrides = (*(value for word, value in given if word == "--set"), *settings)
    name = next((value for word, value in given if word == "--name"), None)
    sets = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "bottleneck_features", "features", *words, *sets, "--home", str(home)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    data, named = (None, words[1]) if words[0] == "-e" else (words[0], None)
    asked = asked_experiment(data, named, name, overrides, home, replaces=False)
    return open_study(asked.experiment, home, "probe")


def folded(study: Study) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the accuracy of the best probe by fold, and how many images a fold is trained and scored on."""
    with workers() as pool:
        found: FoldedSet = cross_validate(study, FOLDING, probes_of_fold(pool))
    return found._values(found._answered[BEST_PROBE], "accuracy"), found._sizes()


@threadpool_limits.wrap(1)  # threads would wait for one another at so few rows
def few_labels(cache: Features, number: int) -> np.ndarray:
    """Return the accuracy on the test images for each draw of a few training images of each class."""
    train, test, layer = cache["train"], cache["test"], cache.layers[-1]
    rows, labels, asked = train.features[layer][:], train.y, test.features[layer][:]
    found = []
    for draw in range(DRAWS):
        random = np.random.default_rng(draw)
        chosen = np.concatenate(
            [random.permutation(np.flatnonzero(labels == one))[:number] for one in np.unique(labels)]
        )
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        model.fit(rows[chosen].astype(np.float32), labels[chosen])
        found.append(float((model.predict(asked.astype(np.float32)) == test.y).mean()))
    return np.array(found)


def _difference(values: np.ndarray, others: np.ndarray) -> str:
    differences = values - others
    mean, error = differences.mean(), differences.std(ddof=1) / np.sqrt(len(differences))
    width = t.ppf(0.975, len(differences) - 1) * error
    return _points(mean, mean - width, mean + width)


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


@click.command(help=__doc__, context_settings={"ignore_unknown_options": True})
@click.argument("home", type=NEW)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def main(home: Path, words: tuple[str, ...]) -> None:
    """Print a table: accuracies in percent, differences from `stretch` in points."""
    studies = {name: extracted(home, words, settings) for name, settings in FITS.items()}
    first = studies["stretch"]
    print(f"{shlex.join(words)}: {first.dataset.title}; {first.backbone} {'+'.join(first.cache.layers)}")
    values = {name: folded(study) for name, study in studies.items()}
    few = FEW if "test" in first.cache else ()
    curves = {number: {name: few_labels(study.cache, number) for name, study in studies.items()} for number in few}
    title = f"{FOLDING.folds} folds, {FOLDING.repeats} times ({len(first.dataset.splits['train']):,})"
    print("| fit |", " | ".join([title, "difference", *(f"{n} per class | difference" for n in few)]), "|")
    for name, (own, sizes) in values.items():
        base = values["stretch"][0]
        found = folded_difference(own, base, sizes)
        cells = [f"{100 * own.mean():.1f} %", "" if name == "stretch" else _points(found.value, found.low, found.high)]
        for curve in curves.values():
            cells.append(f"{100 * curve[name].mean():.1f} %")
            cells.append("" if name == "stretch" else _difference(curve[name], curve["stretch"]))
        print("|", " | ".join([name, *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
