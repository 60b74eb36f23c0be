"""The commands of a trained model as functions: classify files, measure on labelled images, export."""

from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Literal

from bottleneck_features.errors import nearest
from bottleneck_features.pipeline.api.asking import Section
from bottleneck_features.pipeline.api.loaded_model import LoadedModel, load_model
from bottleneck_features.pipeline.api.result import Result, shown
from bottleneck_features.pipeline.api.undisturbed import undisturbed
from bottleneck_features.pipeline.asked_experiment import measured_data
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment_file import flat, override_text
from bottleneck_features.pipeline.home import default_home, usable_home
from bottleneck_features.pipeline.method_names import EXPORT_FORMATS
from bottleneck_features.pipeline.use.saved_model import SavedModel
from bottleneck_features.quiet import import_tensorflow

Model = LoadedModel | str | PathLike[str]
SPLITS = ("train", "validation", "test")


def predict(
    model: Model,
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    top: int = 3,
    out: str | PathLike[str] | None = None,
    threshold: float | None = None,
    home: str | PathLike[str] | None = None,
) -> Result:
    """Classify image files, broken ones reported and not fatal: `bottleneck predict`.

    For images that are in memory see `LoadedModel.predict_proba`.

    Args:
        model: from `bf.load_model`, or what that takes.
        paths: files, and folders, all files of which are classified.
        top: how many classes are given for each file.
        out: a CSV file to be written; predictions that a killed call made for it are taken. None: they are in the result.
        threshold: of two classes, the probability of the second from which it is answered; None: the model's own.
        home: the artifacts folder; None: $BOTTLENECK_HOME, else `artifacts`.

    Returns:
        A `Result`; without `out` its `table` has a row per file.

    Raises:
        RequestError: there is no such model, no such path, or an argument cannot be right.
        PipelineError: not one file can be classified.
    """
    from bottleneck_features.pipeline.use.picture_files import listed

    if top < 1:
        raise RequestError(f"top takes a number of classes from 1 on. Received: {top}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise RequestError(f"threshold takes a probability from 0 to 1. Received: {threshold}")
    named = [paths] if isinstance(paths, str | PathLike) else list(paths)
    if not named:
        raise RequestError("Name images, or folders of images. Received: none.")
    file = None if out is None else Path(out).absolute()
    if file and not file.parent.is_dir():
        raise RequestError(f"out {fspath(file)!r}: there is no folder '{file.parent}'.")
    opened, place = _opened(model, home), _home(home)
    with undisturbed():
        from bottleneck_features.pipeline.stages.predict import predict as stage

        return shown(stage(opened, list(listed([Path(one) for one in named])), place, top, file, threshold))


def evaluate(
    model: Model,
    data: str | PathLike[str],
    *,
    split: str | None = None,
    unknown_classes: Literal["fail", "leave-out"] = "fail",
    home: str | PathLike[str] | None = None,
    dataset: Section | None = None,
) -> Result:
    """Measure a trained model on labelled images: `bottleneck evaluate`.

    Args:
        model: from `bf.load_model`, or what that takes.
        data: what `bf.run` takes, but for an `Experiment`.
        split: `"train"`, `"validation"` or `"test"`, the only one that is measured; None: all images.
        unknown_classes: what becomes of images of classes that the model does not know.
        home: the artifacts folder; None: $BOTTLENECK_HOME, else `artifacts`.
        dataset: settings of the data, such as `{"group": "photo"}`.

    Returns:
        A `Result`; its `table` has a row per class.

    Raises:
        RequestError: there is no such model, no such data, or a class is unknown to the model.
        PipelineError: no image can be used.
    """
    if split not in (None, *SPLITS):
        raise RequestError(f"split takes one of {', '.join(SPLITS)}, or None. Received: {split!r}")
    if unknown_classes not in ("fail", "leave-out"):
        raise RequestError(f"unknown_classes takes 'fail' or 'leave-out'. Received: {unknown_classes!r}")
    opened, place = _opened(model, home), _home(home)
    words = tuple(override_text(f"dataset.{name}", value) for name, value in flat(dataset or {}))
    settings, said = measured_data(fspath(data), words, place)
    with undisturbed():
        from bottleneck_features.pipeline.stages.evaluate import evaluate as stage

        return shown(stage(opened, settings, place, split, unknown_classes), said)


def export(
    model: Model,
    formats: str | Sequence[str] = "keras",
    *,
    to: str | PathLike[str] | None = None,
    home: str | PathLike[str] | None = None,
) -> Result:
    """Write a trained model as one file for other runtimes, each checked against the pipeline: `bottleneck export`.

    Args:
        model: from `bf.load_model`, or what that takes.
        formats: one or several of `keras`, `savedmodel`, `onnx`, `openvino` and `litert`.
        to: the folder to write to; None: one in the home.
        home: the artifacts folder; None: $BOTTLENECK_HOME, else `artifacts`.

    Returns:
        A `Result`; its `table` has a row per format, with the path.

    Raises:
        RequestError: there is no such model or format, or the model is k-NN, which cannot be exported.
        ModelError: a package that a format needs is missing.
        PipelineError: a format's predictions are not the pipeline's; it was removed.
    """
    names = (formats,) if isinstance(formats, str) else tuple(dict.fromkeys(formats))
    for name in names or ("",):
        if name not in EXPORT_FORMATS:
            close = ", ".join(nearest(str(name), EXPORT_FORMATS))
            raise RequestError(
                f"formats takes one or several of {', '.join(EXPORT_FORMATS)}. Received: {name!r}. Nearest: {close}."
            )
    opened = _opened(model, home)
    with undisturbed():
        import_tensorflow()
        from bottleneck_features.pipeline.stages.export import export_model

        return shown(export_model(opened, names, _home(home), None if to is None else Path(to).absolute()))


def _opened(model: Model, home: str | PathLike[str] | None) -> SavedModel:
    return model.opened if isinstance(model, LoadedModel) else load_model(model, home=home).opened


def _home(home: str | PathLike[str] | None) -> Path:
    return usable_home(default_home() if home is None else Path(home)).absolute()
