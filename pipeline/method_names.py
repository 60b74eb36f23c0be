"""The methods that can be compared, one name each in every command, file and page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bottleneck_features.errors import nearest

PROBES = ("head", "logistic", "ridge", "knn")  # classifiers of frozen features, each at a layer or several
# of these, whose scores are no probabilities until a temperature is fitted: targets of squared loss, smoothed shares of k votes
SCORES = ("ridge", "knn")
BEST_PROBE = "best-probe"  # the one of them that `probe` chooses on validation images
FROZEN = (*PROBES, BEST_PROBE)
PRETRAINED = ("fine-tune", "from-pretrained")
SCRATCH = ("from-scratch", "convnet-small", "convnet-strong")
NETWORKS = (*PRETRAINED, "from-scratch")  # what `fine-tune --method` trains
METHODS = (*FROZEN, *PRETRAINED, *SCRATCH)

COMPARE_BACKBONES = "compare-backbones"  # the result of `compare --backbones`: its rows are networks, not methods
NOT_ENOUGH = "not enough evidence"  # what `advise` recommends where no method is shown to be worth it

EXPORT_FORMATS = ("keras", "savedmodel", "onnx", "openvino", "litert")

# what is left that can classify new images: heads by the command that trained them, and networks
HEADS = ("probe", *(f"probe:{family}" for family in PROBES), "train-head")
MODELS = (*HEADS, *NETWORKS)  # without --model the first one there is

_RENAMED = {
    "linear": "'linear' is called 'head' now: the walk-through's head on the last layer",
    "earlier": "'earlier' is called 'head@LAYER' now, LAYER being one of {layers}; 'best-probe' chooses the layer",
    "probe": "'probe' is called 'best-probe' now",
}
FORMER_NAMES = {"linear": "head", "earlier": "head", "probe": BEST_PROBE}


@dataclass(frozen=True)
class MethodName:
    """A method as it is asked for, such as `convnet-small`, `head` or `logistic@block3b_add+block5c_add`.

    Attributes:
        name: one of `METHODS`.
        layers: of the backbone; empty for a method that takes none or chooses its own.
    """

    name: str
    layers: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What tells it from the other methods of a result."""
        return method_label(self.name, self.layers)


def parse_method(text: str, layers: Sequence[str] | None) -> MethodName:
    """Read the name of a method.

    Args:
        text: `NAME`, or for one of `PROBES` also `NAME@LAYER` or `NAME@LAYER+LAYER`; without layers it takes the last.
        layers: of the backbone, the earliest first; None where they are left to the network, so that none is checked.

    Returns:
        The `MethodName`, its layers in the order of `layers`.

    Raises:
        ValueError: there is no such method or layer; the message names what there is.
    """
    name, at, rest = text.partition("@")
    if name in _RENAMED:
        raise ValueError(_RENAMED[name].format(layers=", ".join(layers or ("backbone.layers",))))
    if name not in METHODS:
        raise ValueError(f"there is no method {text!r}. Nearest: {', '.join(nearest(name, METHODS))}")
    if not at:
        return MethodName(name, (layers[-1],) if name in PROBES and layers else ())
    if name not in PROBES:
        raise ValueError(f"{name} takes no layer, as {', '.join(PROBES)} do. Received: {text!r}")
    wanted = rest.split("+")
    if layers is None:
        return MethodName(name, tuple(wanted))
    for layer in wanted:
        if layer not in layers:
            raise ValueError(
                f"{text!r} names a layer that is not in backbone.layers. Nearest: {', '.join(nearest(layer, layers))}"
            )
    return MethodName(name, tuple(layer for layer in layers if layer in wanted))


def method_label(name: str, layers: Sequence[str]) -> str:
    """Return what tells a method from the others of a result: `head@top`, `logistic@a+b`, `best-probe`, `fine-tune`."""
    return f"{name}@{'+'.join(layers)}" if name in PROBES and layers else name


def row_label(row: Mapping[str, Any]) -> str:
    """Return the `method_label` of a method's row in a result."""
    return method_label(row["name"], row["layers"])


def row_title(row: Mapping[str, Any]) -> str:
    """Return a row's label; of `best-probe` with the probe that was chosen."""
    family = row.get("family")
    return f"{row['name']}: {method_label(family, row['layers'])}" if family else row_label(row)


def training_command(model: str) -> str:
    """Return the command, with its options, that trains one of `MODELS`."""
    return model.partition(":")[0] if model in HEADS else f"fine-tune --method {model}"
