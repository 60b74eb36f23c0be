"""Scored methods in words: the rows of tables, the answer of a comparison, and the pictures as files."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.evaluation.figures import figures
from bottleneck_features.pipeline.evaluation.scores import accuracy_of
from bottleneck_features.pipeline.figures import Figure, Figures, figures_json
from bottleneck_features.pipeline.method_row import Method, Score
from bottleneck_features.pipeline.reporting.answer import answer_of
from bottleneck_features.pipeline.tables import gap_text, p_text, share_text, table_rows

FORMULA = "$\\frac{1}{0}$ & \"quotes\" 'too'"


def _method(name: str, layers: tuple[str, ...], accuracy: float) -> Method:
    scores = {
        split: Score(accuracy, accuracy - 0.05, accuracy + 0.05, 100) for split in ("train", "validation", "test")
    }
    return Method(name, layers, 10, scores, {"extract": None, "train": 150.0})


def _result(*methods: Method) -> dict[str, Any]:
    first, second = methods
    gap = first.scores["test"].accuracy - second.scores["test"].accuracy
    pair = {"first": first.label, "second": second.label, "test": "mcnemar", "p_value": 1e-9, "measure": "accuracy"}
    pair |= {"p_adjusted": 1e-9, "difference": gap, "difference_interval": [gap - 0.05, gap + 0.05]}
    rows = [method.as_json() for method in methods]
    return {"command": "compare", "methods": rows, "pairs": [pair], "scored_on": "test", "backbone": "a net"}


def _answer(result: dict[str, Any]) -> str:
    return answer_of({result["command"]: result}, result["backbone"]).text


def test_the_answer_names_the_gap_and_whether_it_may_be_chance():
    said = _answer(_result(_method("head", ("last",), 0.9), _method("convnet-small", (), 0.5)))
    assert "(head@last, a net) reaches 90.0 % [85.0, 95.0] on 100 test images" in said
    assert (
        "Against the best network trained from scratch (convnet-small, 50.0 % [45.0, 55.0]) it is +40.0 points" in said
    )
    assert "[+35.0, +45.0], which is statistically significant (exact McNemar p = 1e-09)" in said
    assert "trained once" in said
    assert "has not been measured" not in said


def test_the_answer_says_of_how_many_groups_it_is():
    result = _result(_method("head", ("last",), 0.9), _method("convnet-small", (), 0.5))
    result["pairs"][0]["test"] = "interval"
    result["methods"][0]["groups"] = {"test": 25}
    said = _answer(result)
    assert "which is statistically significant (by the interval, p = 1e-09)" in said
    assert "reaches 90.0 % [85.0, 95.0] on 100 test images in 25 groups" in said


def test_the_answer_says_so_where_nothing_was_trained_from_scratch():
    said = _answer(_result(_method("head", ("last",), 0.9), _method("logistic", ("first",), 0.5)))
    assert "Whether a network trained from scratch does better has not been measured here." in said


def test_without_a_test_split_the_answer_says_that_validation_images_are_too_optimistic():
    result = _result(_method("head", ("last",), 0.9), _method("convnet-small", (), 0.5))
    said = _answer({**result, "scored_on": "validation"})
    assert "on 100 validation images" in said
    assert "There is no test split" in said
    assert "on the images that both were chosen on (exact McNemar p = 1e-09)" in said
    assert "significant" not in said


def test_a_difference_that_chance_explains_is_said_to_and_none_needs_no_verdict():
    result = _result(_method("head", ("last",), 0.9), _method("convnet-small", (), 0.88))
    result["pairs"][0] |= {"p_value": 0.03, "p_adjusted": 0.06}
    assert "it is +2.0 points [-3.0, +7.0], which cannot be told from chance" in _answer(result)
    assert "p = 0.03, p = 0.06 among several (Holm)" in _answer(result)


def test_equal_accuracies_are_a_difference_with_its_interval_and_never_as_good():
    said = _answer(_result(_method("head", ("last",), 0.9), _method("convnet-small", (), 0.9)))
    assert "it is +0.0 points [-5.0, +5.0]" in said
    assert "as good as" not in said


def test_what_does_not_beat_the_most_frequent_class_says_so_first():
    result = _result(_method("head", ("last",), 0.9), _method("convnet-small", (), 0.5))
    known = Figure(0.5, 0.4, 0.6)
    result["methods"][0] |= figures_json({"test": Figures(100, known, 0.88, known, known, 0, 0.4)})
    assert _answer(result).startswith(
        "head@last is not shown to be better than always answering the most frequent class"
    )
    result["methods"][0]["majority"] = {"test": 0.5}
    assert "always answering the most frequent class gets 50.0 %" in _answer(result)


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("accuracy", "gets 88.0 %."),
        ("log-loss", "gets accuracy 88.0 % (balanced accuracy 50.0 %)."),
        ("auroc", "gets accuracy 88.0 % (AUROC 50.0 %)."),
        ("average-precision", "gets accuracy 88.0 % (average precision 12.0 %)."),
    ],
)
def test_what_needs_no_image_is_given_by_the_figure_it_stands_beside(select, said):
    result = _result(_method("head", ("last",), 0.95), _method("convnet-small", (), 0.5))
    result |= {"select": select, "classes": ["a", "b"]}
    known = Figure(0.9, 0.8, 0.95)
    result["methods"][0] |= figures_json({"test": Figures(100, known, 0.88, known, known, 0, 0.8)})
    assert f"always answering the most frequent class {said}" in _answer(result)


def test_a_method_fitted_on_more_images_than_the_others_says_so():
    probe = replace(_method("best-probe", ("last",), 0.9), refitted_on=125)
    result = _result(probe, _method("convnet-small", (), 0.5))
    assert "fitted on the 125 training and validation images together, the others on" in _answer(result)
    assert table_rows(result["methods"])[0][3] == "fitted on 125"


def test_a_split_that_was_not_scored_is_a_dash_and_an_unknown_time_is_said():
    method = Method(
        "logistic", ("a", "b"), 1234, {"validation": Score(0.5, 0.4, 0.6, 10)}, {"extract": None, "train": 1.25}
    )
    row = table_rows([method.as_json()])[0]
    assert row == ("logistic@a+b", "50.0 % [40.0, 60.0]", "–", "1.2 s", "unknown", "1,234")


def test_a_p_value_too_small_for_a_number_is_not_zero():
    assert p_text(0.0) == "p < 1e-300"
    assert p_text(0.03125) == "p = 0.031"


@given(st.integers(0, 1000), st.integers(2, 4))
def test_a_method_comes_back_from_its_row_with_all_its_figures(seed, classes):
    random = np.random.default_rng(seed)
    labels, probabilities = random.integers(0, classes, 30), random.dirichlet(np.ones(classes), 30)
    found = figures(labels, probabilities, probabilities.argmax(axis=1))
    method = Method("knn", ("a",), 7, {}, {"train": 1.0}, kept=True, threshold=0.25, models=50)
    for split in ("validation", "cross_validated"):
        method = method.with_score(split, accuracy_of(found), found)
    assert Method.from_json(json.loads(json.dumps(method.as_json()))) == method


def test_a_method_comes_back_from_its_row():
    method = Method("best-probe", ("a",), 7, {"validation": Score(0.5, 0.4, 0.6, 10)}, {"train": 1.0}, {"l2": 0.1}, 12)
    assert Method.from_json(method.as_json()) == method


def test_no_text_of_the_comparison_leaves_the_picture_however_long_the_names():
    layers = ("conv4_block2_out", "conv5_block2_out")
    methods = [
        _method("best-probe", layers, 0.996),
        _method("head", layers[:1], 0.02),
        _method("convnet-small", (), 0.5),
    ]
    figure = plots.comparison(methods, "a net")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    for text in (axes.xaxis.label, axes.title, *axes.texts, *axes.get_yticklabels()):
        reach = text.get_window_extent()
        assert figure.bbox.x0 <= reach.x0, text
        assert reach.x1 <= figure.bbox.x1, text
    for note in axes.texts:
        assert note.get_window_extent().x1 <= axes.bbox.x1


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_every_picture_of_methods_is_drawn_whatever_their_names(ending, tmp_path):
    names = [FORMULA, "x" * 300, "<script>", *map(str, range(47))]
    history = {name: [0.5, 0.7] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    methods = [_method("head", (FORMULA,), 0.9), _method("convnet-small", (), 0.5)]
    drawn = [
        plots.comparison(methods, FORMULA),
        plots.accuracy_over_time(methods, "test"),
        plots.learning_curves(FORMULA, history),
        plots.confusion_matrices({"a": np.eye(4, dtype=int)}, names[:4]),
        plots.confusion_matrices({"a": np.eye(50, dtype=int)}, names),
    ]
    for number, figure in enumerate(drawn):
        path = plots.save_figure(figure, tmp_path / f"{number}.{ending}")
        if ending == "svg":
            assert "<script" not in path.read_text()
            continue
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert picture.width > 300


def test_a_share_that_is_neither_none_nor_all_is_never_rounded_to_it():
    assert [share_text(share) for share in (0, 0.004, 0.42, 0.995, 0.9999, 1)] == [
        "0%",
        "<1%",
        "42%",
        ">99%",
        ">99%",
        "100%",
    ]


def test_a_difference_that_rounds_to_nothing_has_no_sign_of_a_deficit():
    pair = {"first": "a", "second": "b", "difference": 0.0004, "difference_interval": [-0.01, 0.02]}
    assert gap_text(pair, "b") == "+0.0 points [-2.0, +1.0]"
