"""Converted networks as files of OpenVINO (IR), from which an extractor is opened without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bottleneck_features.models.engines import import_openvino
from bottleneck_features.models.extractor import Extractor
from bottleneck_features.models.recipe import Recipe

if TYPE_CHECKING:
    import openvino


def write_network(network: openvino.Model, path: Path) -> None:
    """Write a converted network, its weights in the precision that they have.

    Args:
        network: from `converted`, before an engine has set its batch.
        path: its `.xml` file; the weights go into a `.bin` file beside it.

    Raises:
        OSError: if it cannot be written; nothing is left of it.
    """
    try:
        import_openvino().serialize(network, str(path), str(path.with_suffix(".bin")))
    except RuntimeError as error:
        raise OSError(f"OpenVINO cannot write {path.name}: {error}") from error


def require_readable(network: bytes, weights: bytes) -> None:
    """Check that OpenVINO reads a network that `write_network` wrote.

    Args:
        network: content of its `.xml` file.
        weights: content of its `.bin` file.

    Raises:
        RuntimeError: if it does not, such as one of a later OpenVINO.
    """
    import_openvino().Core().read_model(network, weights)


def open_extractor(
    network: bytes,
    weights: bytes,
    recipe: Recipe,
    *,
    precision: str,
    batch_size: int,
    output_shapes: Mapping[str, tuple[int, ...]],
    check: Mapping[str, Mapping[str, float]],
    gflop_per_image: float,
) -> Extractor:
    """Open a network that `build_extractor` has written; its features are those of the extractor that was built, bit for bit.

    Args:
        network: content of its `.xml` file.
        weights: content of its `.bin` file.
        recipe: of the extractor that was built, as are the following.
        precision: what it computes in.
        batch_size: images per call; this one may be another.
        output_shapes: see `Extractor`.
        check: see `Extractor`.
        gflop_per_image: see `Extractor`.

    Raises:
        RuntimeError: if OpenVINO cannot read or compile it, or its features have other shapes.
    """
    from bottleneck_features.models.engines.openvino import OpenVINOEngine

    read = import_openvino().Core().read_model(network, weights)
    engine = OpenVINOEngine(read, recipe, precision, batch_size)
    if engine.output_shapes != [tuple(output_shapes.get(layer, ())) for layer in recipe.layers]:
        raise RuntimeError(
            f"the network gives features of the shapes {engine.output_shapes}, not {dict(output_shapes)}"
        )
    shapes, figures = dict(output_shapes), {layer: dict(figure) for layer, figure in check.items()}
    return Extractor(recipe, "openvino", precision, batch_size, shapes, figures, gflop_per_image, engine.depth, engine)
