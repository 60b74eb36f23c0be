"""What each precision costs in accuracy: real CIFAR-10, two real ResNet-50s, the same logistic regression.

BOTTLENECK_REAL_DATA=… python benchmarks/precision_accuracy.py precision.json
"""

import json
import time
from pathlib import Path

import click
import numpy as np
from arguments import NEW, real_data
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bottleneck_features import models
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.dataset import stratified_sample
from bottleneck_features.pipeline.datasets.sources.cifar10 import Cifar10
from bottleneck_features.pipeline.evaluation.scores import mcnemar, score
from bottleneck_features.pipeline.progress import progress

IMAGES = {"train": 5000, "test": 2000}
SIZE = (200, 200)
BATCH = 32
L2_INVERSE = 0.01  # scikit-learn's C on standardised features
BACKBONES = (("resnet50_v15_pqf", "conv5_block3_out"), ("resnet50_conv4_msra", "conv4_block6_out"))
VARIANTS = (("float32", 0), ("bfloat16", 0), ("int8", 64))  # with the number of calibration images


@click.command(help=__doc__)
@click.argument("output", type=NEW)
@real_data
def main(output: Path, data: Path) -> None:
    """Measure every backbone and variant; `output` is written anew after each, so that nothing is lost."""
    dataset = Cifar10(str(data / "cifar-10-batches-py"))
    chosen = {split: stratified_sample(dataset.splits[split].labels, count) for split, count in IMAGES.items()}
    rows: list[dict[str, object]] = []
    for weights, layer in BACKBONES:
        backbone = models.load_backbone(str(data / "weights" / f"{weights}.keras"), size=SIZE)
        reference: dict[str, np.ndarray] = {}
        for precision, calibration in VARIANTS:
            start = time.perf_counter()
            extractor = _extractor(backbone, layer, precision, dataset, calibration)
            prepared = time.perf_counter() - start
            start = time.perf_counter()
            x = {split: _features(extractor, dataset, split, chosen[split], layer) for split in IMAGES}
            rate = sum(IMAGES.values()) / (time.perf_counter() - start)
            y = {split: dataset.splits[split].labels[chosen[split]] for split in IMAGES}
            predicted = _classify(x["train"], y["train"], x["test"])
            reference = reference or {"features": x["test"], "predicted": predicted}
            rows.append(
                {
                    "backbone": weights, "precision": precision, "calibration": calibration,
                    "prepare_seconds": prepared, "images_per_second": rate,
                    "accuracy": vars(score(y["test"], predicted)),
                    "mcnemar_p": mcnemar(y["test"], reference["predicted"], predicted).p_value,
                    **_likeness(x["test"], reference["features"]),
                }
            )  # fmt: skip
            output.write_text(json.dumps(rows, indent=1))
            print(rows[-1], flush=True)


def _extractor(
    backbone: models.Backbone, layer: str, precision: str, dataset: Dataset, calibration: int
) -> models.Extractor:
    order = np.random.default_rng(0).permutation(len(dataset.splits["train"]))
    images = dataset.images("train", np.sort(order[:calibration])) if calibration else None
    return models.build_extractor(
        backbone, [layer], input_shape=dataset.image_shape[:2], engine="openvino", precision=precision,
        batch_size=BATCH, calibration=images,
    )  # fmt: skip


def _features(extractor: models.Extractor, dataset: Dataset, split: str, indices: np.ndarray, layer: str) -> np.ndarray:
    batches = [indices[start : start + BATCH] for start in range(0, len(indices), BATCH)]
    images = (dataset.images(split, batch) for batch in batches)
    outputs = progress(iterable=extractor.map(images), total=len(batches), desc=extractor.precision, unit="batch")
    return np.concatenate([output[layer] for output in outputs])


def _classify(x: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    return make_pipeline(StandardScaler(), LogisticRegression(C=L2_INVERSE, max_iter=2000)).fit(x, y).predict(test)


def _likeness(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Mean cosine of the features with the float32 ones, as they are and after float32's mean is taken off."""
    centre = theirs.mean(axis=0)
    return {
        "cosine": _cosine(ours, theirs),
        "centred_cosine": _cosine(ours - centre, theirs - centre),
        "relative_error": float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)),
    }


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))


if __name__ == "__main__":
    main()
