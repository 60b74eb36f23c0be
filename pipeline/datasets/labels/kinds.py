"""Recognising labels that are no classes: several labels in a cell, measured numbers, and texts that never repeat."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Mapping

from bottleneck_features.pipeline.errors import RequestError

SEPARATORS = (";", "|", ",", " ")
MOST = 0.5  # share of the parts of longer labels that must be in other labels too, so that they are labels themselves
NEARLY_ALL = 0.8  # share of the labels of several words whose words must all stand alone
FEWEST_LISTS = 5  # labels of several words, before their order says anything
MANY_LISTS = 1.25  # such labels for each different word in them: names of classes need more words than that
MANY_VALUES = 20  # different numbers with decimals that are still classes, such as ratings
SELDOM = 2  # images of a class on average below which numbers are measured ...
HARDLY_EVER = 1.2  # ... and below which even numbers without gaps are
DENSE = 0.8  # share of the whole numbers between the least and the largest that must be there for numbers of classes
NUMBERS = 0.9  # share of the rows that must be numbers for a column of numbers
FEWEST_ROWS = 10  # below it, that no label repeats may be chance
LONGEST = 2000  # characters of a cell that is read as a list
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")


def require_classes(totals: Mapping[str, int], place: str) -> None:
    """Refuse labels that are no classes.

    Args:
        totals: how many images have each label.
        place: where the labels are, as a message names it, such as `column 'label' of 'train.csv'`.

    Raises:
        RequestError: a cell holds several labels, the labels are continuous numbers, or none occurs twice.
    """
    images = sum(totals.values())
    several = several_labels(totals)
    if several:
        example = max(several, key=lambda label: (totals[label], label))
        single = re.sub(r"\W+", "_", example).strip("_")
        raise RequestError(
            f"There are several labels in a cell of {place}, in {sum(totals[label] for label in several):,} of {images:,} rows, "
            f"such as '{example[:80]}'. An image has one class here (multi-label learning is not supported): keep the rows "
            "with one label, or name another column as dataset.label_column. If such a text is the name of one class, write it "
            f"as one word, such as '{single[:80]}'."
        )
    example = next(iter(totals), "")
    if is_continuous(totals):
        raise RequestError(
            f"The labels in {place} are continuous numbers and no classes: {len(totals):,} different values in {images:,} rows, "
            f"such as '{example[:80]}' (regression is not supported). Put them into bins in a column of its own, such as low, "
            "medium and high, and name it as dataset.label_column. If every number is a class, write it as a word, such as "
            f"'class {example[:80]}'."
        )
    if images == len(totals) >= FEWEST_ROWS:
        raise RequestError(
            f"The labels in {place} are no classes: none of the {images:,} occurs twice, such as '{example[:80]}'. Name the "
            "column with the classes as dataset.label_column."
        )


def several_labels(labels: Collection[str]) -> set[str]:
    """Return the labels that are several labels each: lists, or parts joined by a separator that are labels themselves."""
    lists = {label: parts for label in labels if (parts := list_in(label)) is not None}
    several = {label for label, parts in lists.items() if len(parts) > 1 and not _is_one_hot(parts)}
    if all(map(_is_interval, lists.values())):
        several = set()
    for separator in SEPARATORS if not several else ():
        split = {label: _parts(label, separator) for label in labels if label not in lists}
        longer = {label: own for label, own in split.items() if len(own) > 1}
        joined = _words_are_labels(longer, labels) if separator == " " else _parts_are_labels(longer, split, separator)
        if joined:
            several = set(longer)
            break
    return several


def list_in(label: str) -> tuple[str, ...] | None:
    """Return what a list such as `['a', 'b']` holds; None for a label that is none."""
    if len(label) > LONGEST or label[:1] + label[-1:] not in ("[]", "{}"):
        return None
    inside, quote = label[1:-1], '"' if '"' in label else "'"
    try:
        parts = next(csv.reader([inside], quotechar=quote, skipinitialspace=True), [])
    except csv.Error:
        return None
    if len(parts) == 1 and quote not in inside:
        parts = inside.split()  # as NumPy writes it
    return tuple(part.strip() for part in parts if part.strip())


def is_continuous(totals: Mapping[str, int]) -> bool:
    """Whether labels are measured numbers: with decimals and many of them, or numbers that hardly repeat."""
    numbers = {label: _number(label) for label in totals if _NUMBER.fullmatch(label)}
    images, values = sum(totals[label] for label in numbers), set(numbers.values())
    if images < NUMBERS * sum(totals.values()) or len(values) < 3:
        return False
    if not all(value.is_integer() for value in values):
        return len(values) > MANY_VALUES or images < SELDOM * len(values)
    dense = len(values) >= DENSE * (max(values) - min(values) + 1)
    fewest = (HARDLY_EVER if dense else SELDOM) * len(values)
    return images >= FEWEST_ROWS and images < fewest


def _is_one_hot(parts: tuple[str, ...]) -> bool:
    return sorted(part.removesuffix(".0").removesuffix(".") for part in parts) == [*["0"] * (len(parts) - 1), "1"]


def _is_interval(parts: tuple[str, ...]) -> bool:
    return len(parts) == 2 and all(map(_NUMBER.fullmatch, parts)) and _number(parts[0]) < _number(parts[1])


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _parts(label: str, separator: str) -> tuple[str, ...]:
    return tuple(part for part in (part.strip() for part in label.split(separator)) if part)


def _parts_are_labels(
    longer: Mapping[str, tuple[str, ...]], parts: Mapping[str, tuple[str, ...]], separator: str
) -> bool:
    """Whether most parts of labels with a separator in them are labels: they stand alone, or in other combinations too."""
    different = {part for own in longer.values() for part in own}
    if not longer or (_are_fields(longer.values()) and different.isdisjoint(parts)):
        return False
    numbers = separator == "," and all(_NUMBER.fullmatch(label) for label in parts)  # 3,5 may be three and a half
    where = Counter(part for label, own in parts.items() for part in set(own) if not numbers or label not in longer)
    shared = sum(where[part] > (0 if numbers else 1) for part in different)
    return shared > MOST * len(different)


def _words_are_labels(longer: Mapping[str, tuple[str, ...]], labels: Collection[str]) -> bool:
    """Whether the words of labels are labels: they stand alone, are numbers, or make more lists than names ever do."""
    if not longer:
        return False
    known = set(labels)
    alone = sum(known.issuperset(own) for own in longer.values())
    if alone >= NEARLY_ALL * len(longer):
        return True
    varying = len({len(own) for own in longer.values()}) > 1 or len(longer) < len(known)
    if varying and all(word.isdecimal() for label in labels for word in label.split()):
        return True
    words = {word for own in longer.values() for word in own}
    if len(longer) < max(FEWEST_LISTS, MANY_LISTS * len(words)) or _are_fields(longer.values()):
        return False
    ordered = all(list(own) == sorted(own, key=str.casefold) for own in longer.values())
    return ordered or len({frozenset(own) for own in longer.values()}) < len(longer)


def _are_fields(lists: Collection[tuple[str, ...]]) -> bool:
    """Whether all have the same number of parts and each place has words of its own: `red, car` and `blue, bus`."""
    if len({len(own) for own in lists}) != 1:
        return False
    places = [set(place) for place in zip(*lists, strict=True)]
    return sum(map(len, places)) == len(set().union(*places))
