"""The pictures of a report: drawn from results as SVG, and put into the page with a text that says what they show."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES, NETWORKS, row_label, row_title
from bottleneck_features.pipeline.method_row import Curves, Method, kept_epoch
from bottleneck_features.pipeline.reporting.answer import answering, best_method
from bottleneck_features.pipeline.tables import SPLIT_TITLES, calibration_sentence, figure_text, share_text, shown_name

TRAINERS = ("train-head", *NETWORKS)


@dataclass(frozen=True)
class Picture:
    """One picture on the page.

    Attributes:
        section: where it belongs.
        title: of what, such as a method's name.
        file: its SVG file.
        svg: the element, with its alternative text.
        caption: a sentence under it, the same text.
        opens: whether it is of the method that the headline is of, and shown at once; others are folded away.
    """

    section: str
    title: str
    file: Path
    svg: Markup
    caption: str
    opens: bool = False


def draw(results: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Picture]:
    """Draw every picture that the results have figures for, as SVG files in `folder` too; older ones there are removed."""
    for old in folder.glob("*.svg"):
        old.unlink()
    found: list[Picture] = []
    main = answering(results)
    for command, drawer in _DRAWERS.items():
        if command in results and not _compared_already(results[command], results):
            found += _pictures(drawer(results[command], folder), of_main=command == main)
    if main == "probe":
        found += _pictures(_kept_probe(results["probe"], folder), of_main=True)
    return found


def _pictures(drawn: "Drawn", *, of_main: bool) -> Iterator[Picture]:
    """Give the pictures of a command; of the one that the page answers from the first of each section opens."""
    seen: set[str] = set()
    for section, file, text in drawn:
        opens = of_main and section not in seen
        seen.add(section)
        yield Picture(section, text.partition(":")[0], file, inlined(file, text), text, opens)


def _compared_already(result: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether `compare` trained the very method of a command that trains one: same layers, same accuracies."""
    if "compare" not in results or result["command"] not in TRAINERS:
        return False
    (row,) = result["methods"]
    return any(
        all(own[key] == row[key] for key in ("name", "layers", "accuracy")) for own in results["compare"]["methods"]
    )


Drawn = Iterator[tuple[str, Path, str]]


def _comparison(result: Mapping[str, Any], folder: Path) -> Drawn:
    split, select = result["scored_on"], result.get("select", "accuracy")
    methods, named = [Method.from_json(row) for row in result["methods"]], shown_name(select)
    listed = "; ".join(f"{row_title(row)} {figure_text(row, split, select, named=False)}" for row in result["methods"])
    chart = plots.save_figure(plots.comparison(methods, result["backbone"], select), folder / "comparison.svg")
    yield "comparison", chart, f"{named.capitalize()}: {listed}."
    seconds = "; ".join(
        f"{method.title} {method.figure(split, select).value:.1%} in {sum(s or 0 for s in method.seconds.values()):,.0f} s"
        for method in methods
    )
    chart = plots.save_figure(plots.accuracy_over_time(methods, split, select), folder / "time.svg")
    yield "time", chart, f"{named.capitalize()} against seconds: {seconds}."
    yield from _learning(result["histories"], folder / "learning-curves.svg")
    shown = row_label(best_method(result))
    for number, (name, counts) in enumerate(_first(shown, result["confusion"])):
        yield _confusion(name, np.array(counts), result["classes"], folder / f"confusion-{number}.svg")
    yield from _two_classes(result, folder / "curves.svg")
    for number, (name, content) in enumerate(_first(shown, result["calibration"])):
        yield _calibration(name, content, split, folder / f"calibration-{number}.svg")


def _first(shown: str, by_method: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return what there is of each method, that of the method which the page shows in detail first."""
    return sorted(by_method.items(), key=lambda one: one[0] != shown)


def _trained(result: Mapping[str, Any], folder: Path) -> Drawn:
    (row,) = result["methods"]
    command, name = result["command"], row_title(row)
    yield from _learning({name: result["history"]}, folder / f"learning-curves-{command}.svg")
    yield _confusion(name, np.array(result["confusion"]), result["classes"], folder / f"confusion-{command}.svg")
    yield _calibration(name, result["calibration"], result["scored_on"], folder / f"calibration-{command}.svg")


def _learning(curves: Mapping[str, Curves], path: Path) -> Drawn:
    if not curves:
        return
    epochs = {name: kept_epoch(own) for name, own in curves.items()}
    listed = "; ".join(
        f"{name} kept epoch {epoch} of {len(curves[name]['loss'])}, "
        f"{curves[name]['val_accuracy'][epoch - 1]:.1%} on validation"
        for name, epoch in epochs.items()
    )
    yield (
        "learning",
        plots.save_figure(plots.learning_curves(curves), path),
        f"Accuracy and loss over epochs: {listed}.",
    )


def _confusion(name: str, counts: np.ndarray, classes: Sequence[str], path: Path) -> tuple[str, Path, str]:
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    worst = [divmod(int(place), len(counts)) for place in np.argsort(wrong, axis=None)[::-1][:3]]
    named = [plots.shortened(name, plots.LONGEST) for name in classes]
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    listed = "; ".join(
        f"{named[row]} taken for {named[column]}: {counts[row, column]:,} ({share_text(rates[row, column])})"
        for row, column in worst
        if wrong[row, column]
    )
    right = f"{name}: {np.trace(counts):,} of {counts.sum():,} right"
    text = f"{right}. Most frequent mistakes: {listed}." if listed else f"{right}, no mistake."
    return "confusion", plots.save_figure(plots.confusion_matrices({name: counts}, classes), path), text


def _calibration(name: str, content: Mapping[str, Any], split: str, path: Path) -> tuple[str, Path, str]:
    diagram = plots.reliability_diagram(content, f"{name}, {SPLIT_TITLES.get(split, f'{split} images')}")
    return "calibration", plots.save_figure(diagram, path), f"{name}: {calibration_sentence(content)}."


def _two_classes(result: Mapping[str, Any], path: Path) -> Drawn:
    curves = result.get("curves")
    if not curves:
        return
    positive = result["classes"][next(iter(curves.values()))["positive"]]
    rows = {row_label(row): row for row in result["methods"]}
    listed = "; ".join(
        f"{name}: AUROC {figure_text(rows[name], result['scored_on'], 'auroc', named=False)}, average precision "
        f"{figure_text(rows[name], result['scored_on'], 'average-precision', named=False)}"
        for name in curves
        if name in rows
    )
    text = f"Two classes, {plots.shortened(positive, plots.LONGEST)} looked for. {listed}."
    yield "curves", plots.save_figure(plots.two_class_curves(curves, positive), path), text


def _label_curve(result: Mapping[str, Any], folder: Path) -> Drawn:
    listed = "; ".join(f"{p['method']} {p['mean']:.1%} at {p['per_class']}" for p in result["points"])
    described = {name: result[name] for name in ("data", "backbone", "answer", "scored_on")}
    chart = plots.label_curve_chart(result["points"], **described)
    yield (
        "labels",
        plots.save_figure(chart, folder / "label-curve.svg"),
        f"Accuracy over labelled images per class: {listed}. {result['protocol']}",
    )


def _probe(result: Mapping[str, Any], folder: Path) -> Drawn:
    methods = [Method.from_json(row) for row in result["table"]]
    layers = list(dict.fromkeys(row["layers"][0] for row in result["table"] if len(row["layers"]) == 1))
    ordered = [name for name in result["experiment"]["backbone"]["layers"] if name in layers]
    best = result["table"][0]
    select = result.get("select", "accuracy")
    chart = plots.save_figure(plots.depth(methods, ordered, result["backbone"], select), folder / "depth.svg")
    winner = f"{best['name']} on {' + '.join(best['layers'])} {figure_text(best, 'validation', select, named=False)}"
    yield from _two_classes(result, folder / "curves-probe.svg")
    yield "probe", chart, f"{shown_name(select).capitalize()} on validation images over the layers; the best: {winner}."


def _kept_probe(result: Mapping[str, Any], folder: Path) -> Drawn:
    name = row_label(best_method(result))
    if counts := result.get("confusion", {}).get(name):
        yield _confusion(name, np.array(counts), result["classes"], folder / "confusion-probe.svg")
    if content := result.get("calibration"):
        yield _calibration(name, content, result["scored_on"], folder / "calibration-probe.svg")


def _networks(result: Mapping[str, Any], folder: Path) -> Drawn:
    split, select = result["scored_on"], result["select"]
    chart = plots.networks(result["methods"], split, select)
    if chart is None:
        return
    listed = "; ".join(
        f"{row['name']} {figure_text(row, split, select, named=False)} at {rate:,.1f} images/s"
        for row in result["methods"]
        if (rate := row["network"]["images_per_second"])
    )
    file = plots.save_figure(chart, folder / "networks.svg")
    yield (
        "networks",
        file,
        f"{shown_name(select).capitalize()} of each network's best probe against its cost: {listed}.",
    )


def _balance(result: Mapping[str, Any], folder: Path) -> Drawn:
    counts = {split: list(own.values()) for split, own in result["images"].items()}
    classes = list(next(iter(result["images"].values())))
    listed = "; ".join(f"{split} {min(own):,} to {max(own):,} per class" for split, own in counts.items())
    chart = plots.save_figure(plots.class_balance(counts, classes), folder / "class-balance.svg")
    yield "data", chart, f"Images by class: {listed}."


_DRAWERS = {
    "compare": _comparison,
    **dict.fromkeys(TRAINERS, _trained),
    "label-curve": _label_curve,
    "probe": _probe,
    COMPARE_BACKBONES: _networks,
    "inspect": _balance,
}

PIXELS_PER_POINT = 4 / 3
TWO_TONE = (("#000000", "currentColor"), ("#ffffff", "var(--paper)"), ("#262626", "currentColor"))


def inlined(path: Path, text: str) -> Markup:
    """Return a picture of matplotlib's as an `<svg>` element with the page's colours and an alternative text.

    Args:
        path: of an SVG file that `save_figure` wrote; what came from user data is escaped in it.
        text: the alternative text.
    """
    content = path.read_text(encoding="utf-8")
    content = content[content.index("<svg") :]
    content = re.sub(r"<metadata>.*?</metadata>", "", content, count=1, flags=re.DOTALL)
    content = re.sub(r'<g id="[^"]*"', "<g", content)
    content = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", content)
    for colour, themed in TWO_TONE:
        content = content.replace(colour, themed)
    width, rest = re.match(r'<svg [^>]*?width="([\d.]+)pt"', content), content.partition(">")[2]
    box = re.search(r'viewBox="([^"]*)"', content)
    assert width is not None, path
    assert box is not None, path
    widest = float(width[1]) * PIXELS_PER_POINT
    return Markup(
        f'<svg role="img" aria-label="{escape(text)}" viewBox="{box[1]}" style="max-width:{widest:.0f}px">{rest}'
    )
