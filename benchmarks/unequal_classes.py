"""What the commands make of 5 % cats among other pictures of CIFAR-10: `python benchmarks/unequal_classes.py FOLDER`.

Writes all pictures of CIFAR-10 that are no cats, and as many cats as make 5 %, as PNG files of two classes below FOLDER, and runs
`features`, `probe` and `advise` on them as a user would: nothing is said of the split, the threshold or what decides. Then
`probe` once more with `score.class_weight=balanced`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from arguments import NEW, real_data
from PIL import Image

from bottleneck_features.pipeline.datasets.sources.cifar10 import CLASSES, Cifar10
from bottleneck_features.pipeline.evaluation.predictions import load_predictions
from bottleneck_features.pipeline.evaluation.scores import score_counts
from bottleneck_features.pipeline.method_names import row_label

RUN = "runs/natural-images/probe"
RARE, SHARE = "cat", 0.05
NAMES = (RARE, "other")
SETTINGS = (
    "backbone.name=efficientnet-lite0", "backbone.layers=block3b_add,block5c_add,top_activation", "input.size=96,96",
)  # fmt: skip
WEIGHTED = ("--set", "score.class_weight=balanced")
COLUMNS = (
    "class_weight", "family, layers", "accuracy [95 %]", "always the most frequent", "balanced accuracy",
    f"recall of {RARE}s", "AUROC", "threshold",
)  # fmt: skip
FIRST = 8  # lines of the verdict and its figures


@click.command(help=__doc__)
@click.argument("folder", type=NEW)
@real_data
def main(folder: Path, data: Path) -> None:
    """Print the first lines of `probe` and `advise`, and a table of all families, without and with weights."""
    pictures, home = folder / "pictures", folder / "artifacts"
    if not pictures.exists():
        _write(pictures, Cifar10(str(data / "cifar-10-batches-py")))
    words = ["-e", "natural-images", "--set", f"dataset.path={pictures}", "--home", str(home)]
    for setting in SETTINGS:
        words += ["--set", setting]
    _run("features", *words)
    rows = []
    for title, more in (("none", ()), ("balanced", WEIGHTED)):
        lines = _run("probe", *words, *more).splitlines()
        result = json.loads((home / RUN / "result.json").read_text(encoding="utf-8"))
        print(f"\nprobe, class_weight {title}, selects by {result['select']} ({result['select_reason']}):")
        print("\n".join(lines[:FIRST]), flush=True)
        rows += [_row(title, row, _recall(result, row, home)) for row in result["methods"]]
    print("\nadvise:")
    print(_run("advise", *words))
    print(f"| {' | '.join(COLUMNS)} |\n|---|---|{6 * '---:|'}")
    print("\n".join(rows))


def _write(root: Path, cifar: Cifar10) -> None:
    labels = np.concatenate([samples.labels for samples in cifar.splits.values()])
    rare = CLASSES.index(RARE)
    cats = np.flatnonzero(labels == rare)
    others = len(labels) - len(cats)
    kept = np.random.default_rng(0).permutation(cats)[: round(others * SHARE / (1 - SHARE))]
    chosen = np.zeros(len(labels), bool)
    chosen[kept] = chosen[labels != rare] = True
    for name in NAMES:
        (root / name).mkdir(parents=True)
    number = 0
    for split, samples in cifar.splits.items():
        for start in range(0, len(samples), 1000):
            part = np.arange(start, min(start + 1000, len(samples)))
            for image in cifar.images(split, part):
                if chosen[number]:
                    name = NAMES[int(labels[number] != rare)]
                    Image.fromarray(image).save(root / name / f"{number:05d}.png", compress_level=1)
                number += 1


def _run(*words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "bottleneck_features", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise click.ClickException(done.stderr)
    return done.stdout


def _recall(result: Mapping[str, Any], row: Mapping[str, Any], home: Path) -> str:
    """Return the share of the test images of the rare class that were recognized."""
    own = load_predictions(result, home / RUN)
    assert own is not None
    rare = result["classes"].index(RARE)
    answered = own.predicted[row_label(row)][own.labels == rare]
    found = score_counts(int((answered == rare).sum()), len(answered))
    return f"{_percent(found.accuracy, (found.low, found.high))} of {found.n:,}"


def _row(title: str, row: Mapping[str, Any], recall: str) -> str:
    kept = " (kept)" if row.get("kept") else ""
    figures = [_percent(row[name]["test"], row[span]["test"]) for name, span in (
        ("accuracy", "interval"), ("balanced_accuracy", "balanced_accuracy_interval"), ("auroc", "auroc_interval"),
    )]  # fmt: skip
    return (
        f"| {title} | {row_label(row)}{kept} | {figures[0]} | {100 * row['majority']['test']:.1f} % | {figures[1]} | "
        f"{recall} | {figures[2]} | {row['threshold']:.3f} |"
    )


def _percent(value: float, span: tuple[float, float]) -> str:
    return f"{100 * value:.1f} % [{100 * span[0]:.1f}, {100 * span[1]:.1f}]"


if __name__ == "__main__":
    main()
