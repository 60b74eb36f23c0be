import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from bottleneck_features.pipeline.datasets.sources.cifar10 import FILES, Cifar10
from bottleneck_features.pipeline.extraction.cache import (
    FINGERPRINTS_FILE,
    FINGERPRINTS_KEPT,
    fingerprints,
    forget_fingerprints,
)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate([*FILES["train"], *FILES["test"]]):
        data = np.random.default_rng(number).integers(0, 256, (10, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({b"labels": list(range(10)), b"data": data}, protocol=2))
    return folder


def _flip_a_pixel(path):
    batch = pickle.loads(path.read_bytes(), encoding="bytes")
    batch[b"data"][0, 0] ^= 1
    path.write_bytes(pickle.dumps(batch, protocol=2))


def test_a_changed_file_gets_a_new_fingerprint(folder, tmp_path):
    before = fingerprints(Cifar10(str(folder)), tmp_path)
    _flip_a_pixel(folder / "data_batch_1")
    after = fingerprints(Cifar10(str(folder)), tmp_path)
    assert after["train"] != before["train"]
    assert after["test"] == before["test"]


def test_unchanged_files_are_not_read_again_until_that_is_asked_for(folder, tmp_path, monkeypatch):
    read, whole = [], Cifar10.fingerprint
    monkeypatch.setattr(Cifar10, "fingerprint", lambda self, split: read.append(split) or whole(self, split))
    before = fingerprints(Cifar10(str(folder)), tmp_path)
    assert fingerprints(Cifar10(str(folder)), tmp_path) == before
    assert sorted(read) == ["test", "train"]
    forget_fingerprints(tmp_path)
    assert fingerprints(Cifar10(str(folder)), tmp_path) == before
    assert len(read) == 4


def test_a_file_exchanged_for_another_of_its_size_and_time_is_noticed(folder, tmp_path):
    path = folder / "data_batch_1"
    before = fingerprints(Cifar10(str(folder)), tmp_path)
    status = path.stat()
    _flip_a_pixel(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprints(Cifar10(str(folder)), tmp_path)["train"] != before["train"]


@pytest.mark.parametrize("damaged", ["{", "[]", '{"a": 1}', '{"a": null}'])
def test_a_damaged_memory_is_made_anew(folder, tmp_path, damaged):
    before = fingerprints(Cifar10(str(folder)), tmp_path)
    (tmp_path / FINGERPRINTS_FILE).write_text(damaged)
    assert fingerprints(Cifar10(str(folder)), tmp_path) == before
    assert list(json.loads((tmp_path / FINGERPRINTS_FILE).read_text()).values()) == [before]


def test_only_the_states_used_last_are_remembered(folder, tmp_path):
    dataset = Cifar10(str(folder))
    before = fingerprints(dataset, tmp_path)
    (own,) = json.loads((tmp_path / FINGERPRINTS_FILE).read_text())
    others = {f"state {i}": {"train": "0"} for i in range(FINGERPRINTS_KEPT)}
    for known in (others, {own: before, **others}):
        (tmp_path / FINGERPRINTS_FILE).write_text(json.dumps(known))
        assert fingerprints(dataset, tmp_path) == before
        kept = json.loads((tmp_path / FINGERPRINTS_FILE).read_text())
        assert list(kept) == [*list(others)[1:], own]


def test_two_processes_that_remember_at_once_lose_nothing(folder, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from bottleneck_features.pipeline.datasets.sources.cifar10 import Cifar10\n"
        "from bottleneck_features.pipeline.datasets.dataset import LimitedDataset\n"
        "from bottleneck_features.pipeline.extraction.cache import fingerprints\n"
        "for limit in range(int(sys.argv[1]), 10 + 8 * 2, 2):\n"
        "    fingerprints(LimitedDataset(Cifar10(sys.argv[2]), limit), Path(sys.argv[3]))"
    )
    words = [[sys.executable, "-c", code, start, str(folder), str(tmp_path)] for start in ("10", "11")]
    for process in [subprocess.Popen(one) for one in words]:
        assert process.wait() == 0
    assert len(json.loads((tmp_path / FINGERPRINTS_FILE).read_text())) == 16
