"""SigLIP's and CLIP's towers as KerasHub ships them: whole presets of image and text tower, with an image converter."""

from pathlib import Path
from typing import Any

import numpy as np

from published.kinds import KINDS

Weights = dict[str, np.ndarray]
TEXT = {
    "vocabulary_size": 11,
    "embedding_dim": 16,
    "hidden_dim": 16,
    "num_layers": 1,
    "num_heads": 2,
    "intermediate_dim": 16,
}


def write_preset(kind: str, folder: Path) -> Path:
    """Write `siglip` or `clip` as a KerasHub preset: config.json, model.weights.h5, image_converter.json, metadata.json."""
    from bottleneck_features.quiet import import_tensorflow

    import_tensorflow()
    import keras_hub

    config = KINDS[kind].config
    tower = {"hidden_dim": config["hidden_size"], "num_layers": config["num_hidden_layers"]}
    tower |= {"num_heads": config["num_attention_heads"], "intermediate_dim": config["intermediate_size"]}
    tower |= {"patch_size": config["patch_size"], "image_shape": (config["image_size"],) * 2 + (3,)}
    backbone = BUILDERS[kind](keras_hub.models, tower, KINDS[kind].weights())
    backbone.save_to_preset(str(folder))
    mean, deviation = (np.array(KINDS[kind].normalisation[name]) for name in ("mean", "std"))
    converter = CONVERTERS[kind](keras_hub.layers)(
        image_size=(config["image_size"],) * 2,
        scale=(1 / 255 / deviation).tolist(),
        offset=(-mean / deviation).tolist(),
        interpolation="bicubic",
    )
    converter.save_to_preset(str(folder))
    return folder


def siglip_backbone(models: Any, tower: dict, weights: Weights) -> Any:
    vision = models.SigLIPVisionEncoder(**tower, name="vision_encoder")
    text = models.SigLIPTextEncoder(
        **TEXT, projection_dim=tower["hidden_dim"], max_sequence_length=8, name="text_encoder"
    )
    backbone = models.SigLIPBackbone(vision, text)
    assign_convolution(vision.embedding.patch_embedding, "vision_model.embeddings.patch_embedding", weights)
    vision.embedding.position_embedding.embeddings.assign(weights["vision_model.embeddings.position_embedding.weight"])
    for number, block in enumerate(vision.encoder_layers):
        name = f"vision_model.encoder.layers.{number}"
        assign_attention(block.self_attn, f"{name}.self_attn", weights)
        assign_norm(block.layer_norm1, f"{name}.layer_norm1", weights)
        assign_norm(block.layer_norm2, f"{name}.layer_norm2", weights)
        assign_dense(block.mlp.fc1, f"{name}.mlp.fc1", weights)
        assign_dense(block.mlp.fc2, f"{name}.mlp.fc2", weights)
    assign_norm(vision.post_layer_norm, "vision_model.post_layernorm", weights)
    head = "vision_model.head"
    vision.head.probe.assign(weights[f"{head}.probe"])
    assign_attention(vision.head.attention, f"{head}.attention", weights | separated(f"{head}.attention", weights))
    assign_norm(vision.head.layer_norm, f"{head}.layernorm", weights)
    assign_dense(vision.head.mlp.fc1, f"{head}.mlp.fc1", weights)
    assign_dense(vision.head.mlp.fc2, f"{head}.mlp.fc2", weights)
    return backbone


def clip_backbone(models: Any, tower: dict, weights: Weights) -> Any:
    vision = models.CLIPVisionEncoder(**tower, name="vision_encoder")
    text = models.CLIPTextEncoder(**TEXT, max_sequence_length=8, name="text_encoder")
    backbone = models.CLIPBackbone(vision, text, projection_dim=weights["visual_projection.weight"].shape[0])
    embeddings = "vision_model.embeddings"
    assign_convolution(vision.embedding.patch_embedding, f"{embeddings}.patch_embedding", weights)
    vision.embedding.class_embedding.assign(weights[f"{embeddings}.class_embedding"])
    vision.embedding.position_embedding.embeddings.assign(weights[f"{embeddings}.position_embedding.weight"])
    vision.embedding.position_ids.assign(
        np.arange(vision.embedding.num_positions)[None]
    )  # all 0 in a new KerasHub CLIP
    assign_norm(vision.pre_layer_norm, "vision_model.pre_layrnorm", weights)
    for number, block in enumerate(vision.encoder_layers):
        name = f"vision_model.encoder.layers.{number}"
        assign_attention(block.attention, f"{name}.self_attn", weights)
        assign_norm(block.layer_norm_1, f"{name}.layer_norm1", weights)
        assign_norm(block.layer_norm_2, f"{name}.layer_norm2", weights)
        assign_dense(block.dense_1, f"{name}.mlp.fc1", weights)
        assign_dense(block.dense_2, f"{name}.mlp.fc2", weights)
    assign_norm(vision.layer_norm, "vision_model.post_layernorm", weights)
    assign_dense(backbone.vision_projection, "visual_projection", weights)
    return backbone


BUILDERS = {"siglip": siglip_backbone, "clip": clip_backbone}
CONVERTERS = {"siglip": lambda layers: layers.SigLIPImageConverter, "clip": lambda layers: layers.CLIPImageConverter}


def separated(name: str, weights: Weights) -> Weights:
    """Torch's own attention keeps the three matrices in one."""
    parts = zip(*(np.split(weights[f"{name}.in_proj_{row}"], 3) for row in ("weight", "bias")), strict=True)
    found: Weights = {}
    for letter, (matrix, bias) in zip("qkv", parts, strict=True):
        found |= {f"{name}.{letter}_proj.weight": matrix, f"{name}.{letter}_proj.bias": bias}
    return found


def assign_attention(layer: Any, name: str, weights: Weights) -> None:
    dense = {"q": layer.query_dense, "k": layer.key_dense, "v": layer.value_dense, "out": layer.output_dense}
    for letter, part in dense.items():
        part.kernel.assign(weights[f"{name}.{letter}_proj.weight"].T.reshape(part.kernel.shape))
        part.bias.assign(weights[f"{name}.{letter}_proj.bias"].reshape(part.bias.shape))


def assign_dense(layer: Any, name: str, weights: Weights) -> None:
    layer.kernel.assign(weights[f"{name}.weight"].T)
    if layer.use_bias:
        layer.bias.assign(weights[f"{name}.bias"])


def assign_convolution(layer: Any, name: str, weights: Weights) -> None:
    layer.kernel.assign(weights[f"{name}.weight"].transpose(2, 3, 1, 0))
    if layer.use_bias:
        layer.bias.assign(weights[f"{name}.bias"])


def assign_norm(layer: Any, name: str, weights: Weights) -> None:
    layer.gamma.assign(weights[f"{name}.weight"])
    layer.beta.assign(weights[f"{name}.bias"])
