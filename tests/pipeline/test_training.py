from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trained import target_of

from bottleneck_features.models import build_head
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.method_row import kept_epoch
from bottleneck_features.pipeline.methods.training import RowBatches, TrainingRecipe, fit, predicted_probabilities


def _blobs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), 40)
    return (random.normal(size=(120, 8)) + 4 * np.eye(8)[labels]).astype(np.float16), labels


@settings(deadline=None)
@given(count=st.integers(1, 70), batch=st.integers(1, 20), seed=st.integers(0, 1000))
def test_an_epoch_sees_every_sample_once_with_its_own_label(count, batch, seed):
    rows = np.arange(100, dtype=np.float16)[:, None]
    indices = np.random.default_rng(seed).permutation(100)[:count]
    batches = RowBatches(rows, np.arange(100), indices, batch_size=batch, seed=seed)
    for _ in range(2):
        seen = [batches[i] for i in range(len(batches))]
        assert all(np.array_equal(x[:, 0], y) for x, y in seen)
        assert sorted(np.concatenate([y for _, y in seen])) == sorted(indices)
        batches.on_epoch_end()


def test_each_epoch_has_an_order_of_its_own():
    batches = RowBatches(np.zeros((50, 1)), np.arange(50), np.arange(50), batch_size=50, seed=0)
    first = batches[0][1]
    batches.on_epoch_end()
    assert not np.array_equal(first, batches[0][1])


def test_training_shows_one_view_of_a_sample_and_prediction_averages_all():
    rows = np.stack([np.full((6, 2), 1.0), np.full((6, 2), 3.0)], axis=1)
    batch, _ = RowBatches(rows, np.zeros(6, int), np.arange(6), batch_size=6, seed=0, views=2)[0]
    assert batch.shape == (6, 2)
    assert set(np.unique(batch)) <= {1.0, 3.0}
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Lambda(lambda x: x)])
    assert np.allclose(predicted_probabilities(model, rows, np.arange(6), views=2), 2.0)


def test_the_best_epoch_by_validation_loss_is_kept():
    rows, labels = _blobs()
    keras.utils.set_random_seed(0)
    model = build_head((8,), 3, 0.0)
    train, validation = np.arange(0, 120, 2), np.arange(1, 120, 2)
    batches = [RowBatches(rows, labels, part, batch_size=16, seed=0) for part in (train, validation)]
    history = fit(model, *batches, TrainingRecipe(12, 16, 0.3, 0), "blobs", target_of(3, "log-loss"))
    assert kept_epoch(history) == 1 + int(np.argmin(history["val_loss"]))
    probabilities = predicted_probabilities(model, rows, validation)
    loss = -np.log(probabilities[np.arange(len(validation)), labels[validation]]).mean()
    assert loss == pytest.approx(min(history["val_loss"]), rel=1e-3)


def test_what_decides_between_epochs_decides_and_of_equals_the_loss_does():
    curves = {"val_loss": [0.5, 0.4, 0.6, 0.3], "val_select": [0.7, 0.8, 0.8, 0.1]}
    assert kept_epoch(curves) == 2
    assert kept_epoch({"val_loss": [0.5, float("nan"), 0.6], "val_select": [0.1, 0.9, 0.2]}) == 3


@pytest.mark.parametrize("select", ["accuracy", "balanced-accuracy"])
def test_the_weights_of_the_epoch_that_is_named_are_kept(select):
    rows, labels = _blobs()
    part = np.r_[0:40, 40:44, 80:84]  # few of two classes
    target = target_of(3, select)
    keras.utils.set_random_seed(0)
    model = build_head((8,), 3, 0.5)
    batches = [RowBatches(rows, labels, part, batch_size=8, seed=0) for _ in range(2)]
    history = fit(model, *batches, TrainingRecipe(5, 8, 0.05, 0), "blobs", target)
    reached = target.criterion(predicted_probabilities(model, rows, part), labels[part])
    assert reached == pytest.approx(history["val_select"][kept_epoch(history) - 1], abs=1e-6)


def test_a_class_that_counts_more_is_answered_more():
    rows, labels = _blobs()
    rows = (rows / 4 + np.random.default_rng(1).normal(size=rows.shape)).astype(np.float16)  # classes that overlap
    batches = [RowBatches(rows, labels, np.arange(120), batch_size=16, seed=0) for _ in range(2)]
    shares = []
    for weights in (None, np.array([50.0, 1.0, 1.0])):
        keras.utils.set_random_seed(0)
        model = build_head((8,), 3, 0.0)
        fit(model, *batches, TrainingRecipe(8, 16, 0.05, 0), "blobs", replace(target_of(3), weights=weights))
        shares.append((predicted_probabilities(model, rows, np.arange(120)).argmax(axis=1) == 0).mean())
    assert shares[1] > shares[0] + 0.1


def test_a_loss_that_is_no_number_stops_with_advice():
    rows, labels = _blobs()
    rows = rows.astype(np.float32)
    rows[5] = np.inf
    batches = RowBatches(rows, labels, np.arange(120), batch_size=16, seed=0)
    with pytest.raises(PipelineError, match="Lower the learning rate"):
        fit(build_head((8,), 3, 0.0), batches, batches, TrainingRecipe(2, 16, 1e-3, 0), "blobs", target_of(3))
