"""Data sets and tables of corrections to them."""

import csv
from pathlib import Path

from packing import LITE, parquet_of_folder, tar_of_folder

from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.experiment_file import load_experiment

NATURAL = "natural-images"
BLUE, GREEN, RED = (f"{name}/{name} 3.jpg" for name in ("blue", "green", "red"))


def write_corrections(
    folder: Path, *rows: tuple[str, ...], header: tuple[str, ...] = ("id", "label"), name: str = "fixes.csv"
) -> str:
    """Write a table of corrections, and return the setting that names it."""
    with (folder / name).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows] if header else rows)
    return f"dataset.corrections={folder / name}"


def opened(path: Path | str, home: Path, *overrides: str, source: str = "folder") -> Dataset:
    """The data set below a path, as an experiment has it."""
    words = (f"dataset.source={source}", f"dataset.path={path}", *LITE, *overrides)
    return open_dataset(load_experiment(NATURAL, words), home)


def embedded(source: str, *overrides: str) -> Dataset:
    """An embedded data set."""
    return open_dataset(load_experiment(source, overrides), Path("unused"))


def labels_of(dataset: Dataset) -> dict[str, str]:
    """The class of every image, by its id."""
    return {
        str(name): dataset.class_names[label]
        for samples in dataset.splits.values()
        for name, label in zip(samples.ids, samples.labels, strict=True)
    }


def prints_of(dataset: Dataset) -> dict[str, str]:
    """The fingerprint of every split."""
    return {split: dataset.fingerprint(split) for split in dataset.splits}


def table_of(root: Path, path: Path, changed: dict[str, str]) -> Path:
    """A table of the images below a folder, some with another label, some (empty) without a row."""
    ids = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.jpg"))
    rows = [(name, changed.get(name, name.split("/")[0])) for name in ids]
    path.write_text("file,label\n" + "".join(f"{name},{label}\n" for name, label in rows if label))
    return path


def packed(root: Path, tmp_path: Path, source: str) -> tuple[Path, dict[str, str]]:
    """The images below a folder packed for a source, and the id of each file there."""
    files = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.jpg"))
    same = dict(zip(files, files, strict=True))
    if source == "tar":
        return tar_of_folder(root, tmp_path / "packed.tar"), same
    if source == "parquet":
        numbered = {name: f"packed/{row:09d}" for row, name in enumerate(files)}
        return parquet_of_folder(root, tmp_path / "packed.parquet"), numbered
    return (table_of(root, root / "all.csv", {}) if source == "csv" else root), same
