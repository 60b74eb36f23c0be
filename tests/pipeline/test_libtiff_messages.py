"""What libtiff says of a damaged TIFF is in the reason for which it is left out, and not on the screen without its name."""

import csv
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from imagefiles import check, class_folders, encoded, picture, write
from PIL import Image

from bottleneck_features.pipeline.datasets.pixels.decoding import UnusableImage

SCAN = """
import sys
from pathlib import Path
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.experiment_file import load_experiment
words = (f"dataset.path={sys.argv[1]}", "dataset.error_limit=0.5", "backbone.name=efficientnet-lite0",
         "backbone.layers=top_activation", "input.size=32,32")
open_dataset(load_experiment("natural-images", words), Path(sys.argv[2]))
"""
REASONS = {
    "tiff_adobe_deflate": "broken: decoder error -2 (Decoding error at scanline 0",
    "tiff_lzw": "broken: decoder error -2 (Using code not yet in table)",
}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Pillow's wheel for Windows hides libtiff's functions")


def _damaged(compression: str, seed: int = 0) -> bytes:
    """A TIFF whose compressed pixels are damaged, and whose tags are whole."""
    content = bytearray(encoded(picture(seed, size=(64, 48)), "TIFF", compression=compression))
    with Image.open(io.BytesIO(content)) as image:
        (start, *_) = image.tag_v2[273]
    content[start + 40 : start + 60] = b"\xff" * 20
    return bytes(content)


def _said(content: bytes) -> str:
    with pytest.raises(UnusableImage) as caught:
        check(content)
    return str(caught.value)


def test_a_damaged_tiff_prints_nothing_and_has_what_libtiff_said_in_its_reason(tmp_path):
    class_folders(tmp_path / "data")
    for compression in REASONS:
        for seed in range(3):
            write(tmp_path / f"data/red/{compression}-{seed}.tif", _damaged(compression, seed))
    run = subprocess.run(
        [sys.executable, "-c", SCAN, str(tmp_path / "data"), str(tmp_path / "home")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    (listed,) = (tmp_path / "home").rglob("quarantine.csv")
    with listed.open(newline="", encoding="utf-8") as stream:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(stream)}
    assert len(reasons) == 6
    for path, reason in reasons.items():
        assert reason.startswith(REASONS[path.removeprefix("red/")[:-6]])


def test_each_of_many_threads_hears_what_is_said_of_its_own_file():
    kinds = [*REASONS] * 30
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(_said, [_damaged(kind, seed) for seed, kind in enumerate(kinds)]))
    assert all(reason.startswith(REASONS[kind]) for reason, kind in zip(said, kinds, strict=True)), said


def test_the_reason_of_a_file_is_not_that_of_the_one_before_it():
    _said(_damaged("tiff_lzw"))
    assert _said(encoded(picture(), "PNG")[:200]) == "image file is truncated"


def test_libtiff_speaks_to_others_as_before(capfd):
    content = _damaged("tiff_adobe_deflate")
    _said(content)
    assert capfd.readouterr().err == ""
    with Image.open(io.BytesIO(content)) as image, pytest.raises(OSError, match="decoder error"):
        image.load()
    assert "Decoding error" in capfd.readouterr().err
