"""One variant of the benchmark in its own process: it prepares once, then runs on request.

Reads one JSON object from stdin (the variant), then one line for each run; writes one JSON object per line.
"""

import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bottleneck_features import features, models
from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, Dataset, Samples
from bottleneck_features.pipeline.extraction.extract import fill
from bottleneck_features.pipeline.extraction.identity import targets_of
from bottleneck_features.pipeline.machine import peak_memory_mib
from bottleneck_features.pipeline.results import Clock
from bottleneck_features.quiet import import_tensorflow

SOURCE = 32  # side of the images before resizing, as CIFAR-10's


def main() -> None:
    """Serve runs until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the error stream
    import_tensorflow()
    variant = json.loads(sys.stdin.readline())
    imported = peak_memory_mib()
    try:
        runs, about = prepare(variant)
    except models.EngineMismatch as mismatch:
        _say(answers, {"refused": str(mismatch)})
        return
    except models.ModelError as error:
        _say(answers, {"error": str(error)})
        return
    _say(answers, {"ready": True, "import_mib": imported, **about})
    for line in sys.stdin:
        run = runs[line.strip()]
        start = time.perf_counter()
        run()
        _say(answers, {"seconds": time.perf_counter() - start, "peak_mib": peak_memory_mib()})


def prepare(variant: dict[str, Any]) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    """Return the variant's runs by name, each warmed up once, and what is known about it."""
    size = tuple(variant["size"])
    asked = models.Preprocessing(**variant["preprocessing"]) if variant["preprocessing"] else None
    backbone = models.load_backbone(variant["backbone"], variant["weights"], size, 0, asked)
    backbone.require_layers((variant["layer"],))
    dataset = _synthetic(variant["images"])
    images = dataset.images("train", np.arange(variant["images"]))
    folder = Path(tempfile.mkdtemp(dir=variant["scratch"]))
    if variant["engine"] == "baseline":
        runs, about = _baseline(backbone, variant["layer"], images, folder)
    else:
        runs, about = _engine(backbone, variant, dataset, images, folder)
    for run in runs.values():
        run()
    return runs, about


def _baseline(
    backbone: "models.Layered", layer: str, images: np.ndarray, folder: Path
) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    from bottleneck_features.pipeline.extraction.walk_through import walk_through

    predict = _predict(backbone, layer)
    return {"stage": lambda: walk_through(predict, images, backbone.size, folder / "features.npz")}, {}


def _predict(backbone: "models.Layered", layer: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return what computes a layer's output in float32, in batches as the walk-through's."""
    import keras

    from bottleneck_features.models.runtime_backbone import RuntimeBackbone
    from bottleneck_features.models.tracing import output_of
    from bottleneck_features.pipeline.extraction.walk_through import BATCH, predict_by

    if isinstance(backbone, RuntimeBackbone):
        run = backbone.as_in_file((layer,))
        return lambda images: np.concatenate(
            [run(images[start : start + BATCH])[0] for start in range(0, len(images), BATCH)]
        )
    assert isinstance(backbone, models.Backbone)
    return predict_by(keras.Model(backbone.model.input, output_of(backbone.model, layer)))


def _engine(
    backbone: "models.Layered", variant: dict[str, Any], dataset: Dataset, images: np.ndarray, folder: Path
) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    batch, size = variant["batch_size"], backbone.size

    def build(input_shape: tuple[int, int], calibration: np.ndarray) -> models.Extractor:
        return models.build_extractor(
            backbone,
            [variant["layer"]],
            input_shape=input_shape,
            engine=variant["engine"],
            precision=variant["precision"],
            batch_size=batch,
            calibration=calibration if variant["precision"] == "int8" else None,
        )

    in_place = np.random.default_rng(1).integers(0, 256, (batch, *size, 3), dtype=np.uint8)
    bare = build(size, in_place)
    stage = build((SOURCE, SOURCE), images[:batch])
    spec = {layer: features.ArraySpec(shape, "float16") for layer, shape in stage.output_shapes.items()}
    plan = {"train": features.SplitPlan(dataset.splits["train"].ids)}
    counter = itertools.count()

    def run_bare() -> None:
        bare.repeat(in_place, len(images) // batch)

    def run_stage() -> None:
        path = folder / f"run-{next(counter)}"
        writing = features.CacheWriter(
            path, {"run": path.name}, plan, spec, targets_of(dataset), shard_size=1024, provenance={}
        )
        with writing as writer:
            fill(writer, dataset, lambda: stage, batch, Clock())
            writer.finish()

    about = {"gflop_per_image": stage.gflop_per_image, "matmul_gflops": _matmul(variant)}
    return {"bare": run_bare, "stage": run_stage}, about


def _matmul(variant: dict[str, Any]) -> float:
    return models.matmul_gflops(variant["engine"], variant["precision"])


def _synthetic(count: int) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (count, SOURCE, SOURCE, 3), dtype=np.uint8)
    samples = Samples(np.array([f"synthetic-{i:06d}" for i in range(count)]), np.zeros(count, np.int64))
    return ArrayDataset("synthetic noise", ("noise",), {"train": images}, {"train": samples})


def _say(answers: TextIO, content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
