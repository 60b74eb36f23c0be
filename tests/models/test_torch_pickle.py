"""The torch checkpoint reader admits tensors and nothing else."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from models.errors import WeightsMismatch
from models.torch_pickle import MAGIC, PROTOCOL, load_tensors
from models.weights import lite0_path


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


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    # what torch writes for one tensor of 100 values over a storage of 4
    body = (
        b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00xctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00kX\x03\x00\x00\x00cpuK\x04NtQ"
        b"K\x00(Kdt(K\x01t\x89ccollections\nOrderedDict\n)RtRu."
    )
    header = b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, {"little_endian": True}))
    path = tmp_path / "beyond.pth"
    path.write_bytes(header + body + pickle.dumps(["k"], 2) + np.int64(4).tobytes() + np.zeros(4, "<f4").tobytes())
    with pytest.raises(WeightsMismatch, match="beyond its storage"):
        load_tensors(path)
