"""Every picture has labelled axes, its series, the number that matters, and no text outside the figure."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.evaluation.calibration import Known, calibrate, whole_temperature
from bottleneck_features.pipeline.method_row import Method, Score
from bottleneck_features.pipeline.stages.label_curve import LabelCurvePoint, crossing

LAYERS = ("conv4_block2_out", "conv5_block2_out")
NAMES = ["a tabby cat of a very long breed's name", "$x^2$", "dog", "<b>"]


def row(name: str, layers: tuple[str, ...], accuracy: float, split: str = "test", seconds: float = 3.0) -> Method:
    scores = {"validation": Score(accuracy, accuracy - 0.02, accuracy + 0.02, 204)}
    scores |= {split: Score(accuracy, accuracy - 0.02, accuracy + 0.02, 680)}
    return Method(name, layers, 10, scores, {"extract": 1.0, "train": seconds})


METHODS = [
    row("best-probe", LAYERS, 0.95),
    row("head", LAYERS[1:], 0.9),
    row("convnet-small", (), 0.4, "validation", 90.0),
]
CURVES = {
    "loss": [2.0, 1.0, 0.5],
    "accuracy": [0.2, 0.6, 0.9],
    "val_loss": [1.9, 1.2, 1.4],
    "val_accuracy": [0.3, 0.7, 0.6],
}


def calibration() -> dict:
    chances = np.random.default_rng(0).dirichlet(np.ones(3), 400)
    part = Known(chances.argmax(axis=1), chances)
    return dict(calibrate(part, part, held_out=True, temperature=whole_temperature).as_json())


def curve_points() -> list[dict]:
    sizes = {1: (0.3, 0.35), 10: (0.5, 0.52), None: (0.8, 0.81)}
    points = [LabelCurvePoint("logistic", size, 4, 4 * (size or 60), 4, own, ("a",)) for size, own in sizes.items()]
    points += [LabelCurvePoint("convnet-small", size, 4, 4 * (size or 60), 4, own, ()) for size, own in sizes.items()]
    return [{**point.as_json(), "answer": crossing(points)} for point in points]


def variants() -> list[dict]:
    figures = {"peak_mib": 900.0, "above_import_mib": 300.0, "ratio": 2.0, "share_of_matmul": 0.5}
    return [
        {"name": "walk-through", "images_per_second": (10.0, 11.0), "share_of_bare": None, **figures},
        {
            "name": "openvino bfloat16, full stage one",
            "images_per_second": (90.0, 96.0),
            "share_of_bare": 0.9,
            **figures,
        },
    ]


def probe_paths() -> list[dict]:
    return [
        {"family": family, "layers": [layer], "l2": [1.0, 0.1, 0.01], "criterion": [0.5, 0.8, 0.7], "chosen": 0.1}
        for family in ("logistic", "ridge")
        for layer in LAYERS
    ]


def probed() -> list[Method]:
    return [row(family, (layer,), 0.8) for family in ("logistic", "ridge", "knn", "head") for layer in LAYERS]


SIZES = np.array([[width, height] for width in (64, 640) for height in (48, 480)])
PICTURES = {
    "comparison": (
        lambda: plots.comparison(METHODS, "a net"),
        ["95.0%", "test images, n = 680", "90.0%", "40.0%, validation only"],
    ),
    "time": (lambda: plots.accuracy_over_time(METHODS[:2], "test"), ["best-probe", "95.0%", "seconds"]),
    "learning": (lambda: plots.learning_curves("head", CURVES), ["head: 70.0% on validation at epoch 2", "epoch"]),
    "confusion": (
        lambda: plots.confusion_matrices({"probe": np.diag([3, 4, 5, 6]) + np.eye(4, k=1, dtype=int)}, NAMES),
        ["probe: 18 of 21 right", "predicted class", "true class", "dog"],
    ),
    "depth": (lambda: plots.depth([*probed(), row("ridge", LAYERS, 0.85)], LAYERS, "a net"), ["85.0%", *LAYERS]),
    "paths": (lambda: plots.paths(probe_paths()), ["best 80.0% at L2 = 0.1", "L2 penalty", *LAYERS]),
    "reliability": (lambda: plots.reliability_diagram(calibration(), "probe"), ["confidence", "after, T = ", "probe"]),
    "balance": (lambda: plots.class_balance({"train": [9, 2, 3, 4]}, NAMES), ["train, 18", "images", "9"]),
    "sizes": (
        lambda: plots.image_sizes(SIZES, np.arange(4), NAMES),
        ["width (pixels)", "height (pixels)", "dog: 100% are 640×48"],
    ),
    "label curve": (
        lambda: plots.label_curve_chart(
            curve_points(), data="digits", backbone="a net", answer=curve_points()[0]["answer"], scored_on="test"
        ),
        ["digits: frozen features of a net", "logistic regression, last layer: 80.5% at all", "no clear difference"],
    ),
    "benchmark": (lambda: plots.benchmark(variants()), ["images/s", "93  (2.00×)", "walk-through"]),
}  # fmt: skip


TWO_CLASSES = {
    "positive": 1, "false_positive_rate": [0.0, 0.5, 1.0], "true_positive_rate": [0.0, 0.9, 1.0],
    "recall": [0.0, 0.9, 1.0], "precision": [1.0, 0.8, 0.5],
}  # fmt: skip
ON_PAGES = {
    "comparison": lambda width: plots.comparison(METHODS, "a net", best="head@conv5_block2_out", width=width),
    "time": lambda width: plots.accuracy_over_time(METHODS[:2], "test", width=width),
    "learning": lambda width: plots.learning_curves("head", CURVES, width),
    "depth": lambda width: plots.depth([*probed(), row("ridge", LAYERS, 0.85)], LAYERS, "a net", width=width),
    "reliability": lambda width: plots.reliability_diagram(calibration(), "probe", width),
    "balance": lambda width: plots.class_balance({"train": [9, 2, 3, 4]}, NAMES, width),
    "sizes": lambda width: plots.image_sizes(SIZES, np.arange(4), NAMES, width),
    "label curve": lambda width: plots.label_curve_chart(
        curve_points(), data="digits", backbone="a net", answer=curve_points()[0]["answer"], scored_on="test", width=width
    ),
    "curves": lambda width: plots.two_class_curves({"head": TWO_CLASSES, "$x$": TWO_CLASSES}, "cat", width),
}  # fmt: skip


def words(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("suffix", ["png", "svg"])
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_says_what_it_shows_and_nothing_leaves_it(name, suffix, tmp_path):
    draw, expected = PICTURES[name]
    figure = draw()
    path = plots.save_figure(figure, tmp_path / f"{name}.{suffix}")
    assert path.read_bytes()[:5] == (b"\x89PNG\r" if suffix == "png" else b"<?xml")
    said = fits(figure)
    for part in expected:
        assert part in said


@pytest.mark.parametrize("width", [plots.WIDE, plots.NARROW])
@pytest.mark.parametrize("name", ON_PAGES)
def test_a_picture_fits_the_page_of_a_desktop_and_of_a_phone(name, width):
    figure = ON_PAGES[name](width)
    assert figure.get_size_inches()[0] <= width
    assert fits(figure)


def fits(figure: Figure) -> str:
    """Return the words of a figure, none of which leaves it."""
    figure.draw_without_rendering()
    said = "\n".join(text.get_text() for text in words(figure))
    for axes in (axes for axes in figure.axes if axes.axison):
        assert axes.get_xlabel() or axes.get_shared_x_axes().get_siblings(axes) != [axes], "an axis without a name"
        assert axes.has_data()
    for text in words(figure):
        reach = text.get_window_extent()
        if reach.width and text.get_clip_on() is False:
            assert reach.x0 >= figure.bbox.x0 - 1, text
            assert reach.x1 <= figure.bbox.x1 + 1, text
            assert reach.y0 >= figure.bbox.y0 - 1, text
            assert reach.y1 <= figure.bbox.y1 + 1, text
    return said


@pytest.mark.parametrize(
    ("name", "count"), [("learning", 2), ("time", 2), ("label curve", 2), ("paths", 2), ("depth", 4)]
)
def test_lines_of_one_picture_are_told_apart_by_more_than_their_colour(name, count):
    figure = PICTURES[name][0]()
    labels = {}
    for line in (line for axes in figure.axes[:1] for line in axes.lines):
        if not line.get_label().startswith("_") and line.get_label() not in ("kept epoch",):
            labels[line.get_label()] = (line.get_linestyle(), line.get_marker(), to_hex(line.get_color()))
    handles = [container for axes in figure.axes[:1] for container in axes.containers]
    for container in handles:  # error bars
        line = container.lines[0]
        labels[container.get_label()] = (line.get_linestyle(), line.get_marker(), to_hex(line.get_color()))
    assert len(labels) == count
    assert len({style for *style, _ in labels.values() for style in [tuple(style)]}) == count
    assert len({colour for *_, colour in labels.values()}) == count
