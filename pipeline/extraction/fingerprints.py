"""Fingerprints of data sets, computed once for files whose path, size and time of change stay the same."""

import hashlib
import json
from pathlib import Path

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.columns import joined
from bottleneck_features.pipeline.datasets.scan import forget_scans
from bottleneck_features.pipeline.results import write_text

FILE = "fingerprints.json"


def fingerprints(dataset: Dataset, home: Path) -> dict[str, str]:
    """Return the SHA-256 of each split's content.

    Args:
        dataset: the open data set; its images are read only when they are not known yet.
        home: the artifacts folder; `fingerprints.json` in it remembers. `forget_fingerprints` makes them be read again.

    Returns:
        64 hexadecimal digits by split.
    """
    if not dataset.files:
        return {split: dataset.fingerprint(split) for split in dataset.splits}
    known = _known(home)
    state = _state(dataset)
    if state not in known:
        known[state] = {split: dataset.fingerprint(split) for split in dataset.splits}
        write_text(home / FILE, json.dumps(known, indent=1))
    return known[state]


def forget_fingerprints(home: Path) -> None:
    """Forget every remembered fingerprint and scan, so that the next command reads the images themselves."""
    (home / FILE).unlink(missing_ok=True)
    forget_scans(home)


def _known(home: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads((home / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _state(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for path in dataset.files:
        status = path.stat()
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    for samples in dataset.splits.values():
        for block in joined(samples.ids):
            digest.update(block)
        digest.update(b"\n")
    return digest.hexdigest()
