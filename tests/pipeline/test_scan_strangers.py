"""What is remembered of a scan can be anything: it is believed only if it agrees with itself, and else scanned again."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import strangers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imagefiles import encoded, picture, write

from bottleneck_features.pipeline.datasets import scan_memory
from bottleneck_features.pipeline.datasets.pixels.decoding import MAX_SIDE
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing
from bottleneck_features.pipeline.datasets.scan_memory import SCAN_FOLDER, ScanMemory
from bottleneck_features.pipeline.datasets.scanned import ScanResult, as_arrays, parsed
from bottleneck_features.pipeline.datasets.scanning import scan_files

PATHS = ("0.jpg", "1.png", "2.tif", "3.jpg", "broken.jpg", "none.jpg")
SMALL = Resizing((16, 16))
LIMITS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Images in a folder and, beside it, what a scan of them remembered."""
    folder = tmp_path_factory.mktemp("scanned")
    for path, format in zip(PATHS, ("JPEG", "PNG", "TIFF", "JPEG"), strict=False):
        write(folder / "data" / path, encoded(picture(len(path)), format))
    write(folder / "data/broken.jpg", encoded(picture())[:300])
    scan_files(folder / "data", PATHS, folder, SMALL)
    return folder


def _memory(place: Path) -> Path:
    (memory,) = (place / SCAN_FOLDER).rglob("*.npz")
    return memory


def _remembered(place: Path) -> dict[str, np.ndarray]:
    with np.load(_memory(place)) as arrays:
        return dict(arrays)


def _said(scan: ScanResult) -> dict[str, tuple]:
    return {name: (array.shape, array.tobytes()) for name, array in as_arrays(scan).items()}


def _saved(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_whatever_is_remembered_a_scan_finds_what_is_in_the_files(place, count):
    true, arrays = _said(scan_files(place / "data", PATHS, place, SMALL)), _remembered(place)
    assert arrays["ids"].tolist() == [path.encode() for path in PATHS[:-1]]

    @settings(max_examples=count, **LIMITS)
    @given(strangers.changed_arrays(arrays))
    def tried(changed: dict) -> None:
        _memory(place).write_bytes(_saved(changed))
        assert _said(scan_files(place / "data", PATHS, place, SMALL)) == true

    tried()


@pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.slow)])
def test_a_file_of_which_bytes_are_others_is_not_believed(place, count):
    true, content = _said(scan_files(place / "data", PATHS, place, SMALL)), _memory(place).read_bytes()

    @settings(max_examples=count, **LIMITS)
    @given(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1, max_size=4))
    def tried(changes: list) -> None:
        damaged = bytearray(content)
        for where, value in changes:
            damaged[where] = value
        _memory(place).write_bytes(damaged)
        assert _said(scan_files(place / "data", PATHS, place, SMALL)) == true

    tried()


@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_what_is_sealed_again_is_a_whole_scan_or_none(place, count):
    found = scan_files(place / "data", PATHS, place, SMALL)
    said = ScanResult(found.ids, found.images, found.kinds, {"label": found.ids}, found.problems)
    memory = ScanMemory(place / "other", "resealed")
    believed = 0

    @settings(max_examples=count, **LIMITS)
    @given(strangers.changed_arrays(as_arrays(said, "state")))
    def tried(changed: dict) -> None:
        nonlocal believed
        memory._folder.mkdir(parents=True, exist_ok=True)
        memory.remember("x", changed)
        scan = memory.recall("x", lambda arrays: parsed(arrays, ("label",), "state"))
        if scan is None:
            return
        believed += 1
        assert len(scan.ids) == len(scan.images) == len(scan.kinds) == len(scan.annotations["label"])
        assert set(scan.problems) <= set(range(len(scan)))
        usable = scan.images[scan.usable]
        assert usable["sha256"].any(axis=1).all()
        assert ((usable["width"] > 0) & (usable["width"] <= MAX_SIDE)).all()
        assert np.isfinite(usable["lowest"]).all()
        assert all(kind.decode().partition(" ")[2] for kind in scan.kinds[scan.usable])
        assert len(scan.take(range(len(scan)))) == len(scan)

    tried()
    assert believed < 2 * count / 3


@pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.slow)])
def test_with_what_is_sealed_again_a_scan_ends_as_any_other(place, count):
    scan_files(place / "data", PATHS, place, SMALL)
    arrays = _remembered(place)
    del arrays["sha256"]

    @settings(max_examples=count, **LIMITS)
    @given(strangers.changed_arrays(arrays))
    def tried(changed: dict) -> None:
        _memory(place).write_bytes(_saved({**changed, "sha256": np.array(scan_memory._sealed(changed))}))
        found = scan_files(place / "data", PATHS, place, SMALL)
        assert found.ids.tolist() == list(PATHS)
        assert set(found.problems) <= set(range(len(PATHS)))

    tried()
    scan_memory.forget_scans(place)
    scan_files(place / "data", PATHS, place, SMALL)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("width", 0), ("height", MAX_SIDE + 1), ("size", 1 << 30), ("offset", -1), ("sha256", 0), ("numbers", b"x2"),
        ("lowest", np.nan), ("highest", -np.inf), ("lowest", 1.0),
    ],
)  # fmt: skip
def test_what_no_image_can_have_is_not_believed(place, column, value):
    found = scan_files(place / "data", PATHS[:4], place, SMALL)
    assert len(parsed(as_arrays(found))) == 4
    found.images[column][0] = value
    with pytest.raises(ValueError, match="images without possible"):
        parsed(as_arrays(found))


def test_what_is_packed_is_not_unpacked(place):
    true = _said(scan_files(place / "data", PATHS, place, SMALL))
    with zipfile.ZipFile(io.BytesIO(_memory(place).read_bytes())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(_memory(place), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, "zeros.npy": bytes(100 << 20)}.items():
            archive.writestr(name, content)
    assert _said(scan_files(place / "data", PATHS, place, SMALL)) == true
    assert "zeros" not in _remembered(place)
