"""Which engine and precision this machine gets, and the GPU path as far as a CPU can run it."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import pytest

from bottleneck_features.models.building import build_extractor
from bottleneck_features.models.engines import cpu_has_bfloat16, import_openvino, resolve_engine
from bottleneck_features.models.errors import EngineUnavailable
from bottleneck_features.models.parallel import core_limit

GPU_PATH = """
    import numpy as np
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

    from bottleneck_features import models
    from bottleneck_features.models.engines.tensorflow import TensorFlowEngine
    from bottleneck_features.models.recipe import Recipe

    layers = ("block2b_add", "block3b_add")
    backbone = models.load_backbone("efficientnet-lite0", size=(64, 64))

    def copied(precision):
        return lambda: backbone.in_precision(layers, precision)

    recipe = Recipe(layers, ("avg", "max"), (32, 32), (64, 64), views=("identity", "hflip"))
    batches = [np.random.default_rng(i).integers(0, 256, (4, 32, 32, 3), np.uint8) for i in range(4)]
    plain = TensorFlowEngine(copied("float32"), recipe, 4)
    expected = [plain.submit(batch)() for batch in batches]

    two = TensorFlowEngine(copied("float32"), recipe, 4, devices=["/CPU:0", "/CPU:1"], compiled=True)
    assert two.depth == 2
    placed = {kernel.device for f in two._functions for kernel in f.captured_inputs if hasattr(kernel, "device")}
    assert {name[-1] for name in placed} == {"0", "1"}, placed
    waiting = [two.submit(batch) for batch in batches]
    for wait, reference in zip(waiting, expected):
        for ours, theirs in zip(wait(), reference):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)

    half = TensorFlowEngine(copied("float16"), recipe, 4, compiled=True)
    for ours, theirs in zip(half.submit(batches[0])(), expected[0]):
        assert np.linalg.norm(ours - theirs) < 0.02 * np.linalg.norm(theirs)
    print("as expected")
"""


def test_xla_float16_and_batches_dealt_to_two_devices_give_the_same_features():
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GPU_PATH)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert run.stdout.strip().endswith("as expected"), run.stderr[-3000:]


def test_auto_means_the_fastest_that_keeps_accuracy():
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    engine = "openvino" if importlib.util.find_spec("openvino") else "tensorflow"
    assert resolve_engine() == (engine, "bfloat16" if cpu_has_bfloat16() else "float32")
    assert resolve_engine("tensorflow", "float32") == ("tensorflow", "float32")


@pytest.mark.parametrize(
    ("device", "asked"), [("nvidia0", True), pytest.param("dxg", True, marks=pytest.mark.slow), ("null", False)]
)
def test_tensorflow_is_asked_for_gpus_where_there_may_be_one_and_says_nothing_of_its_own(tmp_path, device, asked):
    (tmp_path / device).touch()
    code = (
        "import sys\nfrom pathlib import Path\nfrom bottleneck_features.models import engines\n"
        f"engines.DEVICES = Path({str(tmp_path)!r})\nprint(*engines.resolve_engine(), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*resolve_engine(), str(asked)]
    assert done.stderr == ""


def test_without_openvino_auto_means_tensorflow(monkeypatch):
    monkeypatch.setattr("bottleneck_features.models.engines.importlib.util.find_spec", lambda name: None)
    assert resolve_engine()[0] == "tensorflow"
    with pytest.raises(EngineUnavailable, match="pip install openvino"):
        resolve_engine("openvino")


def test_int8_without_nncf_says_what_to_install(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "bottleneck_features.models.engines.importlib.util.find_spec",
        lambda name: None if name == "nncf" else found(name),
    )
    with pytest.raises(EngineUnavailable, match=r"pip install 'bottleneck-features\[int8\]'"):
        resolve_engine("openvino", "int8")


@pytest.mark.parametrize(("engine", "precision"), [("tensorflow", "int8"), ("openvino", "float16")])
def test_a_precision_the_engine_lacks_is_refused(engine, precision):
    with pytest.raises(EngineUnavailable, match=r"compute\."):
        resolve_engine(engine, precision)


def test_openvino_and_nncf_report_to_nobody():
    import_openvino()
    import nncf.telemetry.wrapper
    import openvino.tools.ovc.telemetry_utils as ovc

    assert ovc.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
    assert "openvino_telemetry" not in str(nncf.telemetry.wrapper.NNCFTelemetry)
    assert sys.modules["openvino_telemetry"] is None


def test_importing_the_engines_leaves_the_process_as_it_is():
    code = "import sys, bottleneck_features.models.engines; sys.exit('openvino_telemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_threads_and_streams_change_no_bit(lite0, photographs, monkeypatch):
    outputs = []
    for limit in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        extractor = build_extractor(lite0, ["block3b_add"], engine="openvino", batch_size=12)
        outputs.append(extractor(photographs)["block3b_add"].tobytes())
    assert len(set(outputs)) == 1


@pytest.mark.parametrize(("said", "understood"), [("", None), ("3", 3), ("0", 1), ("4,2", None)])
def test_omp_num_threads_limits_the_cores(monkeypatch, said, understood):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert core_limit() == understood
