"""The images that decide at the end: handed out to score a method once, and never again."""

from collections.abc import Callable

import numpy as np

from pipeline.errors import PipelineError
from pipeline.evaluation import PairedTest, confusion, mcnemar, score
from pipeline.results import Method
from pipeline.splits import Part


class FinalSplit:
    """The test split, or the validation samples of a data set that has none, behind a counter.

    Features are read through the `Part` that only `score` hands out; labels never leave.

    Args:
        labels: `(n,)` integers, of the samples of `part`.
        part: from `scored_part`.
    """

    def __init__(self, labels: np.ndarray, part: Part) -> None:
        self._labels, self._part = labels, part
        self._predicted: dict[str, np.ndarray] = {}

    @property
    def kind(self) -> str:
        """`test` or `validation`: what kind of images the final figures are of."""
        return "test" if self._part.split == "test" else "validation"

    @property
    def scorings(self) -> int:
        """How often it was handed out."""
        return len(self._predicted)

    def score(self, method: Method, predict: Callable[[Part], np.ndarray]) -> Method:
        """Score a finished method, the only time in this run.

        Args:
            method: nothing of it may change after this.
            predict: returns the `(n,)` predicted classes of a `Part`.

        Returns:
            The method with its test score; as it is where there is no test split, for validation scores are there already.

        Raises:
            PipelineError: this method was scored before.
        """
        if method.name in self._predicted:
            raise PipelineError(
                f"The {self.kind} images were scored for {method.name!r} already. A second look would choose by them: "
                "choose on validation images, then score once."
            )
        self._predicted[method.name] = predict(self._part)
        if self.kind == "validation":
            return method
        return method.with_score("test", score(self._labels, self._predicted[method.name]))

    def confusion(self, name: str, classes: int) -> np.ndarray:
        """Return the `(classes, classes)` counts of a scored method: rows are the true classes."""
        return confusion(self._labels, self._predicted[name], classes)

    def mcnemar(self, first: str, second: str) -> PairedTest:
        """Compare two scored methods on the same images."""
        return mcnemar(self._labels, self._predicted[first], self._predicted[second])
