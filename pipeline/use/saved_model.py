"""Finds a trained classifier of an experiment, with what is known of it, and checks that it can still be used."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck_features import features, models
from bottleneck_features.errors import first_line
from bottleneck_features.foreign import read_json
from bottleneck_features.models.downloads import file_digest
from bottleneck_features.models.probabilities import with_temperature
from bottleneck_features.pipeline.dataset_settings import FILE_SOURCES
from bottleneck_features.pipeline.datasets.assembly import resizing_to
from bottleneck_features.pipeline.datasets.pixels.decoding import DECODING, RECIPE
from bottleneck_features.pipeline.datasets.pixels.deep_pixels import shown
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing
from bottleneck_features.pipeline.datasets.pixels.value_ranges import kept_ranges, ranges_asked
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment, with_random_weights
from bottleneck_features.pipeline.experiment_file import as_made, restored_experiment
from bottleneck_features.pipeline.extraction.identity import OF_FILES, file_settings, network_settings
from bottleneck_features.pipeline.input_fit import STRETCH, with_resolved_fit
from bottleneck_features.pipeline.method_names import HEADS, MODELS, NETWORKS, training_command
from bottleneck_features.pipeline.methods.recipe import NetworkRecord, require
from bottleneck_features.pipeline.methods.saved_head import SavedHead, load_head
from bottleneck_features.pipeline.results import RESULT_FILE
from bottleneck_features.pipeline.use.kept_network import FoundNetwork, found_network
from bottleneck_features.quiet import import_tensorflow

if TYPE_CHECKING:
    import keras

HEAD_FILE, NETWORK_FILE = "head.npz", "model.keras"
RECIPE_ARRAY, KERAS_CONFIG = "recipe.npy", "config.json"  # in the archives that heads and networks are
WHAT_A_MODEL_IS = (
    "A trained model is a head.npz that `bottleneck probe` or `train-head` wrote, or a model.keras of `fine-tune` with its "
    "result.json beside it."
)


@dataclass(frozen=True)
class SavedModel:
    """A trained classifier of images.

    Attributes:
        name: one of `MODELS`; of a head that was moved, the name of its file.
        path: its file.
        known: JSON: `method`, `layers`, `classes`, `image_shape`, `temperature`, `data`, `backbone`, `scored_on`, `n`,
            `accuracy`, `interval`; `cache_identity`, in which is how image files were decoded.
        experiment: the settings of its training, with the engine and the precision of its features.
        head: of features of the frozen network; None where the file is a whole network.
        network: the whole network; None where there is a head.
        home: the artifacts folder.
        kept: the network that gives the features of a head, as it was kept; None where it is to be built.
        warnings: what a reader of its predictions must know.
    """

    name: str
    path: Path
    known: Mapping[str, Any]
    experiment: Experiment
    head: SavedHead | None
    network: "keras.Model | None"
    home: Path
    kept: FoundNetwork | None = None
    warnings: tuple[str, ...] = ()

    @property
    def classes(self) -> list[str]:
        """The names of the classes."""
        return self.known["classes"]

    @property
    def threshold(self) -> float | None:
        """The calibrated probability of the second of two classes from which it is answered; None: the more probable is."""
        given = self.known.get("threshold")
        if given is None or len(self.classes) != 2:
            return None
        return float(with_temperature(np.array([[1 - given, given]]), self.known["temperature"])[0, 1])

    def distance_threshold(self, false_alarms: float) -> float | None:
        """Return `Novelty.threshold`, also None where the model keeps nothing to compare images with."""
        return self.head.novelty.threshold(false_alarms) if self.head else None

    def novelty_warnings(self, false_alarms: float) -> tuple[str, ...]:
        """Return why no image can be called out-of-distribution at such a rate, where that is so."""
        found = self.head.novelty.warning(false_alarms) if self.head else ""
        return (found,) if found else ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, 3)` of the uint8 images it takes."""
        height, width, channels = self.known["image_shape"]
        return height, width, channels

    @property
    def resizing(self) -> Resizing:
        """What image files become, by the ranges of values of the training images or by `dataset.value_range`."""
        settings = self.experiment.dataset
        ranges = ranges_asked(settings) or kept_ranges(self.known.get("cache_identity", {}))
        return resizing_to(self.experiment, self.image_shape, ranges)

    def as_json(self) -> dict[str, Any]:
        """Return its description in results."""
        kept = ("method", "layers", "backbone", "data", "scored_on", "n", "accuracy", "interval", "temperature")
        described = {key: self.known[key] for key in kept}
        return {"name": self.name, "path": str(self.path), **described, "threshold": self.threshold}


def open_model(home: Path, experiment: str, wanted: str | None = None, overrides: Sequence[str] = ()) -> SavedModel:
    """Open a trained classifier of an experiment.

    Args:
        home: the artifacts folder.
        experiment: its name.
        wanted: one of `MODELS`; None takes the first there is.
        overrides: `section.key=value`, on top of the settings it was trained by: another engine, or another place of the
            weights. Nothing that changes what it computes.

    Returns:
        The `SavedModel`.

    Raises:
        RequestError: there is none, its file cannot be read, or its backbone is not what it was trained on any more.
    """
    name, path = _located(home, experiment, wanted)
    return _opened(name, path, tuple(overrides), home)


def open_model_file(path: Path, home: Path, overrides: Sequence[str] = ()) -> SavedModel:
    """Open a trained classifier by its file, wherever it lies.

    Args:
        path: a head that `probe` or `train-head` wrote, or a `model.keras` of `fine-tune` with its result.json beside it.
        home: the artifacts folder, which may have the network of a head.
        overrides: as in `open_model`.

    Raises:
        RequestError: it is neither, it cannot be read, or its backbone is not what it was trained on any more.
    """
    members = _members(path)
    if KERAS_CONFIG in members:
        return _opened(_network_name(path), path, tuple(overrides), home)
    if RECIPE_ARRAY not in members:
        raise RequestError(f"'{path}' is no trained model. {WHAT_A_MODEL_IS}")
    return _opened(_head_name(path) or path.stem, path, tuple(overrides), home)


def trained_models(home: Path, experiment: str) -> dict[str, Path]:
    """Return the files of the trained models that an experiment has, by their names in `MODELS`."""
    return {name: file for name, file in _places(home, experiment).items() if file.is_file()}


def _opened(name: str, path: Path, overrides: tuple[str, ...], home: Path) -> SavedModel:
    if name in NETWORKS:
        return _network(name, path, overrides, home)
    return _of_head(name, path, overrides, home)


def _members(path: Path) -> list[str]:
    """Return the names in the archive that a file is; nothing where it is none."""
    if path.is_dir():
        inside = [name for name in (HEAD_FILE, NETWORK_FILE) if (path / name).is_file()]
        advice = f"Give the file in it: {path / inside[0]}" if inside else WHAT_A_MODEL_IS
        raise RequestError(f"'{path}' is a folder. {advice}")
    if not path.exists():
        raise RequestError(f"There is no file '{path}'. {WHAT_A_MODEL_IS}")
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile:
        return []


def _head_name(path: Path) -> str:
    """Return which of `HEADS` a file is by its place; empty where it lies elsewhere."""
    there = (name for name in HEADS if path.parent.name == name.partition(":")[0] and path.name == _file_name(name))
    return next(there, "")


def _network_name(path: Path) -> str:
    """Return which of `NETWORKS` a file is, by the result beside it."""
    file = path.with_name(RESULT_FILE)
    if not file.is_file():
        raise RequestError(
            f"There is no {RESULT_FILE} beside '{path}', which says what its classes are and what was done to its images. "
            f"`bottleneck fine-tune` writes both: keep them together. What `export` writes is for other programs."
        )
    try:
        name = read_json(file)["methods"][0]["name"]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise RequestError(
            f"'{file}' does not describe {path.name} ({type(error).__name__}: {error}). {WHAT_A_MODEL_IS}"
        ) from None
    if name not in NETWORKS:
        raise RequestError(f"'{file}' describes no network but {name!r}. {WHAT_A_MODEL_IS}")
    return str(name)


def _of_head(name: str, path: Path, overrides: tuple[str, ...], home: Path) -> SavedModel:
    head = load_head(path)
    saved = restored_experiment(_with_compute(head.recipe), str(path), overrides)
    trained = restored_experiment(_with_compute(head.recipe), str(path))
    if saved.dataset.common_size != trained.dataset.common_size:
        raise RequestError(
            f"dataset.common_size is what the images were brought to that {str(path)!r} was trained on "
            f"({list(trained.dataset.common_size) or 'not set'}): leave it out. Received: {list(saved.dataset.common_size)}"
        )
    found, damage = found_network(head, path, home)
    usable, warnings = _usable(saved, found)
    kept = found if found and found.serves(usable) else None
    identity = head.recipe["cache_identity"]
    own = kept is not None and (saved.backbone, saved.seed) == (trained.backbone, trained.seed)  # its weights are in it
    files = {key: identity.get(key, "") for key in OF_FILES} if own else file_settings(usable)
    _refuse_what_differs(identity, {**network_settings(usable), **files}, path)
    warnings = (*damage, *warnings, *_read_otherwise(identity, usable))
    return SavedModel(name, path, head.recipe, usable, head, None, home, kept, warnings)


def _places(home: Path, experiment: str) -> dict[str, Path]:
    return {name: home / "runs" / experiment / name.partition(":")[0] / _file_name(name) for name in MODELS}


def _located(home: Path, experiment: str, wanted: str | None) -> tuple[str, Path]:
    files, there = _places(home, experiment), trained_models(home, experiment)
    name = wanted or next(iter(there), "probe")
    if name in there:
        return name, files[name]
    others = f"There is: {', '.join(f'--model {other}' for other in there)}. Or make" if there else "Make"
    raise RequestError(
        f"There is no trained model {str(files[name])!r}. {others} one: bottleneck {training_command(name)} with the "
        "options of the features."
    )


def _file_name(model: str) -> str:
    if model in NETWORKS:
        return NETWORK_FILE
    family = model.partition(":")[2]
    return f"head-{family}.npz" if family else HEAD_FILE


def _with_compute(recipe: Mapping[str, Any]) -> dict[str, Any]:
    identity, settings = recipe["cache_identity"], as_made(recipe["experiment"])
    settings.pop("compare", None)  # methods may have had other names; no prediction depends on them
    settings["compute"] |= {key: identity[f"compute.{key}"] for key in ("engine", "precision", "batch_size")}
    return settings


def _usable(experiment: Experiment, found: FoundNetwork | None) -> tuple[Experiment, tuple[str, ...]]:
    """Return the experiment with an engine and a precision that this machine has."""
    compute = experiment.compute
    if found and found.serves(experiment) and compute.precision == "int8":
        return experiment, ()  # what makes such a network is not needed to run it
    try:
        models.backbone_engine(experiment.backbone.name, compute.engine, compute.precision)
    except models.EngineUnavailable as reason:
        engine, precision = models.backbone_engine(experiment.backbone.name)
        warning = (
            f"The features were made by {compute.engine} in {compute.precision}, which is not available on this machine "
            f"({reason}); {engine} in {precision} is used: probabilities may differ a little."
        )
        own: dict[str, Any] = {"engine": engine, "precision": precision}
        return replace(experiment, compute=replace(compute, **own)), (warning,)
    return experiment, ()


def _refuse_what_differs(trained: Mapping[str, Any], now: dict[str, Any], path: Path) -> None:
    """Refuse settings that give other features, whatever computes them, and weights that are not those of the training."""
    now = {"input.fit": STRETCH, **now}
    if DECODING in trained:
        now[DECODING] = RECIPE
    then = {"input.fit": STRETCH, **{key: value for key, value in trained.items() if key in now}}
    if found := features.differences(now, then):
        lines = "\n".join(f"  {one.field}: {one.theirs} then, {one.ours} now" for one in found)
        raise RequestError(
            f"{str(path)!r} was trained on other features than these settings give:\n{lines}\n"
            "Use what it was trained with (--set backbone.name=…, --set backbone.weights=…), or train it again."
        )


def _read_otherwise(trained: Mapping[str, Any], experiment: Experiment) -> tuple[str, ...]:
    """Return warnings about numbers and bands that mean something else here than in training, because it was asked for."""
    settings, warnings = experiment.dataset, []
    for kind, (low, high) in kept_ranges(trained).items():
        if settings.value_range and settings.value_range != (low, high):
            asked = " to ".join(map(shown, settings.value_range))
            warnings.append(
                f"dataset.value_range: {kind} values are read as {asked}; in training they were {shown(low)} to {shown(high)}."
            )
    bands = tuple(trained.get("dataset.bands", ()))
    if settings.bands != bands:
        asked, then = (",".join(map(str, one)) or "the file's own" for one in (settings.bands, bands))
        warnings.append(f"dataset.bands: {asked} are read; in training it was {then}.")
    return tuple(warnings)


def _refuse_other_input(trained: Experiment, asked: Experiment, name: str) -> None:
    """Refuse settings that would give a whole network other images than it was trained on."""
    then, now = (
        {**asdict(with_resolved_fit(one).input), "common_size": one.dataset.common_size} for one in (trained, asked)
    )
    changed = [f"{key} ({now[key]} asked for, {then[key]} in training)" for key in then if then[key] != now[key]]
    if changed:
        raise RequestError(
            f"--model {name} needs images as in its training. Leave out the settings that change {', '.join(changed)}, "
            "or train it again with them."
        )


def _refuse_older_pixels(trained: Mapping[str, Any], experiment: Experiment, name: str) -> None:
    """Refuse a whole network that was trained on image files as another release decodes them."""
    then = trained.get(DECODING, "an older recipe")
    if experiment.dataset.source in FILE_SOURCES and then != RECIPE:
        raise RequestError(
            f"--model {name} was trained on image files that were decoded in another way: {then} then, {RECIPE} now. "
            f"Train it again: bottleneck fine-tune --method {name}"
        )


def _network(name: str, path: Path, overrides: tuple[str, ...], home: Path) -> SavedModel:
    file = path.with_name(RESULT_FILE)
    try:
        result = read_json(file)
        (method,), sha256 = result["methods"], result["model_sha256"]
        known = {
            "method": name,
            "temperature": result["calibration"]["temperature"],
            **{key: method[key] for key in ("layers", "n", "accuracy", "interval")},
            "threshold": method.get("threshold"),
            **{key: result[key] for key in ("classes", "data", "backbone", "scored_on")},
            "cache_identity": result.get("pixels", {}),
            "cache_key": result.get("cache_key", ""),
        }
        settings = as_made(result["experiment"])
        settings.pop("compare", None)  # see `_with_compute`
        require(NetworkRecord, {**known, "experiment": settings})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(
            f"'{file}' does not describe {path.name} ({type(error).__name__}: {error}). Write it again: bottleneck "
            f"{training_command(name)}, which continues from its checkpoints."
        ) from None
    import_tensorflow()
    try:
        network = models.load_classifier(path)
    except Exception as error:  # Keras lets anything through, from KeyError to h5py's OSError
        raise RequestError(
            f"'{path}' cannot be loaded ({first_line(error)}). Write it again: bottleneck {training_command(name)}"
        ) from None
    if file_digest(path) != sha256:
        raise RequestError(
            f"'{path}' is not the network that '{file}' describes: a run was stopped between the two. Write both again: "
            f"bottleneck {training_command(name)}, which continues from its checkpoints."
        )
    known["image_shape"] = list(network.input_shape[1:])
    trained = restored_experiment(settings, str(file))
    experiment = restored_experiment(settings, str(file), overrides)
    _refuse_other_input(trained, experiment, name)
    _refuse_older_pixels(known["cache_identity"], trained, name)
    if name == "from-scratch":
        experiment = with_random_weights(experiment)
    warnings = _read_otherwise(known["cache_identity"], experiment)
    return SavedModel(name, path, known, experiment, None, network, home, warnings=warnings)
