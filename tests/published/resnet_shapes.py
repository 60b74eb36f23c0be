"""Names and shapes of the weights of timm's ResNet-18."""

Shapes = dict[str, tuple[int, ...]]


def batch_norm(name: str, width: int) -> Shapes:
    rows = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{row}": (width,) for row in rows} | {f"{name}.num_batches_tracked": ()}


def resnet18() -> Shapes:
    shapes: Shapes = {"conv1.weight": (64, 3, 7, 7)} | batch_norm("bn1", 64)
    inputs = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for number in range(2):
            block = f"layer{stage}.{number}"
            shapes |= {f"{block}.conv1.weight": (width, inputs, 3, 3)} | batch_norm(f"{block}.bn1", width)
            shapes |= {f"{block}.conv2.weight": (width, width, 3, 3)} | batch_norm(f"{block}.bn2", width)
            if inputs != width:
                shapes |= {f"{block}.downsample.0.weight": (width, inputs, 1, 1)} | batch_norm(
                    f"{block}.downsample.1", width
                )
            inputs = width
    return shapes | {"fc.weight": (1000, 512), "fc.bias": (1000,)}
