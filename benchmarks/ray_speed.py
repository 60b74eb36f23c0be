"""What Ray adds to a local run on the same cores, in turn, and what the driver spends on a shard.

python benchmarks/ray_speed.py FOLDER ROUNDS -e cifar10 --set …     (the options of `bottleneck features`)
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
from arguments import NEW

from bottleneck_features.pipeline.extraction.ray_workers import WorkerPool, connected

WAYS = {"local": (), "ray": ("--engine-on", "ray", "--workers", "2")}
SHARDS = 3000
CROWD = 1000


class Idler:
    """A worker that has nothing to do."""

    def prepare(self) -> None:
        return None

    def extract(self, shard: int) -> None:
        return None


def run(way: tuple[str, ...], options: tuple[str, ...], home: Path) -> dict[str, float]:
    """Extract everything anew and give the seconds: of the command, and of the extraction alone."""
    shutil.rmtree(home / "features", ignore_errors=True)
    start = time.perf_counter()
    words = [sys.executable, "-m", "bottleneck_features", "features", *options, *way, "--json", "--home", str(home)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    wall, result = time.perf_counter() - start, json.loads(done.stdout)
    extract = result["seconds"]["extract"]
    return {
        "command": wall,
        **result["seconds"],
        "images/s": result["images"] / extract,
        "load": os.getloadavg()[0],
    } | {f"shard {name}": value for name, value in result.get("shard_seconds", {}).items()}


def hand_out() -> dict[str, float]:
    """Give the driver's seconds per shard with two workers, and those of waiting for any of `CROWD` tasks."""
    with connected("") as ray:
        team = WorkerPool(ray, ray.remote(Idler).options(num_cpus=1).remote, lambda worker: worker.prepare.remote(), 2)
        team.first_answer()
        start = time.perf_counter()
        done = sum(1 for _ in team.extract_all(range(1, SHARDS + 1), lambda shard: False))
        two = (time.perf_counter() - start) / done
        never = ray.remote(Idler).options(num_cpus=2, resources={"nowhere": 1})
        crowd = [never.remote().prepare.remote() for _ in range(CROWD)]
        ready = ray.put(0)
        start = time.perf_counter()
        for _ in range(100):
            ray.wait([*crowd, ready])
        return {"two workers": two, f"waiting for {CROWD}": (time.perf_counter() - start) / 100}


@click.command(help=__doc__, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("folder", type=NEW)
@click.argument("rounds", type=click.IntRange(min=0))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(folder: Path, rounds: int, options: tuple[str, ...]) -> None:
    """Print the seconds of each run, then the driver's per shard, as JSON."""
    for number in range(rounds):
        for name, way in WAYS.items():
            print(json.dumps({"round": number, "way": name, **run(way, options, folder / name)}), flush=True)
    print(json.dumps(hand_out()))


if __name__ == "__main__":
    main()
