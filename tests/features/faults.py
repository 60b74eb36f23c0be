"""What can happen to a cache, really done to it; each function returns a `Tally` of what came of it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import small_cache
from commandline import heed_ctrl_c, small_disk

from bottleneck_features.features import CacheError, open_features, verify

SCRIPT = Path(__file__).with_name("extraction.py")
WORK_SECONDS = 0.25


@dataclass(frozen=True)
class Tally:
    """One row of the table: how often a fault was tried, the work it cost, and how often the result was wrong."""

    fault: str
    tries: int
    lost_shards: int
    wrong: int
    note: str = ""

    def __str__(self) -> str:
        return f"{self.fault:<52} {self.tries:>6} {self.lost_shards:>12} {self.wrong:>6}  {self.note}"


HEADER = f"{'fault':<52} {'tries':>6} {'shards lost':>12} {'wrong':>6}"


def start(cache: Path, *options: str) -> subprocess.Popen[str]:
    """Starts an extraction and returns when its work begins, its imports being done."""
    return start_together(1, cache, *options)[0]


def start_together(count: int, cache: Path, *options: str) -> list[subprocess.Popen[str]]:
    """Starts extractions of one cache whose work begins at the same moment."""
    command = [sys.executable, str(SCRIPT), str(cache), *options]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_ctrl_c)
        for _ in range(count)
    ]
    for process in processes:
        assert _pipe(process.stdout).readline() == "ready\n"
    for process in processes:
        _pipe(process.stdin).write("go\n")
        _pipe(process.stdin).flush()
    return processes


def finish(cache: Path, *options: str) -> int:
    """Runs an extraction to its end and returns how many shards it wrote."""
    out, error = start(cache, *options).communicate(timeout=120)
    assert not error, error
    return out.count("wrote")


def same_as_undisturbed(cache: Path, undisturbed: Path) -> bool:
    """Whether the HDF5 files are byte-identical, the manifests tell the same, and reading gives the right values."""
    opened = open_features(cache)
    right = all(
        np.array_equal(opened[split].features[layer], small_cache.expected(split, layer, samples, small_cache.LAYERS))
        for samples in [small_cache.SAMPLES]
        for split in samples
        for layer in small_cache.LAYERS
    )
    same_files = small_cache.file_bytes(cache) == small_cache.file_bytes(undisturbed)
    return right and same_files and small_cache.lasting(cache) == small_cache.lasting(undisturbed)


def kills(folder: Path, undisturbed: Path, count: int, seed: int, kind: signal.Signals = signal.SIGKILL) -> Tally:
    """Kills extractions at random moments, again and again until each is finished, `count` times in all."""
    chance, done, lost, wrong, round_ = random.Random(seed), 0, 0, 0, 0
    torn = not_entered = 0
    while done < count:
        cache = folder / f"round-{round_}"
        while done < count and not _is_complete(cache):
            process = start(cache)
            time.sleep(chance.uniform(0, WORK_SECONDS))
            process.send_signal(kind)
            process.communicate()
            done += process.returncode != 0
            temporaries, orphans = _leftovers(cache)
            torn, not_entered = torn + bool(temporaries), not_entered + bool(orphans)
            lost += orphans + temporaries
        finish(cache)
        wrong += not same_as_undisturbed(cache, undisturbed) or not verify(cache).ok or any(_leftovers(cache))
        round_ += 1
    note = f"{round_} caches; left a temporary shard {torn}×, a shard not yet entered {not_entered}×"
    return Tally(f"{kind.name} at a random moment", done, lost, wrong, note)


def flips(cache: Path, file: str, positions: Iterable[int], mask: int) -> Tally:
    """Changes one byte of a file at a time and counts the changes that `verify` does not find."""
    tries = wrong = 0
    for position in positions:
        with flipped(cache / file, position, mask):
            found = {problem.file for problem in verify(cache).problems}
        tries, wrong = tries + 1, wrong + (found != {file})
    return Tally(f"byte of a shard changed (xor {mask:#04x})", tries, 0, wrong, "wrong: not found by verify")


@contextlib.contextmanager
def flipped(path: Path, position: int, mask: int) -> Iterator[None]:
    """One byte of a file changed, for the time of the block."""
    flip(path, position, mask)
    try:
        yield
    finally:
        flip(path, position, mask)


def full_disks(folder: Path, undisturbed: Path, count: int, seed: int) -> Tally:
    """Fills the disk at a random moment of an extraction, frees it, and resumes."""
    chance, lost, wrong, refused, in_the_middle = random.Random(seed), 0, 0, 0, 0
    with small_disk(folder, "3m") as disk:
        for round_ in range(count):
            cache, ballast = disk / f"cache-{round_}", disk / "ballast"
            process = start(cache, "--pause-seconds", "0.01")
            time.sleep(chance.uniform(0, WORK_SECONDS))
            _fill(ballast)
            written, error = process.communicate()
            refused += "DiskFull: Extracting" in error
            in_the_middle += "DiskFull: No space left" in error
            temporaries, orphans = _leftovers(cache) if cache.exists() else (0, 0)
            wrong += bool(temporaries) or (process.returncode != 0 and "DiskFull" not in error)
            lost += orphans
            ballast.unlink()
            redone = finish(cache)
            wrong += not same_as_undisturbed(cache, undisturbed)
            wrong += written.count("wrote") + redone != _shards(undisturbed)
            subprocess.run(["rm", "-r", str(cache)], check=True)
    note = f"refused at the start {refused}×, full in the middle {in_the_middle}×"
    return Tally("disk (tmpfs) full at a random moment", count, lost, wrong, note)


def races(folder: Path, undisturbed: Path, rounds: int, *options: str) -> Tally:
    """Starts eight extractions of one cache at once."""
    wrong = written = 0
    for round_ in range(rounds):
        cache = folder / f"race-{round_}"
        processes = start_together(8, cache, "--wait-seconds", "100", *options)
        results = [process.communicate(timeout=120) for process in processes]
        written += sum(out.count("wrote") for out, _ in results)
        wrong += any(process.returncode for process in processes)
        wrong += not same_as_undisturbed(cache, undisturbed)
    twice = written - rounds * _shards(undisturbed)
    kind = "locks that lie" if options else "locks"
    return Tally(f"eight processes at once, {kind}", rounds, 0, wrong, f"{twice} shards written more than once")


def reading_while_writing(folder: Path, caches: int) -> Tally:
    """Opens and reads caches in a loop while another process writes them; only whole caches may open."""
    wrong = reads = refusals = 0
    for round_ in range(caches):
        cache = folder / f"live-{round_}"
        process = start(cache, "--pause-seconds", "0.002")
        whole = False
        while not whole:
            whole = process.poll() is not None
            try:
                train = open_features(cache)["train"]
            except CacheError as error:
                refusals += 1
                wrong += type(error).__name__ not in ("CacheMissing", "CacheIncomplete")
                continue
            reads += 1
            plan = small_cache.plans(small_cache.SAMPLES)["train"]
            expected = small_cache.expected("train", "late", small_cache.SAMPLES, small_cache.LAYERS)
            wrong += not (np.array_equal(train.x, expected) and np.array_equal(train.ids, plan.ids))
        process.communicate()
    return Tally("reader in a loop beside a writer", refusals + reads, 0, wrong, f"{refusals} polite refusals")


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _is_complete(cache: Path) -> bool:
    try:
        open_features(cache)
    except CacheError:
        return False
    return True


def _leftovers(cache: Path) -> tuple[int, int]:
    """Temporary shards, and shards that are on disk but not in the manifest."""
    temporaries = len(list(cache.glob("*/.*.tmp")))
    on_disk = len(list(cache.glob("*/*.h5")))
    report = verify(cache) if (cache / "manifest.json").exists() else None
    return temporaries, on_disk - (report.shards if report else 0)


def _shards(cache: Path) -> int:
    return verify(cache).shards


def flip(path: Path, position: int, mask: int) -> None:
    """Changes the bits of `mask` in one byte of a file; a second time changes them back."""
    with path.open("r+b") as file:
        file.seek(position)
        (value,) = file.read(1)
        file.seek(position)
        file.write(bytes([value ^ mask]))


def _fill(path: Path) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(descriptor, bytes(size))
    finally:
        os.close(descriptor)
