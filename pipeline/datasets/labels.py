"""The text of labels: what is the same label, and which cells say that there is none."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bottleneck_features.errors import quoted
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import MISSING_LABELS, DatasetSettings

DOUBTFUL = (("None", "none"), ("-",))  # in some tables the word for no label, in others a class
RARE = 0.02  # share of the labels below which a doubtful word says that there is none; so does a single one
SHOWN = 5


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


def read_labels(texts: np.ndarray, settings: DatasetSettings) -> Labels:
    """Return labels as they are compared: trimmed, normalised, and joined where `fold_case` says so.

    Args:
        texts: `(n,)` text, as the data have it.
        settings: `fold_case`, and for the cells of tables `missing_labels`.

    Raises:
        RequestError: it cannot be told whether a word is a class or says that there is no label.
    """
    different, places = np.unique(texts, return_inverse=True)
    counts = dict(zip(different.tolist(), np.bincount(places, minlength=len(different)).tolist(), strict=True))
    plain = {text: plain_label(text) for text in counts}
    if settings.source in ("csv", "parquet"):
        missing = _missing(_totals(plain, counts), settings.missing_labels)
        plain = {text: "" if label in missing else label for text, label in plain.items()}
    totals = _totals(plain, counts)
    variants = _differing_in_case(totals)
    if settings.fold_case:
        plain = {text: variants.get(label, (label,))[0] for text, label in plain.items()}
    notices = () if settings.fold_case else _case_notices(set(variants.values()), totals)
    return Labels(text_array(plain[text] for text in different.tolist())[places] if len(texts) else texts, notices)


def _totals(plain: Mapping[str, str], counts: Mapping[str, int]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for text, label in plain.items():
        totals[label] += counts[text]
    return totals


def _missing(totals: Counter[str], words: tuple[str, ...]) -> set[str]:
    """Return the labels that say that there is none."""
    missing = {plain_label(word) for word in words} & set(totals)
    if words != MISSING_LABELS:
        return missing
    labelled = sum(totals.values()) - totals[""]
    for group in DOUBTFUL:
        found = [word for word in group if totals[word]]
        count = sum(totals[word] for word in found)
        if count > 1 and count >= RARE * labelled:
            listed = ",".join(word for word in MISSING_LABELS if totals[word]) or "NA"
            raise RequestError(
                f"The label {quoted(found)} stands in {count:,} of {labelled:,} rows: is it a class, or does it say that there "
                f"is no label? If it is a class, give dataset.missing_labels={listed}; if not, "
                f"dataset.missing_labels={listed},{','.join(found)}."
            )
        missing |= set(found)
    return missing


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
    listed = sorted(variants)
    if not listed:
        return ()
    shown = "; ".join(", ".join(f"'{label}' ({totals[label]:,})" for label in labels) for labels in listed[:SHOWN])
    more = f" and {len(listed) - SHOWN:,} more" if listed[SHOWN:] else ""
    return (
        f"Labels: some differ only in case, and are different classes: {shown}{more}. dataset.fold_case=true joins them.",
    )
