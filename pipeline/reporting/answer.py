"""The question an experiment asks, and its answer, in a few sentences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bottleneck_features.pipeline.figures import SIGNIFICANT, figures_of_row
from bottleneck_features.pipeline.method_names import (
    BEST_PROBE,
    COMPARE_BACKBONES,
    FROZEN,
    PRETRAINED,
    SCRATCH,
    row_label,
    row_title,
)
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.tables import (
    accuracy_text,
    evidence_text,
    figure_text,
    gap_text,
    images_text,
    interval_text,
    no_better_than,
    percent_text,
    points_text,
    select_name,
    select_value,
    shown_name,
)

_KINDS = {
    "classifier on frozen features": FROZEN,
    "network trained on from the pre-trained weights": PRETRAINED,
    "network trained from scratch": SCRATCH,
}
UNRIVALLED = "Whether a network trained from scratch does better has not been measured here."
_CHOSEN_ON = {
    "test": "Each method was chosen on validation images and trained once; with another seed the figures would differ.",
    "validation": "There is no test split: each method was chosen on these same images, so the figures are too optimistic.",
    "cross_validated": "Each figure is of a procedure: every fold chooses and trains anew on its own training images.",
}


def question(backbone: str, data: str) -> str:
    """Return what an experiment asks."""
    return (
        f"Does a classifier on the frozen features of {backbone} tell the images of {data} apart, and better than a network "
        "trained on them from scratch?"
    )


def verdict(result: Mapping[str, Any], backbone: str) -> list[str]:
    """Return what a result has found, in sentences: a method that is no better than guessing is named first.

    Args:
        result: of a command that scores methods.
        backbone: its label.
    """
    split, best = result["scored_on"], best_method(result)
    reached = f"{figure_text(best, split, _select(result))} on {images_text(best, split)}; {_baseline(result, best)}."
    warned = no_better_than_guessing(result, best)
    if result["command"] != "compare":
        return [*warned, f"{row_title(best)} ({backbone}) reaches {reached}"]
    (kind, _), *others = leaders(result)
    first = f"The best {kind} ({row_title(best)}{', ' + backbone if best['layers'] else ''}) reaches {reached}"
    return [*warned, first, *(_against(best, other, name, result) for name, other in others)]


def caveats(result: Mapping[str, Any], measured: Iterable[str]) -> list[str]:
    """Return what a reader of the verdict must know of how it was found.

    Args:
        result: of a command that scores methods.
        measured: the names of the methods that stand beside the best one.
    """
    found = [] if set(measured) & set(SCRATCH) else [UNRIVALLED]
    if result["command"] == "compare" and result["scored_on"] == "test":
        found += [_refitted(method) for _, method in leaders(result) if method["refitted_on"]]
    return [*found, _chosen_on(result, best_method(result))]


@dataclass(frozen=True)
class BigFigure:
    """The figure that a page answers with, as text.

    Attributes:
        value: in per cent.
        low: the lower end of its interval.
        high: the upper end.
        measure: what it is, such as `Balanced accuracy`.
        method: its title.
        images: on which images.
        baseline: what the answer gets that needs no image.
        against: whether a network trained from scratch is better; empty where none was compared.
        without: the accuracy without images that repeat one used for training; empty where there are none.
    """

    value: str
    low: str
    high: str
    measure: str
    method: str
    images: str
    baseline: str
    against: str
    without: str


def big_figure(results: Mapping[str, Mapping[str, Any]]) -> BigFigure:
    """Return the figure of the method that a page is about.

    Args:
        results: result objects by command; one at least has scored a method.
    """
    result = results[answering(results)]
    split, row, select = result["scored_on"], best_method(result), _select(result)
    found = Method.from_json(row).figure(split, select)
    measure = shown_name(select) if row.get("balanced_accuracy") else shown_name("accuracy")
    baseline = _baseline(result, row)
    return BigFigure(
        percent_text(found.value),
        f"{100 * found.low:.1f}",
        percent_text(found.high),
        measure[0].upper() + measure[1:],
        row_title(row),
        images_text(row, split),
        f"{baseline[0].upper()}{baseline[1:]}.",
        _against_scratch(result, row),
        _without_repeats(result, row),
    )


def _against_scratch(result: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return in a few words whether the best network trained from scratch is better than a method."""
    rivals = [one for kind, one in leaders(result) if one["name"] in SCRATCH] if result["command"] == "compare" else []
    if not rivals or rivals[0] is row:
        return ""
    pair = next(
        one for one in result["pairs"] if {one["first"], one["second"]} == {row_label(row), row_label(rivals[0])}
    )
    gap = f"{gap_text(pair, row_label(row))} (95 % interval)"
    ahead = pair["difference"] * (1 if pair["first"] == row_label(row) else -1)
    if _p_value(pair) >= SIGNIFICANT or result["scored_on"] == "validation":
        return f"Cannot be told from a network trained from scratch ({row_title(rivals[0])}): {gap}."
    found = "Better than a" if ahead > 0 else "Worse than a"
    return f"{found} network trained from scratch ({row_title(rivals[0])}): {gap}."


def _p_value(pair: Mapping[str, Any]) -> float:
    return float(pair["p_value"] if pair.get("p_adjusted") is None else pair["p_adjusted"])


def _without_repeats(result: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    own, repeated = row["without_duplicates"], (result.get("duplicates") or {}).get("images")
    if not own or not repeated:
        return ""
    found = interval_text(own["accuracy"], *own["interval"])
    return f"{repeated:,} of these images repeat one used for training. Accuracy without them: {found}."


@dataclass(frozen=True)
class Answer:
    """What all results of an experiment say together.

    Attributes:
        verdict: what was found, in one sentence, or in one for every kind of method that was compared.
        caveats: what a reader must know of how it was found.
    """

    verdict: str
    caveats: str

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.verdict} {self.caveats}"


def answer_of(results: Mapping[str, Mapping[str, Any]], backbone: str) -> Answer:
    """Return the answer of `compare`, or of the first command that scored a method.

    Args:
        results: result objects by command.
        backbone: its label.
    """
    first = results[answering(results)]
    if first["command"] == "compare":
        measured = [row["name"] for _, row in leaders(first)]
    else:
        measured = [method["name"] for result in scored_methods(results).values() for method in result["methods"]]
    found = verdict(first, first.get("backbone", backbone))
    return Answer(" ".join(found), " ".join(caveats(first, measured)))


def answering(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the command whose result a page answers from, and whose best method it shows in detail.

    Args:
        results: result objects by command; one at least has scored a method.
    """
    return "compare" if "compare" in results else next(iter(scored_methods(results)))


def scored_methods(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the results whose rows are methods on the features of the experiment's own network."""
    return {name: one for name, one in results.items() if "methods" in one and name != COMPARE_BACKBONES}


def headline(result: Mapping[str, Any]) -> list[str]:
    """Return the figures of the method that a result is about, in two or three lines: a bad one says so first."""
    split, row = result["scored_on"], best_method(result)
    first = f"{row_title(row)}: accuracy {accuracy_text(row, split)} on {images_text(row, split)}"
    return [*no_better_than_guessing(result, row), f"{first}; {_baseline(result, row)}", *figures_beside(result)]


def figures_beside(result: Mapping[str, Any]) -> list[str]:
    """Return the figures of the best method that stand beside its accuracy, and why this one decided, in a line each."""
    split, row = result["scored_on"], best_method(result)
    lines = []
    if row.get("balanced_accuracy"):
        names = {"macro_f1": "macro F1", "auroc": "AUROC", "average_precision": "average precision"}
        beside = [f"balanced accuracy {figure_text(row, split, 'balanced-accuracy', named=False)}"]
        beside += [
            f"{words} {figure_text(row, split, name.replace('_', '-'), named=False)}"
            for name, words in names.items()
            if row.get(name, {}).get(split) is not None
        ]
        lines.append("; ".join([*beside, _worst(row, split, result.get("classes"))]))
    if "select_reason" in result:
        lines.append(f"decided by {select_name(result['select'])}: {result['select_reason']}")
    return lines


def no_better_than_guessing(result: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """Return a sentence where a method does not beat the answer that needs no image; else nothing."""
    figures = figures_of_row(row, result["scored_on"])
    if figures is None:
        return []
    known = no_better_than(figures, _select(result), len(result.get("classes", ())) or 2)
    return [f"{row_title(row)} is not shown to be better than {known}."] if known else []


def leaders(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the best compared method of every kind by what decides, with the kind's name; frozen ones first."""
    own = {kind: [m for m in _rivals(result) if m["name"] in names] for kind, names in _KINDS.items()}
    return [(kind, _best(methods, result)) for kind, methods in own.items() if methods]


def best_method(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the method a report shows in detail: the one that is kept, or the first of the leaders."""
    if result["command"] == "compare":
        return leaders(result)[0][1]
    kept = [row for row in result["methods"] if row.get("kept")]
    return kept[0] if kept else _best(result["methods"], result)


def _select(result: Mapping[str, Any]) -> str:
    return result.get("select", "accuracy")


def _rivals(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the methods that were compared at the end."""
    compared = {name for pair in result["pairs"] for name in (pair["first"], pair["second"])}
    scored = result["scored_on"]
    return [m for m in result["methods"] if row_label(m) in compared and m["accuracy"][scored] is not None]


def _best(methods: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the best on folds where there are any, else on validation images; of equals the probe that `probe` keeps."""
    folded = all(method["accuracy"].get("cross_validated") is not None for method in methods)
    split = "cross_validated" if folded else "validation"
    return max(methods, key=lambda one: (select_value(one, split, _select(result)), one["name"] == BEST_PROBE))


def _against(first: Mapping[str, Any], other: Mapping[str, Any], kind: str, result: Mapping[str, Any]) -> str:
    split = result["scored_on"]
    pair = next(p for p in result["pairs"] if {p["first"], p["second"]} == {row_label(first), row_label(other)})
    rival = f"the best {kind} ({row_title(other)}, {figure_text(other, split, _select(result))})"
    common = " on the folds that both have" if first.get("models", 1) != other.get("models", 1) else ""
    found = f"Against {rival} it is {gap_text(pair, row_label(first))}{common}"
    if split == "validation":
        return f"{found}, on the images that both were chosen on ({evidence_text(pair)})."
    verdict = (
        "which is statistically significant" if _p_value(pair) < SIGNIFICANT else "which cannot be told from chance"
    )
    return f"{found}, {verdict} ({evidence_text(pair)})."


def _baseline(result: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return what the answer gets that needs no image, by accuracy and, where something else decides, by that."""
    share, select = row.get("majority", {}).get(result["scored_on"]), _select(result)
    got = "an unknown share" if share is None else percent_text(share)
    classes = len(result.get("classes", ()))
    if select == "accuracy" or not classes or share is None:
        return f"always answering the most frequent class gets {got}"
    ranked = {"auroc": 0.5, "average-precision": 1 - share}  # of two classes, of which the rarer one is looked for
    measure = select if select in ranked else "balanced-accuracy"
    beside = f"{select_name(measure)} {percent_text(ranked.get(select, 1 / classes))}"
    return f"always answering the most frequent class gets accuracy {got} ({beside})"


def _worst(row: Mapping[str, Any], split: str, classes: Sequence[str] | None) -> str:
    recall, number = row["worst_recall"][split], row["worst_class"][split]
    named = f" ({classes[number]!r})" if classes and number is not None and number < len(classes) else ""
    return f"worst class{named}: recall {percent_text(recall)}"


def _chosen_on(result: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return how methods were chosen, and, where it was measured, how far another split or seed moves a method's figure."""
    split, seeds = result["scored_on"], result.get("seeds") or {"methods": ()}
    name = BEST_PROBE if row.get("kept") else row_label(row)
    own = next((spread for spread in seeds["methods"] if spread["name"] == name), None)
    if split != "test" or own is None:
        return _CHOSEN_ON[split]
    kinds = [kind for kind in ("splits", "trainings") if own[kind]]
    found = " and ".join(f"{points_text(own[kind]['deviation'])} over {seeds['n']} {kind}" for kind in kinds)
    return f"Each method was chosen on validation images; the figure of {name} has a standard deviation of {found}."


def _refitted(method: Mapping[str, Any]) -> str:
    return (
        f"In the end {row_title(method)} was fitted on the {method['refitted_on']:,} training and validation images "
        "together, the others on the training images only."
    )


def headline_of(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the headline of the result that `answer_of` answers from."""
    return headline(results[answering(results)])
