"""Shortcuts: how well the label is predicted by properties that are not in the picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.datasets.dataset import stratified_sample
from bottleneck_features.pipeline.evaluation.differences import Answers, paired_difference
from bottleneck_features.pipeline.evaluation.scores import score
from bottleneck_features.pipeline.inspection.hints import Hint
from bottleneck_features.pipeline.inspection.regions import BORDER, Region
from bottleneck_features.pipeline.method_row import Score
from bottleneck_features.pipeline.tables import percent_text, score_text

FOLDS = 5
_MOST = 20_000  # images looked at, drawn stratified
LEAF = 5  # images at least
SIGNIFICANCE = 0.05  # for all hints together: each is tested at this over their number (Bonferroni)
# The share of the majority class's errors that a hint must remove; docs/results.md has what real data give.
ENOUGH, ENOUGH_OF_CONTENT = 0.15, 0.50
GIVEN_AWAY = 0.90  # precision and recall of a class that a hint gives away
FEWEST_GIVEN_AWAY = 20  # images of such a class


@dataclass(frozen=True)
class Shortcut:
    """How well one hint predicts the label.

    Attributes:
        name: of the hint.
        score: cross-validated accuracy with its interval.
        baseline: the accuracy of always naming the most frequent class.
        p_value: against that baseline.
        skill: the share of the baseline's errors that the hint removes; below 0: none.
        of_content: whether the hint also depends on what the picture shows.
        given_away: classes that it alone identifies with at least 90 % precision and recall.
        edge: of the border or a corner: the share of the images of a class that have an edge there at the same place, 0..1, of
            the class where this is the most; else None.
        inside: of these the share that parts like it, without border and corners, tell at most; else None.
        warns: whether a warning names it.
    """

    name: str
    score: Score
    baseline: float
    p_value: float
    skill: float
    of_content: bool
    given_away: tuple[str, ...]
    edge: float | None
    inside: float | None
    warns: bool

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self) | {"given_away": list(self.given_away)}

    def sentence(self) -> str:
        """Return the warning."""
        what = (
            "The label is predicted by the" if not self.of_content else "Weak evidence: the label is predicted by the"
        )
        classes = f" It alone identifies: {', '.join(self.given_away[:5])}." if self.given_away else ""
        return (
            f"Shortcut: {what[0].lower() + what[1:]} {self.name}: {score_text(self.score)} of {self.score.n:,} images, "
            f"cross-validated, where the most frequent class is {percent_text(self.baseline)}.{classes}"
        )


def find_shortcuts(
    hints: Sequence[Hint], labels: np.ndarray, groups: np.ndarray | None, class_names: Sequence[str]
) -> tuple[Shortcut, ...]:
    """Measure how well each hint alone predicts the label.

    A small decision tree is scored by stratified cross-validation (5 folds; whole groups where there are groups). A hint
    warns when the exact McNemar test against the most frequent class has p < 0.05 / (number of hints), and it either
    removes at least 15 % of that baseline's errors or identifies a class of 20 images or more. A hint that also depends on
    what the picture shows (mean colour, bytes) must remove 50 %. Classes with fewer images, or groups, than folds are left
    out. With groups the comparison is by the interval of the difference, which counts groups.

    Args:
        hints: the properties of each image.
        labels: `(n,)` integers.
        groups: `(n,)`, or None.
        class_names: of the labels.

    Returns:
        A `Shortcut` for each hint, the best first; none where fewer than two classes are large enough.
    """
    kept = _usable(labels, groups)
    if len(np.unique(labels[kept])) < 2:
        return ()
    kept = kept[stratified_sample(labels[kept], _MOST)]
    own, together = labels[kept], None if groups is None else groups[kept]
    found = [_measured(hint, kept, own, groups=together, class_names=class_names, count=len(hints)) for hint in hints]
    return tuple(sorted(found, key=lambda shortcut: -shortcut.skill))


def shortcuts_of_regions(
    regions: Sequence[Region], labels: np.ndarray, groups: np.ndarray | None, class_names: Sequence[str]
) -> tuple[Shortcut, ...]:
    """Measure how well the border and each corner of images predict the label; one that is marked for a class warns.

    Of a class whose border warns its corners do not: a frame is in all of them.

    Args:
        regions: from `find_marks`.
        labels: `(n,)` integers.
        groups: `(n,)`, or None.
        class_names: of the labels.
    """
    warned = {region.name: marks for region, marks in warned_marks(regions)}
    inside = {region.name: region.inside for region in regions}

    def with_marks(own: Shortcut) -> Shortcut:
        marks = warned.get(own.name, {})
        names, edge = tuple(str(class_names[label]) for label in marks), max(marks.values(), default=0.0)
        return replace(own, given_away=names, edge=edge, inside=inside[own.name], warns=bool(marks))

    hints = [Hint(region.name, region.values) for region in regions]
    return tuple(map(with_marks, find_shortcuts(hints, labels, groups, class_names)))


def mark_warnings(regions: Sequence[Region], class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the warnings of frames and stamps, also of classes whose figures no fold can measure: see `find_marks`."""
    return tuple(_mark_sentence(region, marks, class_names) for region, marks in warned_marks(regions))


def _mark_sentence(region: Region, marks: Mapping[int, float], class_names: Sequence[str]) -> str:
    shares = (f"{percent_text(share)} of the images of {str(class_names[label])!r}" for label, share in marks.items())
    return (
        f"Shortcut: in the {region.name} an edge lies at the same place in {enumerated(shares, 5)}, as that of a stamp or a "
        "frame would, and in hardly any of other classes. Elsewhere in the pictures no edge is in more than "
        f"{percent_text(region.inside)} of them. A network may learn this in place of what is shown: look at the contact sheets, "
        "and cut it off in all images."
    )


def warned_marks(regions: Sequence[Region]) -> Iterator[tuple[Region, Mapping[int, float]]]:
    """Give the regions that warn, with the classes: of a class whose border warns its corners do not."""
    frames = {label for region in regions if region.name == BORDER for label in region.marks}
    for region in regions:
        marks = {label: share for label, share in region.marks.items() if region.name == BORDER or label not in frames}
        if marks:
            yield region, marks


def _usable(labels: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    units = np.arange(len(labels)) if groups is None else groups
    enough = [label for label in np.unique(labels) if len(np.unique(units[labels == label])) >= FOLDS]
    return np.flatnonzero(np.isin(labels, enough))


def _measured(
    hint: Hint,
    chosen: np.ndarray,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None,
    class_names: Sequence[str],
    count: int,
) -> Shortcut:
    predicted = _predicted(hint.values[chosen], labels, groups)
    majority = np.full(len(labels), np.bincount(labels).argmax())
    reached, base = score(labels, predicted, groups), float(np.mean(labels == majority))
    skill = (reached.accuracy - base) / (1 - base)
    p_value = _p_value(labels, predicted, majority, groups)
    given_away = () if hint.of_content else _given_away(labels, predicted, class_names)
    enough = skill >= (ENOUGH_OF_CONTENT if hint.of_content else ENOUGH) or bool(given_away)
    warns = bool(enough and skill > 0 and p_value < SIGNIFICANCE / count)
    return Shortcut(hint.name, reached, base, p_value, skill, hint.of_content, given_away, None, None, warns)


def _predicted(values: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Return the classes `(n,)` that a small decision tree answers, cross-validated."""
    folds = (StratifiedKFold if groups is None else StratifiedGroupKFold)(FOLDS, shuffle=True, random_state=0)
    leaves = max(16, 4 * len(np.unique(labels)))
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=LEAF, random_state=0)
    return np.asarray(cross_val_predict(tree, values, labels, groups=groups, cv=folds))


def _p_value(labels: np.ndarray, first: np.ndarray, second: np.ndarray, groups: np.ndarray | None) -> float:
    none = np.empty((len(labels), 0))  # accuracies are compared, which need no probabilities
    return paired_difference(labels, Answers(none, first), Answers(none, second), groups, "accuracy").p_value


def _given_away(labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes, each of at most half the images, that are found with almost no mistake."""
    found = []
    for label in np.unique(labels):
        own, named = labels == label, predicted == label
        both = np.sum(own & named)
        right = both >= GIVEN_AWAY * max(own.sum(), named.sum())
        if right and FEWEST_GIVEN_AWAY <= own.sum() <= len(labels) / 2:
            found.append(str(class_names[label]))
    return tuple(found)
