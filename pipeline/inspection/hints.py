"""Properties of an image that do not depend on what it shows: its file, its name, its place in a table."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.dataset import ImageOrigin
from bottleneck_features.pipeline.datasets.pixels.decoding import MAX_PIXELS, decoding_threads, opened

WORDS = 50  # the most frequent ones in file names
WORD = r"[^\W\d_]+"


@dataclass(frozen=True)
class Hint:
    """One property of every image.

    Attributes:
        name: as a warning names it.
        values: `(n, d)` float64.
        of_content: whether it also depends on what the picture shows, so that it is weak evidence.
    """

    name: str
    values: np.ndarray
    of_content: bool = False


def hints(dataset: Dataset, colour: np.ndarray) -> tuple[Hint, ...]:
    """Return the properties of every image of every split, in the data set's order.

    Of a file's path only the part below its class folder is used, without the class names in it: they are the label. The
    row is used for tables only, because a folder is sorted by class.

    Args:
        dataset: the open data set.
        colour: `(n, 3)`, the mean colour of each image.

    Returns:
        The hints that differ between images.
    """
    found = [Hint("mean colour", colour.astype(float), of_content=True)]
    origins = list(dataset.origins())
    if origins:
        found = [*_of_files(origins), *_of_names(origins, dataset.class_names), *found]
    return tuple(hint for hint in found if hint.values.size and np.ptp(hint.values, axis=0).any())


def _of_files(origins: Sequence[ImageOrigin]) -> list[Hint]:
    size = np.array([(origin.header.width, origin.header.height) for origin in origins], float)
    kinds = [f"{origin.header.format} {origin.header.mode}" for origin in origins]
    with ThreadPoolExecutor(decoding_threads(), "tables") as pool:
        tables = np.array(list(pool.map(_jpeg_tables, origins)))
    return [
        Hint("image size (width, height)", size),
        Hint("aspect ratio", size[:, :1] / size[:, 1:]),
        Hint("file size in bytes", np.array([[origin.size] for origin in origins], float), of_content=True),
        Hint("file format and mode", (np.array(kinds)[:, None] == np.unique(kinds)).astype(float)),
        Hint("JPEG quantisation tables", tables),
    ]


def _jpeg_tables(origin: ImageOrigin) -> tuple[float, float, float]:
    """Return the number of a JPEG's quantisation tables and the means of the first two; zeros where there are none."""
    if origin.header.format != "JPEG":
        return 0.0, 0.0, 0.0
    with opened(origin.read(), max(MAX_PIXELS, origin.header.width * origin.header.height)) as image:
        found = [float(np.mean(table)) for _, table in sorted(getattr(image, "quantization", {}).items())]
    first, second = [*found, 0.0, 0.0][:2]
    return float(len(found)), first, second


def _of_names(origins: Sequence[ImageOrigin], class_names: Sequence[str]) -> list[Hint]:
    names = [_without_classes(origin.path_in_class, class_names) for origin in origins]
    numbers = [[int(digits[:15]) for digits in re.findall(r"\d+", name)] for name in names]
    found = [Hint("number in the file name", np.array([(n[0], n[-1]) if n else (-1, -1) for n in numbers], float))]
    if any(re.search(WORD, name) for name in names):
        counts = CountVectorizer(max_features=WORDS, binary=True, token_pattern=WORD).fit_transform(names)
        found.append(Hint("words in the file name", counts.toarray().astype(float)))
    if any(origin.row for origin in origins):
        found.append(Hint("row of the table", np.array([[origin.row] for origin in origins], float)))
    return found


def _without_classes(below: str, class_names: Sequence[str]) -> str:
    name = str(Path(below).with_suffix(""))
    words = [re.escape(word) for word in sorted(class_names, key=len, reverse=True) if not word.isdecimal()]
    return re.sub("|".join(words), " ", name, flags=re.IGNORECASE) if words else name
