"""Build networks through KerasHub, for any image size, with their blocks as layers of stable names."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from bottleneck_features.errors import first_line
from bottleneck_features.models.errors import EngineUnavailable, InvalidSetting, ModelError, WeightsMismatch
from bottleneck_features.models.hub_weights import complete_reading
from bottleneck_features.models.keras_files import require_bounded, weights_of_at_most
from bottleneck_features.models.loaded import Loaded, preprocessed
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.recipe import Tokens
from bottleneck_features.models.sources.hub import HubNetwork
from bottleneck_features.models.sources.hub_configs import NORM, OUTPUT, POOLER, family_of
from bottleneck_features.models.sources.hub_downloads import INSTALL
from bottleneck_features.models.token_embeddings import TokenEmbedding, at_grid

PROJECTION = "projection"
LEAST_LIMIT = 1 << 30
MOST_TIMES = 4  # the bytes of the weight files that the weights may take in memory
Chain = Callable[[Any, Any, keras.KerasTensor], keras.KerasTensor]  # a backbone, its part that sees images, images


def import_keras_hub(name: str) -> Any:
    """Import KerasHub.

    Raises:
        EngineUnavailable: if it is not installed.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise EngineUnavailable(
            f"'{name}' needs KerasHub, which is not installed ({first_line(error)}): {INSTALL}"
        ) from error
    return keras_hub


def load(source: HubNetwork, size: tuple[int, int], asked: Preprocessing | None, fresh: bool) -> Loaded:
    """Build a network for images of a size.

    Args:
        source: where its files are.
        size: height and width.
        asked: what its first layer wants of RGB 0..255; None: what its configuration says.
        fresh: whether it has new weights.

    Raises:
        EngineUnavailable: if KerasHub is not installed.
        WeightsMismatch: if the files are not those of such a network.
        ModelError: if it cannot take images of the size.
    """
    preprocessing = source.preprocessing(asked)
    family_of(source.config, f"'{source.name}'")
    hub = import_keras_hub(source.name)
    files = () if fresh else source.weight_files()

    def made(weights: bool, dtype: str) -> Any:
        with contextlib.redirect_stdout(sys.stderr), complete_reading(source):
            return hub.models.Backbone.from_preset(str(source.folder), load_weights=weights, dtype=dtype)

    try:
        for path in files:
            require_bounded(path)
        with weights_of_at_most(max(LEAST_LIMIT, MOST_TIMES * sum(path.stat().st_size for path in files))):
            backbone = made(not fresh, "float32")
    except ModelError:
        raise
    except Exception as error:  # KerasHub lets anything through, from KeyError to h5py's OSError
        raise WeightsMismatch(
            f"'{source.name}' cannot be built from its files ({first_line(error)}): are its config.json and its "
            "weights of one network?"
        ) from error
    found = opened(backbone, size, preprocessing, source.name)
    return replace(found, remade=lambda dtype: opened(made(False, dtype), size, preprocessing, source.name).model)


def opened(backbone: Any, size: tuple[int, int], preprocessing: Preprocessing | None, name: str) -> Loaded:
    """Return a backbone of KerasHub as one graph whose blocks are its layers: `block1`, …, `norm`, `pooler`.

    Args:
        backbone: an instance of `keras_hub.models.Backbone`, or a vision encoder; its layers are renamed and shared.
        size: height and width of the images.
        preprocessing: of RGB 0..255; None: none.
        name: for messages.
    """
    vision = getattr(backbone, "vision_encoder", backbone)
    _require_size(vision, size, name)
    images = keras.Input((*size, 3), name="images")
    x = preprocessed(images, preprocessing)
    chain = CHAINS.get(type(backbone).__name__)
    if chain is None:
        x = layers.Activation("linear", name=OUTPUT)(_last(vision, x))
        return Loaded(keras.Model(images, x, name="backbone"))
    model = keras.Model(images, chain(backbone, vision, x), name="backbone")
    return Loaded(model, _tokens(vision, size))


def _last(network: Any, x: Any) -> Any:
    """Run a network of convolutions as a graph; of those that give several maps take that of the last stage."""
    outputs = keras.tree.flatten(network._run_through_graph([x]))
    names = sorted(network.output) if isinstance(network.output, dict) else []
    return outputs[names.index(max(name for name in names if name.startswith("stage")))] if names else outputs[-1]


def _require_size(vision: Any, size: tuple[int, int], name: str) -> None:
    """Refuse sizes that are no multiples of the patches, or at which KerasHub's Swin differs from the published one."""
    patch = _patch(vision)
    if any(side % patch for side in size):
        near = max(patch, round(size[0] / patch) * patch)
        raise InvalidSetting(
            f"Backbone '{name}' cuts images into patches of {patch}×{patch}: input.size must have multiples of {patch}, such as "
            f"{near},{near}. Received: {list(size)}."
        )
    window = getattr(vision, "window_size", 0)
    if not window:
        return
    grids = [side // patch // 2**stage for stage in range(len(vision.depths)) for side in size]
    if any(grid > window and grid % window for grid in grids):
        raise InvalidSetting(
            f"Backbone '{name}' attends within windows of {window}×{window} patches, into which images of {size[0]}×{size[1]} do "
            f"not divide: set input.size to {', '.join(map(str, vision.image_shape[:2]))}."
        )


def _patch(vision: Any) -> int:
    patch = getattr(vision, "patch_size", 1)
    return int(patch[0] if isinstance(patch, tuple | list) else patch)


def _tokens(vision: Any, size: tuple[int, int]) -> Tokens | None:
    kind = type(vision).__name__
    if kind not in PREFIX:
        return None
    return Tokens(PREFIX[kind](vision), (size[0] // _patch(vision), size[1] // _patch(vision)))


def _blocks(blocks: Sequence[Any], x: Any, **options: Any) -> Any:
    for number, block in enumerate(blocks, 1):
        block.name = f"block{number}"
        x = block(x, **options)
    return x


def _named(layer: Any, name: str) -> Any:
    layer.name = name
    return layer


def _embedded(
    x: Any, patches: Any, positions: Any, special: Sequence[Any] = (), registers: Any = None, antialias: bool = False
) -> Any:
    """Turn images into tokens: with layers of Keras' and one of ours, whose position embeddings fit any size.

    KerasHub's own layers are for one size, or resample by another cubic than the publishers' code; saved, DINOv2's do so again.

    Args:
        x: images `(n, h, w, 3)`.
        patches: the convolution that cuts them into patches.
        positions: the position embeddings, `(…, tokens, channels)`.
        special: tokens with a position, the class token first, each of `channels` numbers.
        registers: `(…, tokens, channels)`.
        antialias: whether position embeddings are resampled with antialiasing.
    """
    x = _named(patches, "patches")(x)
    tokens = [np.reshape(one, (1, -1, x.shape[-1])) for one in map(ops.convert_to_numpy, special)]
    others = [] if registers is None else [ops.convert_to_numpy(registers).reshape(1, -1, x.shape[-1])]
    layer = TokenEmbedding(
        len(tokens), sum(one.shape[1] for one in others), dtype=patches.dtype_policy, name="embeddings"
    )
    y = layer(x)
    table = at_grid(ops.convert_to_numpy(positions).astype(np.float32), x.shape[1:3], antialias)
    layer.set_weights(
        [np.concatenate([*tokens, *others], 1) if tokens or others else layer.get_weights()[0], table[None]]
    )
    return y


def _vit(_: Any, backbone: Any, x: Any) -> Any:
    own, encoder = (backbone.get_layer(f"vit_{part}") for part in ("patching_and_embedding", "encoder"))
    special = [own.class_token] if own.use_class_token else []
    x = _embedded(x, own.patch_embedding, own.position_embedding.embeddings, special)
    for number, block in enumerate(encoder.encoder_layers, 1):
        x = _attended(block, number, x)
        first, second = (_named(getattr(block.mlp, f"dense_{part}"), f"block{number}_dense_{part}") for part in (1, 2))
        x = layers.Add(name=f"block{number}")([x, second(first(block.layer_norm_2(x)))])
    return _named(encoder.layer_norm, NORM)(x)


def _deit(_: Any, backbone: Any, x: Any) -> Any:
    own, encoder = (backbone.get_layer(f"deit_{part}") for part in ("patching_and_embedding", "encoder"))
    x = _embedded(x, own.patch_embedding, own.position_embedding, [own.class_token, own.distillation_token])
    for number, block in enumerate(encoder.encoder_layers, 1):
        x = _attended(block, number, x)
        x = _named(block.output_layer, f"block{number}")(block.mlp(block.layer_norm_2(x)), x)
    return _named(encoder.layer_norm, NORM)(x)


def _attended(block: Any, number: int, x: Any) -> Any:
    """Take the first half of a block by its parts: KerasHub's ViT cannot load it as a whole, DeiT's gives None besides."""
    for part in ("layer_norm_1", "mha", "layer_norm_2", "mlp"):
        _named(getattr(block, part), f"block{number}_{part}")
    y = block.layer_norm_1(x)
    return layers.Add(name=f"block{number}_add")([block.mha(y, y), x])


def _dinov2(_: Any, backbone: Any, x: Any) -> Any:
    own = backbone.embeddings
    registers = own.register_tokens if backbone.num_register_tokens else None
    patches, antialias = own.patch_embeddings.projection, backbone.antialias_in_interpolation
    x = _embedded(x, patches, own.position_embeddings, [own.cls_token], registers, antialias)
    return _named(backbone.layernorm, NORM)(_blocks(backbone.encoder.layers, x))


def _dinov3(_: Any, backbone: Any, x: Any) -> Any:
    positions, prefix = backbone.rope_embedding(x), 1 + backbone.num_register_tokens
    x = _named(backbone.embeddings, "embeddings")(x)
    x = _blocks(backbone.encoder.layers, x, position_embeddings=positions, num_prefix_tokens=prefix)
    return _named(backbone.layernorm, NORM)(x)


def _swin(_: Any, backbone: Any, x: Any) -> Any:
    if x.shape[1:3] != tuple(backbone.image_shape[:2]):  # its blocks know their grid; no weight depends on it
        other = type(backbone)(**{**backbone.get_config(), "image_shape": (*x.shape[1:3], 3)})
        other.set_weights(backbone.get_weights())
        backbone = other
    x, number = backbone.patch_embedding(x), 0
    for stage in backbone.stages:
        for block in stage.blocks:
            number += 1
            x = _named(block, f"block{number}")(x)
        if stage.downsample is not None:
            height, width = stage.input_resolution
            x = _named(stage.downsample, f"merging{number}")(x, H=height, W=width)
    return _named(backbone.norm, NORM)(x)


def _siglip(_: Any, tower: Any, x: Any) -> Any:
    own = tower.embedding
    x = _blocks(tower.encoder_layers, _embedded(x, own.patch_embedding, own.position_embedding.embeddings))
    return _named(tower.head, POOLER)(_named(tower.post_layer_norm, NORM)(x))


def _clip_blocks(tower: Any, x: Any) -> Any:
    own = tower.embedding
    x = _embedded(x, own.patch_embedding, own.position_embedding.embeddings, [own.class_embedding])
    return _blocks(tower.encoder_layers, _named(tower.pre_layer_norm, "norm_before")(x))


def _clip_tower(_: Any, tower: Any, x: Any) -> Any:
    return _named(tower.layer_norm, NORM)(_clip_blocks(tower, x))


def _clip(backbone: Any, tower: Any, x: Any) -> Any:
    x = _named(backbone.vision_pooler, POOLER)(_clip_tower(backbone, tower, x))
    return _named(backbone.vision_projection, PROJECTION)(x)


def _metaclip_2(backbone: Any, tower: Any, x: Any) -> Any:
    x = _named(backbone.vision_post_layer_norm, NORM)(_clip_blocks(tower, x))
    return _named(backbone.vision_projection, PROJECTION)(_named(backbone.vision_pooler, POOLER)(x))


CHAINS: dict[str, Chain] = {
    "ViTBackbone": _vit,
    "DeiTBackbone": _deit,
    "DINOV2Backbone": _dinov2,
    "DINOV3Backbone": _dinov3,
    "SwinTransformerBackbone": _swin,
    "SigLIPBackbone": _siglip,
    "SigLIPVisionEncoder": _siglip,
    "CLIPVisionEncoder": _clip_tower,
    "CLIPBackbone": _clip,
    "MetaCLIP2Backbone": _metaclip_2,
}
PREFIX: dict[str, Callable[[Any], int]] = {
    "ViTBackbone": lambda vision: int(vision.use_class_token),
    "DeiTBackbone": lambda vision: 2,
    "DINOV2Backbone": lambda vision: 1 + vision.num_register_tokens,
    "DINOV3Backbone": lambda vision: 1 + vision.num_register_tokens,
    "SigLIPVisionEncoder": lambda vision: 0,
    "CLIPVisionEncoder": lambda vision: 1,
    "MetaCLIP2VisionEncoder": lambda vision: 1,
}
