"""The reader of torch checkpoints admits tensors and nothing else."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from bottleneck_features.models.errors import WeightsMismatch
from bottleneck_features.models.sources.registered import lite0_path
from bottleneck_features.models.torch_files import MAGIC, PROTOCOL, load_tensors


class _Runs:
    def __reduce__(self):
        return Path.touch, (Path("touched-by-a-pickle"),)


def checkpoint(path: Path, state: object) -> Path:
    parts = [MAGIC, PROTOCOL, {"little_endian": True}, state, []]
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
    return path


def test_reads_every_tensor_of_the_shipped_checkpoint():
    tensors = load_tensors(lite0_path())
    assert len(tensors) == 296
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert sum(t.size for name, t in tensors.items() if name.endswith(("weight", "bias"))) == 4_652_008


def test_a_checkpoint_that_would_run_code_is_refused_and_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsMismatch, match="not a tensor"):
        load_tensors(checkpoint(tmp_path / "evil.pth", OrderedDict(x=_Runs())))
    assert not (tmp_path / "touched-by-a-pickle").exists()


@pytest.mark.parametrize("what", [np.dtype("f4"), print, OrderedDict])
def test_anything_but_tensors_is_refused(tmp_path, what):
    with pytest.raises(WeightsMismatch):
        load_tensors(checkpoint(tmp_path / "other.pth", OrderedDict(x=what)))


@pytest.mark.parametrize("length", [0, 10, 5_000, 1_000_000])
def test_a_truncated_checkpoint_is_refused(tmp_path, length):
    short = tmp_path / "short.pth"
    short.write_bytes(lite0_path().read_bytes()[:length])
    with pytest.raises(WeightsMismatch, match="fetch the checkpoint again"):
        load_tensors(short)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, zipped):
    path = tmp_path / "beyond.pth"
    _write(path, 100, zipped)
    with pytest.raises(WeightsMismatch, match="beyond its storage"):
        load_tensors(path)


@pytest.mark.parametrize("zipped", [False, True])
def test_both_torch_formats_are_read(tmp_path, zipped):
    path = tmp_path / "right.pth"
    _write(path, 4, zipped)
    assert load_tensors(path)["x"].tolist() == [0, 1, 2, 3]


def test_safetensors_are_read_and_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file({"x": np.arange(4, dtype=np.float32)}, path)
    assert load_tensors(path)["x"].tolist() == [0, 1, 2, 3]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(WeightsMismatch, match="not a file of tensors"):
        load_tensors(path)


@pytest.mark.parametrize("damage", ["no pickle", "big-endian", "short storage", "code"])
def test_a_zip_that_is_no_checkpoint_is_refused(tmp_path, damage, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pth"
    _write(path, 4, True)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts |= {
        "no pickle": {"m/data.pkl": b"nothing"},
        "big-endian": {"m/byteorder": b"big"},
        "short storage": {"m/data/k": b"1234"},
        "code": {"m/data.pkl": pickle.dumps(OrderedDict(x=_Runs()), 2)},
    }[damage]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(WeightsMismatch, match="not a file of tensors"):
        load_tensors(path)
    assert not (tmp_path / "touched-by-a-pickle").exists()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_damaged_checkpoint_is_refused_by_name_whatever_byte_is_wrong(tmp_path, zipped):
    path = tmp_path / "damaged.pth"
    _write(path, 4, zipped)
    whole, random, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(1500):
        damaged = bytearray(whole)
        for place in random.integers(len(whole), size=random.integers(1, 5)):
            damaged[place] = random.choice([0, 127, 255, int(random.integers(256))])
        path.write_bytes(damaged)
        try:
            load_tensors(path)
        except WeightsMismatch:
            refused += 1
    assert refused > 1000


def test_a_size_that_no_file_has_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "vast.pth"
    _write(path, 4, zipped=False)
    vast = path.read_bytes().replace(b"K\x04NtQ", b"\x8a\x07" + (1 << 50).to_bytes(7, "little") + b"NtQ")
    path.write_bytes(vast.replace(np.int64(4).tobytes(), np.int64(1 << 50).tobytes()))
    with pytest.raises(WeightsMismatch, match="truncated"):
        load_tensors(path)


def test_an_archive_that_would_unpack_to_more_than_it_has_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", bytes(1 << 24))
    with pytest.raises(WeightsMismatch, match=r"would unpack to 16,777,216 bytes, more than its [\d,]+"):
        load_tensors(path)


def test_a_storage_that_is_copied_again_and_again_is_refused(tmp_path):
    path = tmp_path / "shared.pth"
    body = _state(4, in_zip=True)
    start, end = body.index(b"X\x01\x00\x00\x00xctorch._utils"), body.index(b"u.", -2)
    tensors = b"".join(body[start:end].replace(b"\x00x", b"\x00" + bytes([97 + i]), 1) for i in range(9))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", body[:start] + tensors + body[end:])
        archive.writestr("m/data/k", np.arange(4, dtype="<f4").tobytes())
    with pytest.raises(WeightsMismatch, match="144 bytes, 8 times more than the 16 it stores"):
        load_tensors(path)


def test_a_missing_file_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_tensors(tmp_path / "nowhere.pth")


def _write(path: Path, length: int, zipped: bool) -> None:
    """A checkpoint of one tensor `x` of `length` values over a storage of 0, 1, 2, 3."""
    body = _state(length, in_zip=zipped)
    values = np.arange(4, dtype="<f4").tobytes()
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {"data.pkl": body, "byteorder": b"little", "data/k": values}.items():
                archive.writestr(f"m/{name}", content)
        return
    header = b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, {"little_endian": True}))
    path.write_bytes(header + body + pickle.dumps(["k"], 2) + np.int64(4).tobytes() + values)


def _state(length: int, in_zip: bool) -> bytes:
    """What torch pickles; the old format's storage reference ends with one item more."""
    view = b"" if in_zip else b"N"
    return (
        b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00xctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00kX\x03\x00\x00\x00cpuK\x04" + view + b"tQ"
        b"K\x00(K" + bytes([length]) + b"t(K\x01t\x89ccollections\nOrderedDict\n)RtRu."
    )
