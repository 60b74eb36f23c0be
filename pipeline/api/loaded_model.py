"""A trained classifier of images, opened in Python: like a fitted classifier of scikit-learn, of pictures."""

import os
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from bottleneck_features.errors import enumerated
from bottleneck_features.models.downloads import file_digest
from bottleneck_features.models.probabilities import decide
from bottleneck_features.pipeline import arguments
from bottleneck_features.pipeline.api.undisturbed import undisturbed
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.home import chosen_home
from bottleneck_features.pipeline.method_names import MODELS
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.tables import model_line
from bottleneck_features.pipeline.use.given_images import GivenImages, Reading
from bottleneck_features.pipeline.use.image_arguments import given_images
from bottleneck_features.pipeline.use.inference import Inference, Predicted, inference
from bottleneck_features.pipeline.use.prediction import FALSE_ALARMS
from bottleneck_features.pipeline.use.saved_model import SavedModel, open_model, open_model_file
from bottleneck_features.pipeline.use.trained_names import names_file, trained_name

QUIET_BATCHES = 4  # a call of more shows its progress
SHOWN = 10  # classes in a message
WANTED = "the file of a trained model, or the name of an experiment that has results"


def load_model(
    file_or_experiment: str | os.PathLike[str],
    *,
    model: str | None = None,
    home: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
) -> "LoadedModel":
    """Open a trained classifier of images.

    A head that was kept with its network needs neither TensorFlow, nor its data, nor the backbone's weights.

    Args:
        file_or_experiment: a `head.npz` that `probe` or `train-head` wrote, wherever it lies; a `model.keras` of `fine-tune` with
            its `result.json` beside it; or the name of an experiment that has results in `home`.
        model: which model of an experiment, such as `"probe:ridge"` or `"fine-tune"`; default: the first there is of `probe`,
            `train-head` and the networks that were trained.
        home: the artifacts folder; default: `$BOTTLENECK_HOME`, else `artifacts`.
        overrides: `section.key=value`, on top of the settings it was trained by: another engine, or another place of the
            weights. Nothing that changes what it computes.

    Returns:
        The `LoadedModel`. What a reader of its predictions must know is said as a Python warning, and in its `warnings`.

    Raises:
        RequestError: there is no such model, its file cannot be read, or its backbone is not what it was trained on any more.
        ModelError: its network is to be built, and the weights are not there.

    Examples:
        >>> model = bf.load_model("artifacts/runs/pets/probe/head.npz")
        >>> model.predict(["cat.jpg", "dog.jpg"])
        array(['cat', 'dog'], dtype='<U3')
    """
    place, file = chosen_home(home), arguments.path("file_or_experiment", file_or_experiment, WANTED)
    words, word = arguments.overrides(overrides), os.fspath(file_or_experiment)
    if model is not None:
        arguments.one_of("model", model, MODELS)
    if isinstance(file_or_experiment, os.PathLike) or names_file(os.path.expanduser(word), place):  # noqa: PTH111
        if model is not None:
            raise RequestError(f"'{word}' is a file, which says all that model would: leave out model={model!r}.")
        with undisturbed():
            opened = open_model_file(file, place, words)
    else:
        with undisturbed():
            opened = open_model(place, trained_name(word, words, place), model, words)
    for text in opened.warnings:
        warnings.warn(text, UserWarning, stacklevel=2)
    return LoadedModel(opened, words)


class LoadedModel:
    """A trained classifier of images; made by `load_model`.

    Images are a sequence of paths, of PIL images or of arrays, or one array `(n, height, width, 3)`; they are decoded and resized
    as the training images were. Arrays of uint8 are taken as they are; other numbers by the range that numbers of their kind had
    in training, else floats of which none is above 1 in all images count from 0 to 1, any others from 0 to 255.

    The network is opened on first use, and kept. A pickle holds the place of the file, which is opened again where it is loaded.
    Threads may share a model: their calls wait for one another.

    Attributes:
        path: of the file.
        classes_: `(classes,)` text, the names of the classes in the order of the probabilities.
        threshold: of two classes, the probability of the second from which `predict` answers it; None: the more probable is.
        warnings: what a reader of its predictions must know.
        opened: what the stages take.
    """

    def __init__(self, opened: SavedModel, overrides: tuple[str, ...] = ()) -> None:
        self.path: Path = opened.path
        self.classes_: np.ndarray = np.array(opened.classes)
        self.threshold: float | None = opened.threshold
        self.warnings: tuple[str, ...] = opened.warnings
        self.opened, self._overrides, self._lock = opened, overrides, Lock()

    def __repr__(self) -> str:
        return f"LoadedModel('{self.path}', {len(self.classes_)} classes)\n{model_line(self.opened.as_json())}"

    def predict_proba(self, images: Any) -> np.ndarray:
        """Return the calibrated probabilities of the classes.

        Args:
            images: `n` of them, see the class.

        Returns:
            `(n, classes)` float64; rows sum to 1.

        Raises:
            RequestError: these are no images.
            PipelineError: some cannot be decoded; the message names them and says why.
        """
        return np.concatenate([part.probabilities for part in self._run(images)])

    def predict(self, images: Any) -> np.ndarray:
        """Return the names of the classes that are answered, at the model's threshold.

        Args:
            images: `n` of them, see the class.

        Returns:
            `(n,)` text.

        Raises:
            RequestError: see `predict_proba`.
            PipelineError: see `predict_proba`.
        """
        return self.classes_[decide(self.predict_proba(images), self.threshold)]

    def distances(self, images: Any, *, false_alarms: float = FALSE_ALARMS) -> np.ndarray:
        """Return how far images are from the training images, by their features.

        Args:
            images: `n` of them, see the class.
            false_alarms: the share of images like the training images (of new groups, where these were in groups) that may be
                called unlike them, between 0 and 1. How many unlike images pass is not known.

        Returns:
            `(n,)` float64 ≥ 0: the distance to the 5th nearest of the training images, divided by the threshold at that rate.
            Above 1 an image is out-of-distribution: its conformal p-value is at most `false_alarms`. NaN, with a warning, where
            the model has seen too few images or groups for such a rate.

        Raises:
            RequestError: see `predict_proba`; or the model is a whole network, which keeps no features of training images; or
                there is no such rate.
            PipelineError: see `predict_proba`.
        """
        false_alarms = arguments.between_0_and_1("false_alarms", false_alarms, of="a share of images")
        head = self.opened.head
        if head is None:
            raise RequestError(
                f"'{self.path}' is a whole network, which keeps no features of its training images. The heads of `probe` and "
                "`train-head` do: load one of them."
            )
        for text in self.opened.novelty_warnings(false_alarms):
            warnings.warn(text, UserWarning, stacklevel=2)
        threshold = self.opened.distance_threshold(false_alarms) or np.nan
        found = [part.distances for part in self._run(images) if part.distances is not None]
        return np.concatenate(found) / np.float64(threshold)

    def unlike(self, images: Any, *, false_alarms: float = FALSE_ALARMS) -> np.ndarray:
        """Return which images are unlike the training images (out-of-distribution).

        Args:
            images: `n` of them, see the class.
            false_alarms: see `distances`.

        Returns:
            `(n,)` bool: whether the distance is above 1; none is, with a warning, where the model has seen too few images.

        Raises:
            RequestError: see `distances`.
            PipelineError: see `predict_proba`.
        """
        return self.distances(images, false_alarms=false_alarms) > 1

    def score(self, images: Any, labels: Any) -> float:
        """Return the accuracy on labelled images. `bottleneck evaluate` gives its interval, and much more.

        Args:
            images: `n` of them, see the class.
            labels: `(n,)` names of classes; other values count as their text, so that 3 is the class `"3"`.

        Raises:
            RequestError: see `predict_proba`; or there are not as many labels, or the model does not know one of them.
            PipelineError: see `predict_proba`.
        """
        given = arguments.items("labels", labels, "a list of the names of classes, one for each image")
        wanted, count = np.array([str(label) for label in given]), len(self._given(images))
        if count != len(wanted):
            raise RequestError(f"Each image needs one label. Received: {len(wanted):,} labels of {count:,} images")
        if strangers := sorted(set(wanted.tolist()) - set(self.classes_.tolist())):
            raise RequestError(
                f"The model does not know the labels {enumerated(map(repr, strangers), SHOWN)}. Its classes: "
                f"{enumerated(map(repr, self.classes_.tolist()), SHOWN)}."
            )
        return float((self.predict(images) == wanted).mean())

    @cached_property
    def _inference(self) -> Inference:
        return inference(self.opened)

    def _given(self, images: Any) -> GivenImages:
        remedies = {
            "dataset.value_range": "load_model(…, overrides=['dataset.value_range=LOW,HIGH'])",
            "dataset.max_pixels": "load_model(…, overrides=['dataset.max_pixels=N'])",
        }
        reading = Reading(self.opened.experiment.dataset.max_pixels, self.opened.resizing.ranges, remedies)
        return given_images(images, reading)

    def _run(self, images: Any) -> Iterator[Predicted]:
        opened = self.opened
        given = self._given(images)
        for text in given.notices:
            warnings.warn(text, UserWarning, stacklevel=4)
        size = opened.experiment.compute.batch_size
        quiet = len(given) <= QUIET_BATCHES * size
        with self._lock, undisturbed(), progress(total=len(given), unit="image", desc="predict", disable=quiet) as bar:
            for part in self._inference(given.batches(opened.resizing, size)):
                bar.update(len(part.probabilities))
                yield part

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier", target_tags=TargetTags(required=True), classifier_tags=ClassifierTags()
        )

    def __reduce__(self) -> tuple[Any, ...]:
        path, home = self.path.absolute(), self.opened.home.absolute()
        return _reopened, (path, home, self._overrides, file_digest(path))


def _reopened(path: Path, home: Path, overrides: tuple[str, ...], sha256: str) -> LoadedModel:
    """Open the model of a pickle."""
    model = LoadedModel(open_model_file(path, home, overrides), overrides)
    if file_digest(path) != sha256:
        raise RequestError(f"'{path}' is another model than the one that was pickled. Load it by load_model('{path}').")
    return model
