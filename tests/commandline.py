"""The command line as a user runs it, in a process of its own, and the disk it may meet."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from bottleneck_features.pipeline.commandline.cli import main

# 1,797 images, four at a time, in 29 shards: slow enough to be hit in the middle
SLOW = ("-e", "digits", "--set", "input.size=96,96", "--set", "features.shard_size=64", "--set", "compute.batch_size=4")
SMALL = ("-e", "digits", "--set", "dataset.limit=120", "--set", "input.size=32,32")


def command(*words: str, home: Path) -> list[str]:
    """The words of a command line with its artifacts folder."""
    return [sys.executable, "-m", "bottleneck_features", *words, "--home", str(home)]


def bottleneck(*words: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in a process of its own."""
    return subprocess.run(
        command(*words, home=home),
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, **environment},
        check=False,
    )


LOADED = """
import json, sys
from bottleneck_features.__main__ import main
ends = []
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as end:
        ends.append((end.code or 0, sorted({"tensorflow", "keras"} & set(sys.modules))))
print("loaded:", json.dumps(ends), file=sys.stderr)
"""


def frameworks_loaded(*commands: tuple[str, ...], home: Path) -> list[tuple[int, set[str]]]:
    """Run commands to their ends, one after the other in one process.

    Returns:
        For each its exit code, and which of TensorFlow and Keras were there at its end.
    """
    lines = json.dumps([[*words, "--home", str(home)] for words in commands])
    words = (sys.executable, "-c", LOADED, lines)
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    _, found, ends = done.stderr.rpartition("loaded:")
    assert found, done.stderr
    return [(code, set(loaded)) for code, loaded in json.loads(ends)]


def invoke(*words: str, home: Path) -> Result:
    """Run a command to its end in this process, which spares the start of TensorFlow."""
    return CliRunner().invoke(main, [*words, "--home", str(home)])


def shard_hashes(home: Path) -> dict[str, str]:
    """The SHA-256 of every HDF5 file of the only cache of an artifacts folder, by its path in the cache."""
    (folder,) = (home / "features").iterdir()
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*.h5")
    }


def heed_ctrl_c() -> None:
    """Let a child process be ended although a shell or nohup started the tests in the background (`preexec_fn`)."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of the given size, mounted at `folder`.

    Raises:
        PermissionError: where this user may not mount.
    """
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        raise PermissionError("mounting a tmpfs needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
