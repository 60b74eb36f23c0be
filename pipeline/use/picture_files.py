"""Image files that a user names, found and decoded a batch at a time, by stage one's own decoder."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bottleneck_features.pipeline.datasets.layout.walking import Walk, walk
from bottleneck_features.pipeline.datasets.listing import printable
from bottleneck_features.pipeline.datasets.pixels.decoding import UnusableImage, decoding_threads, load
from bottleneck_features.pipeline.datasets.pixels.pillow_settings import decoding_settings
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing
from bottleneck_features.pipeline.errors import RequestError

PictureFiles = Sequence[tuple[Path, str]]  # each with why it cannot be used; empty: not known yet


@dataclass(frozen=True)
class PictureBatch:
    """Some files, one after the other.

    Attributes:
        files: their names, as they can be printed.
        problems: of each why it cannot be used; empty where it can.
        images: `(n, height, width, 3)` uint8 of those that can.
    """

    files: Sequence[str]
    problems: Sequence[str]
    images: np.ndarray


def listed(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield every file with the reason why it cannot be used (empty: not known yet); a folder's files are sorted by name.

    A path that is not there, or a folder without a file, is one of those that cannot be used, as long as another path can be.

    Raises:
        RequestError: nothing is there.
    """
    found = {path: _looked_into(path) for path in dict.fromkeys(paths)}
    problems = {path: own for path, own in found.items() if isinstance(own, str) and own}
    if len(problems) == len(found):
        path, problem = next(iter(problems.items()))
        raise RequestError(f"'{printable(str(path))}': {problem}. Name images, or folders of images.")
    for path in paths:
        own = found[path]
        if isinstance(own, str):
            yield path, own
            continue
        yield from ((path / file, "") for file in sorted((*own.files, *own.beside)))
        yield from ((path / problem.path, problem.reason) for problem in (*own.unlisted, *own.passed_over))


def _looked_into(path: Path) -> Walk | str:
    """Return what is below a folder, or why there is nothing to be read at a path; of any other file an empty text."""
    if not os.path.lexists(path):
        return "there is no such file or folder"
    if not path.is_dir():
        return ""
    try:
        found = walk(path)
    except OSError as error:
        return f"a folder that cannot be listed ({error.strerror})"
    return found if found.files or found.beside or found.unlisted else "a folder without a file"


def decoded(files: PictureFiles, resizing: Resizing, max_pixels: int, batch_size: int) -> Iterator[PictureBatch]:
    """Decode files in order.

    Args:
        files: from `listed`.
        resizing: what every image becomes.
        max_pixels: the largest width x height.
        batch_size: files per batch.
    """

    def read(file: tuple[Path, str]) -> np.ndarray | str:
        path, problem = file
        try:
            return problem or load(path, resizing, max_pixels=max_pixels)
        except UnusableImage as reason:
            return str(reason)

    with ThreadPoolExecutor(decoding_threads(), "decode") as pool, decoding_settings(max_pixels):
        for start in range(0, len(files), batch_size):
            part = files[start : start + batch_size]
            found = list(pool.map(read, part))
            good = [one for one in found if isinstance(one, np.ndarray)]
            images = np.stack(good) if good else np.empty((0, *resizing.size, 3), np.uint8)
            problems = ["" if isinstance(one, np.ndarray) else one for one in found]
            yield PictureBatch([printable(str(path)) for path, _ in part], problems, images)
