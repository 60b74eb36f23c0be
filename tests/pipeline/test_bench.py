import json

import pytest
from commandline import SMALL, bottleneck
from described import undescribed

from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.stages.bench import BenchmarkProcess


@pytest.mark.slow
def test_the_benchmark_measures_every_engine_beside_the_walk_through(tmp_path):
    done = bottleneck("bench", *SMALL, "--quick", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert undescribed(result) == []
    variants = {variant["name"]: variant for variant in result["variants"]}
    assert variants["walk-through"]["ratio"] == 1.0
    for variant in variants.values():
        assert len(variant["images_per_second"]) == 3
        assert min(variant["images_per_second"]) > 0
    stages = [variant for name, variant in variants.items() if name.endswith("full stage one")]
    assert {name.split()[0] for name in variants} == {"walk-through", "tensorflow", "openvino"}
    assert all(0 < variant["share_of_bare"] < 3 for variant in stages)
    assert (tmp_path / "runs" / "digits" / "bench" / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert "Random weights" in result["warnings"][0]
    for warning in result["warnings"][1:]:  # untrained, the int8 network gives zeros on some machines
        assert "openvino int8 was not measured" in warning
        assert "disagrees with float32" in warning
    assert ("openvino int8, full stage one" in variants) == (len(result["warnings"]) == 1)
    assert not list(tmp_path.glob("tmp*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "expected"), [("backbone.layers=block9", "block"), ("backbone.name=resnet5", "resnet50")]
)
def test_a_wrong_request_for_a_benchmark_is_one_message(tmp_path, override, expected):
    done = bottleneck("bench", *SMALL, "--set", override, home=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert expected in done.stderr


def test_the_walk_through_gets_ready_and_runs(tmp_path):
    variant = {"engine": "baseline", "precision": "float32", "backbone": "efficientnet-lite0", "weights": "random"}
    variant |= {
        "layer": "block1a_project_bn",
        "size": [32, 32],
        "batch_size": 2,
        "images": 2,
        "scratch": str(tmp_path),
        "preprocessing": None,
    }
    process = BenchmarkProcess(variant)
    try:
        process.prepare()
        assert not process.refused
        assert process.run("stage")["seconds"] > 0
    finally:
        process.close()


def test_a_worker_that_died_between_two_rounds_is_named():
    worker = BenchmarkProcess({"engine": "openvino", "precision": "float32"})
    worker.close()
    with pytest.raises(PipelineError, match="benchmark of openvino float32 failed"):
        worker.run("stage")
