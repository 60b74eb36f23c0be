import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from trained import target_of

from bottleneck_features import models
from bottleneck_features.models.backbones import Backbone
from bottleneck_features.models.weights import WeightsIdentity
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.method_row import kept_epoch
from bottleneck_features.pipeline.methods import resumable
from bottleneck_features.pipeline.methods.resumable import Schedule, fit_resumable, recipe_folder, sole_training
from bottleneck_features.pipeline.methods.training import EpochBatches

TARGET = target_of(2, "log-loss")
SCHEDULE = Schedule(epochs=4, learning_rate=1e-2, drop_every=2, patience=4)


def _batches() -> tuple[EpochBatches, EpochBatches]:
    random = np.random.default_rng(0)
    labels = np.arange(48) % 2
    images = (random.integers(0, 100, (48, 8, 8, 3)) + 120 * labels[:, None, None, None]).astype(np.uint8)
    return tuple(
        EpochBatches(images, labels, part, batch_size=8, seed=0) for part in (np.arange(32), np.arange(32, 48))
    )


def _model() -> keras.Model:
    """A real classifier round a tiny network, with cropping and mirroring."""
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3), name="images")
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(images)
    x = keras.layers.Conv2D(4, 3, name="conv")(x)
    network = keras.Model(images, keras.layers.BatchNormalization(name="norm")(x))
    backbone = Backbone("tiny", network, "", WeightsIdentity("random", "", None, ""), (8, 8))
    return models.classifier(backbone, "norm", 2, (8, 8, 3), crop_area=0.5, dropout=0.1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[keras.Model, dict[str, list[float]], Path]:
    """A training that nothing happened to: its network, its curves and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return *fit_resumable(_model, *_batches(), schedule=SCHEDULE, title="made", folder=folder, target=TARGET), folder


@pytest.fixture(scope="module")
def undisturbed(whole) -> dict[str, list[float]]:
    return dict(whole[1])


@pytest.mark.parametrize("kills", [pytest.param((1,), marks=pytest.mark.slow), (0, 2)])
def test_a_killed_training_ends_with_the_same_epochs_and_curves(tmp_path, undisturbed, monkeypatch, kills):
    for kill in kills:
        with monkeypatch.context() as patch:
            patch.setattr(resumable, "write_checkpoint", _interrupted_after(kill))
            with pytest.raises(KeyboardInterrupt):
                fit_resumable(_model, *_batches(), schedule=SCHEDULE, title="made", folder=tmp_path, target=TARGET)
    _, history = fit_resumable(_model, *_batches(), schedule=SCHEDULE, title="made", folder=tmp_path, target=TARGET)
    assert len(history["loss"]) == SCHEDULE.epochs
    assert len(history["seconds"]) == SCHEDULE.epochs
    for name in undisturbed.keys() - {"seconds"}:
        np.testing.assert_allclose(history[name], undisturbed[name], rtol=1e-3)


def _interrupted_after(epoch: int):
    write = resumable.write_checkpoint

    def interrupted(folder, now, model, curves):
        write(folder, now, model, curves)
        if now == epoch:
            raise KeyboardInterrupt

    return interrupted


def test_a_checkpoint_that_was_being_written_is_not_taken_up(tmp_path, undisturbed, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(resumable, "write_checkpoint", _interrupted_after(1))
        with pytest.raises(KeyboardInterrupt):
            fit_resumable(_model, *_batches(), schedule=SCHEDULE, title="made", folder=tmp_path, target=TARGET)
    half = tmp_path / "unfinished-1"
    half.mkdir()
    (half / "last.keras").write_bytes(b"half")
    _, history = fit_resumable(_model, *_batches(), schedule=SCHEDULE, title="made", folder=tmp_path, target=TARGET)
    np.testing.assert_allclose(history["loss"], undisturbed["loss"], rtol=1e-3)


def test_a_finished_training_is_read_back_and_not_repeated(whole):
    first, _, folder = whole
    second, _ = fit_resumable(pytest.fail, *_batches(), schedule=SCHEDULE, title="made", folder=folder, target=TARGET)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not list(folder.rglob("last.keras"))  # three times the size of the network, and of no more use


def test_what_a_kill_between_two_checkpoints_left_is_removed_though_no_epoch_is_to_come(whole):
    _, _, folder = whole
    for left in ("epoch-0002", "unfinished-1"):
        (folder / left).mkdir()
    fit_resumable(pytest.fail, *_batches(), schedule=SCHEDULE, title="made", folder=folder, target=TARGET)
    assert [path.name for path in folder.iterdir() if path.name != "tensorboard"] == ["epoch-0003"]


def test_the_kept_model_is_that_of_the_lowest_validation_loss(whole):
    model, history, _ = whole
    loss, _ = model.evaluate(_batches()[1], verbose=0)
    assert loss == pytest.approx(min(history["val_loss"]), rel=1e-3)
    assert kept_epoch(history) == 1 + int(np.argmin(history["val_loss"]))


def test_training_stops_when_validation_no_longer_improves(tmp_path):
    _, history = fit_resumable(
        _model, *_batches(), schedule=Schedule(30, 0.5, 0, 2), title="made", folder=tmp_path, target=TARGET
    )
    assert len(history["loss"]) < 30


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path):
    with pytest.raises(PipelineError, match=r"--set finetune\.learning_rate=1e\+28"):
        fit_resumable(
            _model, *_batches(), schedule=Schedule(3, 1e29, 0, 3), title="made", folder=tmp_path, target=TARGET
        )
    assert not list(tmp_path.glob("epoch-*"))
    schedule = Schedule(3, 1e29, 0, 3, "finetune.fresh_learning_rate")
    with pytest.raises(PipelineError, match=r"--set finetune\.fresh_learning_rate=1e\+28"):
        fit_resumable(_model, *_batches(), schedule=schedule, title="made", folder=tmp_path / "fresh", target=TARGET)


def test_another_recipe_has_a_folder_of_its_own(tmp_path):
    folders = {recipe_folder(tmp_path, {"learning_rate": rate}) for rate in (0.1, 0.2, 0.1)}
    assert len(folders) == 2
    shutil.rmtree(tmp_path)


def test_two_runs_never_train_one_recipe_at_a_time(tmp_path):
    folder = recipe_folder(tmp_path, {})
    with sole_training(folder), pytest.raises(PipelineError, match="Wait for it to end"), sole_training(folder):
        pass
    with sole_training(folder):
        pass


def test_the_checkpoints_of_the_oldest_recipes_are_removed_but_none_that_is_being_trained(tmp_path):
    folders = [recipe_folder(tmp_path, {"seed": seed}) for seed in range(8)]
    for age, folder in enumerate(folders):
        folder.mkdir()
        os.utime(folder, (1e9 - age, 1e9 - age))
    with sole_training(folders[7]):
        assert [folder.exists() for folder in folders] == [True] * 4 + [False] * 3 + [True]
        folders[4].mkdir()
        with sole_training(folders[4]):
            assert folders[7].exists()


def test_a_network_trained_in_bfloat16_keeps_float32_weights_and_computes_in_float32_again(tmp_path):
    images, labels = _batches()[0][0]
    whole, mixed = _model(), models.compute_in(_model(), "bfloat16")
    assert {str(weight.dtype) for weight in mixed.weights} <= {"float32", "uint32"}
    network = mixed.get_layer("backbone")
    assert {layer.name: layer.compute_dtype for layer in network.layers} == {
        "images": "float32", "rescaling": "float32", "conv": "bfloat16", "norm": "bfloat16",
    }  # fmt: skip
    assert not np.array_equal(mixed.predict_on_batch(images), whole.predict_on_batch(images))
    models.compile_classifier(mixed).train_on_batch(images, labels)
    mixed.save(tmp_path / "mixed.keras")
    again = models.compute_in(models.load_classifier(tmp_path / "mixed.keras"), "float32")
    whole.set_weights(again.get_weights())
    np.testing.assert_array_equal(again.predict_on_batch(images), whole.predict_on_batch(images))


def test_float16_scales_the_loss_and_only_float16():
    scaled = models.compile_classifier(models.compute_in(_model(), "float16")).optimizer
    assert isinstance(scaled, keras.optimizers.LossScaleOptimizer)
    assert isinstance(models.compile_classifier(_model()).optimizer, keras.optimizers.Adam)


def test_cropping_is_never_given_to_xla():
    assert not _model().get_layer("crop").supports_jit


def test_only_what_is_asked_for_is_trained():
    model = _model()
    models.freeze_batch_norm(model)
    assert {weight.name for weight in model.get_layer("backbone").trainable_weights} == {"kernel", "bias"}
    models.freeze_below(model, "norm")
    assert model.get_layer("backbone").trainable_weights == []
    with pytest.raises(models.UnknownLayer, match="'conv'"):
        models.freeze_below(_model(), "convolution")


def test_images_are_cropped_and_mirrored_while_training_only():
    images = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3)).astype(np.uint8)
    model = _model()
    seen = keras.Model(model.inputs[0], model.get_layer("crop").output)
    assert not np.array_equal(seen(images, training=True), seen(images, training=True))
    np.testing.assert_array_equal(seen(images, training=False), images.astype(np.float32))
