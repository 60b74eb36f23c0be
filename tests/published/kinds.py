"""The kinds of published networks, and writing one as its publisher ships it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from published import configs, transformer_shapes
from published.resnet_shapes import resnet18
from published.weights import draw_weights

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Published:
    """One kind of published network, tiny.

    Attributes:
        config: what `config.json` says.
        preprocessor: what `preprocessor_config.json` says; empty where there is no such file.
        shapes: of all weights, by the names in `model.safetensors`.
        sizes: image sizes with reference outputs; the first is the one that position embeddings are for.
        made: what is in the file besides but not drawn.
    """

    config: dict
    preprocessor: dict
    shapes: Shapes
    sizes: tuple[int, ...]
    made: Callable[[], dict[str, np.ndarray]] = dict

    @property
    def normalisation(self) -> dict[str, tuple[float, float, float]]:
        """Mean and standard deviation of the channels, of values in 0..1."""
        if self.preprocessor:
            return {"mean": self.preprocessor["image_mean"], "std": self.preprocessor["image_std"]}
        return {name: self.config["pretrained_cfg"][name] for name in ("mean", "std")}

    def weights(self) -> dict[str, np.ndarray]:
        return draw_weights(self.shapes) | self.made()


def write_folder(kind: str, folder: Path) -> Path:
    """Write `config.json`, `model.safetensors` and, where its publisher does, `preprocessor_config.json`."""
    published = KINDS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(published.config, indent=2))
    if published.preprocessor:
        (folder / "preprocessor_config.json").write_text(json.dumps(published.preprocessor, indent=2))
    save_file(published.weights(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def relative_position_index(window: int) -> np.ndarray:
    """Swin's buffer: which row of the bias table two places of a window take, int64 (window², window²)."""
    places = np.stack(np.divmod(np.arange(window**2), window), axis=-1)
    rows, columns = np.moveaxis(places[:, None] - places[None] + window - 1, -1, 0)
    return rows * (2 * window - 1) + columns


def swin_buffers() -> dict[str, np.ndarray]:
    config = configs.swin()
    blocks = [
        f"layers.{stage}.blocks.{number}" for stage, depth in enumerate(config["depths"]) for number in range(depth)
    ]
    index = relative_position_index(config["window_size"])
    return {f"swin.encoder.{block}.attention.self.relative_position_index": index.copy() for block in blocks}


def made_kinds() -> dict[str, Published]:
    linear = transformer_shapes.linear
    classifier = linear("classifier", 10, 32)
    teacher = linear("cls_classifier", 10, 32) | linear("distillation_classifier", 10, 32)
    square = configs.stretched(32, configs.HALF, configs.BILINEAR, image_processor_type="ViTImageProcessor")
    cropped = configs.shorter_side_then_crop(32, 28, configs.IMAGENET)
    torch_square = configs.stretched_by_torch(32, configs.IMAGENET)
    deit_tokens = ("cls_token", "distillation_token")

    def dinov2(config: dict) -> Published:
        return Published(config, cropped, transformer_shapes.dinov2(config), (56, 28, 42))

    def dinov3(config: dict) -> Published:
        return Published(config, torch_square, transformer_shapes.dinov3(config), (32, 48))

    return {
        "vit": Published(configs.vit(), square, transformer_shapes.vit(configs.vit(), "vit.") | classifier, (32, 48)),
        "vit-features": Published(
            configs.vit_features(),
            square,
            transformer_shapes.vit(configs.vit_features(), "") | linear("pooler.dense", 32, 32),
            (32, 48),
        ),
        "deit": Published(
            configs.deit(),
            configs.older(36, configs.IMAGENET, "DeiTFeatureExtractor", crop=32),
            transformer_shapes.vit(configs.deit(), "deit.", deit_tokens) | teacher,
            (32, 48),
        ),
        "dinov2": dinov2(configs.dinov2()),
        "dinov2-swiglu": dinov2(configs.dinov2_swiglu()),
        "dinov2-registers": dinov2(configs.dinov2_with_registers()),
        "dinov3": dinov3(configs.dinov3()),
        "dinov3-gated": dinov3(configs.dinov3_gated()),
        "swin": Published(
            configs.swin(),
            configs.older(32, configs.IMAGENET, "ViTFeatureExtractor"),
            transformer_shapes.swin(configs.swin(), "swin.") | linear("classifier", 10, 64),
            (32, 64, 40),
            swin_buffers,
        ),
        "resnet18": Published(configs.resnet18(), {}, resnet18(), (64, 80)),
        "siglip": Published(
            configs.siglip_tower(),
            configs.stretched(32, configs.HALF, configs.BICUBIC, image_processor_type="SiglipImageProcessor"),
            transformer_shapes.siglip(configs.siglip_tower()),
            (32, 48),
        ),
        "clip": Published(
            configs.clip_tower(),
            configs.shorter_side_then_crop(32, 32, configs.OPENAI) | {"image_processor_type": "CLIPImageProcessor"},
            transformer_shapes.clip(configs.clip_tower()),
            (32, 48),
        ),
    }


KINDS = made_kinds()
