"""Our networks against torch itself, with the same random weights: needs `pip install torch` (CPU build)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_torchvision_nets import shaken, torch_state

from bottleneck_features.models import load_backbone
from bottleneck_features.models.torch_files import load_tensors
from bottleneck_features.models.torchvision_nets import RESNETS, VGG16_BLOCKS, VGG16_FILTERS, resnet, vgg16_bn

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow


class Block(torch.nn.Module):
    """A residual block under torchvision's names."""

    def __init__(self, channels: int, filters: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        width = 4 * filters if bottleneck else filters
        sizes = [(channels, filters, 1, 1), (filters, filters, 3, stride), (filters, width, 1, 1)]
        if not bottleneck:
            sizes = [(channels, filters, 3, stride), (filters, filters, 3, 1)]
        self.count = len(sizes)
        for i, (a, b, kernel, step) in enumerate(sizes, start=1):
            setattr(self, f"conv{i}", torch.nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{i}", torch.nn.BatchNorm2d(b))
        self.downsample = torch.nn.Sequential()
        if stride > 1 or channels != width:
            self.downsample = torch.nn.Sequential(
                torch.nn.Conv2d(channels, width, 1, stride, bias=False), torch.nn.BatchNorm2d(width)
            )

    def forward(self, x: Any) -> Any:
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = torch.relu(y) if i < self.count else y
        return torch.relu(y + self.downsample(x))


class TorchResNet(torch.nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        net = RESNETS[name]
        self.conv1 = torch.nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(64)
        channels = 64
        for stage, blocks in enumerate(net.blocks):
            filters, parts = 64 * 2**stage, []
            for block in range(blocks):
                parts.append(Block(channels, filters, 2 if stage and not block else 1, net.bottleneck))
                channels = filters * (4 if net.bottleneck else 1)
            setattr(self, f"layer{stage + 1}", torch.nn.Sequential(*parts))

    def forward(self, x: Any) -> Any:
        x = torch.nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return x.mean((2, 3))


class TorchVGG(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        parts: list[torch.nn.Module] = []
        channels = 3
        for count, filters in zip(VGG16_BLOCKS, VGG16_FILTERS, strict=True):
            for _ in range(count):
                parts += [
                    torch.nn.Conv2d(channels, filters, 3, padding=1),
                    torch.nn.BatchNorm2d(filters),
                    torch.nn.ReLU(),
                ]
                channels = filters
            parts.append(torch.nn.MaxPool2d(2))
        self.features = torch.nn.Sequential(*parts)
        linear, relu, dropout = torch.nn.Linear, torch.nn.ReLU, torch.nn.Dropout
        self.classifier = torch.nn.Sequential(linear(25088, 4096), relu(), dropout(), linear(4096, 4096), relu())

    def forward(self, x: Any) -> Any:
        return self.classifier(torch.flatten(self.features(x), 1))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", [*RESNETS, "vgg16-bn"])
def test_torch_reads_our_weights_and_gives_our_output(tmp_path: Path, name: str, zipped: bool):
    ours = shaken(vgg16_bn((224, 224)) if name == "vgg16-bn" else resnet(name, (224, 224)))
    theirs = (TorchVGG() if name == "vgg16-bn" else TorchResNet(name)).eval()
    state = {key: torch.from_numpy(value.copy()) for key, value in torch_state(ours).items()}
    missing = theirs.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys)
    images = np.random.default_rng(1).uniform(0, 255, (2, 224, 224, 3)).astype(np.float32)
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = theirs(torch.from_numpy(((images / 255 - mean) / deviation).transpose(0, 3, 1, 2).copy())).numpy()
    path = tmp_path / "saved-by-torch.pth"
    torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=zipped)
    loaded = load_backbone(name, str(path)).model(images, training=False).numpy()
    assert np.abs(loaded - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())
    assert set(load_tensors(path)) == set(theirs.state_dict())
