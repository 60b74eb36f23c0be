"""The layers of a network: what can be taken of it, how it is read, and what it costs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bottleneck_features import models
from bottleneck_features.models.recipe import read_shape
from bottleneck_features.quiet import import_tensorflow

LAST = 3  # layers that are shown whatever they are


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: as `backbone.layers` takes it.
        shape: of its output for one image.
        reading: what `features.pooling = "auto"` reads of it.
        features: numbers of one image that this gives.
        gflop: work for one image up to and with it, a multiply-add counted as two, in 1e9.
        share: of the work of the whole network, 0..1.
        taken: whether it is taken where no layers are named.
        stage: whether it ends a stage (what follows has another height and width) or a block of a transformer, is one of the
            last, or is known to be a good one.
    """

    name: str
    shape: tuple[int, ...]
    reading: str
    features: int
    gflop: float
    share: float
    taken: bool
    stage: bool


def layers_of(name: str, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return what `bottleneck layers` shows of a network, whose weights need not be at hand where it is a registered one.

    Args:
        name: as `backbone.name`.
        size: height and width of the images; None: the network's own.

    Returns:
        JSON: `backbone`, `size`, `preprocessing`, `protocol` (how its publisher prepares photographs), `notice` (origin and
        licence), `layers` (a list of `Layer`).

    Raises:
        models.ModelError: there is no such network, it takes no images of the size, or its files cannot be had.
    """
    source = models.find_source(name)
    protocol, taken = source.protocol, source.last_layer(("auto",))
    import_tensorflow()
    weights = "random" if name in models.backbone_names() else "imagenet"
    backbone, stated = _loaded(name, weights, size or protocol.size)
    notice = "" if weights == "random" else backbone.weights.notice
    return {
        "backbone": name,
        "size": list(size or protocol.size),
        "preprocessing": backbone.preprocessing if stated else "not stated: set backbone.preprocessing",
        "protocol": asdict(protocol),
        "notice": notice,
        "layers": [asdict(one) for one in _layers(backbone, taken)],
    }


def _loaded(name: str, weights: str, size: tuple[int, int]) -> tuple[Any, bool]:
    """Return a network, and whether it says which numbers it takes; where nothing does any will do, no layer depends on them."""
    try:
        return models.load_backbone(name, weights, size), True
    except models.InvalidSetting as error:
        if "backbone.preprocessing" not in str(error):
            raise
    return models.load_backbone(name, weights, size, preprocessing=models.NAMED["torch"]), False


def _reading(backbone: Any, name: str) -> str:
    """Return what `auto` reads of a layer; `none`, all of it, where nothing tells how its tokens lie."""
    try:
        return str(backbone.reading(name, "auto"))
    except models.InvalidSetting:
        return "none"


def _layers(backbone: Any, taken: str) -> list[Layer]:
    work = backbone.layer_gflop()
    whole = max(work.values(), default=0.0) or 1.0
    names: Sequence[str] = backbone.layer_names
    shapes = [tuple(side or 0 for side in backbone.output_shape(name)[1:]) for name in names]
    found = []
    for place, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        if not all(shape):  # nothing tells how many numbers it gives
            continue
        reading = _reading(backbone, name)
        size = read_shape(shape, reading, backbone.tokens_of(name))
        block = name.startswith("block") and name.removeprefix("block").isdigit()
        ends = place + LAST >= len(names) or shapes[place + 1][:-1] != shape[:-1]
        gflop = work.get(name, 0.0)
        known = name == taken or name in models.default_layers(backbone.name)
        found.append(Layer(name, shape, reading, size, gflop, gflop / whole, name == taken, ends or block or known))
    return found
