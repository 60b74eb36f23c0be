"""Scored methods as text: the rows of a table in the terminal and on a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from bottleneck_features.pipeline.figures import SIGNIFICANT, Figures
from bottleneck_features.pipeline.method_names import row_label, row_title
from bottleneck_features.pipeline.method_row import Score

SMALLEST_P = 1e-300
FEW = 50  # images: a temperature fitted on fewer can make other images far worse
TESTS = {
    "mcnemar": "exact McNemar",
    "interval": "by the interval,",
    "corrected resampled t": "corrected resampled t-test over folds,",
}
SPLIT_TITLES = {"cross_validated": "cross-validated"}
_SELECT_NAMES = {"macro-f1": "macro F1", "auroc": "AUROC", "log-loss": "log loss"}


def table_columns(methods: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the column names of `table_rows`, with the number of images each accuracy is of."""
    counts = {split: max(method["n"].get(split, 0) for method in methods) for split in shown_splits(methods)}
    return (
        "method",
        *(SPLIT_TITLES.get(split, split) + (f", n = {count:,}" if count else "") for split, count in counts.items()),
        "training",
        "extraction",
        "parameters",
    )


def table_rows(methods: list[Mapping[str, Any]], select: str = "accuracy") -> list[tuple[str, ...]]:
    """Return the comparison as text, one tuple per method in the order of `table_columns`.

    Args:
        methods: the `methods` of a result object.
        select: what decides between them, which is what is shown.
    """
    return [
        (
            row_title(method),
            *(_figure_or_fitted(method, split, select) for split in shown_splits(methods)),
            duration_text(method["seconds"]["train"]),
            duration_text(method["seconds"]["extract"]),
            f"{method['parameters']:,}",
        )
        for method in methods
    ]


def shown_splits(methods: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the splits that a table of methods has columns of, what is scored first: test images and folds where they are."""
    found = [split for split in ("test", "cross_validated") if any(method["n"].get(split) for method in methods)]
    return (*found, "validation", "train")


def select_name(select: str) -> str:
    """Return a criterion as text, such as `balanced accuracy`."""
    return _SELECT_NAMES.get(select, select.replace("-", " "))


def shown_name(select: str) -> str:
    """Return what tables show where a criterion decides: log loss has no interval, so accuracy stands for it."""
    return "top-1 accuracy" if select in ("accuracy", "log-loss") else select_name(select)


def select_value(method: Mapping[str, Any], split: str, select: str) -> float:
    """Return the figure of a method's row that decides; its accuracy where the row has none."""
    value = method.get(select.replace("-", "_"), {}).get(split)
    return method["accuracy"].get(split) or 0.0 if value is None else value


def figure_text(method: Mapping[str, Any], split: str, select: str, named: bool = True) -> str:
    """Return the figure of a method's row that decides, with its interval, in per cent."""
    name = select.replace("-", "_")
    value = method.get(name, {}).get(split)
    if value is None or select == "accuracy":
        return accuracy_text(method, split)
    found = interval_text(value, *method[f"{name}_interval"][split])
    return f"{select_name(select)} {found}" if named else found


def images_text(method: Mapping[str, Any], split: str) -> str:
    """Return on which images a method was scored, such as `120 test images in 30 groups`."""
    count, groups = method["n"][split], method.get("groups", {}).get(split)
    together = f" in {groups:,} groups" if groups else ""
    if split == "cross_validated":
        models = method.get("models", 1)
        return f"{count:,} images{together}, cross-validated ({models:,} models)"
    return f"{count:,} {split} images{together}"


def gap_text(pair: Mapping[str, Any], first: str) -> str:
    """Return how far one of two methods is ahead, with the interval, in points of what they are compared by."""
    return gap_figures(pair, first).replace(" ", f" {points_name(pair.get('measure', 'accuracy'))} ", 1)


def gap_figures(pair: Mapping[str, Any], first: str) -> str:
    """Return how far one of two methods is ahead, with the interval, as figures only."""
    sign = 1 if pair["first"] == first else -1
    ends = (pair["difference"], *pair["difference_interval"][::sign])
    value, low, high = (round(100 * sign * end, 1) + 0.0 for end in ends)  # adding 0 makes 0 of -0
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def points_name(measure: str) -> str:
    """Return what a difference of two methods is in, such as `points of AUROC`; plain points are of accuracy."""
    return "points" if measure == "accuracy" else f"points of {select_name(measure)}"


def _figure_or_fitted(method: Mapping[str, Any], split: str, select: str) -> str:
    refitted_on = method["refitted_on"] if split == "train" else 0
    return f"fitted on {refitted_on:,}" if refitted_on else figure_text(method, split, select, named=False)


PROBE_COLUMNS = ("probe", "validation", "chosen", "fitting")


def probe_rows(methods: list[Mapping[str, Any]], split: str, select: str) -> list[tuple[str, ...]]:
    """Return probed methods as text in the order of PROBE_COLUMNS, with what decides, on `split`."""
    return [
        (
            row_label(method),
            figure_text(method, split, select, named=False),
            ", ".join(f"{name} = {value:.3g}" for name, value in method["hyperparameters"].items()) or "best epoch",
            duration_text(method["seconds"]["train"]),
        )
        for method in methods
    ]


EVALUATED_COLUMNS = ("class", "images", "recall", "precision", "most often taken for")


def evaluated_rows(classes: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the classes of labelled images as text in the order of EVALUATED_COLUMNS; a dash where there is no figure."""
    return [
        (
            one["name"],
            f"{one['n']:,}",
            interval_text(*(one["recall"][key] for key in ("value", "low", "high"))) if one["recall"] else "–",
            "–" if one["precision"] is None else percent_text(one["precision"]),
            f"{one['taken_for']} ({one['taken']:,})" if one["taken_for"] else "–",
        )
        for one in classes
    ]


def curve_columns(points: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the column names of `curve_rows`: a method each."""
    return ("per class", *dict.fromkeys(point["method"] for point in points))


def curve_rows(points: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the points of a label curve as text, one tuple per number of labelled images per class."""
    sizes = dict.fromkeys(point["per_class"] for point in points)
    return [(str(size), *(mean_text(point) for point in points if point["per_class"] == size)) for size in sizes]


def spread_columns(seeds: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the column names of `spread_rows`: over splits only where the test split was drawn anew."""
    kinds = ("splits", "trainings") if seeds["split_seeds"] else ("trainings",)
    return ("method", "test", *(f"over {seeds['n']} {kind}: mean, SD" for kind in kinds))


def spread_rows(seeds: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the spread of test figures as text, one tuple per method in the order of `spread_columns`.

    Args:
        seeds: the `seeds` of a result object.
    """
    return [
        (
            method["name"],
            percent_text(method["trainings"]["values"][0]),
            *(_spread_text(over) for over in (method["splits"], method["trainings"]) if over),
        )
        for method in seeds["methods"]
    ]


def _spread_text(over: Mapping[str, Any]) -> str:
    return f"{percent_text(over['mean'])}, {points_text(over['deviation'])}"


def points_text(share: float) -> str:
    """Return a difference or deviation, −1 to 1, in points with one decimal."""
    return f"{100 * share:.1f} points"


def accuracy_text(method: Mapping[str, Any], split: str) -> str:
    """Return a method's accuracy on a split with its interval, in per cent; a dash where it was not scored."""
    value = method["accuracy"].get(split)
    return "–" if value is None else interval_text(value, *method["interval"][split])


def model_line(model: Mapping[str, Any]) -> str:
    """Return which trained model it is and how good it was, in one line."""
    kind = model["scored_on"]
    return (
        f"{model['name']} ({model['method']}, {' + '.join(model['layers'])} of {model['backbone']}, trained on {model['data']}): "
        f"{SPLIT_TITLES.get(kind, kind)} accuracy {accuracy_text(model, kind)} of {model['n'][kind]:,} images"
    )


def no_better_than(figures: Figures, select: str, classes: int) -> str:
    """Return which answer that needs no image a method is not shown to beat; empty where it beats it.

    Args:
        figures: of the method.
        select: what decides between models.
        classes: how many.
    """
    if select in ("accuracy", "log-loss"):
        beaten = figures.accuracy.low > figures.majority
        return "" if beaten else f"always answering the most frequent class ({percent_text(figures.majority)})"
    beaten = figures.balanced_accuracy.low > 1 / classes
    return "" if beaten else f"guessing (balanced accuracy {percent_text(1 / classes)})"


def interval_text(share: float, low: float, high: float) -> str:
    """Return a share, 0 to 1, with its interval, in per cent."""
    return f"{percent_text(share)} [{100 * low:.1f}, {100 * high:.1f}]"


def mean_text(point: Mapping[str, Any]) -> str:
    """Return the mean accuracy of a point of a label curve, with its interval where there is one."""
    return interval_text(point["mean"], *point["interval"]) if point["interval"] else percent_text(point["mean"])


def score_text(score: Score) -> str:
    """Return an accuracy with its interval, in per cent."""
    return interval_text(score.accuracy, score.low, score.high)


def percent_text(share: float) -> str:
    """Return a share, 0 to 1, in per cent with one decimal."""
    return f"{100 * share:.1f} %"


def megabytes_text(size: float) -> str:
    """Return megabytes as text, with two digits of small ones."""
    return f"{size:,.1f}" if size >= 1 else f"{size:.2g}"


def duration_text(seconds: float | None) -> str:
    """Return seconds as text, minutes from two on."""
    if seconds is None:
        return "unknown"
    return f"{seconds:,.1f} s" if seconds < 120 else f"{seconds / 60:,.1f} min"


def pair_line(pair: Mapping[str, Any], split: str) -> str:
    """Return how two methods differ on the same images, in one sentence."""
    images = "images" if split == "cross_validated" else f"{split} images"
    return (
        f"{pair['first']} against {pair['second']}: {gap_text(pair, pair['first'])} (95 %); "
        f"{pair['only_first_right']:,} {images} only "
        f"the first got right, {pair['only_second_right']:,} only the second; {evidence_text(pair)}"
    )


def evidence_text(pair: Mapping[str, Any]) -> str:
    """Return which test compared two methods, with its p-value."""
    adjusted = pair.get("p_adjusted")
    several = "" if adjusted is None or adjusted == pair["p_value"] else f", {p_text(adjusted)} among several (Holm)"
    return f"{TESTS[pair['test']]} {p_text(pair['p_value'])}{several}"


def p_text(p_value: float) -> str:
    """Return a p-value as text; one that is too small for a floating-point number is not shown as 0."""
    return f"p = {p_value:.2g}" if p_value > SMALLEST_P else f"p < {SMALLEST_P:.0e}"


def share_text(share: float) -> str:
    """Return a share, 0 to 1, as a whole percentage; only an exact 0 or 1 becomes 0% or 100%."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def calibration_sentence(calibration: Mapping[str, Any]) -> str:
    """Return how far confidence is from accuracy, before and after temperature scaling, in a few sentences."""
    before, after = calibration["before"], reliability_text(calibration["after"])
    fitted_on = "validation" if calibration["held_out"] else "the images it is measured on, so it is too optimistic"
    images = calibration["fitted_images"]
    kind = "" if calibration["fitted_on"] == "cross_validated" else "validation "
    few = f", from {images} {kind}images only" if images < FEW else ""
    if before and calibration["temperature"] == 1:
        those = "images" if calibration["fitted_on"] == "cross_validated" else "validation images"
        return (
            f"calibration: {reliability_text(before)}. The {images:,} {those} do not show that a temperature is needed"
        )
    scaling = f"temperature scaling (T = {calibration['temperature']:.2f}, fitted on {fitted_on}{few})"
    if before is None:
        return f"calibration: its own scores are no probabilities. After {scaling}: {after}"
    return f"calibration: {reliability_text(before)}. After {scaling}: {after}{_change(calibration['log_loss_change'])}"


def reliability_text(measured: Mapping[str, Any]) -> str:
    """Return an expected calibration error with its interval, and what of it is noise."""
    error, floor, limit = measured["expected_calibration_error"], measured["noise_floor"], measured["noise_limit"]
    low, high = measured["interval"]
    shown = f"expected error {100 * error:.1f} points [{100 * low:.1f}, {100 * high:.1f}]"
    if limit >= 1:
        return f"{shown}: the images are of too few groups to tell how much of it is noise"
    if error <= limit:
        return f"{shown}, not to be told from a perfectly calibrated classifier, which would show {100 * floor:.1f}"
    return f"{shown}, where a perfectly calibrated classifier would show {100 * floor:.1f}"


def _change(change: Mapping[str, Any] | None) -> str:
    if change is None:
        return ""
    word = "better" if change["value"] < 0 else "worse"
    evidence = f"log loss {change['value']:+.3f}, {p_text(change['p_value'])}"
    if change["p_value"] < SIGNIFICANT:
        return f". It made the probabilities {word} ({evidence})"
    return f". Whether it made the probabilities better or worse cannot be told ({evidence})"
