"""One cache in an object store: immutable objects, a listing that says which shards are there, the manifest last of all."""

from __future__ import annotations

import errno
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from bottleneck_features.features.entries import FileEntry, FinishedShards
from bottleneck_features.features.identity import canonical_json
from bottleneck_features.features.manifest import MANIFEST, Manifest, Shard, encoded, parsed
from bottleneck_features.features.quarantine import DamagedFile
from bottleneck_features.features.remote import filesystem, store_error
from bottleneck_features.features.schema import read_offsets
from bottleneck_features.features.shards import encode_virtual

JOURNAL = ".journal"
PLAN = f"{JOURNAL}/{MANIFEST}"
LAYOUT_DIGITS = 16
ENTERED = re.compile(
    rf"{re.escape(JOURNAL)}/(?P<split>[^/]+)/(?P<index>\d{{1,18}})~(?P<bytes>\d{{1,18}})~(?P<sha256>[0-9a-f]{{64}})~(?P<layout>[0-9a-f]+)"
)
Answer = TypeVar("Answer")


class Store:
    """The objects of one cache below a URL.

    Args:
        url: of the cache, such as `s3://bucket/prefix/digits-efficientnet-lite0-1d19099a`.

    Raises:
        StoreUnavailable: the URL's kind cannot be opened here.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._files, self._path = filesystem(self.url)

    def get(self, name: str) -> bytes | None:
        """Return an object's content; None where there is none."""
        try:
            content: bytes = self._files.cat_file(self._where(name))
        except FileNotFoundError:
            return None
        except Exception as error:  # each store has errors of its own
            raise store_error(error, self.url) from error
        return content

    def get_part(self, name: str, start: int, stop: int) -> bytes:
        """Return the bytes `start:stop` of an object.

        Raises:
            StoreError: if there is no such object, or the store does not answer.
        """
        return bytes(self._asked(lambda: self._files.cat_file(self._where(name), start=start, end=stop)))

    def put(self, name: str, content: bytes) -> None:
        """Store an object, in the place of one that may be there."""
        self._asked(lambda: self._files.pipe_file(self._where(name), content))

    def put_new(self, name: str, content: bytes) -> bool:
        """Store an object unless there is one of this name; of many who try at once one succeeds, where the store can say so.

        Returns:
            Whether it is this one that is there now.
        """
        try:
            self._files.pipe_file(self._where(name), content, mode="create")
        except FileExistsError:
            return False
        except Exception as error:  # each store has errors of its own, and not all know the condition
            if self.has(name):
                return False
            if getattr(error, "errno", None) != errno.ENOSYS:
                raise store_error(error, f"{self.url}/{name}") from error
            self.put(name, content)
        return True

    def has(self, name: str) -> bool:
        """Return whether there is an object of this name."""
        self._files.invalidate_cache()
        return bool(self._asked(lambda: self._files.exists(self._where(name))))

    def names(self, folder: str) -> list[str]:
        """Return the names of all objects below a folder."""
        self._files.invalidate_cache()
        start = len(self._path.rstrip("/")) + 1
        found = self._asked(lambda: self._files.find(self._where(folder)))
        return [str(path)[start:] for path in found]

    def remove(self, names: list[str]) -> None:
        """Remove objects; those that are gone already do not matter."""
        for name in names:
            try:
                self._files.rm_file(self._where(name))
            except FileNotFoundError:
                continue
            except Exception as error:
                raise store_error(error, self.url) from error

    def _where(self, name: str) -> str:
        return f"{self._path.rstrip('/')}/{name}"

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except Exception as error:
            raise store_error(error, self.url) from error


def names_in(url: str) -> list[str]:
    """Return the names of the folders below a URL."""
    files, path = filesystem(url)
    files.invalidate_cache()
    try:
        found = files.ls(path, detail=True)
    except FileNotFoundError:
        return []
    except Exception as error:  # each store has errors of its own
        raise store_error(error, url) from error
    return [str(item["name"]).rstrip("/").rpartition("/")[2] for item in found if item["type"] == "directory"]


def published(store: Store) -> Manifest | None:
    """Return what a store holds of a cache: its manifest if it is complete, else its plan with the shards that are there.

    Returns:
        None where the store knows nothing of this cache.
    """
    names = store.names(JOURNAL)  # before the manifest: what leaves the journal is in the manifest by then
    plan = store.get(PLAN)
    manifest = store.get(MANIFEST)
    if manifest is not None:
        return parsed(manifest, f"{store.url}/{MANIFEST}")
    if plan is None:
        return None
    begun = parsed(plan, f"{store.url}/{PLAN}")
    return begun.with_finished(_entered(store, begun, names))


def begin(store: Store, plan: Manifest) -> Manifest:
    """Return what a store holds of a cache; its plan becomes `plan` if it knows nothing of it. Of many who try, one succeeds."""
    found = published(store)
    if found is None:
        store.put_new(PLAN, encoded(plan))
        found = published(store)
    return found or plan


def put_shard(store: Store, shard: Shard, image: bytes, entry: FileEntry) -> tuple[bytes, FileEntry]:
    """Publish a shard, then enter it: an object without content whose name says all that a manifest says of it.

    Returns:
        The shard that is there now: another one's if it was first, whose low bits may differ, and its length where it is
        compressed.
    """
    if not store.put_new(shard.file, image):
        other = store.get(shard.file)
        if other is not None and len(other) == len(image):
            image, entry = other, entry._replace(sha256=hashlib.sha256(other).hexdigest())
        elif other is not None and (theirs := _entry_of(store, shard, other)):
            return other, theirs
        else:
            store.put(shard.file, image)
    layout = canonical_json(dict(entry.offsets)).encode()
    digest = hashlib.sha256(layout).hexdigest()[:LAYOUT_DIGITS]
    store.put_new(_layout(digest), layout)
    store.put(f"{JOURNAL}/{shard.split}/{shard.index:05d}~{entry.bytes}~{entry.sha256}~{digest}", b"")
    return image, entry


def complete(store: Store, manifest: Manifest, provenance: Mapping[str, Any] | None) -> None:
    """Complete a cache all of whose shards are entered: the virtual files, then the manifest, if there is none yet."""
    for split in manifest.splits:
        image, entry = encode_virtual(manifest, split)
        store.put(f"{split}.h5", image)
        manifest = manifest.with_virtual(split, entry)
    manifest = replace(manifest, complete=True, provenance=provenance or manifest.provenance)
    store.put_new(MANIFEST, encoded(manifest))
    store.remove(store.names(JOURNAL))


def reopen(store: Store, manifest: Manifest, damaged: list[DamagedFile]) -> Manifest:
    """Take damaged files out of a complete cache, so that they are computed again.

    Returns:
        What is published from now on.
    """
    for problem in damaged:
        if problem.shard is not None:
            manifest = manifest.without_shard(problem.shard)
    manifest = replace(manifest, complete=False)
    store.put(PLAN, encoded(manifest))
    store.remove([problem.file for problem in damaged])
    store.remove([MANIFEST])
    return manifest


def _entered(store: Store, plan: Manifest, names: list[str]) -> list[tuple[str, FinishedShards]]:
    found: dict[tuple[str, str], list[tuple[int, int, bytes]]] = defaultdict(list)
    for name in names:
        match = ENTERED.fullmatch(name)
        if (
            match
            and match["split"] in plan.splits
            and int(match["index"]) < len(plan.splits[match["split"]].shards.done)
        ):
            row = (int(match["index"]), int(match["bytes"]), bytes.fromhex(match["sha256"]))
            found[match["split"], match["layout"]].append(row)
    layouts = {layout: read_offsets(store.get(_layout(layout)) or b"") for layout in {layout for _, layout in found}}
    return [
        (split, _finished(rows, offsets)) for (split, layout), rows in found.items() if (offsets := layouts[layout])
    ]


def _entry_of(store: Store, shard: Shard, image: bytes) -> FileEntry | None:
    """Find the entry of a shard that says what an object is, of several whose lengths may differ; None where none does."""
    digest = hashlib.sha256(image).hexdigest()
    for name in store.names(f"{JOURNAL}/{shard.split}"):
        match = ENTERED.fullmatch(name)
        if match is None or int(match["index"]) != shard.index:
            continue
        if (int(match["bytes"]), match["sha256"]) != (len(image), digest):
            continue
        if offsets := read_offsets(store.get(_layout(match["layout"])) or b""):
            return FileEntry(len(image), digest, offsets)
    return None


def _layout(digest: str) -> str:
    return f"{JOURNAL}/layouts/{digest}.json"


def _finished(rows: list[tuple[int, int, bytes]], offsets: Mapping[str, int]) -> FinishedShards:
    indices, sizes, hashes = zip(*rows, strict=True)
    columns = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(rows), -1)
    return FinishedShards(np.array(indices), np.array(sizes), columns, offsets)
