"""The journal: what each process has finished since the manifest was written, in a file that nobody else writes to."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from bottleneck_features.features.entries import HASH_BYTES, FileEntry, FinishedShards
from bottleneck_features.features.identity import canonical_json
from bottleneck_features.features.schema import MOST_BYTES, JournalHeader
from bottleneck_features.features.storage import make_folder, sync_folder, write_error
from bottleneck_features.foreign import parsed_json

JOURNAL = ".journal"
SUFFIX = ".records"
RECORD = np.dtype([("index", "<u8"), ("bytes", "<u8"), ("sha256", "u1", HASH_BYTES), ("check", "<u4")])
ATTEMPTS = 5  # at a new file in a folder that others remove when it is empty
_CHECKED = RECORD.itemsize - 4


@dataclass(frozen=True)
class Records:
    """One journal file: finished shards of one split that share their layout.

    Attributes:
        plan_digest: SHA-256 of the plan they belong to.
        split: name of the split.
        offsets: where in each shard's file each contiguous dataset begins.
        rows: `RECORD`s, (shards,).
    """

    plan_digest: str
    split: str
    offsets: Mapping[str, int]
    rows: np.ndarray

    def finished(self, count: int) -> FinishedShards:
        """Return those of the first `count` shards of the split."""
        rows = self.rows[(self.rows["index"] < count) & (self.rows["bytes"] <= MOST_BYTES)]
        return FinishedShards(
            rows["index"].astype(np.int64), rows["bytes"].astype(np.int64), rows["sha256"], self.offsets
        )


class Journal:
    """What this process finishes; a context manager that closes its files.

    Args:
        folder: the cache's folder.
        plan_digest: of its manifest.
    """

    def __init__(self, folder: Path, plan_digest: str) -> None:
        self._folder = folder / JOURNAL
        self._plan_digest = plan_digest
        self._files: dict[str, tuple[Path, BinaryIO]] = {}
        self._entered: list[tuple[str, int, FileEntry]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def _close(self) -> None:
        for _, file in self._files.values():
            file.close()
        self._files.clear()

    def enter(self, split: str, index: int, entry: FileEntry) -> None:
        """Append one finished shard; it is on disk when this returns.

        Raises:
            DiskFull, CacheError: if it cannot be written; the shard then counts as unfinished.
        """
        self._entered.append((split, index, entry))
        self.restore()
        self._append(split, index, entry)

    def restore(self) -> None:
        """Enter all again if somebody removed a file of this process, as can happen where locks do not work."""
        if all(_is_there(path, file) for path, file in self._files.values()):
            return
        self._close()
        for entered in self._entered:
            self._append(*entered)

    def _append(self, split: str, index: int, entry: FileEntry) -> None:
        header = canonical_json({"plan": self._plan_digest, "split": split, "offsets": dict(entry.offsets)})
        row = np.zeros((), RECORD)
        row["index"], row["bytes"] = index, entry.bytes
        row["sha256"] = np.frombuffer(bytes.fromhex(entry.sha256), np.uint8)
        row["check"] = zlib.crc32(row.tobytes()[:_CHECKED])
        try:
            if header not in self._files:
                self._files[header] = self._begin(header)
            _, file = self._files[header]
            _write(file, row.tobytes())
        except OSError as error:
            if (
                header in self._files
            ):  # its last record may be incomplete: whatever is entered next goes into a new file
                self._files.pop(header)[1].close()
            raise write_error(error, self._folder) from error

    def _begin(self, header: str) -> tuple[Path, BinaryIO]:
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(FileNotFoundError):  # whoever completes the cache takes the folder away
                return self._new_file(header)
        return self._new_file(header)

    def _new_file(self, header: str) -> tuple[Path, BinaryIO]:
        path = self._folder / f"{socket.gethostname()}~{os.getpid()}~{uuid.uuid4().hex[:8]}{SUFFIX}"
        make_folder(self._folder)
        file = path.open("xb", buffering=0)
        try:
            _write(file, f"{hashlib.sha256(header.encode()).hexdigest()} {header}\n".encode())
            sync_folder(self._folder)
        except OSError:
            file.close()
            raise
        return path, file


def journal_files(folder: Path) -> list[Path]:
    """Return the journals of a cache."""
    return sorted((folder / JOURNAL).glob(f"*{SUFFIX}"))


def read_journals(folder: Path) -> list[Records]:
    """Return all that the journals of a cache hold; what does not match its own check is left out, as if never entered."""
    return [records for path in journal_files(folder) for records in _read(path)]


def remove_journals(folder: Path, files: list[Path]) -> None:
    """Remove journals whose content is in the manifest by now."""
    for path in files:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (folder / JOURNAL).rmdir()


def _read(path: Path) -> Iterator[Records]:
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise write_error(error, path) from error
    seal, _, header = head.partition(b" ")
    if seal.decode("ascii", "replace") != hashlib.sha256(header).hexdigest():
        return
    try:
        content = JournalHeader.model_validate(parsed_json(header))
    except ValueError:  # sealed, but not by this code
        return
    rows = np.frombuffer(body[: len(body) - len(body) % RECORD.itemsize], RECORD)
    plain = rows.tobytes()
    starts = range(0, len(plain), RECORD.itemsize)
    checks = np.fromiter((zlib.crc32(plain[i : i + _CHECKED]) for i in starts), np.uint32, len(rows))
    yield Records(content.plan, content.split, content.offsets, rows[rows["check"] == checks])


def _write(file: BinaryIO, content: bytes) -> None:
    if file.write(content) != len(content):  # what an unbuffered file does when the disk fills up in the middle
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file.fileno())


def _is_there(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
