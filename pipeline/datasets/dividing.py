"""Images divided into splits: as the data say, and where they bring no test split, one that is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bottleneck_features.features import Places
from bottleneck_features.pipeline.dataset_settings import DEFAULT_TEST_FRACTION, DatasetSettings
from bottleneck_features.pipeline.datasets.classes import require_two
from bottleneck_features.pipeline.datasets.dataset import Dataset, RearrangedDataset
from bottleneck_features.pipeline.datasets.drawn_test import draw_test
from bottleneck_features.pipeline.datasets.splitting import straddling
from bottleneck_features.pipeline.errors import RequestError

SPLIT_NAMES = ("", "train", "validation", "test")
FEWEST_DRAWN = 100  # test images, below which none are drawn unless they are asked for


@dataclass(frozen=True)
class Divisible:
    """What a division depends on, of `n` images.

    Attributes:
        splits: `(n,)` integers, indices into `SPLIT_NAMES`; 0 where the data do not say.
        labels: `(n,)` integers, indices into `names`.
        names: of the classes.
        contents: `(n, 32)` uint8, the SHA-256 of each image's content.
        groups: `(n,)` text, or `(0,)` where there are none.
    """

    splits: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    contents: np.ndarray
    groups: np.ndarray


class DrawnTest(NamedTuple):
    """How a test split was drawn.

    Attributes:
        fraction: the share of images that is drawn.
        positions: `(n,)` of the training and then of the test images, where they were before.
    """

    fraction: float
    positions: np.ndarray


@dataclass(frozen=True)
class Division:
    """The images of each split.

    Attributes:
        parts: `(m,)` positions by split.
        drawn: how the test split was drawn; None where it was not.
        notices: where few images are why none was.
    """

    parts: Mapping[str, np.ndarray]
    drawn: DrawnTest | None = None
    notices: tuple[str, ...] = ()


def divided(images: Divisible, settings: DatasetSettings) -> Division:
    """Divide images into splits.

    Raises:
        RequestError: nothing can be learnt from the training images, a test split is asked for beside one that the data
            bring, or no test split has images of every class.
    """
    codes = np.maximum(images.splits, SPLIT_NAMES.index("train"))  # what the data do not say of is for training
    given = {name: np.flatnonzero(codes == code) for code, name in enumerate(SPLIT_NAMES) if (codes == code).any()}
    whole = given.get("train", np.empty(0, int))
    require_two([images.names[label] for label in np.unique(images.labels[whole])], settings)
    fraction = settings.test_fraction
    if not (settings.learned or fraction):
        return Division(given)
    notices: tuple[str, ...] = ()
    if fraction and "test" in given:
        raise RequestError(
            f"dataset.test_fraction={fraction}: the data bring a test split of {len(given['test']):,} images, so none is drawn. "
            "Leave the setting out, or take the test split away."
        )
    if fraction is None:
        fraction = 0.0 if "test" in given or "validation" in given else DEFAULT_TEST_FRACTION
        if fraction and fraction * len(codes) < FEWEST_DRAWN:
            fraction, notices = 0.0, (_too_few_to_test(len(codes)),)
    if not fraction:
        return Division(given, notices=notices)
    groups = images.groups[whole] if len(images.groups) else images.groups
    train, test = draw_test(
        images.labels[whole], images.names, images.contents[whole], groups, fraction, settings.split_seed
    )
    parts = {**given, "train": whole[train], "test": whole[test]}
    return Division(parts, DrawnTest(fraction, np.concatenate([train, test])))


def redrawn(
    dataset: Dataset, labels: Mapping[str, np.ndarray], names: tuple[str, ...], drawn: DrawnTest, seed: int
) -> RearrangedDataset:
    """Return a data set with another drawn test split of the same images.

    Args:
        dataset: whose test split was drawn.
        labels: `(n,)` integers of its splits, as they were when it was drawn.
        names: of the classes then.
        drawn: how.
        seed: `dataset.split_seed`.

    Raises:
        RequestError: this draw has no test split with images of every class; see `draw_test`.
    """
    parts, order = ("train", "test"), np.argsort(drawn.positions)
    counts = [len(dataset.splits[part]) for part in parts]
    pool = Places(parts, np.repeat([0, 1], counts), np.concatenate([*map(np.arange, counts)])).take(order)
    contents = np.concatenate([dataset.contents(part, np.arange(len(dataset.splits[part]))) for part in parts])[order]
    groups = (
        np.concatenate([dataset.groups[part] for part in parts])[order] if len(dataset.groups) else np.empty(0, str)
    )
    own = np.concatenate([labels[part] for part in parts])[order]
    chosen = draw_test(own, names, contents, groups, drawn.fraction, seed)
    return RearrangedDataset(dataset, {part: pool.take(rows) for part, rows in zip(parts, chosen, strict=True)})


def straddling_notice(groups: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Return what a reader must know of groups that are in several splits, `(n,)` groups being given for each."""
    across = straddling(groups)
    if not across:
        return ()
    return (
        f"Data: {across:,} groups have images in more than one split of the data as given. Put all images of a group into "
        "one split; without splits of their own (one folder a class, no split column) dataset.group keeps groups whole.",
    )


def _too_few_to_test(images: int) -> str:
    return (
        f"Data: no test images are held back of {images:,} images, for {100 * DEFAULT_TEST_FRACTION:.0f} % of them are fewer "
        f"than {FEWEST_DRAWN}. `probe`, `compare` and `advise` cross-validate; other commands show figures of validation images. "
        f"--set dataset.test_fraction={DEFAULT_TEST_FRACTION} holds test images back all the same."
    )
