"""What a cache of a million shards costs to create, resume and open.

python benchmarks/manifest_scale.py     (--compressed: every shard has a size of its own, as with Blosc2)

Each step runs in a process of its own. The shards' files are not made: what is measured is the bookkeeping
of caches so large that no file is looked at before it is used.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from arguments import NEW

from bottleneck_features.features import ArraySpec, CacheWriter, SplitPlan, Targets, list_caches, open_features, storage
from bottleneck_features.features.entries import ShardTable
from bottleneck_features.features.journal import RECORD, Journal
from bottleneck_features.features.manifest import EAGERLY_CHECKED, load, save
from bottleneck_features.pipeline.machine import peak_memory_mib

STEPS = ("create", "enter", "journal", "resume", "complete", "open", "list")
OFFSETS = {"ids": 2048, "contents": 2112, "machine": 2176, "features": 2240}
ENTERED = 200


def _writer(folder: Path, shards: int) -> CacheWriter:
    """One sample per shard, so that the ids are as small as they can be."""
    plan = SplitPlan(np.arange(shards).astype("U"))
    targets = Targets(("a",), {"train": np.zeros(shards, np.int64)})
    return CacheWriter(
        folder, {"size": 1}, {"train": plan}, {"a": ArraySpec((2048,), "float16")}, targets, shard_size=1, provenance={}
    )


def _entries(shards: int, compressed: bool) -> ShardTable:
    chance = np.random.default_rng(0)
    sizes = chance.integers(4000, 5000, shards) if compressed else np.full(shards, 4225024)
    hashes = chance.integers(0, 256, (shards, 32), np.uint8)
    return ShardTable(sizes, hashes, np.zeros(shards, np.int64), [OFFSETS])


def _journal(folder: Path, shards: int) -> None:
    """A journal with half of the shards, as a run that was killed in the middle leaves it."""
    entries = _entries(shards, compressed=False)
    with Journal(folder, load(folder).plan_digest) as journal:
        journal.enter("train", 0, entries[0])
    (path,) = (folder / ".journal").iterdir()
    half = shards // 2
    rows = np.zeros(half, RECORD)
    rows["index"], rows["bytes"], rows["sha256"] = np.arange(half), entries.sizes[:half], entries._hashes[:half]
    content = rows.tobytes()
    size = RECORD.itemsize
    rows["check"] = [zlib.crc32(content[i : i + size - 4]) for i in range(0, len(content), size)]
    with path.open("ab") as file:
        file.write(rows[1:].tobytes())


def _complete(folder: Path, shards: int, compressed: bool) -> None:
    manifest = load(folder)
    splits = {"train": replace(manifest.splits["train"], shards=_entries(shards, compressed))}
    save(folder, replace(manifest, splits=splits, complete=True))


def step(name: str, folder: Path, shards: int, compressed: bool) -> dict[str, Any]:
    """Does one step and returns its seconds, those of them on the processor, and the peak of resident memory."""
    extra: dict[str, Any] = {}
    storage.free_bytes = lambda folder: 1 << 60  # the files themselves are not written
    writer = _writer(folder, shards) if name in ("create", "enter", "resume") else None
    started, cpu = time.perf_counter(), time.process_time()
    if name in ("create", "resume") and writer:
        with writer:
            extra["pending"] = len(writer.pending)
    elif name == "enter" and writer:
        with writer:
            rows = {"a": np.ones((1, 2048), np.float32)}
            pending = writer.pending[:ENTERED]
            started, cpu = time.perf_counter(), time.process_time()
            for shard in pending:
                writer.write(shard, rows)
            extra["seconds_a_shard"] = (time.perf_counter() - started) / ENTERED
    elif name == "journal":
        _journal(folder, shards)
    elif name == "complete":
        _complete(folder, shards, compressed)
        extra["manifest_bytes"] = (folder / "manifest.json").stat().st_size
    elif name == "open":
        assert len(open_features(folder)["train"]) == shards
    elif name == "list":
        assert list_caches(folder.parent)[0].done_images == shards
    seconds = time.perf_counter() - started
    return {"step": name, "seconds": seconds, "cpu": time.process_time() - cpu, "peak_mib": peak_memory_mib(), **extra}


def measure(folder: Path, shards: int, compressed: bool) -> Iterator[dict[str, Any]]:
    """All steps, one after the other; a journal of a killed run is there from `journal` to `complete`."""
    for name in STEPS:
        command = [sys.executable, __file__, "--shards", str(shards), "--step", name, "--folder", str(folder)]
        done = subprocess.run([*command, *["--compressed"] * compressed], capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        yield json.loads(done.stdout)
        if name in ("enter", "resume"):
            for path in (folder / ".journal").glob("*"):
                path.unlink()


@click.command(help=__doc__)
@click.option("--shards", type=click.IntRange(min=2 * EAGERLY_CHECKED + 2), default=1_000_000, show_default=True)
@click.option("--compressed", is_flag=True, help="Every shard has a size of its own.")
@click.option("--step", "only", type=click.Choice(STEPS), help="Only this one, in this process.")
@click.option("--folder", type=NEW, help="The cache of --step.")
def main(shards: int, compressed: bool, only: str | None, folder: Path | None) -> None:
    """Print one line a step."""
    if only and folder:
        print(json.dumps(step(only, folder, shards, compressed)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        for row in measure(Path(scratch) / "cache", shards, compressed):
            print({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})


if __name__ == "__main__":
    main()
