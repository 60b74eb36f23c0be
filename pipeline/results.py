"""What every command reports: one object, printed as JSON and kept as result.json."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bottleneck_features.features.storage import remove_stale, whole_file
from bottleneck_features.pipeline.machine import hardware, peak_memory_mib, versions

RESULT_FILE = "result.json"
# how the warnings begin by which the figures may be of something else than they seem, the gravest first
GRAVEST = ("RANDOM WEIGHTS", "Leak", "Labels", "Shortcut", "Test images")


@dataclass
class Clock:
    """Seconds spent, by phase."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to the phase `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class Result:
    """The outcome of one command.

    Attributes:
        command: such as `features`.
        experiment: the whole experiment, as a dictionary of sections.
        cache_key: SHA-256 of the cache's identity.
        seconds: by phase.
        warnings: sentences a reader of the numbers must know; in JSON each once, those of `GRAVEST` first.
        details: what this command adds (`images_per_second`, `methods`, …).
        folder: where the files are.
        notes: sentences that put no figure in doubt, such as a licence.
        peak_memory_mib: the largest resident memory of the process until the result was made.
    """

    command: str
    experiment: Mapping[str, Any]
    cache_key: str
    seconds: Mapping[str, float]
    warnings: tuple[str, ...]
    details: Mapping[str, Any]
    folder: Path
    notes: tuple[str, ...] = ()
    peak_memory_mib: float = field(default_factory=peak_memory_mib)

    def as_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return {
            "command": self.command,
            "experiment": self.experiment,
            "cache_key": self.cache_key,
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "peak_memory_mib": round(self.peak_memory_mib, 1),
            "versions": versions(),
            "hardware": hardware(),
            "warnings": list(by_importance(self.warnings)),
            "notes": list(self.notes),
            "folder": str(self.folder),
            **self.details,
        }


def by_importance(warnings: Iterable[str]) -> tuple[str, ...]:
    """Return each warning once, those that put the figures most in doubt first, others in their order."""
    ranks = {kind: rank for rank, kind in enumerate(GRAVEST)}
    return tuple(sorted(dict.fromkeys(warnings), key=lambda one: ranks.get(one.partition(":")[0], len(ranks))))


def write_result(result: Result) -> dict[str, Any]:
    """Write `result.json` into the result's folder (whole or not at all) and return its content."""
    content = result.as_json()
    write_text(result.folder / RESULT_FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return content


def write_text(path: Path, text: str) -> None:
    """Write a text file by a temporary name and a rename, so that no half-written file is ever seen."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file by a temporary name and a rename, so that no half-written file is ever seen; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(content)


def run_folder(home: Path, experiment: str, command: str) -> Path:
    """Return the folder of a command's results, made if missing, and rid of what killed runs left half-written."""
    folder = home / "runs" / experiment / command
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    return folder


def experiment_json(experiment: Any) -> dict[str, Any]:
    """Return an experiment as plain JSON types."""
    return json.loads(json.dumps(asdict(experiment)))
