"""The real ResNets on real CIFAR-10 images: every engine gives the same features within its tolerance."""

import numpy as np
import pytest

from bottleneck_features import models
from bottleneck_features.models.engines import cpu_has_bfloat16

SIZE = (200, 200)


@pytest.fixture(scope="module")
def images(real_data):
    return np.load(real_data / "cifar10-first4000-lossless.npz")["x"][:320]


def cosines(a, b):
    """Mean cosine of features with their reference, as they are and with the mean feature taken off."""
    mean = b.mean(0)
    return tuple(
        float(((x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)).mean())
        for x, y in ((a, b), (a - mean, b - mean))
    )


@pytest.mark.parametrize(
    ("file", "layer", "channels"),
    [
        ("resnet50_v15_pqf", "conv5_block3_out", 2048),
        pytest.param("resnet50_conv4_msra", "conv4_block6_out", 1024, marks=pytest.mark.slow),
        pytest.param("resnet18_pqf", "conv5_block2_out", 512, marks=pytest.mark.slow),
    ],
)
def test_real_resnets_run_at_200_pixels(real_data, images, file, layer, channels):
    backbone = models.load_backbone(str(real_data / "weights" / f"{file}.keras"), size=SIZE)
    extractor = models.build_extractor(backbone, [layer], input_shape=(32, 32), batch_size=8)
    assert extractor(images[:8])[layer].shape == (8, channels)
    assert extractor.check[layer]["cosine"] > 0.999


@pytest.mark.slow
def test_engines_agree_on_the_real_resnet50(real_data, images, capsys):
    layer = "conv5_block3_out"
    backbone = models.load_backbone(str(real_data / "weights" / "resnet50_v15_pqf.keras"), size=SIZE)

    def features(engine, precision):
        extractor = models.build_extractor(
            backbone, [layer], input_shape=(32, 32), engine=engine, precision=precision, calibration=images[64:192]
        )
        return np.concatenate([y[layer] for y in extractor.map([images[:32], images[32:64]])])

    reference = features("tensorflow", "float32")
    least = {("openvino", "float32"): 0.99999, ("openvino", "int8"): 0.99}
    if cpu_has_bfloat16():
        least |= {("tensorflow", "bfloat16"): 0.999, ("openvino", "bfloat16"): 0.999}
    for (engine, precision), lowest in least.items():
        raw, centred = cosines(features(engine, precision), reference)
        with capsys.disabled():
            print(f"\n{engine} {precision}: cosine {raw:.5f} raw, {centred:.5f} centred")
        assert raw >= lowest
