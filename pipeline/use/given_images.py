"""What callers have, as images: paths, pictures of Pillow's, or arrays; decoded a batch at a time, by stage one's decoder."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from bottleneck_features.errors import enumerated
from bottleneck_features.models.parallel import thread_count
from bottleneck_features.pipeline.datasets.dataset import SHA256_BYTES, content_hashes
from bottleneck_features.pipeline.datasets.listing import printable
from bottleneck_features.pipeline.datasets.pixels.decoding import MAX_PIXELS, load_bytes, load_image
from bottleneck_features.pipeline.datasets.pixels.file_bytes import read_file
from bottleneck_features.pipeline.datasets.pixels.pillow_settings import decoding_settings
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing, resized
from bottleneck_features.pipeline.datasets.pixels.unusable import RefusedBySetting, UnusableImage
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.extraction.read_ahead import read_ahead

SHOWN_PROBLEMS = 5
HASHED_AT_ONCE = 256  # images
AT_ONCE = 1024  # tasks that wait for a thread
T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """What a caller lets pass as images.

    Attributes:
        max_pixels: the largest width x height of files and PIL images.
        ranges: which numbers of more than 8 bits become black and white, by their kind (`NUMBER_KINDS`).
        remedies: what a caller gives to change `dataset.max_pixels` or `dataset.value_range`, by the setting; only what is
            possible.
    """

    max_pixels: int = MAX_PIXELS
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))
    remedies: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class GivenImages(ABC):
    """Images in the order in which they were given; see `image_arguments.given_images`.

    Attributes:
        size: `(height, width)` of all of them, where they are arrays; None where they are decoded to any size.
        notices: sentences a reader of anything made from them must know.
    """

    size: tuple[int, int] | None = None
    notices: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int:
        """Return how many there are."""

    @abstractmethod
    def images(self, places: np.ndarray, resizing: Resizing) -> np.ndarray:
        """Return the images at `(m,)` places as uint8 `(m, *resizing.size, 3)`.

        Raises:
            PipelineError: some of all the images cannot be decoded; says how many, and names the first ones with the reasons.
        """

    def contents(self, resizing: Resizing) -> np.ndarray:
        """Return the SHA-256 of what each image is made from, its file or its pixels as `images` gives them; `(n, 32)` uint8.

        Raises:
            PipelineError: see `images`.
        """
        return self.pixel_contents(resizing)

    def pixel_contents(self, resizing: Resizing) -> np.ndarray:
        """Return the `content_hashes` of the images as `images` gives them, `(n, 32)` uint8.

        Raises:
            PipelineError: see `images`.
        """
        return np.concatenate([content_hashes(batch) for batch in self.batches(resizing, HASHED_AT_ONCE)])

    def batches(self, resizing: Resizing, batch_size: int, places: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Yield the images batch by batch, uint8 `(m, *resizing.size, 3)`, while the next ones are read.

        Args:
            resizing: what every image becomes.
            batch_size: the most images of a batch.
            places: `(m,)`, which images; None: all of them.

        Raises:
            PipelineError: see `images`.
        """
        chosen = np.arange(len(self)) if places is None else places
        starts = range(0, len(chosen), batch_size)
        yield from read_ahead(self.images, ((chosen[start : start + batch_size], resizing) for start in starts))


class _Decoded(GivenImages):
    """Images that are decoded when they are asked for, in threads."""

    def __init__(self, given: Sequence[Any], reading: Reading) -> None:
        self._given, self._reading = given, reading

    def __len__(self) -> int:
        return len(self._given)

    def images(self, places: np.ndarray, resizing: Resizing) -> np.ndarray:
        """See `GivenImages`."""
        found = self._each(lambda place: self._decoded(place, resizing), places.tolist())
        if any(isinstance(one, str) for one in found.values()):
            raise self._refusal(self._each(lambda place: _reason(self._decoded, place, resizing), range(len(self))))
        return np.stack([found[place] for place in places.tolist()])

    def _each(self, work: Callable[[int], T], places: Sequence[int]) -> dict[int, T | str]:
        """Return what `work` makes of each place, or the reason why it cannot; a place that is named twice is worked on once."""

        def done(place: int) -> T | str:
            try:
                return work(place)
            except RefusedBySetting as refusal:
                remedy = self._reading.remedies.get(refusal.setting)
                return f"{refusal.reason}: give {remedy}" if remedy else refusal.reason
            except UnusableImage as reason:
                return str(reason)

        keys = [self._key(place) for place in places]
        distinct = dict(zip(keys, places, strict=True))
        waiting = iter(distinct.items())
        found: dict[Any, T | str] = {}
        with ThreadPoolExecutor(thread_count(), "decode") as pool, decoding_settings(self._reading.max_pixels):
            while part := dict(islice(waiting, AT_ONCE)):
                found |= dict(zip(part, pool.map(done, part.values()), strict=True))
        return {place: found[key] for place, key in zip(places, keys, strict=True)}

    def _key(self, place: int) -> Any:
        """Return what is the same for places that hold the same thing."""
        return place

    def _refusal(self, found: Mapping[int, Any]) -> PipelineError:
        problems = {place: reason for place, reason in found.items() if isinstance(reason, str) and reason}
        names = (f"{self._name(place)}: {reason}" for place, reason in problems.items())
        listed = enumerated(names, SHOWN_PROBLEMS, separator="\n  ")
        return PipelineError(
            f"{len(problems):,} of {len(self):,} images cannot be used, and none may be left out of what is returned:\n"
            f"  {listed}\nLeave them out of what is given."
        )

    @abstractmethod
    def _decoded(self, place: int, resizing: Resizing) -> np.ndarray: ...

    @abstractmethod
    def _name(self, place: int) -> str: ...


def _reason(decoded: Callable[[int, Resizing], np.ndarray], place: int, resizing: Resizing) -> str:
    decoded(place, resizing)
    return ""


class FileImages(_Decoded):
    """The images in some files.

    Args:
        paths: of the files.
        reading: what passes.
    """

    def __init__(self, paths: Sequence[Path], reading: Reading) -> None:
        super().__init__(paths, reading)
        self._contents: np.ndarray | None = None

    def contents(self, resizing: Resizing) -> np.ndarray:
        """Return the SHA-256 of the bytes of each file, `(n, 32)` uint8; from now on other bytes are refused.

        Raises:
            PipelineError: see `images`.
        """
        digests = self._each(lambda place: hashlib.sha256(read_file(self._given[place])).digest(), range(len(self)))
        if any(isinstance(one, str) for one in digests.values()):
            raise self._refusal(digests)
        joined = b"".join(one for one in digests.values() if isinstance(one, bytes))
        self._contents = np.frombuffer(joined, np.uint8).reshape(-1, SHA256_BYTES)
        return self._contents

    def _decoded(self, place: int, resizing: Resizing) -> np.ndarray:
        content = read_file(self._given[place])
        sha256 = "" if self._contents is None else self._contents[place].tobytes().hex()
        return load_bytes(content, resizing, sha256, self._reading.max_pixels)

    def _key(self, place: int) -> Any:
        return self._given[place]

    def _name(self, place: int) -> str:
        return f"'{printable(os.fspath(self._given[place]))}'"


class PillowImages(_Decoded):
    """Pictures that Pillow has opened or made; see `load_image`.

    Args:
        pictures: those.
        reading: what passes.
    """

    def _decoded(self, place: int, resizing: Resizing) -> np.ndarray:
        return load_image(self._given[place], resizing, self._reading.max_pixels)

    def _key(self, place: int) -> Any:
        return id(self._given[place])  # which two threads must not load at once

    def _name(self, place: int) -> str:
        picture: Image.Image = self._given[place]
        return f"number {place} ({picture.mode}, {picture.width}x{picture.height})"


class ArrayImages(GivenImages):
    """Images that are numbers already.

    Args:
        arrays: of one shape and type, `(height, width)` or with 1, 3 or 4 channels last.
        pixels: makes uint8 `(m, height, width, 3)` of `m` of them.
        notices: see `GivenImages`.
    """

    def __init__(
        self,
        arrays: np.ndarray | Sequence[np.ndarray],
        pixels: Callable[[np.ndarray], np.ndarray],
        notices: Sequence[str] = (),
    ) -> None:
        self._arrays, self._pixels, self.notices = arrays, pixels, tuple(notices)
        height, width = arrays[0].shape[:2]
        self.size = height, width

    def __len__(self) -> int:
        return len(self._arrays)

    def images(self, places: np.ndarray, resizing: Resizing) -> np.ndarray:
        """See `GivenImages`; those of another size are resized as files are."""
        if isinstance(self._arrays, np.ndarray):
            chosen = self._arrays[places]
        else:
            chosen = np.stack([self._arrays[place] for place in places.tolist()])
        pixels = self._pixels(chosen)
        return pixels if self.size == resizing.size else np.stack([resized(one, resizing) for one in pixels])
