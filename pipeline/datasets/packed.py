"""One look at every image of a file that holds many: where it is, its SHA-256, and whether it decodes.

What was found is remembered in the artifacts folder by the file's name, size and time of change.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import PIL

from bottleneck_features.pipeline.datasets.columns import TEXT, blank, text
from bottleneck_features.pipeline.datasets.containers import Container
from bottleneck_features.pipeline.datasets.decoding import MAX_BYTES, UnusableImage, check, decoding_threads
from bottleneck_features.pipeline.datasets.scan import FOLDER
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.results import write_bytes

VERSION = 1
AT_A_TIME = 64  # images whose bytes are held
NUMBERS = np.dtype(
    [("offset", "<i8"), ("size", "<u4"), ("sha256", "u1", 32), ("width", "<u4"), ("height", "<u4"), ("sample", "<i8")]
)


@dataclass(frozen=True, slots=True)
class Raw:
    """One image of a container before it is looked at.

    Attributes:
        id: its name.
        offset: where it is, in whatever the source counts by.
        read: returns its bytes, or raises `UnusableImage`.
        said: what the container says of it (its label, split and so on), by name.
        sample: the number of the sample it belongs to, where a sample may have several images.
    """

    id: str
    offset: int
    read: Callable[[], bytes]
    said: Mapping[str, str]
    sample: int = 0


@dataclass(frozen=True)
class Table:
    """The images of one container, in its order.

    Attributes:
        ids: `(n,)` text.
        numbers: `(n,)` `NUMBERS`.
        kinds: `(n,)` bytes, Pillow's format and mode, such as `JPEG RGB`.
        said: `(n,)` text by name, what the container says of each.
        problems: why images cannot be used, by position.
    """

    ids: np.ndarray
    numbers: np.ndarray
    kinds: np.ndarray
    said: Mapping[str, np.ndarray]
    problems: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.ids)


def scan_containers(
    containers: Sequence[Container],
    images: Callable[[Container], Iterator[Raw]],
    said: Sequence[str],
    recipe: str,
    home: Path,
    max_pixels: int,
) -> Iterator[Table]:
    """Look at every image of every container, each read and decoded once.

    Args:
        containers: the files.
        images: gives the images of one that is on a disk, in order.
        said: the names of what `images` tells of each.
        recipe: names `images` and all settings that change what it gives.
        home: the artifacts folder; `scans` in it remembers. `forget_scans` makes every file be read again.
        max_pixels: the largest width x height of an image.

    Returns:
        A `Table` for each container, in order.
    """
    total = sum(container.size for container in containers)
    bar = progress(total=total, unit="B", unit_scale=True, desc="scan", disable=total < 1 << 28)
    with ThreadPoolExecutor(decoding_threads(), "scan") as pool, bar:
        for container in containers:
            state = f"{container.url}\0{container.size}\0{container.version}\0{recipe}\0{max_pixels}"
            state += f"\0{PIL.__version__}\0{VERSION}"
            memory = home / FOLDER / f"{hashlib.sha256(os.fsencode(state)).hexdigest()[:32]}.npz"
            table = _recall(memory, said)
            if table is None:
                with container.nearby() as near:
                    table = _looked_at(images(near), said, pool, max_pixels)
                _remember(memory, table)
            bar.update(container.size)
            yield table


def _looked_at(images: Iterable[Raw], said: Sequence[str], pool: ThreadPoolExecutor, max_pixels: int) -> Table:
    blocks, problems, count = [_block([], said)], {}, 0
    iterator = iter(images)
    while raws := list(islice(iterator, AT_A_TIME)):
        found = list(pool.map(lambda raw: _look(raw, max_pixels), raws))
        problems.update({count + i: problem for i, (_, _, problem) in enumerate(found) if problem})
        blocks.append(_block(list(zip(raws, found, strict=True)), said))
        count += len(raws)
    ids, numbers, kinds, *texts = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return Table(ids, numbers, kinds, dict(zip(said, map(_if_any, texts), strict=True)), problems)


def _if_any(texts: np.ndarray) -> np.ndarray:
    return texts if (texts != "").any() else blank(len(texts))


def _look(raw: Raw, max_pixels: int) -> tuple[tuple[int, bytes, int, int], str, str]:
    """The size, SHA-256, width and height of an image, its kind, and why it cannot be used."""
    try:
        content = raw.read()
    except UnusableImage as problem:
        return (0, bytes(32), 0, 0), "", str(problem)
    if not content or len(content) > MAX_BYTES:
        wrong = f"a file of {len(content):,} bytes; the limit is {MAX_BYTES:,}" if content else "an empty file"
        return (0, bytes(32), 0, 0), "", wrong
    known = (len(content), hashlib.sha256(content).digest())
    try:
        header = check(content, max_pixels)
    except UnusableImage as problem:
        return (*known, 0, 0), "", str(problem)
    return (*known, header.width, header.height), f"{header.format} {header.mode}", ""


def _block(
    found: list[tuple[Raw, tuple[tuple[int, bytes, int, int], str, str]]], said: Sequence[str]
) -> list[np.ndarray]:
    numbers = np.zeros(len(found), NUMBERS)
    for row, (raw, ((size, sha256, width, height), _, _)) in zip(numbers, found, strict=True):
        row["offset"], row["sample"] = raw.offset, raw.sample
        row["size"], row["width"], row["height"] = size, width, height
        row["sha256"] = np.frombuffer(sha256, np.uint8)
    kinds = np.array([kind.encode() for _, (_, kind, _) in found], np.bytes_)
    return [
        text(raw.id for raw, _ in found),
        numbers,
        kinds,
        *(text(raw.said[name] for raw, _ in found) for name in said),
    ]


def _recall(memory: Path, said: Sequence[str]) -> Table | None:
    try:
        with np.load(memory) as kept:
            reasons = kept["reasons"].astype(TEXT).tolist()
            return Table(
                kept["ids"].astype(TEXT),
                kept["numbers"],
                kept["kinds"],
                {name: _if_any(kept[f"said {name}"].astype(TEXT)) for name in said},
                dict(zip(kept["unusable"].tolist(), reasons, strict=True)),
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _remember(memory: Path, table: Table) -> None:
    arrays = {
        "ids": _encoded(table.ids),
        "numbers": table.numbers,
        "kinds": table.kinds,
        "unusable": np.array(list(table.problems), np.int64),
        "reasons": _encoded(text(table.problems.values())),
        **{f"said {name}": _encoded(values) for name, values in table.said.items()},
    }
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    write_bytes(memory, stream.getvalue())


def _encoded(values: np.ndarray) -> np.ndarray:
    """Texts as UTF-8 of fixed width, which NumPy's files can hold."""
    encoded: np.ndarray = np.strings.encode(values, "utf-8") if len(values) else np.empty(0, "S1")
    return encoded
