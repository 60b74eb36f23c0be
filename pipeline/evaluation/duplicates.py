"""Duplicates across splits: images of the evaluation set that repeat, exactly or nearly, an image used for training.

Used for training are the training images and, if there is a test split, the validation images, which choose settings.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from bottleneck_features.features import Features
from bottleneck_features.features.storage import remove_stale
from bottleneck_features.foreign import read_json
from bottleneck_features.models.rows import mean_over_positions, unit_rows
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.details import Place, details, same_details
from bottleneck_features.pipeline.evaluation.likeness import (
    SMALLEST_SIDE,
    UNMISTAKABLE,
    flipped,
    near_duplicate_pairs,
    perceptual_hashes,
)
from bottleneck_features.pipeline.evaluation.scores import score
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset, digest
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.results import write_text
from bottleneck_features.pipeline.tables import percent_text

# Chosen by looking at CIFAR-10's pairs with a ResNet-50: docs/results.md says what each one keeps out.
SAME_CONTENT, PLAUSIBLE = 0.85, 0.80
RULE = "2"  # to be raised with any change of what counts as a duplicate


@dataclass(frozen=True)
class Duplicate:
    """An image of the evaluation set, with the image used for training that it repeats.

    Attributes:
        learned_id: of the image used for training.
        scored_id: of the image of the evaluation set.
        kind: `exact` (the same pixels), `near` (re-encoded or retouched), or either with `mirrored-` before it.
        similarity: of the pixels' low frequencies, −1..1; 1 for exact ones.
        feature_cosine: of the last layer's features, −1..1; None for exact ones.
    """

    learned_id: str
    scored_id: str
    kind: str
    similarity: float
    feature_cosine: float | None


@dataclass(frozen=True)
class Duplicates:
    """What was found.

    Attributes:
        pairs: at most one per scored image: its nearest.
        affected: `(n,)` bool, the scored images that have one.
        near_ones: how near-duplicates were looked for, or why not.
    """

    pairs: tuple[Duplicate, ...]
    affected: np.ndarray
    near_ones: str

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "images": int(self.affected.sum()),
            "of": len(self.affected),
            "near_ones": self.near_ones,
            "pairs": [asdict(pair) for pair in self.pairs],
        }

    def score_without(
        self, method: Method, labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray | None = None
    ) -> Method:
        """Score a method once more, on the images that are not affected; unchanged if no image, or every image, is.

        Args:
            method: scored already.
            labels: `(n,)` integers of the scored images.
            predicted: `(n,)` integers.
            groups: `(n,)` integers, of images that are not independent.
        """
        kept = ~self.affected
        if kept.all() or not kept.any():
            return method
        own = groups if groups is None else groups[kept]
        return method.with_score("without_duplicates", score(labels[kept], predicted[kept], own))

    def warnings(self, methods: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Return the warning about repeated images, with the accuracies without them; none if no image is affected.

        Args:
            methods: the `methods` of a result object.
        """
        if not self.affected.any():
            return ()
        without = ", ".join(
            f"{method['name']} {percent_text(method['without_duplicates']['accuracy'])}"
            for method in methods
            if method["without_duplicates"]
        )
        return (
            f"Leak: {self.affected.sum():,} of the {len(self.affected):,} images of the evaluation set repeat an image used for "
            f"training (ids: result.json, `duplicates`). Accuracy without them: {without or 'no image is left'}.",
        )


def known_duplicates(
    home: Path, dataset: Dataset, cache: Features | None, holdout: Holdout, scored: Subset
) -> Duplicates:
    """Return the remembered result of `find_duplicates` for the same cache and samples, or call it now.

    Args:
        home: the artifacts folder; `duplicates/` in it remembers.
        dataset: see `find_duplicates`.
        cache: see `find_duplicates`; without one nothing is remembered.
        holdout: see `find_duplicates`.
        scored: see `find_duplicates`.
    """
    if cache is None:
        return find_duplicates(dataset, cache, holdout, scored)
    samples = digest(holdout.train, holdout.validation, scored)
    name = hashlib.sha256(f"{RULE}\0{cache.key}\0{samples}".encode()).hexdigest()[:16]
    file = home / "duplicates" / f"{name}.json"
    try:
        known = read_json(file)
        pairs = TypeAdapter(tuple[Duplicate, ...]).validate_python(known["pairs"])
        affected = np.isin(dataset.splits[scored.split].ids[scored.indices], [pair.scored_id for pair in pairs])
        return Duplicates(pairs, affected, str(known["near_ones"]))
    except (OSError, ValueError, KeyError, TypeError):
        found = find_duplicates(dataset, cache, holdout, scored)
        remove_stale(file.parent)
        write_text(file, json.dumps(found.as_json()))
        return found


def find_duplicates(dataset: Dataset, cache: Features | None, holdout: Holdout, scored: Subset) -> Duplicates:
    """Find the images of the evaluation set that repeat an image used for training.

    Exact ones have the same SHA-256 of their pixels, as they are or mirrored. For near ones an image is described by its
    8×8 lowest DCT frequencies in each colour, without the mean, at unit length; mirroring only changes signs. A pair is
    near when pixels and features agree: similarity s ≥ 0.985 and feature cosine ≥ 0.80, or s ≥ 0.90, much above the
    tenth nearest image's (1 − s ≤ 0.4 (1 − s₁₀)), and cosine ≥ 0.85; or, where features do not agree, when the details do
    (`same_details`). Low frequencies alone are not enough: different seas under a horizon have similar ones. Shifted, cropped or
    rotated copies are not found.
    Images under 16 pixels per side are not compared: different ones are too similar. Memory is bounded for any number of
    images.

    Idea of the description: C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.
    How common they are: B. Barz and J. Denzler, Do We Train on Test Data?, 2020.

    Args:
        dataset: the open data set.
        cache: its complete cache; without one only exact duplicates are found.
        holdout: the samples trained and validated on.
        scored: from `scored_subset`, the samples of the evaluation set.

    Returns:
        The `Duplicates`.
    """
    used = (holdout.train, holdout.validation) if scored.split == "test" else (holdout.train,)
    theirs = [Place(part.split, int(index)) for part in used for index in part.indices]
    ids = dataset.splits[scored.split].ids[scored.indices]
    described = np.concatenate([perceptual_hashes(dataset, part) for part in used])
    own = perceptual_hashes(dataset, scored)
    found = _exact_matches(described["digest"], own)
    near_ones = "low DCT frequencies, and feature cosine or details"
    if min(dataset.image_shape[:2]) < SMALLEST_SIDE:
        near_ones = f"not looked for: images under {SMALLEST_SIDE} pixels per side are too alike"
    elif cache is None:
        near_ones = "not looked for: there is no feature cache"
    else:
        near = _near_matches(dataset, described["frequencies"], own["frequencies"], theirs, scored, cache)
        found = {**near, **found}
    pairs = tuple(
        Duplicate(
            str(dataset.splits[theirs[other].split].ids[theirs[other].index]), str(ids[row]), kind, similarity, cosine
        )
        for row, (other, kind, similarity, cosine) in sorted(found.items())
    )
    affected = np.zeros(len(ids), bool)
    affected[list(found)] = True
    return Duplicates(pairs, affected, near_ones)


Match = tuple[int, str, float, float | None]


def _exact_matches(digests: np.ndarray, own: np.ndarray) -> dict[int, Match]:
    places = {own_digest: place for place, own_digest in reversed(list(enumerate(digests.tolist())))}
    found: dict[int, Match] = {}
    for row, (plain, mirrored) in enumerate(zip(own["digest"].tolist(), own["mirrored"].tolist(), strict=True)):
        if plain in places:
            found[row] = (places[plain], "exact", 1.0, None)
        elif mirrored in places:
            found[row] = (places[mirrored], "mirrored-exact", 1.0, None)
    return found


def _near_matches(
    dataset: Dataset, frequencies: np.ndarray, own: np.ndarray, theirs: list[Place], scored: Subset, cache: Features
) -> dict[int, Match]:
    candidates = frequencies.reshape(len(frequencies), -1)
    found: dict[int, Match] = {}
    unlike: list[tuple[int, Match]] = []  # by their features, which a strong JPEG compression changes
    for kind, queries in (("near", own), ("mirrored-near", flipped(own))):
        for row, other, similarity in near_duplicate_pairs(candidates, queries.reshape(len(own), -1)):
            cosine = _feature_cosine(cache, theirs[other], _place(scored, row))
            match: Match = (other, kind, similarity, cosine)
            if cosine >= (PLAUSIBLE if similarity >= UNMISTAKABLE else SAME_CONTENT):
                _keep_nearest(found, row, match)
            else:
                unlike.append((row, match))
    pairs = [(theirs[other], _place(scored, row), kind != "near") for row, (other, kind, _, _) in unlike]
    for (row, match), detail in zip(unlike, details(dataset, pairs), strict=True):
        if same_details(match[2], detail):
            _keep_nearest(found, row, match)
    return found


def _keep_nearest(found: dict[int, Match], row: int, match: Match) -> None:
    if row not in found or match[2] > found[row][2]:
        found[row] = match


def _place(part: Subset, row: int) -> Place:
    return Place(part.split, int(part.indices[row]))


def _feature_cosine(cache: Features, used: Place, scored: Place) -> float:
    """Return the largest cosine between any two views; spatial maps are averaged over their positions first."""
    views = len(cache.identity["input.views"])
    first, second = (
        unit_rows(mean_over_positions(cache[place.split].x[[place.index]], views)) for place in (used, scored)
    )
    return float((first @ second.T).max())
