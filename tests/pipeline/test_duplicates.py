"""Planted leaks: a test image copied into the training images, in every way that a scraped data set does it."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from PIL import Image

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, Samples
from bottleneck_features.pipeline.datasets.sources.cifar10 import Cifar10
from bottleneck_features.pipeline.datasets.sources.embedded import photo_patches
from bottleneck_features.pipeline.evaluation import duplicates
from bottleneck_features.pipeline.evaluation.duplicates import Duplicates, find_duplicates
from bottleneck_features.pipeline.evaluation.splits import Subset, hold_out, scored_subset
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.extraction.cache import open_cache
from bottleneck_features.pipeline.extraction.identity import experiment_identity

CLASSES = 10
COPIES = 6  # planted test images of each kind
FAST = ("--set", "input.size=64,64", "--set", "backbone.name=efficientnet-lite0", "--set", "head.epochs=2")
LAYER = ("--set", "backbone.layers=top_activation")


def jpeg(image: np.ndarray, quality: int = 75) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def mirrored(image: np.ndarray) -> np.ndarray:
    return image[:, ::-1]


PLANTED = {
    "exact": lambda image: image,
    "near": jpeg,
    "mirrored-exact": mirrored,
    "mirrored-near": lambda image: jpeg(mirrored(image), 60),
}


def write_cifar10(folder: Path, train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, labels: np.ndarray):
    """Write images in CIFAR-10's python-batch layout."""
    folder.mkdir()
    parts = [(f"data_batch_{i + 1}", train[i::5], train_labels[i::5]) for i in range(5)] + [
        ("test_batch", test, labels)
    ]
    for name, images, own in parts:
        data = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": own.tolist()}, protocol=2))


@pytest.fixture(scope="module")
def leaky(tmp_path_factory) -> tuple[Path, tuple[str, ...]]:
    """An artifacts folder with the features of ten photographs' patches, some test patches planted among the training ones."""
    home = tmp_path_factory.mktemp("leaky")
    patches = photo_patches()
    images, labels = {}, {}
    for split, samples in patches.splits.items():
        chosen = np.flatnonzero(samples.labels < CLASSES)
        images[split], labels[split] = patches.images(split, chosen), samples.labels[chosen]
    train = images["train"].copy()
    for place, copy in enumerate(PLANTED.values()):
        for number in range(COPIES):
            row = _test_row(place, number)
            train[_train_row(place, number)] = copy(images["test"][row])
    write_cifar10(home / "cifar-10-batches-py", train, labels["train"], images["test"], labels["test"])
    options = ("-e", "cifar10", "--set", f"dataset.path={home / 'cifar-10-batches-py'}", *FAST, *LAYER)
    done = invoke("features", *options, home=home)
    assert done.exit_code == 0, done.stderr
    return home, options


def _test_row(place: int, number: int) -> int:
    return 20 * (number % CLASSES) + 2 * place


def _train_row(place: int, number: int) -> int:
    return 48 * (number % CLASSES) + 7 * place


def _found(home: Path, options: tuple[str, ...]) -> tuple[Dataset, Duplicates]:
    experiment = load_experiment("cifar10", tuple(options[i + 1] for i in range(2, len(options), 2)))
    dataset = Cifar10(experiment.dataset.path)
    holdout = hold_out(dataset, 0.2, 0)
    return dataset, find_duplicates(
        dataset,
        open_cache(experiment, home, experiment_identity(experiment, dataset)),
        holdout,
        scored_subset(dataset, holdout),
    )


def test_planted_copies_are_found_with_their_kind_and_ids(leaky):
    dataset, found = _found(*leaky)
    pairs = {pair.scored_id: pair for pair in found.pairs}
    train = Cifar10(str(dataset._folder)).splits["train"].ids
    for place, kind in enumerate(PLANTED):
        for number in range(COPIES):
            pair = pairs[f"test-{_test_row(place, number):05d}"]
            assert pair.kind == kind
            assert pair.learned_id == train[_place_in_batches(_train_row(place, number), len(train))]
            assert pair.similarity > 0.9


def test_what_was_found_is_remembered_for_the_same_samples_only(leaky, monkeypatch):
    home, options = leaky
    experiment = load_experiment("cifar10", tuple(options[i + 1] for i in range(2, len(options), 2)))
    dataset = Cifar10(experiment.dataset.path)
    cache = open_cache(experiment, home, experiment_identity(experiment, dataset))
    holdout = hold_out(dataset, experiment.head.validation_split, 0)
    part = scored_subset(dataset, holdout)
    first = duplicates.known_duplicates(home, dataset, cache, holdout, part)
    with monkeypatch.context() as patch:
        patch.setattr(duplicates, "find_duplicates", lambda *_: pytest.fail("looked for again"))
        second = duplicates.known_duplicates(home, dataset, cache, holdout, part)
        assert second.as_json() == first.as_json()
        assert np.array_equal(second.affected, first.affected)
    other = hold_out(dataset, experiment.head.validation_split, 1)
    before = len(list((home / "duplicates").iterdir()))
    duplicates.known_duplicates(home, dataset, cache, other, part)
    assert len(list((home / "duplicates").iterdir())) == before + 1


def _place_in_batches(row: int, n: int) -> int:
    """The place of a training row after `write_cifar10` dealt the rows out to five files."""
    return int(np.concatenate([np.arange(n)[i::5] for i in range(5)]).tolist().index(row))


def test_images_of_different_places_are_not_called_duplicates(leaky):
    _, found = _found(*leaky)
    assert found.affected.sum() <= COPIES * len(PLANTED) + 2  # of 200


def test_the_accuracy_without_the_leaked_images_stands_beside_the_full_one(leaky):
    home, options = leaky
    done = invoke("train-head", *options, home=home)
    assert done.exit_code == 0, done.stderr
    result = json.loads((home / "runs" / "cifar10" / "train-head" / "result.json").read_text())
    affected = result["duplicates"]["images"]
    assert affected >= COPIES * len(PLANTED)
    assert result["duplicates"]["of"] == 200
    method = result["methods"][0]
    assert method["n"]["test"] == 200
    assert method["without_duplicates"]["n"] == 200 - affected
    assert f"{affected} of the 200 images" in done.stderr
    assert f"{100 * method['without_duplicates']['accuracy']:.1f} %" in done.stderr


def test_data_without_a_leak_have_no_warning_and_tiny_images_are_compared_exactly_only(extracted):
    from commandline import SMALL

    done = invoke("train-head", *SMALL, "--set", "head.epochs=1", home=extracted)
    assert done.exit_code == 0, done.stderr
    result = json.loads((extracted / "runs" / "digits" / "train-head" / "result.json").read_text())
    assert result["duplicates"]["pairs"] == []
    assert "under 16 pixels" in result["duplicates"]["near_ones"]
    assert result["methods"][0]["without_duplicates"] is None
    assert not any("repeat an image" in warning for warning in result["warnings"])


def test_where_every_scored_image_is_a_copy_nothing_is_left_to_score():
    found = Duplicates((), np.array([True, True]), "")
    (sentence,) = found.warnings([{"name": "head", "layers": [], "without_duplicates": None}])
    assert "2 of the 2" in sentence
    assert "no image is left" in sentence


@pytest.mark.parametrize("order", ["sorted by label", "sorted by label, backwards"])
def test_labels_sorted_before_splitting_still_give_every_class_to_both_parts(order):
    labels = np.repeat(np.arange(10), 30)[:: 1 if order == "sorted by label" else -1]
    images = np.zeros((300, 8, 8, 3), np.uint8)
    samples = Samples(np.array([f"image-{i}" for i in range(300)]), labels)
    dataset = ArrayDataset("sorted", tuple("abcdefghij"), {"train": images}, {"train": samples})
    holdout = hold_out(dataset, 0.2, 0)
    for part, count in ((holdout.train, 24), (holdout.validation, 6)):
        assert np.bincount(labels[part.indices]).tolist() == [count] * 10
    assert holdout.validation.indices.tolist() != list(range(240, 300))
    assert scored_subset(dataset, holdout) == holdout.validation
    assert isinstance(holdout.train, Subset)
