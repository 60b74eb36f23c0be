"""The commands of a trained model as functions: classify files, measure on labelled images, export."""

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from bottleneck_features.pipeline import arguments
from bottleneck_features.pipeline.api.asking import Section, data_text, setting_words
from bottleneck_features.pipeline.api.loaded_model import WANTED, LoadedModel, load_model
from bottleneck_features.pipeline.api.result import Result, shown
from bottleneck_features.pipeline.api.undisturbed import undisturbed
from bottleneck_features.pipeline.asked_experiment import measured_data
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.home import chosen_home, usable_home
from bottleneck_features.pipeline.method_names import EXPORT_FORMATS
from bottleneck_features.pipeline.use.prediction import FALSE_ALARMS
from bottleneck_features.pipeline.use.saved_model import SavedModel
from bottleneck_features.quiet import import_tensorflow

Model = LoadedModel | str | PathLike[str]
SPLITS, UNKNOWN = ("train", "validation", "test"), ("fail", "leave-out")
PATH = "the path of an image, or of a folder of images"


def predict(
    model: Model,
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    top: int = 3,
    out: str | PathLike[str] | None = None,
    threshold: float | None = None,
    false_alarms: float = FALSE_ALARMS,
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
        false_alarms: the share of images like the training images that may be called unlike them, between 0 and 1.
        home: the artifacts folder; None: $BOTTLENECK_HOME, else `artifacts`.

    Returns:
        A `Result`; without `out` its `table` has a row per file.

    Raises:
        RequestError: there is no such model, no such path, or an argument cannot be right; `out` is checked before anything is
            computed.
        PipelineError: not one file can be classified.
        OSError: the system refuses what is written, such as on a full disk.
    """
    from bottleneck_features.pipeline.use.picture_files import listed

    top = arguments.whole_number("top", top, 1)
    if threshold is not None:
        threshold = arguments.number("threshold", threshold, 0, 1, of="a probability")
    false_alarms = arguments.between_0_and_1("false_alarms", false_alarms, of="a share of images")
    named = _named(paths)
    file = None if out is None else arguments.writable("out", arguments.path("out", out, "the path of a file"))
    opened, place = _opened(model, home), usable_home(chosen_home(home))
    with undisturbed():
        from bottleneck_features.pipeline.stages.predict import predict as stage

        return shown(stage(opened, list(listed(named)), place, top, file, threshold, false_alarms))


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
    if split is not None:
        split = arguments.one_of("split", split, SPLITS)
    arguments.one_of("unknown_classes", unknown_classes, UNKNOWN)
    words = () if dataset is None else setting_words({"dataset": dataset})
    images = data_text(data)
    opened, place = _opened(model, home), usable_home(chosen_home(home))
    settings, said = measured_data(images, words, place)
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
        OSError: the system refuses what is written, such as on a full disk.
    """
    names, folder = _formats(formats), None if to is None else arguments.path("to", to)
    if folder and folder.exists() and not folder.is_dir():
        raise RequestError(f"to '{folder}' is a file. Name a folder.")
    opened = _opened(model, home)
    with undisturbed():
        import_tensorflow()
        from bottleneck_features.pipeline.stages.export import export_model

        return shown(export_model(opened, names, usable_home(chosen_home(home)), folder))


def _opened(model: Model, home: str | PathLike[str] | None) -> SavedModel:
    if not isinstance(model, LoadedModel):
        arguments.text("model", model, f"a LoadedModel, {WANTED}")
    return model.opened if isinstance(model, LoadedModel) else load_model(model, home=home).opened


def _named(paths: str | PathLike[str] | Iterable[str | PathLike[str]]) -> list[Path]:
    if isinstance(paths, str | PathLike):
        return [Path(arguments.text("paths", paths, PATH))]
    given = arguments.items("paths", paths, f"{PATH}, or a list of them")
    if not given:
        raise RequestError("Name images, or folders of images. Received: none.")
    return [Path(arguments.text(f"paths[{place}]", one, PATH)) for place, one in enumerate(given)]


def _formats(formats: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(formats, str):
        return (arguments.one_of("formats", formats, EXPORT_FORMATS),)
    what = f"one or several of {', '.join(EXPORT_FORMATS)}"
    given = arguments.items("formats", formats, what)
    if not given:
        raise arguments.refusal("formats", what, given)
    return tuple(dict.fromkeys(arguments.one_of("formats", one, EXPORT_FORMATS) for one in given))
