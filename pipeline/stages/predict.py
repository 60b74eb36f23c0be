"""Classifies image files by a trained model of an experiment, broken files reported and not fatal."""

import csv
import io
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bottleneck_features.features.storage import remove_stale, whole_file
from bottleneck_features.models.downloads import file_digest
from bottleneck_features.models.probabilities import decide
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.results import Clock, Result, experiment_json, run_folder, write_result
from bottleneck_features.pipeline.use.inference import Inference, Predicted, inference
from bottleneck_features.pipeline.use.picture_files import PictureBatch, PictureFiles, decoded
from bottleneck_features.pipeline.use.prediction import FALSE_ALARMS, Prediction, header
from bottleneck_features.pipeline.use.saved_model import SavedModel
from bottleneck_features.pipeline.use.unfinished import forget, resumed
from bottleneck_features.plain import csv_row


def predict(
    model: SavedModel,
    files: PictureFiles,
    home: Path,
    top: int = 3,
    out: TextIO | Path | None = None,
    threshold: float | None = None,
    false_alarms: float = FALSE_ALARMS,
) -> Result:
    """Classify image files.

    Args:
        model: from `open_model`.
        files: from `listed`.
        home: the artifacts folder.
        top: how many classes are given for each file.
        out: where the CSV goes; a file is written completely or not at all. None keeps the predictions in the result.
            Predictions that a killed run made for the same file are used again.
        threshold: of two classes, the probability of the second from which it is answered; default: the model's own.
        false_alarms: the share of images like the training images that may be called unlike them, between 0 and 1.

    Returns:
        The `Result`, with `model`, `false_alarms`, `compared_with` (how many images and groups; None for whole networks),
        `files_found`, `resumed` (of them kept from a killed run), `classified`, `unlike` (files; None where it is not known),
        `labels` (files by predicted class), `out`, `images_per_second`, and without `out` the `predictions`.

    Raises:
        RequestError: a threshold for a model that has not two classes.
        PipelineError: no file could be used, or another process writes the same file now.
    """
    if threshold is not None and len(model.classes) != 2:
        raise RequestError(f"--threshold is for two classes, and the model has {len(model.classes):,}. Leave it out.")
    threshold = model.threshold if threshold is None else threshold
    clock, top, farthest = Clock(), min(top, len(model.classes)), model.distance_threshold(false_alarms)
    with clock.phase("compile"):
        run = inference(model)
    tally, kept = _Tally(), []

    def classified(rest: PictureFiles) -> Iterator[Prediction]:
        tally.resumed = len(files) - len(rest)
        return _predictions(model, run, rest, top, threshold, farthest)

    settings = experiment_json(model.experiment)
    if isinstance(out, Path):
        asked = {"top": top, "threshold": threshold, "false_alarms": false_alarms}
        work = {"model": file_digest(model.path), "experiment": settings, **asked}
        predictions = resumed(_unfinished(out), work, files, classified)
    else:
        predictions = classified(files)
    with clock.phase("predict"), _opened(out) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header(top))
        in_terminal = isinstance(out, io.TextIOBase) and out.isatty()  # where a bar would stand among the rows
        for prediction in predictions if in_terminal else _progressing(predictions, len(files)):
            tally.add(prediction)
            if out is None:
                kept.append(prediction.as_json())
            else:
                writer.writerow(csv_row(prediction.row(top)))
    if isinstance(out, Path):
        forget(_unfinished(out))
    details: dict[str, Any] = {
        "model": model.as_json(),
        "threshold": threshold,
        "false_alarms": false_alarms,
        "compared_with": model.head.novelty.counts() if model.head else None,
        **tally.as_json(),
        "unlike": None if farthest is None else tally.unlike,
        "images_per_second": round((len(files) - tally.resumed) / clock.seconds["predict"], 2),
        "out": str(out) if isinstance(out, Path) else None,
        **({"predictions": kept} if out is None else {}),
    }
    key = model.known.get("cache_key", "")
    folder = run_folder(home, model.experiment.name, "predict")
    warnings = (*model.warnings, *model.novelty_warnings(false_alarms))
    notes = () if farthest is None else (_about_alarms(false_alarms),)
    result = Result("predict", settings, key, clock.seconds, warnings, details, folder, notes)
    write_result(result)
    if not details["classified"]:
        raise PipelineError(f"None of the {len(files):,} files could be classified. The first: {tally.first_problem}")
    return result


def _about_alarms(rate: float) -> str:
    return (
        f"About {100 * rate:g} % of images like those of training, of new groups where there are groups, are called unlike them "
        "by mistake, on average over models. How many unlike images pass is not known."
    )


def _progressing(predictions: Iterable[Prediction], total: int) -> Iterator[Prediction]:
    with progress(total=total, unit="image", desc="predict") as bar:
        for prediction in predictions:
            yield prediction
            bar.update()


def _unfinished(out: Path) -> Path:
    return out.with_name(f".{out.name}.unfinished")


def _predictions(
    model: SavedModel,
    run: Inference,
    files: PictureFiles,
    top: int,
    threshold: float | None,
    farthest: float | None,
) -> Iterator[Prediction]:
    """Return the predictions in the order of the files; at most a few batches are in memory."""
    waiting: deque[PictureBatch] = deque()
    limit, size = model.experiment.dataset.max_pixels, model.experiment.compute.batch_size

    def images() -> Iterator[np.ndarray]:
        for batch in decoded(files, model.resizing, limit, size):
            waiting.append(batch)
            if len(batch.images):
                yield batch.images

    for predicted in run(images()):
        while not len(waiting[0].images):
            yield from _named(waiting.popleft(), None, model.classes, top)
        yield from _named(waiting.popleft(), predicted.relative_to(farthest), model.classes, top, threshold)
    for batch in waiting:
        yield from _named(batch, None, model.classes, top)


def _named(
    batch: PictureBatch,
    predicted: Predicted | None,
    classes: Sequence[str],
    top: int,
    threshold: float | None = None,
) -> Iterator[Prediction]:
    place, answers = 0, None if predicted is None else decide(predicted.probabilities, threshold)
    for file, problem in zip(batch.files, batch.problems, strict=True):
        if problem or predicted is None or answers is None:
            yield Prediction(file, problem=problem)
            continue
        probabilities = predicted.probabilities[place]
        answered_first = np.where(np.arange(len(probabilities)) == answers[place], -np.inf, -probabilities)
        best = np.argsort(answered_first, kind="stable")[:top]
        distance = None if predicted.distances is None else float(predicted.distances[place])
        yield Prediction(file, tuple((classes[i], float(probabilities[i])) for i in best), distance)
        place += 1


class _Tally:
    """Counts what was predicted."""

    def __init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self.files = self.unlike = self.resumed = 0
        self.first_problem = ""

    def add(self, prediction: Prediction) -> None:
        self.files += 1
        self.unlike += bool(prediction.unlike)
        if prediction.classes:
            self.labels[prediction.classes[0][0]] += 1
        elif not self.first_problem:
            self.first_problem = f"'{prediction.file}': {prediction.problem}"

    def as_json(self) -> dict[str, Any]:
        labels = dict(self.labels.most_common())
        counts = {"files_found": self.files, "resumed": self.resumed, "classified": sum(labels.values())}
        return {**counts, "labels": labels}


@contextmanager
def _opened(out: TextIO | Path | None) -> Iterator[TextIO]:
    """Return a stream for the CSV; a file gets its name when it is whole."""
    if not isinstance(out, Path):
        yield out or io.StringIO()
        return
    remove_stale(out.parent, of=f"{out.name}~")
    with whole_file(out) as file:
        stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield stream
        stream.detach()
