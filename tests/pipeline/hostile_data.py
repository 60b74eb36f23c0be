"""A data set whose class and file names try to be something else on a page, with its comparison and its report."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from commandline import invoke
from imagefiles import picture

from bottleneck_features.pipeline.evaluation.study import Study, open_study
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.reporting.sources import Sources, find_sources

NAMES = (
    "<script>alert('class')</script>",
    '"><img src=x onerror="alert(1)"> & \'quotes\' {{ 7 * 7 }} </svg>',
    "\u202ertl \u05e9\u05dc\u05d5\u05dd $\\frac{1}{0}$",
    "long" * 75,
)
COUNTS = {"train": 28, "test": 20}
FOLDER = "<b onclick='alert(2)'>" + "/".join("deep" * 12 for _ in range(6))
SETTINGS = (
    "dataset.split_column=part", "dataset.label_column=label", "dataset.image_column=file", "input.size=32,32",
    "backbone.name=efficientnet-lite0", "backbone.layers=block3b_add", "convnet.epochs=1",
    "head.epochs=2", "head.validation_split=0.25",
    "compare.methods=head,convnet-small",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """The options that name the experiment, its artifacts, and the results of `compare` and `report`."""

    options: tuple[str, ...]
    home: Path
    compared: dict[str, Any]
    reported: dict[str, Any]

    @property
    def runs(self) -> Path:
        """The folder of its results."""
        return self.home / "runs" / "emergency-vehicles"

    @property
    def page(self) -> str:
        """The report."""
        return Path(self.reported["files"][0]).read_text(encoding="utf-8")

    def study(self) -> Study:
        """The experiment, opened for a report."""
        return open_study(load_experiment("emergency-vehicles", self.options[3::2]), self.home, "report", self.options)

    def sources(self, **changed: Any) -> Sources:
        """Find what belongs on a report of this experiment, with other sections."""
        experiment = {**self.compared["experiment"], **changed}
        return find_sources(
            self.runs, experiment, key=self.compared["cache_key"], images_key="", counts=COUNTS, smallest=5,
            options=self.options,
        )  # fmt: skip


def make(root: Path) -> Made:
    """Write the images and their table, extract, inspect, and compare, which writes the report."""
    table = _images(root / "pictures")
    options = ("-e", "emergency-vehicles", "--set", f"dataset.path={table}")
    options += tuple(word for setting in SETTINGS for word in ("--set", setting))
    home = root / "home"
    for command in ("features", "inspect", "compare"):
        folds = ("--folds", "0") if command == "compare" else ()  # tests of folds are elsewhere
        done = invoke(command, *options, *folds, home=home)
        assert done.exit_code == 0, done.output
    runs = home / "runs" / "emergency-vehicles"
    return Made(
        options, home, *(json.loads((runs / name / "result.json").read_text()) for name in ("compare", "report"))
    )


def _images(folder: Path) -> Path:
    random, rows = np.random.default_rng(0), []
    for label, name in enumerate(NAMES):
        for number in range(12):
            file = f"{FOLDER}/{label}-{number} \u202egnp.exe \"'&<i>.png"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            picture(number, tuple(random.integers(0, 255, 3).tolist()), (24, 16)).save(folder / file)
            rows.append((file, name, "train" if number < 7 else "test"))
    table = folder / "table.csv"
    with table.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([("file", "label", "part"), *rows])
    return table
