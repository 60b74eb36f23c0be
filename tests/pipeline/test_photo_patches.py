"""The embedded photographs: validation and test patches are as far from the training patches, and mean the same."""

import json

import numpy as np
import pytest
from commandline import invoke

from bottleneck_features.features import open_features
from bottleneck_features.models import LogisticPath
from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, LimitedDataset
from bottleneck_features.pipeline.datasets.sources.embedded import GAP, PATCH, PHOTOGRAPHS, photo_patches
from bottleneck_features.pipeline.evaluation.groups import group_numbers
from bottleneck_features.pipeline.evaluation.scores import score

COUNTS = {"train": 48, "validation": 12, "test": 20}
REGIONS = 6


@pytest.fixture(scope="module")
def patches() -> ArrayDataset:
    return photo_patches()


def _places(ids: np.ndarray) -> np.ndarray:
    """The top and the left of patches, by their names, such as `brick-y35-x70`."""
    return np.array([[int(part[1:]) for part in name.split("-")[1:]] for name in ids])


@pytest.mark.parametrize("label", range(len(PHOTOGRAPHS)), ids=PHOTOGRAPHS)
def test_patches_of_different_splits_or_groups_neither_overlap_nor_touch(patches, label):
    own = {split: patches.splits[split].labels == label for split in COUNTS}
    places = _places(np.concatenate([patches.splits[split].ids[mask] for split, mask in own.items()]))
    groups = np.concatenate([patches.groups[split][mask] for split, mask in own.items()])
    assert len(set(groups)) == REGIONS + COUNTS["validation"] + COUNTS["test"]
    between = np.abs(places[:, None] - places[None]).max(axis=2) - PATCH
    assert between[groups[:, None] != groups].min() >= GAP


def test_every_photograph_has_as_many_patches(patches):
    for split, count in COUNTS.items():
        assert patches.splits[split].labels.tolist() == np.repeat(np.arange(len(PHOTOGRAPHS)), count).tolist()
        assert patches.images(split, np.arange(len(patches.splits[split]))).shape[0] == len(PHOTOGRAPHS) * count


def test_patches_that_are_scored_count_as_independent_images(patches):
    for split in ("validation", "test"):
        assert group_numbers(patches.groups[split]) is None
    limited = LimitedDataset(patches, 100)
    assert {split: len(groups) for split, groups in limited.groups.items()} == dict.fromkeys(COUNTS, 100)


def test_patches_give_nothing_away_by_brightness_or_colour(patches):
    for split, samples in patches.splits.items():
        images = patches.images(split, np.arange(len(samples))).astype(float)
        assert np.array_equal(images[..., 0], images[..., 2])
        assert np.ptp(images.mean(axis=(1, 2, 3))) < 25


def test_validation_and_test_accuracy_agree_and_nothing_is_called_a_repeat(tmp_path):
    done = invoke("features", "-e", "photo-patches", "--json", home=tmp_path)
    assert done.exit_code == 0, done.output
    cache = open_features(json.loads(done.stdout)["cache"])
    probe = LogisticPath().fit(cache["train"].x[:].astype(np.float32), cache["train"].y)
    validation, test = (
        score(cache[split].y[:], probe.predict(cache[split].x[:].astype(np.float32)))
        for split in ("validation", "test")
    )
    assert max(validation.low, test.low) < min(validation.high, test.high)
    assert test.accuracy > 0.7
    done = invoke("train-head", "-e", "photo-patches", "--set", "head.epochs=1", "--json", home=tmp_path)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["duplicates"]["pairs"] == []
    assert not any("groups" in warning for warning in result["warnings"])
    assert "The intervals are for other patches of these photographs." in result["notes"][0]
