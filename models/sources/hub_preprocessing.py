"""How photographs are prepared, as the configurations of Hugging Face, timm and KerasHub say it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bottleneck_features.models.errors import BackboneFileError
from bottleneck_features.models.fitting import Fit
from bottleneck_features.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, Protocol

RESAMPLING = {0: "nearest", 1: "lanczos3", 2: "bilinear", 3: "bicubic", 4: "area"}  # Pillow's numbers
KERNELS = {"bilinear": "bilinear", "bicubic": "bicubic", "nearest": "nearest", "lanczos": "lanczos3"}


@dataclass(frozen=True)
class Published:
    """What a configuration says.

    Attributes:
        preprocessing: of the numbers; None where it says nothing.
        protocol: of sizes.
    """

    preprocessing: Preprocessing | None
    protocol: Protocol


def published(folder: Path, config: Mapping[str, Any]) -> Published:
    """Return what the files in a network's folder say.

    Args:
        folder: with its files.
        config: the content of its `config.json`.

    Raises:
        BackboneFileError: a file says something that cannot be.
    """
    try:
        return _possible(_read(folder, config))
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise BackboneFileError(
            f"What '{folder}' says of its preprocessing cannot be read ({error!r}): set backbone.preprocessing."
        ) from error


def _read(folder: Path, config: Mapping[str, Any]) -> Published:
    if "model_type" in config:
        return _of_hugging_face(_content(folder / "preprocessor_config.json"), config)
    if "architecture" in config:
        return _of_timm({**config, **dict(config.get("pretrained_cfg") or {})})
    return _of_keras_hub(_converter(folder), config)


def _possible(found: Published) -> Published:
    """Return what was read; raise ValueError where it cannot be."""
    numbers = (*found.preprocessing.scale, *found.preprocessing.offset) if found.preprocessing else ()
    sides, share = found.protocol.size, found.protocol.crop_share
    if not all(map(math.isfinite, numbers)) or min(sides) < 1 or not 0 < share <= 1:
        raise ValueError(f"size {list(sides)}, crop {share}, numbers {list(numbers)}")
    return found


def _content(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _of_hugging_face(said: Mapping[str, Any], config: Mapping[str, Any]) -> Published:
    native = config.get("image_size") or dict(config.get("vision_config") or {}).get("image_size") or 224
    if not said:
        return Published(None, Protocol(_pair(native)))
    scale = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if said.get("do_normalize", True):
        mean, std = _three(said.get("image_mean", IMAGENET_MEAN)), _three(said.get("image_std", IMAGENET_STD))
    return Published(Preprocessing.standardising(mean, std, scale), _sizes(said, _pair(native)))


def _sizes(said: Mapping[str, Any], native: tuple[int, int]) -> Protocol:
    kernel = RESAMPLING.get(said.get("resample", 2), "bilinear")
    size, crop = said.get("size", native), said.get("crop_size")
    shortest = size.get("shortest_edge") if isinstance(size, Mapping) else None
    cropped = said.get("do_center_crop", shortest is not None and crop is not None)
    if cropped and crop:
        seen = _pair(crop)
        return Protocol(seen, "crop", min(1.0, min(seen) / (shortest or min(_pair(size)))), kernel)
    if shortest:
        return Protocol(_pair(shortest), "crop", 1.0, kernel)
    return Protocol(_pair(size), "stretch", 1.0, kernel)


def _of_timm(said: Mapping[str, Any]) -> Published:
    if "input_size" not in said:
        return Published(None, Protocol())
    size, kernel = _pair(said["input_size"][-2:]), KERNELS.get(str(said.get("interpolation")), "bilinear")
    fit: Fit = "stretch" if said.get("crop_mode") == "squash" else "crop"
    protocol = Protocol(size, fit, float(said.get("crop_pct") or 0.875), kernel)
    if "mean" not in said or "std" not in said:
        return Published(None, protocol)
    return Published(Preprocessing.standardising(_three(said["mean"]), _three(said["std"])), protocol)


def _converter(folder: Path) -> dict[str, Any]:
    """Return the configuration of a preset's image converter, which older presets have in that of their preprocessor."""
    own = _content(folder / "image_converter.json")
    if own:
        return dict(own["config"])
    within = dict(_content(folder / "preprocessor.json").get("config") or {}).get("image_converter")
    return dict(within["config"]) if within else {}


def _of_keras_hub(said: Mapping[str, Any], config: Mapping[str, Any]) -> Published:
    own = dict(config.get("config") or {})
    vision = dict(dict(own.get("vision_encoder") or {}).get("config") or own)
    shape = [side for side in vision.get("image_shape") or (224, 224, 3) if side != 3][:2]
    native = _pair(shape) if len(shape) == 2 and all(shape) else (224, 224)
    if not said:
        return Published(None, Protocol(native))
    size = _pair(said.get("image_size") or (said.get("height") or native[0], said.get("width") or native[1]))
    fit: Fit = (
        "crop" if said.get("crop_to_aspect_ratio", True) else "pad" if said.get("pad_to_aspect_ratio") else "stretch"
    )
    protocol = Protocol(size, fit, 1.0, KERNELS.get(str(said.get("interpolation")), "bilinear"))
    scale = _three(1.0 if said.get("scale") is None else said["scale"])
    if "mean" in said and "variance" in said:
        std = [math.sqrt(value) for value in _three(said["variance"])]
        return Published(Preprocessing.standardising(_three(said["mean"]), std, scale[0]), protocol)
    offset = _three(0.0 if said.get("offset") is None else said["offset"])
    return Published(Preprocessing(scale, offset), protocol)


def _three(values: float | Sequence[float]) -> tuple[float, float, float]:
    first, second, third = map(float, [values] * 3 if isinstance(values, int | float) else values)
    return first, second, third


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, Mapping):
        size = (size["height"], size["width"]) if "height" in size else size["shortest_edge"]
    height, width = [size] * 2 if isinstance(size, int | float) else size
    return int(height), int(width)
