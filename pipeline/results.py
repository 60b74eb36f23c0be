"""What every command reports: one object, printed as JSON and kept as result.json."""

import json
import math
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from bottleneck_features.features.storage import whole_file

PACKAGES = ("bottleneck-features", "tensorflow", "keras", "numpy", "h5py", "openvino", "scikit-learn")

# the kinds of methods that can be compared
FROZEN = ("linear", "earlier", "probe")
PRETRAINED = ("fine-tune", "from-pretrained")
SCRATCH = ("from-scratch", "convnet-small", "convnet-strong")
NETWORKS = (*PRETRAINED, "from-scratch")  # what `fine-tune --method` trains

CURVE_SEEDS = 3  # draws of every point of a label curve, where --seeds is not given

# what is left that can classify new images: heads by the command that trained them, and networks
HEADS = ("probe", "train-head")
MODELS = (*HEADS, *NETWORKS)  # without --model the first one there is

Curves = Mapping[str, Sequence[float]]  # learning curves by name, one value per epoch


@dataclass(frozen=True)
class Score:
    """A top-1 accuracy: its value (0..1), its Wilson interval at 95 %, and the number of images.

    Source of the interval: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """

    accuracy: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Method:
    """One row of a comparison.

    Attributes:
        name: the method, such as `linear`, `earlier` or `convnet-small`.
        layers: the backbone layers it sees; empty for a network trained from scratch.
        parameters: how many numbers it trains.
        scores: the `Score` by split (`train`, `validation`, `test`); a split that was not scored is absent.
            `without_duplicates` is of the evaluation set without images that repeat an image used for training.
        seconds: `extract` (None: not known) and `train`.
        hyperparameters: what was chosen on validation samples, by name; empty where nothing was.
        refitted_on: training and validation images together, where it was fitted on both at the end; else 0.
    """

    name: str
    layers: tuple[str, ...]
    parameters: int
    scores: Mapping[str, Score]
    seconds: Mapping[str, float | None]
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    refitted_on: int = 0

    def with_score(self, split: str, value: Score) -> "Method":
        """Return this method with one more split scored."""
        return replace(self, scores={**self.scores, split: value})

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Method":
        """Return the method that `as_json` made a row of, without its score without duplicates."""
        rows = ((split, row["n"][split], row["accuracy"][split], row["interval"][split]) for split in row["n"])
        scores = {split: Score(value, span[0], span[1], n) for split, n, value, span in rows if value is not None}
        parameters, seconds, hyperparameters = (row[key] for key in ("parameters", "seconds", "hyperparameters"))
        layers, refitted_on = tuple(row["layers"]), row["refitted_on"]
        return cls(row["name"], layers, parameters, scores, seconds, hyperparameters, refitted_on)

    def as_json(self) -> dict[str, Any]:
        """Return the method as the results' contract has it: a null where there is no such split."""
        splits = ("train", "validation", "test")
        scores = {split: self.scores.get(split) for split in splits}
        return {
            "name": self.name,
            "layers": list(self.layers),
            "parameters": self.parameters,
            "n": {split: value.n if value else 0 for split, value in scores.items()},
            "accuracy": {split: value.accuracy if value else None for split, value in scores.items()},
            "interval": {split: [value.low, value.high] if value else None for split, value in scores.items()},
            "without_duplicates": _plain(self.scores.get("without_duplicates")),
            "seconds": dict(self.seconds),
            "hyperparameters": dict(self.hyperparameters),
            "refitted_on": self.refitted_on,
        }


def display_name(method: Method) -> str:
    """Return a method's name with the layers it sees."""
    return f"{method.name} ({', '.join(method.layers)})" if method.layers else method.name


def kept_epoch(curves: Curves) -> int:
    """Return the epoch of the lowest validation loss, counted from 1, whose weights are kept.

    Args:
        curves: of a training, with `val_loss`.
    """
    losses = curves["val_loss"]
    return 1 + min(range(len(losses)), key=lambda epoch: (math.isnan(losses[epoch]), losses[epoch]))


def _plain(value: Score | None) -> dict[str, Any] | None:
    return {"accuracy": value.accuracy, "interval": [value.low, value.high], "n": value.n} if value else None


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
        warnings: sentences a reader of the numbers must know.
        details: what this command adds (`images_per_second`, `methods`, …).
        folder: where the files are.
        peak_memory_mib: the largest resident memory of the process until the result was made.
    """

    command: str
    experiment: Mapping[str, Any]
    cache_key: str
    seconds: Mapping[str, float]
    warnings: tuple[str, ...]
    details: Mapping[str, Any]
    folder: Path
    peak_memory_mib: float = field(default_factory=lambda: peak_memory_mib())

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
            "warnings": list(self.warnings),
            "folder": str(self.folder),
            **self.details,
        }


def write_result(result: Result) -> dict[str, Any]:
    """Write `result.json` into the result's folder (whole or not at all) and return its content."""
    content = result.as_json()
    write_text(result.folder / "result.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
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
    """Return the folder of a command's results, made if missing."""
    folder = home / "runs" / experiment / command
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def peak_memory_mib() -> float:
    """Return the largest resident memory this process had so far, in MiB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):  # what getrusage says counts the parent too, where it had more
                return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Return what the machine is: processor, cores, memory in GiB and the GPUs TensorFlow has seen, if it was loaded."""
    return {
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _gpu_names(),
        "system": platform.platform(),
    }


def _gpu_names() -> list[str]:
    tensorflow = sys.modules.get("tensorflow")
    if not tensorflow:
        return []
    details = tensorflow.config.experimental.get_device_details
    return [details(gpu).get("device_name", gpu.name) for gpu in tensorflow.config.list_physical_devices("GPU")]


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def experiment_json(experiment: Any) -> dict[str, Any]:
    """Return an experiment as plain JSON types."""
    return json.loads(json.dumps(asdict(experiment)))
