import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.datasets.dataset import stratified_sample
from bottleneck_features.pipeline.datasets.sources.cifar10 import FILES, Cifar10
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment

EMBEDDED = ["photo-patches", "digits"]


def _open(source: str, *overrides: str) -> Dataset:
    return open_dataset(load_experiment(source, overrides), Path("unused"))


@pytest.fixture
def cifar_folder(tmp_path) -> Path:
    """A folder in the official layout, 40 random images a file."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*FILES["train"], *FILES["test"]]:
        batch = {
            b"batch_label": name.encode(),
            b"labels": [i % 10 for i in range(40)],
            b"data": rng.integers(0, 256, (40, 3072), dtype=np.uint8),
            b"filenames": [b"x.png"] * 40,
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


@pytest.mark.parametrize("source", EMBEDDED)
def test_embedded_data_are_the_same_every_time(source):
    first, second = (_open(source) for _ in range(2))
    assert {split: first.fingerprint(split) for split in first.splits} == {
        split: second.fingerprint(split) for split in second.splits
    }


@pytest.mark.parametrize("source", EMBEDDED)
def test_ids_are_unique_over_all_splits(source):
    dataset = _open(source)
    ids = np.concatenate([samples.ids for samples in dataset.splits.values()])
    assert len(set(ids)) == len(ids)


def test_digits_keep_their_pictures_and_labels_together():
    from sklearn.datasets import load_digits

    dataset = _open("digits")
    original = load_digits()
    for split, samples in dataset.splits.items():
        images = dataset.images(split, np.arange(len(samples)))
        numbers = [int(identifier.removeprefix("digit-")) for identifier in samples.ids]
        assert np.array_equal(original.target[numbers], samples.labels)
        assert np.array_equal(np.round(images[..., 0] / 255 * 16), original.images[numbers])


def test_cifar10_images_come_in_the_order_of_their_ids_whatever_is_asked(cifar_folder):
    dataset = Cifar10(str(cifar_folder))
    everything = dataset.images("train", np.arange(200))
    some = np.array([199, 0, 45, 44, 120])
    assert np.array_equal(dataset.images("train", some), everything[some])
    raw = pickle.loads((cifar_folder / "data_batch_2").read_bytes(), encoding="bytes")[b"data"][5]
    assert np.array_equal(everything[45], raw.reshape(3, 32, 32).transpose(1, 2, 0))


def test_one_changed_pixel_changes_the_fingerprint(cifar_folder):
    before = Cifar10(str(cifar_folder))
    path = cifar_folder / "data_batch_3"
    batch = pickle.loads(path.read_bytes(), encoding="bytes")
    prints = {split: before.fingerprint(split) for split in before.splits}
    batch[b"data"][7, 100] ^= 1
    path.write_bytes(pickle.dumps(batch, protocol=2))
    after = Cifar10(str(cifar_folder))
    assert after.fingerprint("train") != prints["train"]
    assert after.fingerprint("test") == prints["test"]


def test_a_missing_or_wrong_folder_is_refused_by_name(tmp_path, cifar_folder):
    with pytest.raises(RequestError, match=r"dataset\.path"):
        Cifar10(str(tmp_path / "nowhere"))
    (cifar_folder / "data_batch_4").unlink()
    with pytest.raises(RequestError, match="data_batch_4"):
        Cifar10(str(cifar_folder))


@pytest.mark.parametrize("damage", ["truncated", "empty", "not a pickle", "labels short"])
def test_a_damaged_batch_file_is_an_error_that_names_it(cifar_folder, damage):
    path = cifar_folder / "data_batch_1"
    content = path.read_bytes()
    batch = pickle.loads(content, encoding="bytes")
    short = pickle.dumps({**batch, b"labels": batch[b"labels"][:-1]}, protocol=2)
    path.write_bytes(
        {"truncated": content[: len(content) // 2], "empty": b"", "not a pickle": b"\x89PNG", "labels short": short}[
            damage
        ]
    )
    with pytest.raises(PipelineError, match="data_batch_1"):
        Cifar10(str(cifar_folder))


def test_a_pickle_that_would_run_code_is_refused(cifar_folder, tmp_path):
    class Payload:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (cifar_folder / "data_batch_1").write_bytes(pickle.dumps({b"labels": [0], b"data": Payload()}, protocol=2))
    with pytest.raises(PipelineError, match="data_batch_1"):
        Cifar10(str(cifar_folder))
    assert not (tmp_path / "ran").exists()


RARE = st.lists(st.integers(1, 6) | st.integers(40, 900), min_size=2, max_size=6)


@given(counts=RARE, data=st.data())
def test_a_limited_split_is_stratified_has_every_class_and_is_the_same_every_time(counts, data):
    labels = np.repeat(np.arange(len(counts)), counts)
    limit = data.draw(st.integers(len(counts), len(labels)))
    kept = stratified_sample(labels, limit)
    assert np.array_equal(kept, stratified_sample(labels, limit))
    assert len(set(kept)) == limit
    drawn, shares = np.bincount(labels[kept], minlength=len(counts)), limit * np.array(counts) / len(labels)
    assert drawn.min() >= 1
    raised = np.maximum(1 - shares, 0).sum()  # by rare classes, at the cost of the others
    assert (np.abs(drawn - shares) <= 1 + raised).all()


@pytest.mark.parametrize("limit", [3, 16])
def test_a_limit_that_leaves_a_class_without_images_is_refused(limit):
    with pytest.raises(RequestError, match=r"dataset\.limit"):
        _open("photo-patches", f"dataset.limit={limit}")
