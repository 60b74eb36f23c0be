"""The text of labels: what is the same label, and which cells say that there is none."""

import re
import shlex
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bottleneck_features.errors import enumerated, quoted
from bottleneck_features.pipeline.dataset_settings import MISSING_LABELS, DatasetSettings
from bottleneck_features.pipeline.datasets.labels.kinds import list_in, require_classes
from bottleneck_features.pipeline.datasets.texts import factorized, text_array
from bottleneck_features.pipeline.errors import RequestError

DOUBTFUL = (("None", "none"), ("-",))  # in some tables the word for no label, in others a class
RARE = 0.02  # share of the labels below which a doubtful word says that there is none; so does a single one
HIDDEN = ("-1", "-1.0")  # what Hugging Face writes for the labels of a test split that is kept secret
SHOWN = 5
WHOLE = re.compile(r"[+-]?\d{1,15}(\.0*)?")


@dataclass(frozen=True)
class Labels:
    """Labels that can be compared.

    Attributes:
        texts: `(n,)` text; empty where there is no label.
        notices: sentences a reader of any number from these data must know.
    """

    texts: np.ndarray
    notices: tuple[str, ...] = ()


def plain_label(text: str) -> str:
    """Return a label without spaces around it, in Unicode's normal form C: as it is shown, and compared."""
    return unicodedata.normalize("NFC", text).strip()


def read_labels(texts: np.ndarray, settings: DatasetSettings, place: str = "") -> Labels:
    """Return labels as they are compared: trimmed, normalised, and joined where `fold_case` says so.

    Reading them again changes nothing.

    Args:
        texts: `(n,)` text, as the data have it.
        settings: `fold_case`, and for the cells of tables `missing_labels`.
        place: where they are written, as `require_classes` names it, which is for data to learn from; empty where they are names
            of folders, which are classes.

    Raises:
        RequestError: they are no classes, or it cannot be told whether a word is a class or says that there is no label.
    """
    different, places = factorized(texts)
    counts = dict(zip(different, np.bincount(places, minlength=len(different)).tolist(), strict=True))
    plain = {text: plain_label(text) for text in counts}
    if place:
        plain = _without_brackets(plain, {"", *settings.missing_labels, *sum(DOUBTFUL, ())})
    if settings.source in ("csv", "parquet"):
        missing = _missing(_totals(plain, counts), settings)
        plain = _whole_numbers({text: "" if label in missing else label for text, label in plain.items()})
    totals = _totals(plain, counts)
    if place and len(texts) and totals.keys() == {""}:
        raise RequestError(
            f"There is no label in {place}: all {len(texts):,} cells are empty or say that there is none. Learning needs images "
            "with labels; `bottleneck predict` labels images by a model."
        )
    if place and settings.learned:
        require_classes({label: count for label, count in totals.items() if label}, place)
    variants = _differing_in_case(totals)
    if settings.fold_case:
        plain = {text: variants.get(label, (label,))[0] for text, label in plain.items()}
    notices = () if settings.fold_case else _case_notices(set(variants.values()), totals)
    return Labels(text_array(plain[text] for text in different)[places] if len(texts) else texts, notices)


def without_hidden(labels: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Return labels without the −1 of a split whose every label it is, as those of a test split that is kept secret are.

    Args:
        labels: `(n,)` text.
        splits: `(n,)` text; the training split, and what has none, is left as it is.
    """
    found = labels.copy()
    for split in factorized(splits)[0]:
        own = splits == split
        if split not in ("", "train") and np.isin(labels[own], HIDDEN).all() and not np.isin(labels, HIDDEN).all():
            found[own] = ""
    return found


def _totals(plain: Mapping[str, str], counts: Mapping[str, int]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for text, label in plain.items():
        totals[label] += counts[text]
    return totals


def _without_brackets(plain: Mapping[str, str], passed_over: Collection[str]) -> dict[str, str]:
    """Return labels such as ['cat'] as what they hold, where all are lists of one, those passed over aside."""
    lists = {label: list_in(label) for label in plain.values() if label not in passed_over}
    if any(parts is None or len(parts) > 1 or (parts and list_in(parts[0])) for parts in lists.values()):
        return dict(plain)
    inside = {label: plain_label(parts[0]) if parts else "" for label, parts in lists.items()}
    return {text: inside.get(label, label) for text, label in plain.items()}


def _whole_numbers(plain: Mapping[str, str]) -> dict[str, str]:
    """Return 1.0 as 1 where all are whole numbers: what a table program makes of integers beside empty cells."""
    if not all(WHOLE.fullmatch(label) for label in plain.values() if label):
        return dict(plain)
    return {text: label.partition(".")[0] for text, label in plain.items()}


def _missing(totals: Counter[str], settings: DatasetSettings) -> set[str]:
    """Return the labels that say that there is none."""
    words = settings.missing_labels
    missing = {plain_label(word) for word in words} & set(totals)
    if words != MISSING_LABELS:
        return missing
    labelled = sum(totals.values()) - sum(totals[word] for word in {"", *missing})
    asked: list[str] = []
    for group in (
        *DOUBTFUL,
        *([HIDDEN] if _are_numbers(set(totals) - missing) else []),
    ):
        found = [word for word in group if totals[word]]
        count = sum(totals[word] for word in found)
        if count > 1 and count >= RARE * labelled:
            asked += found
        else:
            missing |= set(found)
    if asked:
        count = sum(totals[word] for word in asked)
        kept = sorted(missing - {""}) or ["NA"]
        raise RequestError(
            f"The label {quoted(asked)} stands in {count:,} of {labelled:,} rows: is it a class, or does it say that there "
            f"is no label? If it is a class, give {_words(kept)}; if not, {_words([*kept, *asked])}."
        )
    return missing


def _words(words: Sequence[str]) -> str:
    return "--set " + shlex.quote(f"dataset.missing_labels={','.join(words)}")


def _are_numbers(labels: Collection[str]) -> bool:
    """Whether labels are the numbers of classes, from 0 on, and perhaps −1."""
    others = set(labels) - {"", *HIDDEN, *(word for group in DOUBTFUL for word in group)}
    return len(others) > 1 and all(WHOLE.fullmatch(label) and not label.startswith("-") for label in others)


def _differing_in_case(totals: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Return, for each label that others differ from in case only, all of them, the most frequent first."""
    alike = defaultdict(list)
    for label in totals:
        alike[label.casefold()].append(label)
    sets = [
        tuple(sorted(labels, key=lambda label: (-totals[label], label))) for labels in alike.values() if len(labels) > 1
    ]
    return {label: labels for labels in sets for label in labels}


def _case_notices(variants: Iterable[tuple[str, ...]], totals: Mapping[str, int]) -> tuple[str, ...]:
    sets = [", ".join(f"'{label}' ({totals[label]:,})" for label in labels) for labels in sorted(variants)]
    if not sets:
        return ()
    shown = enumerated(sets, SHOWN, "; ")
    return (
        f"Labels: some differ only in case, and are different classes: {shown}. dataset.fold_case=true joins them.",
    )
