"""The command line as a user runs it, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

SMALL = ("-e", "digits", "--set", "dataset.limit=120", "--set", "input.size=32,32")


def command(*words: str, home: Path) -> list[str]:
    """The words of a command line with its artifacts folder."""
    return [sys.executable, "-m", "pipeline", *words, "--home", str(home)]


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
