"""A network that was written gives, when it is opened again, the features of the extractor that was built, bit for bit."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from bottleneck_features import models
from bottleneck_features.models.engines import cpu_has_bfloat16

LAYERS = ("block3b_add", "top_activation")


def opened(built, file, batch_size):
    contents = (file.read_bytes(), file.with_suffix(".bin").read_bytes())
    kept = {name: getattr(built, name) for name in ("output_shapes", "check", "gflop_per_image", "precision")}
    return models.open_extractor(*contents, built.recipe, batch_size=batch_size, **kept)


ODD = {"pooling": ("none", "max"), "views": ("identity", "hflip"), "resize": "lanczos3", "antialias": True}


@pytest.mark.parametrize(
    ("precision", "settings"),
    [
        ("float32", ODD),
        ("bfloat16", ODD),
        pytest.param("int8", {}, marks=pytest.mark.slow),
        pytest.param("float32", {}, marks=pytest.mark.slow),
        pytest.param("bfloat16", {}, marks=pytest.mark.slow),
        pytest.param("int8", ODD, marks=pytest.mark.slow),
    ],
)
def test_a_written_network_gives_the_same_bits(precision, settings, lite0, photographs, tmp_path):
    if precision == "bfloat16" and not cpu_has_bfloat16():
        pytest.skip("this processor does not multiply in bfloat16")
    file, images = tmp_path / "network.xml", np.repeat(photographs, 2, axis=0)[:, :56]
    built = models.build_extractor(
        lite0, LAYERS, input_shape=(56, 64), engine="openvino", precision=precision, batch_size=24, calibration=images,
        network_file=file, **settings,
    )  # fmt: skip
    expected = built(images)
    again = opened(built, file, 24)
    for layer, features in again(images).items():
        assert features.tobytes() == expected[layer].tobytes()
    assert {name: value for name, value in vars(again).items() if name != "_engine"} == {
        name: value for name, value in vars(built).items() if name != "_engine"
    }


def test_the_weights_are_written_as_they_are(lite0, tmp_path):
    file = tmp_path / "network.xml"
    built = models.build_extractor(lite0, LAYERS, engine="openvino", precision="bfloat16", network_file=file)
    weights = sum(int(np.prod(weight.shape)) for weight in lite0.model.weights)
    assert file.with_suffix(".bin").stat().st_size > 2.5 * weights  # bytes; its last layer is not in it
    assert 'element_type="f16"' not in file.read_text()
    assert built.precision == "bfloat16"


def test_what_cannot_be_written_is_named_and_leaves_nothing(lite0, tmp_path):
    (tmp_path / "network.bin").mkdir()
    with pytest.raises(OSError, match=r"network\.xml"):
        models.build_extractor(lite0, LAYERS, engine="openvino", network_file=tmp_path / "network.xml")


def test_opening_needs_no_framework(lite0, photographs, tmp_path):
    file = tmp_path / "network.xml"
    built = models.build_extractor(
        lite0, LAYERS, engine="openvino", precision="float32", batch_size=12, network_file=file
    )
    np.save(tmp_path / "images.npy", photographs)
    script = f"""
        import sys
        from pathlib import Path
        import numpy as np
        from bottleneck_features import models
        file = Path({str(file)!r})
        recipe = models.Recipe({LAYERS!r}, ("avg", "avg"), (64, 64), (64, 64))
        extractor = models.open_extractor(
            file.read_bytes(), file.with_suffix(".bin").read_bytes(), recipe, precision="float32", batch_size=12,
            output_shapes={dict(built.output_shapes)!r}, check={{}}, gflop_per_image=1.0,
        )
        assert sys.modules["openvino_telemetry"] is None
        np.savez({str(tmp_path / "features.npz")!r}, **extractor(np.load({str(tmp_path / "images.npy")!r})))
        print(*({{"tensorflow", "keras"}} & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout.split() == []
    with np.load(tmp_path / "features.npz") as found:
        assert all(found[layer].tobytes() == features.tobytes() for layer, features in built(photographs).items())
