"""Seconds and memory from the start of a process to its predictions: with the network beside the head, and built by TensorFlow.

python benchmarks/prediction_start.py artifacts/runs/EXPERIMENT/probe/head.npz PICTURES

Every figure is the median over processes of their own, the variants in turn. Prints JSON: by variant the seconds from start to
end, the processor's seconds (of all cores), and the largest resident memory in MiB.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from arguments import FILE, FOLDER

from bottleneck_features.pipeline.machine import hardware, versions

MANY = 100  # pictures
IN_PYTHON = """
import sys
import bottleneck_features as bf
print(bf.load_model(sys.argv[1], home=sys.argv[2]).predict_proba(sys.argv[3:]).shape)
"""


@dataclass(frozen=True)
class Run:
    """What one process took."""

    seconds: float
    processor_seconds: float
    peak_mib: float


def measured(words: list[str]) -> Run:
    """Run a process to its end."""
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read() if process.stderr else b""
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise click.ClickException(said.decode())
    peak = used.ru_maxrss / 2**20 if sys.platform == "darwin" else used.ru_maxrss / 2**10
    return Run(seconds, used.ru_utime + used.ru_stime, peak)


def words_of(variant: str, head: Path, home: Path, pictures: list[str]) -> list[str]:
    """Return what a variant types."""
    if variant == "load_model":
        return [sys.executable, "-c", IN_PYTHON, str(head), str(home), *pictures]
    predict = [sys.executable, "-m", "bottleneck_features", "predict"]
    return [*predict, "--model", str(head), "--home", str(home), *pictures]


def measure(head: Path, pictures: list[str], repeats: int, scratch: Path) -> dict[str, dict[str, float]]:
    """Run every variant `repeats` times, in turn; returns medians by variant."""
    places = {network: scratch / network for network in ("kept", "built")}
    shutil.copytree(head.parent, places["kept"])
    places["built"].mkdir()
    shutil.copy(head, places["built"])
    runs: dict[str, list[Run]] = defaultdict(list)
    for repeat in range(repeats):
        for count in (1, min(MANY, len(pictures))):
            for variant in ("load_model", "predict"):
                for network, folder in places.items():
                    home = scratch / f"home-{repeat}-{count}-{variant}-{network}"  # in which no network is kept
                    words = words_of(variant, folder / head.name, home, pictures[:count])
                    runs[f"{variant}, {count} pictures, {network}"].append(measured(words))
    return {
        name: {key: round(statistics.median(asdict(run)[key] for run in several), 2) for key in asdict(several[0])}
        for name, several in runs.items()
    }


@click.command(help=__doc__)
@click.argument("head", type=FILE)
@click.argument("pictures", type=FOLDER)
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
def main(head: Path, pictures: Path, repeats: int) -> None:
    """Measure, and print JSON."""
    if not head.with_name("network").is_dir():
        raise click.ClickException(f"There is no network beside '{head}': run bottleneck probe again.")
    every = sorted(str(file) for file in pictures.rglob("*") if file.is_file())
    chosen = every[:: max(1, len(every) // MANY)][:MANY]
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(head, chosen, repeats, Path(scratch))
    machine = {"hardware": hardware(), "versions": versions(), "load_before": before, "load_after": os.getloadavg()}
    print(json.dumps({"repeats": repeats, "pictures": len(chosen), **machine, "medians": found}, indent=1))


if __name__ == "__main__":
    main()
