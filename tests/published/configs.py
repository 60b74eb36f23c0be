"""`config.json` and `preprocessor_config.json` as publishers ship them, with the numbers of tiny networks."""

Config = dict
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
OPENAI = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
BICUBIC, BILINEAR = 3, 2  # Pillow's numbers
PIXEL = 0.00392156862745098
LABELS = {
    "id2label": {str(number): f"class {number}" for number in range(10)},
    "label2id": {f"class {number}": number for number in range(10)},
}
TINY = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3, "num_channels": 3}
PLAIN = {
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.02,
}


def vit() -> Config:
    return (
        {"architectures": ["ViTForImageClassification"], "model_type": "vit", "image_size": 32, "patch_size": 8}
        | TINY
        | PLAIN
        | {"encoder_stride": 16, "intermediate_size": 96, "layer_norm_eps": 1e-12, "qkv_bias": True}
        | LABELS
    )


def vit_features() -> Config:
    """The network without its classifier and with a pooler, as `google/vit-base-patch16-224-in21k`."""
    config = {key: value for key, value in vit().items() if key not in LABELS and key != "encoder_stride"}
    return config | {"architectures": ["ViTModel"]}


def deit() -> Config:
    return vit() | {"architectures": ["DeiTForImageClassificationWithTeacher"], "model_type": "deit"}


def dinov2() -> Config:
    """Position embeddings for 8 × 8 patches, as 37 × 37 at 518 pixels; the preprocessor crops to 4 × 4, as 16 × 16."""
    stages = ["stem", "stage1", "stage2", "stage3"]
    return (
        {"apply_layernorm": True, "architectures": ["Dinov2Model"], "model_type": "dinov2"}
        | TINY
        | PLAIN
        | {"image_size": 56, "patch_size": 7, "drop_path_rate": 0.0, "layer_norm_eps": 1e-06, "layerscale_value": 1.0}
        | {"mlp_ratio": 4, "qkv_bias": True, "use_swiglu_ffn": False, "reshape_hidden_states": True}
        | {"stage_names": stages, "out_features": ["stage3"], "out_indices": [3], "torch_dtype": "float32"}
    )


def dinov2_swiglu() -> Config:
    """The feed-forward layer of `facebook/dinov2-giant`."""
    return dinov2() | {"use_swiglu_ffn": True, "hidden_act": "gelu"}


def dinov2_with_registers() -> Config:
    named = {"architectures": ["Dinov2WithRegistersModel"], "model_type": "dinov2_with_registers"}
    return dinov2() | named | {"num_register_tokens": 4}


def dinov3() -> Config:
    return (
        {"architectures": ["DINOv3ViTModel"], "model_type": "dinov3_vit", "image_size": 32, "patch_size": 8}
        | TINY
        | {"attention_dropout": 0.0, "drop_path_rate": 0.0, "hidden_act": "gelu", "initializer_range": 0.02}
        | {"intermediate_size": 96, "layer_norm_eps": 1e-05, "layerscale_value": 1.0, "num_register_tokens": 4}
        | {"key_bias": False, "query_bias": True, "value_bias": True, "proj_bias": True, "mlp_bias": True}
        | {"pos_embed_jitter": None, "pos_embed_rescale": 2.0, "pos_embed_shift": None, "rope_theta": 100.0}
        | {"use_gated_mlp": False, "torch_dtype": "float32", "num_attention_heads": 2}
    )


def dinov3_gated() -> Config:
    """The feed-forward layer of `facebook/dinov3-vits16plus-pretrain-lvd1689m`."""
    return dinov3() | {"use_gated_mlp": True, "hidden_act": "silu"}


def swin() -> Config:
    return (
        {"architectures": ["SwinForImageClassification"], "model_type": "swin", "image_size": 32, "patch_size": 2}
        | PLAIN
        | {"depths": [2, 2, 2], "num_heads": [1, 2, 4], "num_layers": 3, "embed_dim": 16, "hidden_size": 64}
        | {"window_size": 4, "mlp_ratio": 4.0, "qkv_bias": True, "drop_path_rate": 0.1, "encoder_stride": 32}
        | {"layer_norm_eps": 1e-05, "num_channels": 3, "path_norm": True, "use_absolute_embeddings": False}
        | {"torch_dtype": "float32"}
        | LABELS
    )


def siglip_tower() -> Config:
    sizes = {"image_size": 32, "patch_size": 8, "intermediate_size": 96}
    return {"model_type": "siglip_vision_model", "hidden_act": "gelu_pytorch_tanh"} | TINY | sizes


def clip_tower() -> Config:
    sizes = {"image_size": 32, "patch_size": 8, "intermediate_size": 96, "projection_dim": 24}
    return {"model_type": "clip_vision_model", "hidden_act": "quick_gelu"} | TINY | sizes


def resnet18() -> Config:
    """Timm's file for `timm/resnet18.a1_in1k`."""
    pretrained = {"tag": "a1_in1k", "custom_load": False, "fixed_input_size": False, "interpolation": "bicubic"}
    pretrained |= {"input_size": [3, 224, 224], "test_input_size": [3, 288, 288], "pool_size": [7, 7]}
    pretrained |= {"crop_pct": 0.95, "test_crop_pct": 1.0, "crop_mode": "center", "num_classes": 1000}
    pretrained |= {"mean": IMAGENET["image_mean"], "std": IMAGENET["image_std"]}
    pretrained |= {"first_conv": "conv1", "classifier": "fc", "license": "apache-2.0"}
    pretrained |= {"origin_url": "https://github.com/huggingface/pytorch-image-models", "paper_ids": "arXiv:2110.00476"}
    return {"architecture": "resnet18", "num_classes": 1000, "num_features": 512, "pretrained_cfg": pretrained}


def shorter_side_then_crop(side: int, crop: int, numbers: dict) -> Config:
    """DINOv2's preprocessor."""
    steps = {f"do_{step}": True for step in ("center_crop", "convert_rgb", "normalize", "rescale", "resize")}
    sizes = {"crop_size": {"height": crop, "width": crop}, "size": {"shortest_edge": side}}
    return (
        steps
        | sizes
        | numbers
        | {"image_processor_type": "BitImageProcessor", "resample": BICUBIC, "rescale_factor": PIXEL}
    )


def stretched(side: int, numbers: dict, resample: int, **named: str) -> Config:
    """ViT's and SigLIP's preprocessors."""
    steps = {f"do_{step}": True for step in ("normalize", "rescale", "resize")}
    sizes = {"size": {"height": side, "width": side}, "resample": resample, "rescale_factor": PIXEL}
    return steps | sizes | numbers | named


def stretched_by_torch(side: int, numbers: dict) -> Config:
    """DINOv3's preprocessor, with the many keys that say nothing."""
    nothing = (
        "crop_size",
        "device",
        "disable_grouping",
        "do_center_crop",
        "do_convert_rgb",
        "input_data_format",
        "return_tensors",
    )
    named = {
        "image_processor_type": "DINOv3ViTImageProcessorFast",
        "data_format": "channels_first",
        "default_to_square": True,
    }
    return dict.fromkeys(nothing) | named | stretched(side, numbers, BILINEAR)


def older(side: int, numbers: dict, extractor: str, crop: int | None = None) -> Config:
    """DeiT's and Swin's preprocessors: written before sizes had names, and before rescaling was a step."""
    cropped = {} if crop is None else {"crop_size": crop, "do_center_crop": True}
    named = {
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": extractor,
        "resample": BICUBIC,
        "size": side,
    }
    return cropped | named | numbers
