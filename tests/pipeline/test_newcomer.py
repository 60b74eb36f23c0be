"""A newcomer types one line for pictures of any kind, then what that prints, then uses the model."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from imagefiles import class_folders
from packing import parquet_of_folder, tar_of_folder

REAL = os.environ.get("BOTTLENECK_REAL_DATA")
CLASSES = ("cat", "dog")
IMAGES = 20  # of each class


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Photographs of cats and dogs where there are real ones, else pictures that tell their class by colour."""
    folder = tmp_path_factory.mktemp("newcomer") / "pets"
    if not REAL:
        return class_folders(folder, IMAGES, CLASSES)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        files = sorted(file for file in Path(REAL, "mini_natural_images").rglob("*.*") if file.parent.name == name)
        for file in files[:IMAGES]:
            (folder / name / file.name).symlink_to(file)
    return folder


def _table(pictures: Path, folder: Path) -> Path:
    """A table of ids without endings, its pictures in a folder beside it."""
    (folder / "images").mkdir()
    rows = ["image_id,breed"]
    for number, file in enumerate(sorted(pictures.rglob("*.*"))):
        (folder / "images" / f"p{number:03d}{file.suffix}").symlink_to(file.resolve())
        rows.append(f"p{number:03d},{file.parent.name}")
    (folder / "pets.csv").write_text("\n".join(rows) + "\n")
    return folder / "pets.csv"


def _data(kind: str, pictures: Path, folder: Path) -> Path:
    if kind == "folder":
        return pictures
    if kind == "table":
        return _table(pictures, folder)
    return (
        tar_of_folder(pictures, folder / "pets.tar")
        if kind == "tar"
        else parquet_of_folder(pictures, folder / "pets.parquet")
    )


def _typed(words: list[str], folder: Path) -> str:
    """Type a command in a folder, and return what it printed."""
    assert words[0] == "bottleneck"
    line = [sys.executable, "-m", "bottleneck_features", *words[1:]]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, f"{words}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def _next(printed: str) -> list[list[str]]:
    return [shlex.split(line.removeprefix("next:")) for line in printed.splitlines() if line.startswith("next:")]


def _use(data: Path, pictures: Path, folder: Path) -> None:
    """Measure the model, classify pictures by it, and export it."""
    printed = _typed(["bottleneck", "evaluate", "pets", str(data)], folder)
    assert "was trained on all these 40 images" in " ".join(printed.split())
    table = _typed(["bottleneck", "predict", "-e", "pets", str(pictures)], folder)
    assert table.count("cat/") == table.count("dog/") == IMAGES
    _typed(["bottleneck", "export", "-e", "pets", "--format", "onnx"], folder)
    assert (folder / "artifacts/runs/pets/export/probe/model.onnx").is_file()


def test_one_line_for_a_folder_gives_a_report_and_a_model(pictures, tmp_path):
    printed = _typed(["bottleneck", "run", str(pictures), "--minutes", "0"], tmp_path)
    assert "40 images, cross-validated" in " ".join(printed.split())
    assert "left out for time: convnet-small" in printed
    run = tmp_path / "artifacts/runs/pets"
    assert (run / "report/report.html").is_file()
    assert (run / "probe/head.npz").is_file()
    assert any(words[1] == "run" for words in _next(printed))
    assert any(words[1] == "export" for words in _next(printed))


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", ["folder", "table", "tar", "parquet"])
def test_what_is_printed_works_as_it_is_printed_whatever_the_pictures_are_in(kind, pictures, tmp_path):
    data = _data(kind, pictures, tmp_path)
    printed = _typed(["bottleneck", "run", str(data)], tmp_path)
    run = tmp_path / "artifacts/runs/pets"
    assert (run / "report/report.html").is_file()
    assert (run / "probe/head.npz").is_file()
    assert _next(printed)
    for words in _next(printed):
        if words[0] == "bottleneck":
            _typed(words, tmp_path)
    _use(data, pictures, tmp_path)
