"""What is in a cache's identity, and that a cached row is the feature of the image whose id stands beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commandline import SMALL

from bottleneck_features import models
from bottleneck_features.features import identity_key, open_features
from bottleneck_features.features.manifest import update
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.extraction.identity import experiment_identity
from bottleneck_features.pipeline.stages.features import extract_features

BASE = tuple(word for word in SMALL if "=" in word)


def _key(home, *overrides: str) -> str:
    experiment = load_experiment("digits", (*BASE, *overrides))
    return identity_key(experiment_identity(experiment, open_dataset(experiment, home)))


@pytest.mark.parametrize(
    "override",
    [
        "dataset.limit=130",
        "dataset.source=photo-patches",
        "input.size=40,32",
        "input.resize=bicubic",
        "input.antialias=false",
        "input.views=identity,hflip",
        "backbone.name=mobilenetv2",
        "backbone.weights=random",
        "backbone.layers=block5c_add",
        "features.pooling=max",
        "features.dtype=float32",
        "compute.engine=tensorflow",
        "compute.precision=float32",
        "compute.batch_size=16",
    ],
)
def test_every_setting_that_changes_a_number_changes_the_key(tmp_path, override):
    weights = ("backbone.weights=random",) if "mobilenet" in override else ()
    assert _key(tmp_path, override, *weights) != _key(tmp_path, *weights, "compute.precision=auto")


@pytest.mark.parametrize(
    "override", ["head.epochs=3", "convnet.epochs=3", "features.shard_size=64", "features.compression=blosc2"]
)
def test_a_setting_that_changes_no_feature_keeps_the_key(tmp_path, override):
    assert _key(tmp_path, override) == _key(tmp_path)


def test_random_weights_of_another_seed_are_other_weights(tmp_path):
    assert _key(tmp_path, "backbone.weights=random", "seed=1") != _key(tmp_path, "backbone.weights=random", "seed=2")


def test_every_cached_row_is_the_feature_of_the_image_whose_id_stands_beside_it(tmp_path):
    experiment = load_experiment(
        "digits", (*BASE, "compute.precision=float32", "features.dtype=float32", "features.shard_size=50")
    )
    cache = open_features(extract_features(experiment, tmp_path).details["cache"])
    whole = open_dataset(load_experiment("digits"), tmp_path)
    backbone = models.load_backbone("efficientnet-lite0", "imagenet", (32, 32), 0)
    layer = experiment.backbone.layers[-1]
    alone = models.build_extractor(
        backbone, [layer], input_shape=(8, 8), engine="tensorflow", precision="float32", batch_size=1
    )
    for split in ("train", "test"):
        numbers = {identifier: i for i, identifier in enumerate(whole.splits[split].ids)}
        for row in (0, 49, 50, 77, 119):
            number = numbers[cache[split].ids[row]]
            assert cache[split].y[row] == whole.splits[split].labels[number]
            expected = alone(whole.images(split, np.array([number])))[layer][0]
            assert np.allclose(cache[split].x[row], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_resuming_with_other_library_versions_is_said(tmp_path, caplog):
    experiment = load_experiment("digits", BASE)
    path = Path(extract_features(experiment, tmp_path).details["cache"])
    (path / "train" / "00000.h5").unlink()
    update(path, lambda present: replace(present, provenance={**present.provenance, "versions": {"openvino": "1.0"}}))
    extract_features(experiment, tmp_path)
    assert "openvino 1.0 then" in caplog.text
