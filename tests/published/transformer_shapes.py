"""Names and shapes of the weights of vision transformers, as Hugging Face's checkpoints have them."""

Shapes = dict[str, tuple[int, ...]]


def linear(name: str, outputs: int, inputs: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (outputs, inputs)} | ({f"{name}.bias": (outputs,)} if bias else {})


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def convolution(name: str, outputs: int, side: int) -> Shapes:
    return {f"{name}.weight": (outputs, 3, side, side), f"{name}.bias": (outputs,)}


def self_attention(name: str, width: int) -> Shapes:
    """The attention of ViT, DeiT, DINOv2: three matrices inside `attention`, one in `output`."""
    shapes: Shapes = {}
    for part in ("attention.query", "attention.key", "attention.value", "output.dense"):
        shapes |= linear(f"{name}.{part}", width, width)
    return shapes


def vit(config: dict, prefix: str, special: tuple[str, ...] = ("cls_token",)) -> Shapes:
    """ViT and, with a distillation token, DeiT; without a head or a pooler."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    patches = (config["image_size"] // config["patch_size"]) ** 2
    shapes: Shapes = {f"{prefix}embeddings.{token}": (1, 1, width) for token in special}
    shapes[f"{prefix}embeddings.position_embeddings"] = (1, patches + len(special), width)
    shapes |= convolution(f"{prefix}embeddings.patch_embeddings.projection", width, config["patch_size"])
    for number in range(config["num_hidden_layers"]):
        block = f"{prefix}encoder.layer.{number}"
        shapes |= norm(f"{block}.layernorm_before", width) | self_attention(f"{block}.attention", width)
        shapes |= norm(f"{block}.layernorm_after", width)
        shapes |= linear(f"{block}.intermediate.dense", inner, width) | linear(f"{block}.output.dense", width, inner)
    return shapes | norm(f"{prefix}layernorm", width)


def dinov2(config: dict) -> Shapes:
    width, patch = config["hidden_size"], config["patch_size"]
    patches = (config["image_size"] // patch) ** 2
    shapes: Shapes = {"embeddings.cls_token": (1, 1, width), "embeddings.mask_token": (1, width)}
    if registers := config.get("num_register_tokens"):
        shapes["embeddings.register_tokens"] = (1, registers, width)
    shapes["embeddings.position_embeddings"] = (1, patches + 1, width)
    shapes |= convolution("embeddings.patch_embeddings.projection", width, patch)
    for number in range(config["num_hidden_layers"]):
        block = f"encoder.layer.{number}"
        shapes |= norm(f"{block}.norm1", width) | self_attention(f"{block}.attention", width)
        shapes |= {f"{block}.layer_scale1.lambda1": (width,)} | norm(f"{block}.norm2", width)
        shapes |= dinov2_mlp(f"{block}.mlp", config) | {f"{block}.layer_scale2.lambda1": (width,)}
    return shapes | norm("layernorm", width)


def dinov2_mlp(name: str, config: dict) -> Shapes:
    width = config["hidden_size"]
    inner = int(width * config["mlp_ratio"])
    if not config["use_swiglu_ffn"]:
        return linear(f"{name}.fc1", inner, width) | linear(f"{name}.fc2", width, inner)
    inner = (int(inner * 2 / 3) + 7) // 8 * 8
    return linear(f"{name}.weights_in", 2 * inner, width) | linear(f"{name}.weights_out", width, inner)


def dinov3(config: dict) -> Shapes:
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes: Shapes = {f"embeddings.{token}": (1, 1, width) for token in ("cls_token", "mask_token")}
    shapes["embeddings.register_tokens"] = (1, config["num_register_tokens"], width)
    shapes |= convolution("embeddings.patch_embeddings", width, config["patch_size"])
    biased = {"q": "query_bias", "k": "key_bias", "v": "value_bias", "o": "proj_bias"}
    for number in range(config["num_hidden_layers"]):
        block = f"layer.{number}"
        shapes |= norm(f"{block}.norm1", width) | {f"{block}.layer_scale1.lambda1": (width,)}
        for letter, key in biased.items():
            shapes |= linear(f"{block}.attention.{letter}_proj", width, width, config[key])
        shapes |= norm(f"{block}.norm2", width) | {f"{block}.layer_scale2.lambda1": (width,)}
        for part in ("gate_proj", "up_proj") if config["use_gated_mlp"] else ("up_proj",):
            shapes |= linear(f"{block}.mlp.{part}", inner, width, config["mlp_bias"])
        shapes |= linear(f"{block}.mlp.down_proj", width, inner, config["mlp_bias"])
    return shapes | norm("norm", width)


def swin(config: dict, prefix: str) -> Shapes:
    width, window = config["embed_dim"], config["window_size"]
    shapes = convolution(f"{prefix}embeddings.patch_embeddings.projection", width, config["patch_size"])
    shapes |= norm(f"{prefix}embeddings.norm", width)
    stages = len(config["depths"])
    for stage, (depth, heads) in enumerate(zip(config["depths"], config["num_heads"], strict=True)):
        for number in range(depth):
            block = f"{prefix}encoder.layers.{stage}.blocks.{number}"
            shapes |= swin_block(block, width, int(width * config["mlp_ratio"]), heads, window)
        if stage < stages - 1:
            merging = f"{prefix}encoder.layers.{stage}.downsample"
            shapes |= linear(f"{merging}.reduction", 2 * width, 4 * width, bias=False) | norm(
                f"{merging}.norm", 4 * width
            )
            width *= 2
    return shapes | norm(f"{prefix}layernorm", width)


def swin_block(name: str, width: int, inner: int, heads: int, window: int) -> Shapes:
    shapes = {f"{name}.attention.self.relative_position_bias_table": ((2 * window - 1) ** 2, heads)}
    for part in ("self.query", "self.key", "self.value", "output.dense"):
        shapes |= linear(f"{name}.attention.{part}", width, width)
    shapes |= norm(f"{name}.layernorm_before", width) | norm(f"{name}.layernorm_after", width)
    return shapes | linear(f"{name}.intermediate.dense", inner, width) | linear(f"{name}.output.dense", width, inner)


def image_text_tower(config: dict, prefix: str) -> Shapes:
    """The blocks of SigLIP's and CLIP's vision towers, which are alike."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes: Shapes = {}
    for number in range(config["num_hidden_layers"]):
        block = f"{prefix}encoder.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{block}.self_attn.{part}", width, width)
        shapes |= norm(f"{block}.layer_norm1", width) | norm(f"{block}.layer_norm2", width)
        shapes |= linear(f"{block}.mlp.fc1", inner, width) | linear(f"{block}.mlp.fc2", width, inner)
    return shapes


def siglip(config: dict) -> Shapes:
    prefix, width, inner = "vision_model.", config["hidden_size"], config["intermediate_size"]
    patches = (config["image_size"] // config["patch_size"]) ** 2
    shapes = convolution(f"{prefix}embeddings.patch_embedding", width, config["patch_size"])
    shapes[f"{prefix}embeddings.position_embedding.weight"] = (patches, width)
    shapes |= image_text_tower(config, prefix) | norm(f"{prefix}post_layernorm", width)
    head = f"{prefix}head"
    shapes |= {f"{head}.probe": (1, 1, width), f"{head}.attention.in_proj_weight": (3 * width, width)}
    shapes |= {f"{head}.attention.in_proj_bias": (3 * width,)} | linear(f"{head}.attention.out_proj", width, width)
    shapes |= norm(f"{head}.layernorm", width)
    return shapes | linear(f"{head}.mlp.fc1", inner, width) | linear(f"{head}.mlp.fc2", width, inner)


def clip(config: dict) -> Shapes:
    prefix, width, patch = "vision_model.", config["hidden_size"], config["patch_size"]
    shapes: Shapes = {f"{prefix}embeddings.class_embedding": (width,)}
    shapes[f"{prefix}embeddings.patch_embedding.weight"] = (width, 3, patch, patch)
    shapes[f"{prefix}embeddings.position_embedding.weight"] = ((config["image_size"] // patch) ** 2 + 1, width)
    shapes |= norm(f"{prefix}pre_layrnorm", width) | image_text_tower(config, prefix)  # the publisher's spelling
    shapes |= norm(f"{prefix}post_layernorm", width)
    return shapes | linear("visual_projection", config["projection_dim"], width, bias=False)
