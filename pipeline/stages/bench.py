"""The benchmark of stage one: the walk-through's script, the bare forward pass, and the full stage, run in turn."""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from bottleneck_features import models
from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.identity import backbone_label
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.resolved_experiment import asked_preprocessing, resolved
from bottleneck_features.pipeline.results import Clock, Result, experiment_json, run_folder, write_result

BASELINE = "walk-through"
BENCH_COLUMNS = (
    "variant",
    "images/s",
    "min–max",
    "× walk-through",
    "of bare pass",
    "of matmul rate",
    "peak MiB",
    "above import",
)


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        images: per run on a CPU, rounded down to a multiple of the batch size; on a GPU it is `ON_GPU`.
        repeats: of every run, interleaved.
        precisions: of the engines.
    """

    images: int
    repeats: int
    precisions: tuple[str, ...]


ON_GPU = 8192  # images per run
QUICK_EFFORT = Effort(96, 3, ("auto", "int8"))
FULL_EFFORT = Effort(512, 5, ("float32", "bfloat16", "float16", "int8"))


@dataclass(frozen=True)
class Measured:
    """One variant's figures.

    Attributes:
        name: such as `openvino bfloat16, full stage one`.
        images_per_second: one value per repeat.
        peak_mib: largest resident memory of its process, which ran nothing else.
        above_import_mib: the same less what importing the framework takes.
        ratio: median of the repeats' ratios to the walk-through of the same round.
        share_of_bare: median of the repeats' ratios to its engine's bare forward pass; None for others.
        share_of_matmul: of the measured matrix product rate at this precision; None for the walk-through.
    """

    name: str
    images_per_second: tuple[float, ...]
    peak_mib: float
    above_import_mib: float
    ratio: float
    share_of_bare: float | None
    share_of_matmul: float | None


def bench(experiment: Experiment, home: Path, effort: Effort) -> Result:
    """Measure stage one of an experiment's backbone on this machine, with synthetic 32×32 images.

    Weights play no part in speed: a registered backbone gets random ones, a model file has its own. What a file that OpenVINO
    runs is compared with is that file in ONNX Runtime, else in OpenVINO, in float32.

    Args:
        experiment: its backbone, last layer, input size and batch size are used.
        home: the artifacts folder.
        effort: how much is measured.

    Returns:
        The `Result`, with `variants` (as `Measured`; one that computes something else than the network is left out, with a
        warning) and `files`.

    Raises:
        RequestError: there is no such backbone, layer or weights.
        PipelineError: the process of a variant died.
    """
    clock, experiment = Clock(), resolved(experiment)
    folder = run_folder(home, experiment.name, "bench")
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        request = _request(experiment, effort, scratch)
        workers = [BenchmarkProcess({**request, **variant}) for variant in _variants(experiment.backbone.name, effort)]
        try:
            with clock.phase("prepare"):
                for worker in progress(iterable=workers, desc="getting ready", unit="variant"):
                    worker.prepare()
            ready = [worker for worker in workers if not worker.refused]
            with clock.phase("measure"):
                rounds = _measure(ready, effort)
        finally:
            for worker in workers:
                worker.close()
    measured = _evaluate(ready, rounds)
    warnings = [f"{worker.name} was not measured: {worker.refused}" for worker in workers if worker.refused]
    if request["weights"] == "random":
        warnings.insert(0, "Random weights: they play no part in speed.")
    variants = [asdict(variant) for variant in measured]
    picture = plots.save_figure(plots.benchmark(variants), folder / "bench.png")
    details = {
        "backbone": backbone_label(experiment),
        "images_a_run": request["images"],
        "repeats": effort.repeats,
        "variants": variants,
        "files": [str(picture)],
    }
    result = Result("bench", experiment_json(experiment), "", clock.seconds, tuple(warnings), details, folder)
    write_result(result)
    return result


def bench_rows(variants: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the figures as text in the order of `BENCH_COLUMNS`."""
    return [
        (
            variant["name"],
            f"{median(variant['images_per_second']):.1f}",
            f"{min(variant['images_per_second']):.1f}–{max(variant['images_per_second']):.1f}",
            f"{variant['ratio']:.2f}",
            _percent(variant["share_of_bare"]),
            _percent(variant["share_of_matmul"]),
            f"{variant['peak_mib']:,.0f}",
            f"{variant['above_import_mib']:,.0f}",
        )
        for variant in variants
    ]


class BenchmarkProcess:
    """A process that runs one variant; `refused` says why it was refused if its results are wrong."""

    def __init__(self, variant: dict[str, Any]) -> None:
        self.variant = variant
        self.name = BASELINE if variant["engine"] == "baseline" else f"{variant['engine']} {variant['precision']}"
        self.runs = ("stage",) if variant["engine"] == "baseline" else ("bare", "stage")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bottleneck_features.pipeline.extraction.bench_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about: dict[str, Any] = {}
        self.refused = ""

    def prepare(self) -> None:
        """Start the variant; it may refuse, since it computes something else than the network."""
        self.about = self._ask(json.dumps(self.variant))
        self.refused = self.about.get("refused", "")

    def run(self, name: str) -> dict[str, Any]:
        """Run `bare` or `stage` once; return its `seconds` and `peak_mib`."""
        return self._ask(name)

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:  # it died since its last answer
            answer = ""
        if not answer:
            raise PipelineError(f"The benchmark of {self.name} failed; what it said is above.")
        content = json.loads(answer)
        if "error" in content:
            raise RequestError(content["error"])
        return content

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def _request(experiment: Experiment, effort: Effort, scratch: str) -> dict[str, Any]:
    name = experiment.backbone.name
    batch = experiment.compute.batch_size
    asked = asked_preprocessing(experiment.backbone)
    return {
        "backbone": name,
        "weights": experiment.backbone.weights if models.is_model_file(name) else "random",
        "preprocessing": None if asked is None else asdict(asked),
        "layer": experiment.backbone.layers[-1],
        "size": experiment.input.size,
        "batch_size": batch,
        "images": max(1, (ON_GPU if models.gpus() else effort.images) // batch) * batch,
        "scratch": scratch,
    }


def _variants(name: str, effort: Effort) -> list[dict[str, str]]:
    found = [{"engine": "baseline", "precision": "float32"}]
    only = models.only_engine(name)
    engines = (only,) if only else ("tensorflow",) if models.gpus() else ("tensorflow", "openvino")
    for engine, precision in product(engines, effort.precisions):
        try:
            resolved = models.resolve_engine(engine, precision)
        except models.EngineUnavailable:
            continue
        found.append(dict(zip(("engine", "precision"), resolved, strict=True)))
    return found


def _measure(workers: list[BenchmarkProcess], effort: Effort) -> list[dict[tuple[str, str], dict[str, Any]]]:
    rounds = []
    for _ in progress(iterable=range(effort.repeats), desc="measuring", unit="round"):
        rounds.append({(worker.name, run): worker.run(run) for worker in workers for run in worker.runs})
    return rounds


def _evaluate(workers: list[BenchmarkProcess], rounds: list[dict[tuple[str, str], dict[str, Any]]]) -> list[Measured]:
    measured = []
    for worker in workers:
        count = worker.variant["images"]
        for run in worker.runs:
            seconds = [turn[worker.name, run]["seconds"] for turn in rounds]
            base = [turn[BASELINE, "stage"]["seconds"] for turn in rounds]
            bare = (
                [turn[worker.name, "bare"]["seconds"] for turn in rounds]
                if run == "stage" and len(worker.runs) > 1
                else []
            )
            rates = tuple(count / second for second in seconds)
            peak = rounds[-1][worker.name, run]["peak_mib"]
            title = {"bare": "bare forward pass", "stage": "full stage one"}[run]
            measured.append(
                Measured(
                    worker.name if worker.name == BASELINE else f"{worker.name}, {title}",
                    rates,
                    peak,
                    peak - worker.about["import_mib"],
                    median(b / s for b, s in zip(base, seconds, strict=True)),
                    median(b / s for b, s in zip(bare, seconds, strict=True)) if bare else None,
                    _matmul_share(worker.about, median(rates)),
                )
            )
    return measured


def _matmul_share(about: dict[str, Any], rate: float) -> float | None:
    return rate * about["gflop_per_image"] / about["matmul_gflops"] if "matmul_gflops" in about else None


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
