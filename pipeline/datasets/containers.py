"""Files that hold many images, on a disk or behind a URL: finding them, and reading pieces of them."""

import os
import posixpath
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features import features
from bottleneck_features.errors import first_line
from bottleneck_features.pipeline.datasets.layout.convention import SPLIT_SYNONYMS
from bottleneck_features.pipeline.datasets.layout.walking import walk
from bottleneck_features.pipeline.datasets.paths import in_full, local_path
from bottleneck_features.pipeline.datasets.pixels.decoding import UnusableImage, decoding_threads
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.errors import PipelineError, RequestError

FAR_THREADS = 16  # a store answers many requests at once, each after some milliseconds
PATTERN = re.compile(r"[*?{\[]")
BRACES = re.compile(r"\{([^{}]*)\}")
NUMBERS = re.compile(r"(\d+)\.\.(\d+)")
COMPRESSED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst")
VERSION_KEYS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created")


@dataclass(frozen=True)
class Container:
    """A file of many images.

    Attributes:
        url: its path or URL.
        name: below the folder that was asked for, with `/`; ids and splits may follow from it.
        size: in bytes.
        version: differs when its content does: the time of change, or the store's mark of it.
        store: fsspec's file system; None on a disk.
    """

    url: str
    name: str
    size: int
    version: str
    store: Any = field(default=None, compare=False, repr=False)

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer where the file ends; from several threads at once.

        Raises:
            UnusableImage: it cannot be read.
        """
        try:
            if self.store is not None:
                return self.store.cat_file(self.url, start=offset, end=offset + size) if size else b""
            descriptor = os.open(self.url, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)
        except Exception as error:  # each store has errors of its own
            raise UnusableImage(f"it cannot be read ({first_line(error, 200)})") from error

    @contextmanager
    def nearby(self) -> Iterator["Container"]:
        """Give this file on a disk: itself, or a temporary copy of what lies in a store."""
        if self.store is None:
            yield self
            return
        with tempfile.TemporaryDirectory(prefix="bottleneck-") as folder:
            copy = Path(folder) / "container"
            try:
                self.store.get_file(self.url, str(copy))
            except Exception as error:
                raise features.store_error(error, self.url) from error
            yield Container(str(copy), self.name, copy.stat().st_size, self.version)


def find_containers(path: str, ending: str) -> tuple[Container, ...]:
    """Find files of many images.

    Args:
        path: a file, a folder, or a pattern with `*`, `?` and `{000..015}`; or the URL of one.
        ending: of the files in a folder, such as `.tar`.

    Returns:
        The files, sorted by name.

    Raises:
        RequestError: there is none, or it is compressed.
        features.StoreError: the URL cannot be opened.
    """
    if not path:
        raise RequestError(
            f"dataset.path is missing: give a {ending} file, a folder of them or a pattern by --set dataset.path=/where/it/is. "
            "A URL such as s3://bucket/folder will do."
        )
    found = _behind(path, ending) if features.is_url(path) else _on_disk(path, ending)
    squeezed = [container.name for container in found if container.name.endswith(COMPRESSED)]
    if squeezed:
        raise RequestError(
            f"'{squeezed[0]}' is compressed, so that no image in it can be read alone. Unpack it to a {ending} first "
            "(images are compressed already)."
        )
    if not found:
        raise RequestError(
            f"There is no {ending} file at '{path}'. Give a {ending} file, a folder of them, or a pattern."
        )
    return tuple(sorted(found, key=lambda container: container.name))


def reading_threads(containers: Sequence[Container]) -> int:
    """Return how many images to read and decode at the same time."""
    far = any(container.store is not None for container in containers)
    return max(FAR_THREADS, decoding_threads()) if far else decoding_threads()


def named_splits(containers: Sequence[Container]) -> tuple[str, ...]:
    """Return the split that the name of each container says (`train-0003.tar`, `val/07.tar`); all empty where none says train.

    Raises:
        RequestError: a name says two splits, or some say one and others none.
    """
    said = [
        sorted(
            {SPLIT_SYNONYMS[word] for word in re.split(r"[^a-z]+", container.name.lower()) if word in SPLIT_SYNONYMS}
        )
        for container in containers
    ]
    torn = [container.name for container, splits in zip(containers, said, strict=True) if len(splits) > 1]
    if torn:
        raise RequestError(f"The name '{torn[0]}' says more than one split. Rename it, such as train-0000 or val-0000.")
    found = tuple(splits[0] if splits else "" for splits in said)
    if "train" not in found:
        return ("",) * len(containers)
    silent = [container.name for container, split in zip(containers, found, strict=True) if not split]
    if silent:
        raise RequestError(
            f"The names of some files say their split (train, val, test) and others do not, such as '{silent[0]}'. "
            "Name a split in all, or in none, or give fewer files as dataset.path."
        )
    return found


def _on_disk(path: str, ending: str) -> list[Container]:
    whole = local_path(path)
    if not PATTERN.search(path) or whole.exists():
        if not whole.exists():
            raise RequestError(
                f"There is no file or folder {in_full(whole)}. Give a {ending} file, a folder of them, or a pattern."
            )
        files = _inside(whole, ending) if whole.is_dir() else [whole]
        root = whole if whole.is_dir() else whole.parent
    else:
        expanded = _expanded(str(whole))
        missing = [one for one in expanded if not PATTERN.search(one) and not Path(one).is_file()]
        if missing:
            raise RequestError(f"There is no file '{missing[0]}', which dataset.path={path} names.")
        files = [file for one in expanded for file in _matching(Path(one)) if file.is_file()]
        root = Path(os.path.commonpath([file.parent for file in files])) if files else whole
    return [_local(file.resolve(), file.relative_to(root).as_posix()) for file in dict.fromkeys(files)]


def _inside(folder: Path, ending: str) -> list[Path]:
    try:
        files = walk(folder).files
    except OSError as error:
        raise RequestError(f"'{folder}' cannot be listed ({error.strerror}).") from error
    return [file for file in sorted(folder / name for name in files) if _fits(file.name, ending) and file.is_file()]


def _fits(name: str, ending: str) -> bool:
    return name.lower().endswith((ending, *(ending + squeezed for squeezed in COMPRESSED), ".tgz"))


def _matching(pattern: Path) -> list[Path]:
    start = Path(pattern.anchor) if pattern.anchor else Path()
    return sorted(start.glob(str(pattern.relative_to(pattern.anchor))))


def _local(file: Path, name: str) -> Container:
    status = file.stat()
    return Container(str(file), name, status.st_size, f"{status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}")


def _behind(url: str, ending: str) -> list[Container]:
    store, path = features.filesystem(url)
    try:
        if PATTERN.search(path):
            infos = {name: info for one in _expanded(path) for name, info in _named(store, one).items()}
        else:
            infos = store.find(path, detail=True)
    except RequestError:
        raise
    except FileNotFoundError:
        return []
    except Exception as error:
        raise features.store_error(error, url) from error
    files = {name: info for name, info in infos.items() if info["type"] == "file"}
    if not PATTERN.search(path) and path.rstrip("/") not in files:
        files = {name: info for name, info in files.items() if _fits(name, ending)}
    root = posixpath.commonpath([posixpath.dirname(name) for name in files]) if files else ""
    return [
        Container(name, name.removeprefix(root).lstrip("/"), int(info["size"]), _version(info), store)
        for name, info in files.items()
    ]


def _named(store: Any, pattern: str) -> dict[str, dict[str, Any]]:
    if PATTERN.search(pattern):
        found: dict[str, dict[str, Any]] = store.glob(pattern, detail=True)
        return found
    try:
        return {pattern: store.info(pattern)}
    except FileNotFoundError as error:
        raise RequestError(f"There is no file '{pattern}' in the store, which dataset.path names.") from error


def _version(info: dict[str, Any]) -> str:
    return " ".join(str(info[key]) for key in VERSION_KEYS if key in info)


def _expanded(pattern: str) -> list[str]:
    """Return a pattern for each way to fill its braces: `{000..015}` counts, `{a,b}` lists."""
    match = BRACES.search(pattern)
    if not match:
        return [pattern]
    numbers = NUMBERS.fullmatch(match[1])
    if numbers:
        first, last = int(numbers[1]), int(numbers[2])
        values = [f"{number:0{len(numbers[1])}d}" for number in range(first, last + 1)]
    else:
        values = match[1].split(",")
    head, tail = pattern[: match.start()], pattern[match.end() :]
    return [whole for value in values for whole in _expanded(head + value + tail)]


def not_readable(container: Container, error: Exception, kind: str) -> PipelineError:
    """Return the error for a container that is not what its name says."""
    return PipelineError(
        f"'{container.name}' cannot be read as {kind}: {first_line(error, 200)}. Mend it or take it away: what "
        "is missing with it is not known."
    )


def unique_ids(
    ids: np.ndarray, owners: np.ndarray, containers: Sequence[Container]
) -> tuple[np.ndarray, dict[int, str]]:
    """Return ids of which none occurs twice, and, by position, what cannot have one.

    Where two containers repeat a name, every id is preceded by its container's.

    Args:
        ids: `(n,)` text, the names of the images.
        owners: `(n,)`, the number of the container each is in.
        containers: all of them.
    """
    names, first = np.unique(ids, return_index=True)  # which sorts stably, see `factorized`
    if len(containers) > 1 and len(names) < len(ids):
        ids = text_array(f"{containers[owner].name}/{name}" for owner, name in zip(owners, ids, strict=True))
        names, first = np.unique(ids, return_index=True)
    if len(names) == len(ids):
        return ids, {}
    repeated = np.setdiff1d(np.arange(len(ids)), first).tolist()
    return ids, dict.fromkeys(repeated, "its id is that of an earlier image")
