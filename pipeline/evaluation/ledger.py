"""A ledger of looks at test images: every command that scores them adds a line, and results say how often that was."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from bottleneck_features.foreign import parsed_json
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.splits import Subset

LEDGER_FILE, LEDGER_LOCK = "test-looks.jsonl", "test-looks.lock"
OFTEN = 20  # looks; after more of them results warn


@dataclass(frozen=True)
class Looks:
    """How often the same images were scored, as far as a home knows.

    Attributes:
        count: commands with different answers; one that gives the answers of before tells nothing new.
        since: the day of the first, as `2026-05-17`.
    """

    count: int
    since: str

    def as_json(self) -> dict[str, Any]:
        """Return the entry `test_looks` of results."""
        return {"count": self.count, "since": self.since}

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence on what was chosen by the test images, if they were looked at often; else none."""
        if self.count <= OFTEN:
            return ()
        return (
            f"Test images: these were scored {self.count:,} times since {self.since}, each time with other answers. Choosing "
            "methods or settings by such figures makes them too optimistic. What was scored from another --home is not "
            "counted. Where the test split is drawn, another dataset.split_seed draws another one, which is a look at test "
            "images like any other.",
        )


def content_digest(dataset: Dataset, part: Subset) -> str:
    """Return the SHA-256 of some images' content, whatever their order, names and labels."""
    each = sorted(map(bytes, dataset.contents(part.split, part.indices)))
    return hashlib.sha256(b"".join(each)).hexdigest()


def answers_digest(answers: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of what methods answered, `(n,)` integers by label, whatever the order of the methods."""
    digest = hashlib.sha256()
    for name in sorted(answers):
        digest.update(f"{name}\0".encode() + answers[name].astype("<i8").tobytes())
    return digest.hexdigest()


def record_look(home: Path, images: str, *, command: str, methods: int, answers: str) -> Looks:
    """Add a look at test images to the ledger of a home, unless the same command gave the same answers before.

    Lines are only ever added, each with one write under a lock; what a crash or an editor left broken is passed over.

    Args:
        home: the artifacts folder; the ledger is `test-looks.jsonl` in it.
        images: from `content_digest`.
        command: what scored them.
        methods: how many methods it scored.
        answers: from `answers_digest`, or another text that is the same only for the same outcome.

    Returns:
        All looks at these images, this one among them.
    """
    path, look = home / LEDGER_FILE, hashlib.sha256(f"{command}\0{answers}".encode()).hexdigest()
    today = datetime.now(UTC).date().isoformat()
    line = {"images": images, "look": look, "command": command, "methods": methods, "date": today}
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / LEDGER_LOCK):
        known = path.read_bytes() if path.exists() else b""
        days = dict(_looks(known, images))
        if look not in days:
            days[look] = today
            with path.open("ab") as file:
                file.write((b"\n" if known and not known.endswith(b"\n") else b"") + json.dumps(line).encode() + b"\n")
    return Looks(len(days), min(days.values()))


def _looks(ledger: bytes, images: str) -> Iterator[tuple[str, str]]:
    """Give the looks at some images, each with its day, the first of a look last, as a dictionary wants it."""
    for text in reversed(ledger.splitlines()):
        with suppress(ValueError, KeyError, TypeError):
            line = parsed_json(text)
            if line["images"] == images:
                yield str(line["look"]), date.fromisoformat(line["date"]).isoformat()
