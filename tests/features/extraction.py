"""A small extraction to be killed, starved and raced: `python extraction.py CACHE` fills the small cache there."""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import time
from pathlib import Path

import small_cache

from bottleneck_features.features import CacheError, Partition, lock

SHARD_SIZE = 5


def main() -> int:
    """Prints `ready`, waits for a line, then prints `wrote SPLIT/INDEX` after each shard.

    Returns 1, with the message on stderr, after a `CacheError`.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("cache", type=Path)
    parser.add_argument("--wait-seconds", type=float, default=0.0)
    parser.add_argument("--pause-seconds", type=float, default=0.0, help="after each shard")
    parser.add_argument("--part", type=int, nargs=2, default=(1, 1), metavar=("I", "N"))
    parser.add_argument("--file-limit", type=int, help="bytes a file may have (RLIMIT_FSIZE)")
    parser.add_argument("--lying-locks", action="store_true", help="every lock is granted at once to everybody")
    arguments = parser.parse_args()
    if arguments.lying_locks:
        lock._locked = _granted
        lock._held_by_a_sole_writer = lambda descriptor: False
    if arguments.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (arguments.file_limit, arguments.file_limit))
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        extract(arguments.cache, arguments.wait_seconds, arguments.pause_seconds, Partition(*arguments.part))
    except CacheError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def extract(path: Path, wait_seconds: float, pause_seconds: float, part: Partition) -> None:
    """The loop of stage one with pseudo-features."""
    with small_cache.writer(path, shard_size=SHARD_SIZE, wait_seconds=wait_seconds, part=part) as writer:
        for shard in writer.pending:
            writer.write(shard, small_cache.shard_arrays(shard, small_cache.LAYERS))
            print(f"wrote {shard.split}/{shard.index}", flush=True)
            time.sleep(pause_seconds)
        writer.finish()


@contextlib.contextmanager
def _granted(path: Path, wait_seconds: float, busy: object):
    yield


if __name__ == "__main__":
    sys.exit(main())
