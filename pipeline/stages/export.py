"""Writes a trained classifier as one model for other runtimes, each checked against the pipeline's own predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features import models
from bottleneck_features.features.storage import remove_stale, workshop
from bottleneck_features.models.building import backbone_recipe
from bottleneck_features.models.deployable import LinearHead, deployable
from bottleneck_features.models.formats import FORMATS, LABELS, Format, Run, label_lines, move, remove
from bottleneck_features.models.recipe import Recipe
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.extraction.cache import data_warnings, weights_notes
from bottleneck_features.pipeline.extraction.networks import trainable_backbone
from bottleneck_features.pipeline.input_fit import graph_fit
from bottleneck_features.pipeline.reporting.model_card import CARD, model_card
from bottleneck_features.pipeline.results import Clock, Result, experiment_json, run_folder, write_result, write_text
from bottleneck_features.pipeline.use.inference import inference
from bottleneck_features.pipeline.use.saved_model import SavedModel

CHECKED = 64  # images
_SEED = 0
LIMIT = 1e-4  # of a probability, against float32
_AT_A_TIME = 16


@dataclass(frozen=True)
class Exported:
    """One format.

    Attributes:
        name: one of `FORMATS`.
        path: of its file or folder; None where it was removed because it failed.
        difference: the largest one of any probability of the checked images from the pipeline's in float32.
    """

    name: str
    path: Path | None
    difference: float

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types; a difference that is not a number is a null."""
        finite = self.difference if np.isfinite(self.difference) else None
        return {"format": self.name, "path": str(self.path) if self.path else None, "largest_difference": finite}


def export_model(model: SavedModel, formats: Sequence[str], home: Path, to: Path | None = None) -> Result:
    """Write a classifier in some formats, with the names of its classes and a model card.

    Args:
        model: from `open_model`.
        formats: some of `FORMATS`.
        home: the artifacts folder.
        to: the folder to write to; default: one of the model's name in that of the command's results, so that two models
            never share a card.

    Returns:
        The `Result`, with `model`, `to` (the folder), `exported` (a row per format: `path`, `largest_difference`),
        `checked_images`, `against_pipeline` (the exported model beside the pipeline as it runs, with its engine and
        precision) and `files`.

    Raises:
        RequestError: the head is k-NN, which cannot be exported.
        InvalidSetting: the backbone is a file that OpenVINO runs as it is.
        EngineUnavailable: a package that a format needs is missing.
        PipelineError: a format's predictions are not the pipeline's; it was removed.
    """
    models.require_trainable(model.experiment.backbone.name)
    for name in formats:
        FORMATS[name].require()
    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(model.experiment, home)
        split = next(split for split in ("test", "validation", "train") if split in dataset.splits)
        order = np.random.default_rng(_SEED).permutation(len(dataset.splits[split]))
        images = dataset.images(split, np.sort(order[:CHECKED]))
    with clock.phase("reference"):
        whole = deployed(model)
        reference, own = _predictions(_in_float32(model), images), _predictions(model, images)
    results = run_folder(home, model.experiment.name, "export")
    folder = to or results / model.name
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    exported = []
    for name in formats:
        path = folder / FORMATS[name].file
        with clock.phase(name), workshop(path) as making:
            FORMATS[name].write(whole, making / path.name, model.classes)
            exported.append(placed(checked(name, making / path.name, FORMATS[name], images, reference), path))
    warnings = (*model.warnings, *data_warnings(model.experiment, dataset))
    write_text(folder / LABELS, label_lines(model.classes))
    details: dict[str, Any] = {
        "model": model.as_json(),
        "classes": model.classes,
        "to": str(folder),
        "exported": [one.as_json() for one in exported],
        "checked_images": {"split": split, "n": len(images), "limit": LIMIT},
        "against_pipeline": _against(model, reference, own),
        "files": [str(one.path) for one in exported if one.path] + [str(folder / LABELS), str(folder / CARD)],
    }
    write_text(folder / CARD, model_card(model, details, warnings))
    key = model.known.get("cache_key", "")
    result = Result(
        "export",
        experiment_json(model.experiment),
        key,
        clock.seconds,
        warnings,
        details,
        results,
        weights_notes(model.experiment),
    )
    write_result(result)
    _refuse_failures(exported)
    return result


def deployed(model: SavedModel) -> Any:
    """Return a classifier as one Keras model of uint8 images; see `models.deployable`.

    Raises:
        RequestError: the head is k-NN.
    """
    experiment, known = model.experiment, model.known
    fit, crop_share = graph_fit(experiment)
    if model.head is None:
        assert model.network is not None
        network, pooling = model.network.get_layer("backbone"), experiment.features.pooling[-1]
        kernel, bias = model.network.get_layer("classes").get_weights()
        recipe = Recipe(
            (network.layers[-1].name,),
            ("max" if pooling == "max" else "avg",),
            model.image_shape[:2],
            experiment.input.size,
            experiment.input.resize,
            experiment.input.antialias,
            fit=fit,
            crop_share=crop_share,
        )
        return deployable(network, recipe, LinearHead(kernel.T, bias, known["temperature"]))
    if not model.head.classifier.is_linear:
        n = len(model.head.classifier.arrays["labels"])
        raise RequestError(
            f"The head of --model {model.name} ({known['method']}) needs its {n:,} training images, so it cannot be exported. "
            "Export a linear head: run bottleneck train-head with the same options, then use --model train-head."
        )
    backbone = trainable_backbone(experiment, experiment.backbone.weights)
    poolings = tuple(known["pooling"][layer] for layer in known["layers"])
    recipe = backbone_recipe(
        backbone,
        tuple(known["layers"]),
        poolings,
        model.image_shape[:2],
        resize=experiment.input.resize,
        antialias=experiment.input.antialias,
        views=experiment.input.views,
        fit=fit,
        crop_share=crop_share,
    )
    arrays = model.head.classifier.arrays
    head = LinearHead(arrays["coefficients"], arrays["intercept"], known["temperature"], model.head.classifier.averages)
    return deployable(backbone.model, recipe, head)


def checked(name: str, path: Path, form: Format, images: np.ndarray, reference: np.ndarray) -> Exported:
    """Compare the predictions of a format's own runtime with the pipeline's; remove the file if they differ.

    Args:
        name: of the format.
        path: what it wrote.
        form: the format.
        images: `(n, height, width, 3)` uint8.
        reference: `(n, classes)` probabilities by the pipeline in float32.
    """
    run: Run = form.load(path)
    parts = [run(images[start : start + _AT_A_TIME]) for start in range(0, len(images), _AT_A_TIME)]
    difference = float(np.abs(np.concatenate(parts) - reference).max())
    if not difference <= LIMIT:  # NaN too
        remove(path)
        return Exported(name, None, difference)
    return Exported(name, path, difference)


def placed(one: Exported, path: Path) -> Exported:
    """Move a checked file to its place; where it was removed because it failed, an earlier one goes too."""
    if one.path is None:
        remove(path)
        return one
    return replace(one, path=move(one.path, path.parent))


def _refuse_failures(exported: Sequence[Exported]) -> None:
    failed = [one for one in exported if one.path is None]
    if failed:
        found = "; ".join(f"{one.name}: {one.difference:.2g}" for one in failed)
        raise PipelineError(
            f"The exported model does not predict the same as the pipeline, so it was removed ({found}; the largest "
            f"difference allowed is {LIMIT:g}). Export another format, and report this with the versions in result.json."
        )


def _in_float32(model: SavedModel) -> SavedModel:
    experiment = model.experiment
    compute = replace(experiment.compute, engine="tensorflow", precision="float32")
    exact = replace(experiment.features, dtype="float32")
    return replace(model, experiment=replace(experiment, compute=compute, features=exact))


def _predictions(model: SavedModel, images: np.ndarray) -> np.ndarray:
    size = model.experiment.compute.batch_size
    parts = inference(model)(images[start : start + size] for start in range(0, len(images), size))
    return np.concatenate([part.probabilities for part in parts])


def _against(model: SavedModel, reference: np.ndarray, own: np.ndarray) -> dict[str, Any]:
    compute = model.experiment.compute
    return {
        "engine": compute.engine if model.head else "tensorflow",
        "precision": compute.precision if model.head else "float32",
        "largest_difference": float(np.abs(reference - own).max()),
        "same_class": int((reference.argmax(axis=1) == own.argmax(axis=1)).sum()),
    }
