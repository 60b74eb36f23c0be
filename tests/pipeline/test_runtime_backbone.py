"""An ONNX file as `backbone.name`: every command takes it, or says why it cannot."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commandline import bottleneck, invoke, shard_hashes
from imagefiles import class_folders
from onnxfiles import TORCH_MEAN, TORCH_STD, convnet

import bottleneck_features as bf
from bottleneck_features.features import open_features

LAYERS = "stem.Relu,block.Mul"
SIZE = "input.size=32,32"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convnet(tmp_path_factory.mktemp("network") / "mine.onnx")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("pictures") / "pictures", images=20)


def words(network: Path, layers: str = LAYERS) -> tuple[str, ...]:
    settings = (f"backbone.name={network}", "backbone.preprocessing=torch", SIZE, f"backbone.layers={layers}")
    return tuple(word for setting in settings for word in ("--set", setting))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, network: Path, pictures: Path) -> Path:
    """A home with features of two inner nodes and a head on them."""
    home = tmp_path_factory.mktemp("home")
    done = invoke("features", str(pictures), *words(network), home=home)
    assert done.exit_code == 0, done.output
    done = invoke("probe", str(pictures), home=home)
    assert done.exit_code == 0, done.output
    return home


def test_features_of_two_inner_nodes_are_cached_under_the_files_name(home):
    (cache,) = (home / "features").iterdir()
    assert cache.name.startswith("pictures-mine-")
    features = open_features(cache)
    assert {layer: array.shape[1:] for layer, array in features["train"].features.items()} == {
        "stem.Relu": (8,), "block.Mul": (16,)
    }  # fmt: skip
    result = json.loads((home / "runs" / "pictures" / "features" / "result.json").read_text())
    assert result["engine"] == "openvino"
    assert not [warning for warning in result["warnings"] if "GPU" in warning or "first layer" in warning]


def test_without_layers_the_first_output_is_taken(tmp_path, network, pictures):
    done = invoke("features", str(pictures), "--json", *words(network, ""), home=tmp_path)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["layers"] == {"fc.Gemm_output_0": [5]}


def test_predict_answers_with_the_file_gone_by_the_kept_network(home, pictures, network, tmp_path):
    head = home / "runs" / "pictures" / "probe" / "head.npz"
    image = str(next((pictures / "red").iterdir()))
    before = bf.load_model(head, home=home).predict([image])
    moved = shutil.copytree(home, tmp_path / "home")
    hidden = network.rename(network.with_suffix(".hidden"))
    try:
        (after,) = bf.load_model(moved / head.relative_to(home), home=moved).predict([image])
    finally:
        hidden.rename(network)
    assert list(before) == [after] == ["red"]


def test_extractors_give_the_features_of_the_cache(home, pictures, tmp_path):
    cache = bf.open_features(next((home / "features").iterdir()))
    kept = np.concatenate([cache["train"].features[layer][:4] for layer in cache.layers], axis=1)
    files = [pictures / name for name in cache["train"].ids[:4]]
    np.testing.assert_array_equal(cache.extractor().transform(files), kept)
    inside = convnet(
        tmp_path / "inside.onnx", mean=TORCH_MEAN, std=TORCH_STD
    )  # the same network, its preprocessing inside
    own = bf.Extractor(inside, layers=list(cache.layers), size=32, precision="float32", home=tmp_path)
    np.testing.assert_allclose(own.fit_transform(files), kept, rtol=0.03, atol=0.01)


@pytest.mark.slow
def test_parts_made_by_several_processes_are_the_cache_of_one(home, network, pictures, tmp_path):
    shards = (*words(network), "--set", "features.shard_size=8")
    assert invoke("features", str(pictures), *shards, home=tmp_path / "one").exit_code == 0
    for part in ("1/2", "2/2"):
        done = bottleneck("features", str(pictures), *shards, "--shard", part, home=tmp_path / "parts")
        assert done.returncode == 0, done.stderr
    assert shard_hashes(tmp_path / "parts") == shard_hashes(tmp_path / "one")


@pytest.mark.parametrize(
    "command",
    [
        ("fine-tune", "{pictures}"),
        ("fine-tune", "{pictures}", "--method", "from-scratch"),
        ("compare", "{pictures}", "--set", "compare.methods=logistic,fine-tune"),
        ("export", "-e", "pictures", "--model", "probe", "--format", "openvino"),
    ],
)
def test_what_needs_a_keras_model_is_refused_with_the_reason(home, pictures, network, command):
    done = invoke(*[word.format(pictures=pictures) for word in command], home=home)
    assert done.exit_code == 2, done.output
    assert (
        f"'{network}' is a finished graph that OpenVINO runs as it is: it cannot be trained on, nor exported"
        in done.output
    )
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("compute.engine=tensorflow", "runs in OpenVINO only: set compute.engine to 'auto' or 'openvino'"),
        ("backbone.weights=random", "has its own weights inside and takes no others"),
        ("backbone.preprocessing=auto", "nothing before it rescales images"),
        ("backbone.layers=blok.Mul", "has no layer 'blok.Mul'. Nearest: 'block.Mul'"),
        ("backbone.name=no/such/m.onnx", "There is no file 'no/such/m.onnx'"),
    ],
)
def test_a_wrong_setting_is_one_message(tmp_path, network, pictures, setting, told):
    done = invoke("features", str(pictures), *words(network), "--set", setting, home=tmp_path)
    assert done.exit_code == 2, done.output
    assert told in done.output
    assert "Traceback" not in done.output


@pytest.mark.slow
def test_advice_leaves_out_what_cannot_be_trained(home, pictures):
    done = invoke("advise", str(pictures), "--json", home=home)
    assert done.exit_code == 0, done.output
    assert [rival["method"] for rival in json.loads(done.stdout)["evidence"]["rivals"]] == ["convnet-small"]
