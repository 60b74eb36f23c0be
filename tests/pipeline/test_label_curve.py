import json
from pathlib import Path

import numpy as np
import pytest
from commandline import SMALL, invoke
from PIL import Image

from bottleneck_features.pipeline.commandline.parsed import parsed_sizes
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.folds import Fold
from bottleneck_features.pipeline.evaluation.splits import hold_out
from bottleneck_features.pipeline.evaluation.study import open_study
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.methods.convnet import train_convnet
from bottleneck_features.pipeline.methods.small_training import SmallConvnet
from bottleneck_features.pipeline.methods.training import TrainingRecipe
from bottleneck_features.pipeline.plots import label_curve_chart
from bottleneck_features.pipeline.stages.label_curve import LabelCurvePoint, crossing, draw_labels
from bottleneck_features.pipeline.tables import mean_text

QUICK = ("--set", "convnet.epochs=3")


def test_sizes_are_read_in_any_order_and_each_once():
    assert parsed_sizes("all, 10,1,10") == (1, 10, None)
    assert parsed_sizes("5") == (5,)


@pytest.mark.parametrize("text", ["1,many", "0", "-3", "1.5", "", "1,,2", "²", "9" * 5000])
def test_a_size_that_is_no_number_of_images_is_quoted(text):
    with pytest.raises(RequestError, match="--label-curve") as error:
        parsed_sizes(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--label-curve", "1,ten"], "'ten'"),
        (["--label-curve", "1,500"], "to train on"),
        (["--seeds", "0"], "--seeds"),
    ],
)
def test_a_curve_that_cannot_be_drawn_ends_with_one_line(extracted, words, expected):
    done = invoke("compare", *SMALL, *words, home=extracted)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert isinstance(done.exception, SystemExit)


def _digits():
    experiment = load_experiment("digits", ("convnet.epochs=5",))
    dataset = open_dataset(experiment, Path("unused"))
    return experiment, dataset, hold_out(dataset, 0.2, 0)


def test_every_class_has_as_many_images_as_asked_for_and_larger_draws_contain_smaller_ones():
    _, dataset, whole = _digits()
    labels = dataset.splits["train"].labels
    small, large = (draw_labels(dataset, whole, size, seed=3) for size in (5, 20))
    assert np.bincount(labels[small.train.indices]).tolist() == [5] * 10
    assert np.bincount(labels[large.validation.indices]).tolist() == [5] * 10
    assert set(small.train.indices) < set(large.train.indices) < set(whole.train.indices)
    assert set(small.validation.indices) < set(whole.validation.indices)
    assert not set(large.train.indices) & set(large.validation.indices)
    assert set(draw_labels(dataset, whole, 5, seed=4).train.indices) != set(small.train.indices)


def test_the_quick_training_does_what_the_recipe_of_compare_does(tmp_path):
    experiment, dataset, whole = _digits()
    pixels = {split: dataset.images(split, np.arange(len(samples))) for split, samples in dataset.splits.items()}
    one_batch = draw_labels(dataset, whole, 3, seed=0)
    convnet = SmallConvnet(dataset, pixels)
    settings = experiment.convnet
    convnet.train(one_batch, TrainingRecipe(4, 32, 1e-2, seed=7))  # what it learned here must leave no trace
    losses = convnet.train(
        one_batch, TrainingRecipe(settings.epochs, settings.batch_size, settings.learning_rate, experiment.seed)
    )
    study = open_study(experiment, tmp_path, "compare").for_fold(Fold(0, one_batch, one_batch.validation))
    reference = train_convnet(study, pixels, "small")
    assert losses == pytest.approx(reference.curves["val_loss"], rel=1e-4)


def _point(method: str, size: int | None, *accuracies: float) -> LabelCurvePoint:
    layers = () if method == "convnet-small" else ("layer",)
    return LabelCurvePoint(method, size, 10, 10 * (size or 100), 10, accuracies, layers)


def test_the_interval_is_students_over_seeds_and_one_seed_has_none():
    low, high = _point("logistic", 1, 0.5, 0.6, 0.7).interval
    assert (low, high) == pytest.approx((0.6 - 4.3027 * 0.1 / 3**0.5, 0.6 + 4.3027 * 0.1 / 3**0.5), abs=1e-5)
    assert _point("logistic", 1, 0.5).interval is None
    assert _point("logistic", 1, 0.5, 0.5).interval is None  # the same data every time say nothing of a spread


@pytest.mark.parametrize(
    ("scratch", "expected"),
    [
        ((0.1, 0.2, 0.3), "transfer is ahead at every size"),
        ((0.1, 0.7, 0.8), "transfer is ahead at 1; the ConvNet from scratch is ahead at 10, all (images per class)"),
        ((0.7, 0.8, 0.9), "the ConvNet from scratch is ahead at every size"),
        ((0.7, 0.2, 0.3), "transfer is ahead at 10, all; the ConvNet from scratch is ahead at 1 (images per class)"),
        ((0.5, 0.5, 0.5), "no clear difference at any size"),
    ],
)
def test_the_answer_says_at_which_sizes_which_is_ahead(scratch, expected):
    points = [_point("logistic", size, 0.5) for size in (1, 10, None)]
    points += [_point("convnet-small", size, value) for size, value in zip((1, 10, None), scratch, strict=True)]
    assert crossing(points) == expected


def test_means_that_seeds_do_not_tell_apart_are_no_answer():
    noisy = [_point("logistic@best", 10, 0.886, 0.896, 0.904), _point("convnet-small", 10, 0.914, 0.908, 0.904)]
    assert crossing(noisy) == "no clear difference at any size"
    steady = [_point("logistic@best", 10, 0.886, 0.876, 0.884), _point("convnet-small", 10, 0.914, 0.908, 0.914)]
    assert crossing(steady) == "the ConvNet from scratch is ahead at every size"


@pytest.mark.parametrize(
    ("data", "backbone"),
    [
        ("pictures of a folder with a long name (1,234 image files)", 9 * "net-"),
        (30 * "long_name_", 30 * "long-net-"),
        ("digits", "a net"),
    ],
)
def test_no_line_above_the_picture_leaves_it(data, backbone):
    scratch = {1: (0.1, 0.1), 5: (0.2, 0.2), 10: (0.1, 0.9), 50: (0.1, 0.9), 100: (0.9, 0.9), None: (0.95, 0.95)}
    points = [_point("logistic", size, 0.5, 0.5) for size in scratch]
    points += [_point("convnet-small", size, *values) for size, values in scratch.items()]
    rows = [point.as_json() for point in points]
    figure = label_curve_chart(rows, data=data, backbone=backbone, answer=crossing(points), scored_on="test")
    figure.draw_without_rendering()
    heading = figure.texts[0]
    assert heading.get_window_extent().x1 <= figure.bbox.x1
    words = " ".join(heading.get_text().split())
    assert crossing(points) in words


def test_the_curve_has_a_point_for_every_method_and_size_scored_once_a_seed(extracted):
    done = invoke("compare", *SMALL, *QUICK, "--label-curve", "all,2", "--seeds", "2", home=extracted)
    assert done.exit_code == 0, done.stderr
    folder = extracted / "runs" / "digits" / "label-curve"
    result = json.loads((folder / "result.json").read_text())
    points = {(point["method"], point["per_class"]): point for point in result["points"]}
    assert len(points) == len(result["points"]) == 6
    for (method, size), point in points.items():
        assert point["images"] == (20 if size == 2 else 96)
        assert len(point["accuracies"]) == point["seeds"] == 2
        low, high = point["interval"] or (0, 1)
        assert low <= point["mean"] <= high
        assert len(point["layers"]) == (0 if method == "convnet-small" else 2)
    assert points["logistic", "all"]["mean"] > points["logistic", 2]["mean"] > 0.15
    assert set(points["logistic@best", "all"]["layers"]) <= {"block3b_add", "block5c_add"}
    assert "nothing is chosen by these scores" in result["protocol"]
    first, *_ = done.stdout.split("\n\n")
    assert first.lower().startswith(result["answer"].lower())
    assert f"convnet-small {mean_text(points['convnet-small', 'all'])}" in " ".join(first.split())
    with Image.open(folder / "label-curve.png") as picture:
        assert picture.format == "PNG"
