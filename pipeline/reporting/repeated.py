"""Images of the evaluation set that repeat an image used for training, as pairs of pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.details import Place
from bottleneck_features.pipeline.reporting.thumbnails import data_uris
from bottleneck_features.plain import visible

SHOWN = 60  # pairs on a page
SIDE = 96  # pixels of a picture


@dataclass(frozen=True)
class PairedImage:
    """One of two images: its picture (a `data:` address), split, id and class."""

    image: str
    split: str
    id: str
    label: str


@dataclass(frozen=True)
class RepeatedPair:
    """Two images that show the same picture, and how: `exact`, `near`, or either with `mirrored-` before it."""

    first: PairedImage
    second: PairedImage
    kind: str


def repeated_pairs(dataset: Dataset, pairs: Sequence[tuple[Place, Place, str]]) -> list[RepeatedPair]:
    """Return pictures of the first `SHOWN` pairs.

    Args:
        dataset: the open data set.
        pairs: where both images are, and the kind.
    """
    shown = pairs[:SHOWN]
    images = iter(data_uris(dataset, [place for first, second, _ in shown for place in (first, second)], SIDE))
    return [
        RepeatedPair(_paired(dataset, first, next(images)), _paired(dataset, second, next(images)), kind)
        for first, second, kind in shown
    ]


def pairs_of_result(dataset: Dataset, result: Mapping[str, Any]) -> list[tuple[Place, Place, str]]:
    """Return where the images of a result's `duplicates` are, those with different labels first.

    Pairs that the data set does not hold are left out.

    Args:
        dataset: the open data set.
        result: of a command that scores methods; the pairs in it can come from anyone.
    """
    scored = "test" if "test" in dataset.splits else "train"
    known = {
        split: {str(one): place for place, one in enumerate(dataset.splits[split].ids.tolist())}
        for split in {"train", scored}
    }
    found = []
    for pair in result.get("duplicates", {}).get("pairs", ()):
        if not isinstance(pair, Mapping):
            continue
        learned, own = known["train"].get(str(pair.get("learned_id"))), known[scored].get(str(pair.get("scored_id")))
        if learned is not None and own is not None:
            kind = str(pair.get("kind"))
            found.append((Place("train", learned), Place(scored, own), kind if kind in KINDS else "alike"))
    return sorted(found, key=lambda pair: _label(dataset, pair[0]) == _label(dataset, pair[1]))


KINDS = ("exact", "near", "mirrored-exact", "mirrored-near")


def _paired(dataset: Dataset, place: Place, image: str) -> PairedImage:
    own = visible(str(dataset.splits[place.split].ids[place.index]))
    return PairedImage(image, place.split, own, visible(_label(dataset, place)))


def _label(dataset: Dataset, place: Place) -> str:
    return dataset.class_names[dataset.splits[place.split].labels[place.index]]
