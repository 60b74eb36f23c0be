"""What decoding gave is kept, bounded, and never anything else than what decoding gives again."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from imagefiles import encoded, write
from PIL import Image

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets import open_dataset, pixel_memory
from bottleneck_features.pipeline.datasets.dataset import Dataset
from bottleneck_features.pipeline.datasets.pixel_memory import HASHES, MOST_BYTES, PIXELS
from bottleneck_features.pipeline.datasets.pixels import decoding
from bottleneck_features.pipeline.datasets.pixels.decoding import load
from bottleneck_features.pipeline.datasets.pixels.perceptual import perceptual_hash
from bottleneck_features.pipeline.datasets.pixels.value_ranges import RANGES_FILE
from bottleneck_features.pipeline.datasets.scan_memory import PIXEL_FOLDER, forget_scans
from bottleneck_features.pipeline.experiment import BackboneSettings, Experiment, InputSettings

SIZE = (64, 48)
PHOTOGRAPHS = 12


def _photograph(seed: int, size: tuple[int, int] = (600, 450)) -> Image.Image:
    """A picture with structure and grain, whose file is large for its size."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = random.normal(0, 20, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "pictures"
    for i in range(PHOTOGRAPHS):
        options = {"exif": _turned(6)} if i == 3 else {}
        write(root / "ab"[i % 2] / f"{i}.jpg", encoded(_photograph(i), quality=92, **options))
    return root


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """How many bytes each picture had that was decoded, by the one function that decodes."""
    sizes: list[int] = []

    def counted(content, *arguments, decode=decoding._decoded):
        sizes.append(len(content))
        return decode(content, *arguments)

    monkeypatch.setattr(decoding, "_decoded", counted)
    return sizes


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _open(root: Path, home: Path, size: tuple[int, int] = SIZE, fit: str = "stretch", **settings: object) -> Dataset:
    experiment = Experiment(
        "kept", DatasetSettings("folder", str(root), test_fraction=0.0, error_limit=0.5), BackboneSettings("resnet50", ("avg",)),
        input=InputSettings(size=size, fit=fit, **settings),
    )  # fmt: skip
    return open_dataset(experiment, home)


def _images(dataset: Dataset) -> np.ndarray:
    return dataset.images("train", np.arange(len(dataset.splits["train"])))


def _hashes(dataset: Dataset) -> np.ndarray:
    return dataset.perceptual_hashes("train", np.arange(len(dataset.splits["train"])))


def _files(home: Path, kind: str) -> list[Path]:
    return sorted((home / PIXEL_FOLDER).rglob(f"*{kind}"))


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_a_photograph_is_decoded_once_whatever_is_done_with_it(root, tmp_path, decoded, fit):
    words = ("--set", f"dataset.path={root}", "--set", "input.size=96,96", "--set", f"input.fit={fit}", "--json")
    first = json.loads(invoke("inspect", "-e", "natural-images", *words, home=tmp_path).stdout)
    assert len(decoded) == PHOTOGRAPHS  # repeats, colours and contact sheets too
    dataset = _open(root, tmp_path, (96, 96), fit)
    assert len(_images(dataset)) == len(_hashes(dataset)) == PHOTOGRAPHS
    again = json.loads(invoke("inspect", "-e", "natural-images", *words, home=tmp_path).stdout)
    assert len(decoded) == PHOTOGRAPHS
    assert again["repeats"] == first["repeats"]


def test_a_small_file_is_decoded_again_for_its_pixels_only(tmp_path, decoded):
    for i in range(8):
        write(tmp_path / "small" / "ab"[i % 2] / f"{i}.jpg", encoded(_photograph(i, (70, 50)), quality=60))
    dataset = _open(tmp_path / "small", tmp_path)
    for _ in range(2):
        _hashes(dataset)
    assert len(decoded) == 8
    _images(dataset)
    assert len(decoded) == 16
    assert not _files(tmp_path, PIXELS)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"resize": "lanczos3"},
        {"resize": "nearest"},
        {"resize": "bilinear", "antialias": False},
        {"resize": "area"},
        {"fit": "crop"},
        {"fit": "pad"},
    ],
)
def test_what_is_kept_is_what_decoding_gives(root, tmp_path, settings, decoded):
    write(root / "a" / "grey.png", encoded(_photograph(20).convert("L"), "PNG"))
    transparent = _photograph(21).convert("RGBA")
    transparent.putalpha(_photograph(22).convert("L"))
    write(root / "b" / "transparent.png", encoded(transparent, "PNG"))
    write(root / "b" / "turned.tif", encoded(_photograph(23), "TIFF", exif=_turned(8)))
    dataset = _open(root, tmp_path, **settings)
    count, resizing = len(decoded), dataset._resizing
    kept = _images(dataset)
    assert len(decoded) == count
    for name, pixels in zip(dataset.splits["train"].ids, kept, strict=True):
        np.testing.assert_array_equal(pixels, load(root / str(name), resizing))


def test_hashes_of_the_scan_are_those_of_the_pixels_to_the_last_bit(root, tmp_path, decoded):
    write(root / "a" / "again.jpg", (root / "b" / "1.jpg").read_bytes())
    dataset = _open(root, tmp_path)
    in_scan = _hashes(dataset)
    assert in_scan.tobytes() == np.concatenate([perceptual_hash(image[None]) for image in _images(dataset)]).tobytes()
    ids = dataset.splits["train"].ids.tolist()
    assert in_scan[ids.index("a/again.jpg")].tobytes() == in_scan[ids.index("b/1.jpg")].tobytes()
    for path in _files(tmp_path, ""):
        if path.is_file():
            path.unlink()
    later, count = _open(root, tmp_path), len(decoded)
    assert _hashes(later).tobytes() == in_scan.tobytes()
    assert len(decoded) == count + PHOTOGRAPHS + 1
    assert _hashes(_open(root, tmp_path)).tobytes() == in_scan.tobytes()  # and kept from then on
    assert len(decoded) == count + PHOTOGRAPHS + 1


def test_another_size_is_another_memory_and_no_other_scan(root, tmp_path, decoded):
    _open(root, tmp_path)
    other = _open(root, tmp_path, (32, 32))
    assert len(decoded) == PHOTOGRAPHS
    assert _images(other).shape == (PHOTOGRAPHS, 32, 32, 3)
    assert len(decoded) == 2 * PHOTOGRAPHS


@pytest.mark.parametrize("where", [0, 40, 70, 5000, -1])
def test_what_is_damaged_is_decoded_again(root, tmp_path, where):
    dataset = _open(root, tmp_path)
    images, hashes = _images(dataset), _hashes(dataset)
    for path in (*_files(tmp_path, PIXELS), *_files(tmp_path, HASHES)):
        content = bytearray(path.read_bytes())
        content[where] ^= 1
        path.write_bytes(content)
    again = _open(root, tmp_path)
    np.testing.assert_array_equal(_images(again), images)
    assert _hashes(again).tobytes() == hashes.tobytes()


@pytest.mark.parametrize("left", [0, 1, 31, 33, 5000, -1])
def test_what_is_cut_off_is_decoded_again(root, tmp_path, left):
    dataset = _open(root, tmp_path)
    images, hashes = _images(dataset), _hashes(dataset)
    for path in (*_files(tmp_path, PIXELS), *_files(tmp_path, HASHES)):
        path.write_bytes(path.read_bytes()[:left])
    again = _open(root, tmp_path)
    np.testing.assert_array_equal(_images(again), images)
    assert _hashes(again).tobytes() == hashes.tobytes()
    np.testing.assert_array_equal(_images(dataset), images)  # also where it was cut off while it was open


def test_a_photograph_that_is_cut_off_is_found_and_nothing_of_it_is_kept(root, tmp_path):
    path = root / "a" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-2000])
    assert len(_open(root, tmp_path).splits["train"]) == PHOTOGRAPHS - 1
    assert "truncated" in (tmp_path / "runs" / "kept" / "quarantine.csv").read_text()
    (kept,) = _files(tmp_path, PIXELS)
    assert kept.stat().st_size == (PHOTOGRAPHS - 1) * (64 + 3 * SIZE[0] * SIZE[1])


def test_no_more_than_the_most_is_kept_and_the_rest_is_decoded(root, tmp_path, monkeypatch, decoded):
    row = 64 + 3 * SIZE[0] * SIZE[1]
    monkeypatch.setattr(pixel_memory, "_WRITTEN_BYTES", 2 * row)
    monkeypatch.setitem(MOST_BYTES, PIXELS, 5 * row)
    images = _images(_open(root, tmp_path))
    assert len(decoded) == PHOTOGRAPHS + PHOTOGRAPHS - 4  # two files of two
    assert sum(path.stat().st_size for path in _files(tmp_path, PIXELS)) == 4 * row
    monkeypatch.setitem(MOST_BYTES, PIXELS, 0)
    forget_scans(tmp_path)
    np.testing.assert_array_equal(_images(_open(root, tmp_path)), images)
    assert not _files(tmp_path, PIXELS)


def test_what_was_used_last_before_makes_room(root, tmp_path, monkeypatch):
    row = 64 + 3 * SIZE[0] * SIZE[1]
    monkeypatch.setitem(MOST_BYTES, PIXELS, PHOTOGRAPHS * row)
    _open(root, tmp_path)
    (before,) = _files(tmp_path, PIXELS)
    os.utime(before, (1e9, 1e9))
    later = tmp_path / "later"
    for i in range(4):
        write(later / "ab"[i % 2] / f"{i}.jpg", encoded(_photograph(50 + i), quality=92))
    _open(later, tmp_path)
    (now,) = _files(tmp_path, PIXELS)
    assert now.stat().st_size == 4 * row
    os.utime(now, (1e9, 1e9))
    _open(later, tmp_path)
    assert not _files(tmp_path, PIXELS)  # not used for a hundred days


def test_a_disk_that_is_full_keeps_nothing_and_fails_nothing(root, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pixel_memory, "write_bytes", full)
    dataset = _open(root, tmp_path)
    assert len(_images(dataset)) == len(_hashes(dataset)) == PHOTOGRAPHS
    assert not _files(tmp_path, PIXELS)


def test_images_that_need_the_range_of_all_are_not_kept(tmp_path, decoded):
    for i in range(4):
        deep = np.random.default_rng(i).integers(0, 4000, (200, 200)).astype(np.uint16)
        write(tmp_path / "deep" / "ab"[i % 2] / f"{i}.png", encoded(Image.fromarray(deep), "PNG"))
    first = _hashes(_open(tmp_path / "deep", tmp_path))
    assert not _files(tmp_path, "s")
    place = str((tmp_path / "deep").resolve())
    (tmp_path / RANGES_FILE).write_text(json.dumps({place: {"unsigned": [0, 65535]}}))
    assert _hashes(_open(tmp_path / "deep", tmp_path))["colour"].max() < first["colour"].min() / 8


def test_what_was_decoded_before_an_interruption_is_kept(root, tmp_path, monkeypatch, decoded):
    monkeypatch.setattr("bottleneck_features.pipeline.datasets.scanning.decoding_threads", lambda: 1)

    def interrupted(content, *arguments, decode=decoding._decoded):
        if len(decoded) == 5:
            raise KeyboardInterrupt
        return decode(content, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(decoding, "_decoded", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _open(root, tmp_path)
    _images(_open(root, tmp_path))
    assert len(decoded) == PHOTOGRAPHS


def test_forgetting_scans_forgets_pixels(root, tmp_path, decoded):
    _open(root, tmp_path)
    forget_scans(tmp_path)
    assert not (tmp_path / PIXEL_FOLDER).exists()
    _open(root, tmp_path)
    assert len(decoded) == 2 * PHOTOGRAPHS
