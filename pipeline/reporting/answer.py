"""The question an experiment asks, and its answer, in a few sentences."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bottleneck_features.pipeline.method_names import FROZEN, PRETRAINED, SCRATCH, row_label, row_title
from bottleneck_features.pipeline.tables import accuracy_text, evidence_text

_KINDS = {
    "classifier on frozen features": FROZEN,
    "network trained on from the pre-trained weights": PRETRAINED,
    "network trained from scratch": SCRATCH,
}
UNRIVALLED = "Whether a network trained from scratch does better has not been measured here."
_CHOSEN_ON = {
    "test": "Each method was chosen on validation images and trained once; with another seed the figures would differ.",
    "validation": "There is no test split: each method was chosen on these same images, so the figures are too optimistic.",
}


def question(backbone: str, data: str) -> str:
    """Return what an experiment asks."""
    return (
        f"Does a classifier on the frozen features of {backbone} tell the images of {data} apart, and better than a network "
        "trained on them from scratch?"
    )


def answer(result: Mapping[str, Any]) -> str:
    """Return the outcome of `compare` in a few sentences: the best frozen method beside the best of every other kind."""
    split = result["scored_on"]
    (kind, first), *others = leaders(result)
    sentences = [
        f"The best {kind} ({row_title(first)}{', ' + result['backbone'] if first['layers'] else ''}) reaches "
        f"{accuracy_text(first, split)} on {first['n'][split]:,} {split} images."
    ]
    sentences += _level_with(first, [m for m in _rivals(result) if m["name"] in _KINDS[kind]], split)
    sentences += [_against(first, other, name, result["pairs"], split) for name, other in others]
    if all(method["name"] not in SCRATCH for _, method in leaders(result)):
        sentences.append(UNRIVALLED)
    refitted = [_refitted(method) for _, method in leaders(result) if method["refitted_on"]]
    return " ".join([*sentences, *refitted, _CHOSEN_ON[split]])


def answer_without_rivals(result: Mapping[str, Any], backbone: str, measured: Iterable[str]) -> str:
    """Return the outcome of a command that compares no kinds of methods: the score of its best one by validation accuracy.

    Args:
        result: the command's.
        backbone: its label.
        measured: the names of all methods on the page.
    """
    split, best = result["scored_on"], _best(result["methods"])
    found = (
        f"{row_title(best)} ({backbone}) reaches {accuracy_text(best, split)} on {best['n'][split]:,} {split} images."
    )
    unknown = [] if set(measured) & set(SCRATCH) else [UNRIVALLED]
    return " ".join([found, *unknown, _CHOSEN_ON[split]])


def answer_of(results: Mapping[str, Mapping[str, Any]], backbone: str) -> str:
    """Return the answer that all results of an experiment give: that of `compare`, or of the first that scored a method.

    Args:
        results: result objects by command.
        backbone: its label.
    """
    if "compare" in results:
        return answer(results["compare"])
    scored = [result for result in results.values() if "methods" in result]
    measured = [method["name"] for result in scored for method in result["methods"]]
    return answer_without_rivals(scored[0], scored[0].get("backbone", backbone), measured)


def leaders(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the best compared method of every kind by validation accuracy, with the kind's name; frozen ones first."""
    own = {kind: [m for m in _rivals(result) if m["name"] in names] for kind, names in _KINDS.items()}
    return [(kind, _best(methods)) for kind, methods in own.items() if methods]


def _rivals(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the methods that were compared at the end."""
    compared = {name for pair in result["pairs"] for name in (pair["first"], pair["second"])}
    scored = result["scored_on"]
    return [m for m in result["methods"] if row_label(m) in compared and m["accuracy"][scored] is not None]


def _level_with(best: Mapping[str, Any], others: Iterable[Mapping[str, Any]], split: str) -> list[str]:
    """Return a sentence for each method whose validation accuracy equals that of the chosen one."""
    if split == "validation":
        return []
    level = accuracy_text(best, "validation")
    return [
        f"On validation images {row_title(other)} is as good ({level}); on the {split} images it reaches "
        f"{accuracy_text(other, split)}."
        for other in others
        if other is not best and accuracy_text(other, "validation") == level
    ]


def best_method(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the method a report shows in detail: the first of the leaders, or the best by validation accuracy."""
    return leaders(result)[0][1] if result["command"] == "compare" else _best(result["methods"])


def _best(methods: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return max(methods, key=lambda method: method["accuracy"]["validation"])


def _against(
    first: Mapping[str, Any], other: Mapping[str, Any], kind: str, pairs: list[Mapping[str, Any]], split: str
) -> str:
    pair = next(p for p in pairs if {p["first"], p["second"]} == {row_label(first), row_label(other)})
    gap = 100 * (first["accuracy"][split] - other["accuracy"][split])
    rival = f"the best {kind} ({row_title(other)}, {accuracy_text(other, split)})"
    if not gap:
        return f"It is as good as {rival}."
    found = f"It is {abs(gap):.1f} points {'ahead of' if gap > 0 else 'behind'} {rival}"
    if split == "validation":
        return f"{found}, on the images that both were chosen on ({evidence_text(pair)})."
    verdict = "statistically significant" if pair["p_value"] < 0.05 else "not statistically significant"
    return f"{found}; the difference is {verdict} ({evidence_text(pair)})."


def _refitted(method: Mapping[str, Any]) -> str:
    return (
        f"In the end {row_title(method)} was fitted on the {method['refitted_on']:,} training and validation images "
        "together, the others on the training images only."
    )
