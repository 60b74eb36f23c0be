"""Measures a trained model on labelled images: all figures, and every answer in a table."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.errors import enumerated
from bottleneck_features.features.storage import sha256_of
from bottleneck_features.models.criteria import default_criterion
from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.quarantine import QUARANTINE_FILE
from bottleneck_features.pipeline.evaluation.figures import TwoClassCurves, curves, figures
from bottleneck_features.pipeline.evaluation.groups import group_warnings, lone_class_warnings
from bottleneck_features.pipeline.evaluation.ledger import Looks, answers_digest, content_digest, record_look
from bottleneck_features.pipeline.evaluation.per_class import absent_warnings, per_class
from bottleneck_features.pipeline.evaluation.reliability import reliability
from bottleneck_features.pipeline.evaluation.scores import confusion
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.extraction.cache import data_warnings
from bottleneck_features.pipeline.figures import Figures, figures_json
from bottleneck_features.pipeline.results import Clock, Result, experiment_json, run_folder, write_result
from bottleneck_features.pipeline.use.inference import inference
from bottleneck_features.pipeline.use.labelled import Labelled, UnknownClasses, open_labelled
from bottleneck_features.pipeline.use.measured import Measured, measure, trained_on, write_table
from bottleneck_features.pipeline.use.prediction import FALSE_ALARMS
from bottleneck_features.pipeline.use.saved_model import SavedModel
from bottleneck_features.pipeline.use.training_images import training_contents

TABLE = "predictions.csv"
SEEN_UNKNOWN = (
    "Whether the model was trained on some of these images is not known: no features of its training images are in this --home, "
    "or its images and these are not of one kind (files, arrays)."
)


def evaluate(
    model: SavedModel,
    settings: DatasetSettings,
    home: Path,
    split: str | None = None,
    unknown: UnknownClasses = "fail",
) -> Result:
    """Measure a trained model on labelled images.

    Args:
        model: from `open_model` or `open_model_file`.
        settings: of the data.
        home: the artifacts folder.
        split: the only split that is measured; None: all are.
        unknown: what becomes of images of classes that the model does not know.

    Returns:
        The `Result`, with `model`, `data`, `images` (by split), `n`, `classes`, `left_out`, `threshold`, `select`, `figures`
        (with the names of a method's row), `calibration` (of the model's probabilities), `per_class`, `confusion`, `curves`,
        `unlike`, `groups`, `trained_on` (images that the model was trained on, and the figures without them), `predictions`
        and `files`.

    Raises:
        RequestError: see `open_labelled`.
        PipelineError: no image can be used.
    """
    clock = Clock()
    with clock.phase("open"):
        labelled = open_labelled(model, settings, home, split, unknown)
        learned = training_contents(model, home)
    with clock.phase("compile"):
        run = inference(model)
    with clock.phase("predict"):
        measured = measure(model, run, labelled)
    seen = trained_on(model, labelled, measured, learned)
    folder = run_folder(home, model.experiment.name, "evaluate")
    matrix = confusion(labelled.labels, measured.predicted, len(model.classes))
    found = curves(labelled.labels, measured.probabilities)
    with clock.phase("write"):
        table = write_table(model, labelled, measured, seen, folder / TABLE)
        pictures = _pictures(model, matrix, found, folder)
    looks = _looks(model, labelled, measured, seen, home)
    listed = folder / QUARANTINE_FILE
    details: dict[str, Any] = {
        "model": model.as_json(),
        "data": labelled.dataset.title,
        "images": {part.split: len(part) for part in labelled.parts},
        "n": len(labelled),
        "classes": model.classes,
        "left_out": dict(labelled.left_out),
        "threshold": model.threshold,
        **_figures(model, labelled, measured, matrix, found),
        "trained_on": _seen(labelled, measured, seen),
        **({"test_looks": looks.as_json()} if looks else {}),
        "images_per_second": round(len(labelled) / clock.seconds["predict"], 2),
        "predictions": {"file": TABLE, "sha256": sha256_of(table)},
        "files": [str(file) for file in (table, *pictures, *([listed] if listed.exists() else []))],
    }
    warnings = (*_warnings(model, labelled, seen), *(looks.warnings() if looks else ()))
    key = model.known.get("cache_key", "")
    result = Result("evaluate", experiment_json(model.experiment), key, clock.seconds, warnings, details, folder)
    write_result(result)
    return result


def _figures(
    model: SavedModel, labelled: Labelled, measured: Measured, matrix: np.ndarray, found: TwoClassCurves | None
) -> dict[str, Any]:
    labels, predicted, probabilities = labelled.labels, measured.predicted, measured.probabilities
    present = np.unique(labels, return_inverse=True)[1]
    far = None if measured.distances is None else int((measured.distances > 1).sum())
    return {
        "select": default_criterion(present, int(present.max()) + 1),
        "figures": _flat(figures(labels, probabilities, predicted, labelled.groups)),
        "calibration": reliability(labels, probabilities, labelled.groups).as_json(),
        "per_class": [asdict(one) for one in per_class(labels, predicted, matrix, model.classes, labelled.groups)],
        "confusion": matrix.tolist(),
        "curves": found and asdict(found),
        "unlike": None if far is None else {"images": far, "share": far / len(labels), "false_alarms": FALSE_ALARMS},
        "groups": None if labelled.groups is None else int(labelled.groups.max()) + 1,
    }


def _flat(found: Figures) -> Mapping[str, Any]:
    """Return figures by the names that a method's row has them under, with the accuracy among them."""
    ends = [found.accuracy.low, found.accuracy.high]
    others = {name: by_split["all"] for name, by_split in figures_json({"all": found}).items()}
    return {"n": found.n, "accuracy": found.accuracy.value, "interval": ends, **others}


def _seen(labelled: Labelled, measured: Measured, seen: np.ndarray | None) -> dict[str, Any]:
    """Return how many images the model was trained on, and the figures of the others, where there are some of both."""
    if seen is None:
        return {"images": None, "figures_without": None}
    rest = ~seen
    without = None
    if seen.any() and rest.any():
        groups = None if labelled.groups is None else labelled.groups[rest]
        without = _flat(figures(labelled.labels[rest], measured.probabilities[rest], measured.predicted[rest], groups))
    return {"images": int(seen.sum()), "figures_without": without}


def _looks(
    model: SavedModel, labelled: Labelled, measured: Measured, seen: np.ndarray | None, home: Path
) -> Looks | None:
    """Record the look at test images: those of the test split, or of data in one part all that the model has not seen."""
    starts = np.cumsum([0, *(len(part) for part in labelled.parts)])
    for part, start in zip(labelled.parts, starts.tolist(), strict=False):
        if part.split != "test" and len(labelled.parts) > 1:
            continue
        rows = np.arange(start, start + len(part))
        if part.split != "test" and seen is not None:
            rows = rows[~seen[rows]]
        if not len(rows):
            return None
        images = content_digest(labelled.dataset, Subset(part.split, part.indices[rows - start]))
        answers = answers_digest({model.name: measured.predicted[rows]})
        return record_look(home, images, command="evaluate", methods=1, answers=answers)
    return None


def _pictures(model: SavedModel, matrix: np.ndarray, found: TwoClassCurves | None, folder: Path) -> list[Path]:
    (folder / "curves.png").unlink(missing_ok=True)  # of other data
    drawn = plots.confusion_matrices({model.name: matrix}, model.classes)  # with the data it fits not above two classes
    pictures = [plots.save_figure(drawn, folder / "confusion.png")]
    if found:
        positive = model.classes[found.positive]
        drawn = plots.two_class_curves({model.name: asdict(found)}, positive)
        pictures.append(plots.save_figure(drawn, folder / "curves.png"))
    return pictures


def _warnings(model: SavedModel, labelled: Labelled, seen: np.ndarray | None) -> tuple[str, ...]:
    """Return what a reader of the figures must know."""
    notices = data_warnings(model.experiment, labelled.dataset) if model.head else labelled.dataset.notices
    warnings = [*model.warnings, *notices, *model.novelty_warnings(FALSE_ALARMS)]
    if labelled.left_out:
        named = enumerated(f"{name!r} ({count:,})" for name, count in labelled.left_out.items())
        warnings.append(f"Images of classes that the model does not know are left out: {named}.")
    warnings += absent_warnings(labelled.labels, model.classes, "images")
    warnings += group_warnings(labelled.group_names, "images")
    warnings += lone_class_warnings(labelled.group_names, labelled.labels, model.classes, "images")
    if seen is None:
        warnings.append(SEEN_UNKNOWN)
    elif seen.any():
        warnings.append(
            f"The model was trained on {int(seen.sum()):,} of these {len(seen):,} images, or chosen by them (`trained_on` in the "
            "table): figures with them are too optimistic."
        )
    return tuple(warnings)
