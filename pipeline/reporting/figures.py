"""The pictures of a report: drawn from results as SVG, and put into the page with a text that says what they show."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES, NETWORKS, row_label, row_title
from bottleneck_features.pipeline.method_row import Curves, Method, kept_epoch
from bottleneck_features.pipeline.plots.thresholds import AREA, MOVING
from bottleneck_features.pipeline.reporting.answer import answering, best_method
from bottleneck_features.pipeline.reporting.thresholds import Thresholds
from bottleneck_features.pipeline.tables import SPLIT_TITLES, calibration_sentence, figure_text, shown_name

TRAINERS = ("train-head", *NETWORKS)
MOST_CELLS = 30  # classes of a confusion matrix that is a table; a larger one is a picture


@dataclass(frozen=True)
class Picture:
    """One picture on the page.

    Attributes:
        section: where it belongs.
        title: of what, such as a method's name.
        file: its SVG file.
        wide: the element for a desktop, with its alternative text.
        narrow: the same drawn for a phone.
        caption: under it; empty where the picture itself says all.
        opens: whether it is of the method that the headline is of, and shown at once; others are folded away.
    """

    section: str
    title: str
    file: Path
    wide: Markup
    narrow: Markup
    caption: str
    opens: bool = False


@dataclass(frozen=True)
class Drawn:
    """A picture before it is drawn.

    Attributes:
        section: where it belongs.
        name: of its file.
        text: a sentence that says what it shows, instead of the picture.
        draw: draws it in a width in inches; it gives None where there is nothing to draw.
        caption: under it.
    """

    section: str
    name: str
    text: str
    draw: Callable[[float], Figure | None]
    caption: str = ""


def draw(results: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Picture]:
    """Draw every picture that the results have figures for, as SVG files in `folder` too; older ones there are removed."""
    for old in folder.glob("*.svg"):
        old.unlink()
    found: list[Picture] = []
    main = answering(results)
    for command, drawer in _DRAWERS.items():
        if command in results and not _compared_already(results[command], results):
            found += drawn_pictures(drawer(results[command]), folder, of_main=command == main)
    if main == "probe":
        found += drawn_pictures(_kept_probe(results["probe"]), folder, of_main=True)
    return found


def drawn_pictures(drawn: Iterator[Drawn], folder: Path, *, of_main: bool) -> Iterator[Picture]:
    """Give the pictures of a command.

    Args:
        drawn: what is drawn.
        folder: where the SVG files go.
        of_main: whether the page answers from the command: the first picture of each section opens then.
    """
    seen: set[str] = set()
    for one in drawn:
        wide, narrow = one.draw(plots.WIDE), one.draw(plots.NARROW)
        if wide is None or narrow is None:
            continue
        opens = of_main and one.section not in seen
        seen.add(one.section)
        file = plots.save_figure(wide, folder / f"{one.name}.svg")
        form = inlined(file.read_text(encoding="utf-8"), one.text)
        other = inlined(plots.svg_bytes(narrow, f"{one.name}-narrow").decode(), one.text)
        yield Picture(one.section, one.text.partition(":")[0], file, form, other, one.caption, opens)


def _compared_already(result: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether `compare` trained the very method of a command that trains one: same layers, same accuracies."""
    if "compare" not in results or result["command"] not in TRAINERS:
        return False
    (row,) = result["methods"]
    return any(
        all(own[key] == row[key] for key in ("name", "layers", "accuracy")) for own in results["compare"]["methods"]
    )


def _comparison(result: Mapping[str, Any]) -> Iterator[Drawn]:
    split, select, best = result["scored_on"], result.get("select", "accuracy"), row_label(best_method(result))
    methods, named = [Method.from_json(row) for row in result["methods"]], shown_name(select)
    yield _compared(result, methods, best)
    seconds = "; ".join(
        f"{method.title} {method.figure(split, select).value:.1%} in {sum(s or 0 for s in method.seconds.values()):,.0f} s"
        for method in methods
    )
    text = f"{named.capitalize()} against seconds: {seconds}."
    yield Drawn("time", "time", text, lambda width: plots.accuracy_over_time(methods, split, select, width))
    for number, (name, curves) in enumerate(result["histories"].items()):
        yield _learning(name, curves, f"learning-curves-{number}")
    for number, (name, counts) in enumerate(_first(best, result["confusion"])):
        yield from _confusion(name, np.array(counts), result["classes"], f"confusion-{number}")
    yield from _two_classes(result, "curves")
    for number, (name, content) in enumerate(_first(best, result["calibration"])):
        yield _calibration(name, content, split, f"calibration-{number}")


def _compared(result: Mapping[str, Any], methods: list[Method], best: str) -> Drawn:
    select, backbone = result.get("select", "accuracy"), result.get("backbone", "")
    listed = "; ".join(
        f"{row_title(row)} {figure_text(row, result['scored_on'], select, named=False)}" for row in result["methods"]
    )
    return Drawn(
        "comparison",
        f"comparison-{result['command']}",
        f"{shown_name(select).capitalize()}: {listed}.",
        lambda width: plots.comparison(methods, backbone, select, best, width),
    )


def _first(shown: str, by_method: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return what there is of each method, that of the method which the page shows in detail first."""
    return sorted(by_method.items(), key=lambda one: one[0] != shown)


def _trained(result: Mapping[str, Any]) -> Iterator[Drawn]:
    (row,) = result["methods"]
    command, name = result["command"], row_title(row)
    yield _compared(result, [Method.from_json(row)], row_label(row))
    yield _learning(name, result["history"], f"learning-curves-{command}")
    yield from _confusion(name, np.array(result["confusion"]), result["classes"], f"confusion-{command}")
    yield _calibration(name, result["calibration"], result["scored_on"], f"calibration-{command}")


def _learning(name: str, curves: Curves, file: str) -> Drawn:
    epoch = kept_epoch(curves)
    text = (
        f"{name}: accuracy and loss over epochs; epoch {epoch} of {len(curves['loss'])} is kept, "
        f"{curves['val_accuracy'][epoch - 1]:.1%} on validation images."
    )
    return Drawn("learning", file, text, lambda width: plots.learning_curves(name, curves, width))


def _confusion(name: str, counts: np.ndarray, classes: Sequence[str], file: str) -> Iterator[Drawn]:
    """Give the picture of a matrix that is too large for a table."""
    if len(classes) > MOST_CELLS:
        text = f"{name}: {np.trace(counts):,} of {counts.sum():,} right."
        yield Drawn("confusion", file, text, lambda width: plots.confusion_matrices({name: counts}, classes, width))


def _calibration(name: str, content: Mapping[str, Any], split: str, file: str) -> Drawn:
    title = f"{name}, {SPLIT_TITLES.get(split, f'{split} images')}"
    text = f"{name}: {calibration_sentence(content)}."
    return Drawn("calibration", file, text, lambda width: plots.reliability_diagram(content, title, width), text)


def _two_classes(result: Mapping[str, Any], file: str) -> Iterator[Drawn]:
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
    yield Drawn("curves", file, text, lambda width: plots.two_class_curves(curves, positive, width), text)


def _label_curve(result: Mapping[str, Any]) -> Iterator[Drawn]:
    listed = "; ".join(f"{p['method']} {p['mean']:.1%} at {p['per_class']}" for p in result["points"])
    described = {name: result[name] for name in ("data", "backbone", "answer", "scored_on")}
    text = f"Accuracy over labelled images per class: {listed}."

    def chart(width: float) -> Figure:
        return plots.label_curve_chart(result["points"], **described, width=width)

    yield Drawn("labels", "label-curve", text, chart, result["protocol"])


def _probe(result: Mapping[str, Any]) -> Iterator[Drawn]:
    methods = [Method.from_json(row) for row in result["table"]]
    layers = list(dict.fromkeys(row["layers"][0] for row in result["table"] if len(row["layers"]) == 1))
    ordered = [name for name in result["experiment"]["backbone"]["layers"] if name in layers]
    best, select, backbone = result["table"][0], result.get("select", "accuracy"), result["backbone"]
    winner = f"{best['name']} on {' + '.join(best['layers'])} {figure_text(best, 'validation', select, named=False)}"
    yield from _two_classes(result, "curves-probe")
    text = f"{shown_name(select).capitalize()} on validation images over the layers; the best: {winner}."
    yield Drawn("probe", "depth", text, lambda width: plots.depth(methods, ordered, backbone, select, width))


def _kept_probe(result: Mapping[str, Any]) -> Iterator[Drawn]:
    name = row_label(best_method(result))
    yield _compared(result, [Method.from_json(row) for row in result["methods"]], name)
    if counts := result.get("confusion", {}).get(name):
        yield from _confusion(name, np.array(counts), result["classes"], "confusion-probe")
    if content := result.get("calibration"):
        yield _calibration(name, content, result["scored_on"], "calibration-probe")


def moved_thresholds(found: Thresholds, positive: str) -> Drawn:
    """Return the picture of thresholds that the page moves.

    Args:
        found: on the scored images.
        positive: the class that is looked for; empty where answers are withheld instead.
    """
    of = f"the probability of {plots.shortened(positive, 30)}" if positive else "the method's confidence"
    named = {"recall": found.found, "precision": found.right}
    if not positive:
        named = {"images that get an answer": found.found, "accuracy of the answers": found.right}
    text = f"{' and '.join(named)} over the threshold of {of}."
    axis = f"threshold of {of}"
    return Drawn("moved", "thresholds", text, lambda width: plots.threshold_chart(found.steps, named, axis, width))


def _networks(result: Mapping[str, Any]) -> Iterator[Drawn]:
    split, select, rows = result["scored_on"], result["select"], result["methods"]
    listed = "; ".join(
        f"{row['name']} {figure_text(row, split, select, named=False)} at {rate:,.1f} images/s"
        for row in rows
        if (rate := row["network"]["images_per_second"])
    )
    text = f"{shown_name(select).capitalize()} of each network's best probe against its cost: {listed}."
    yield Drawn("networks", "networks", text, lambda width: plots.networks(rows, split, select, width))


def _balance(result: Mapping[str, Any]) -> Iterator[Drawn]:
    counts = {split: list(own.values()) for split, own in result["images"].items()}
    classes = list(next(iter(result["images"].values())))
    listed = "; ".join(f"{split} {min(own):,} to {max(own):,} per class" for split, own in counts.items())
    text = f"Images by class: {listed}."
    yield Drawn("data", "class-balance", text, lambda width: plots.class_balance(counts, classes, width))


_DRAWERS = {
    "compare": _comparison,
    **dict.fromkeys(TRAINERS, _trained),
    "label-curve": _label_curve,
    "probe": _probe,
    COMPARE_BACKBONES: _networks,
    "inspect": _balance,
}

PIXELS_PER_POINT = 4 / 3
NARROWEST = plots.NARROW * 96 + 1  # pixels of a picture for a phone
LARGER = 1.35  # times its own size that a picture grows to at most
TWO_TONE = (("#000000", "currentColor"), ("#ffffff", "var(--paper)"), ("#262626", "currentColor"))


def inlined(content: str, text: str) -> Markup:
    """Return a picture of matplotlib's as an `<svg>` element with the page's colours and an alternative text.

    Args:
        content: SVG that `plots` wrote; what came from user data is escaped in it.
        text: the alternative text.
    """
    content = content[content.index("<svg") :]
    content = re.sub(r"<metadata>.*?</metadata>", "", content, count=1, flags=re.DOTALL)
    content = re.sub(rf'<g id="({AREA}|{MOVING})"', r'<g class="\1"', content)
    content = re.sub(r'<g id="[^"]*"', "<g", content)
    content = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", content)
    for colour, themed in TWO_TONE:
        content = content.replace(colour, themed)
    width, rest = re.match(r'<svg [^>]*?width="([\d.]+)pt"', content), content.partition(">")[2]
    box = re.search(r'viewBox="([^"]*)"', content)
    assert width is not None, content[:500]
    assert box is not None, content[:500]
    own = float(width[1]) * PIXELS_PER_POINT
    form = "narrow" if own <= NARROWEST else "wide"
    return Markup(
        f'<svg class="{form}" role="img" aria-label="{escape(text)}" viewBox="{box[1]}" style="max-width:{LARGER * own:.0f}px">'
        f"{rest}"
    )
