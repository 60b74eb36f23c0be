"""A head has its network beside it: a copied folder predicts alone, and what is not that network is said and not used."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commandline import SMALL, frameworks_loaded, invoke
from imagefiles import encoded, picture, write

from bottleneck_features import models
from bottleneck_features.features.manifest import seal
from bottleneck_features.features.storage import sha256_of
from bottleneck_features.models.engines import cpu_has_bfloat16
from bottleneck_features.models.sources.registered import lite0_path
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.use.inference import inference
from bottleneck_features.pipeline.use.keeping import LIMIT
from bottleneck_features.pipeline.use.saved_model import open_model, open_model_file

pytestmark = pytest.mark.usefixtures("own_networks")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)


def of(words: tuple[str, ...], *settings: str) -> tuple[str, ...]:
    return (*words, *SMALL, *(word for one in settings for word in ("--set", one)))


def done(*words: str, home: Path) -> dict:
    """Run a command, and return its result."""
    ran = invoke(*words, "--json", home=home)
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def probabilities(head: Path, home: Path, *overrides: str) -> np.ndarray:
    (found,) = inference(open_model_file(head, home, overrides))([IMAGES])
    return found.probabilities


@pytest.fixture(scope="module")
def probed(tmp_path_factory) -> Path:
    """A home with a probe and a trained head, of weights that are gone since."""
    home, weights = tmp_path_factory.mktemp("probed"), tmp_path_factory.mktemp("weights") / "lite0.pth"
    shutil.copyfile(lite0_path(), weights)
    for command in ("features", "probe", "train-head"):
        done(*of((command,), f"backbone.weights={weights}", "compute.engine=openvino", "head.epochs=2"), home=home)
    weights.unlink()
    return home


@pytest.fixture
def copied(probed, tmp_path) -> Path:
    """The folder of the probe alone, copied to another place."""
    return Path(shutil.copytree(probed / "runs" / "digits" / "probe", tmp_path / "copied"))


@pytest.mark.parametrize("command", ["probe", "train-head"])
def test_the_result_says_how_large_the_network_is_and_how_near_and_it_takes_no_space_of_its_own(probed, command):
    folder = probed / "runs" / "digits" / command
    network = json.loads((folder / "result.json").read_bytes())["network"]
    assert network["difference"] <= LIMIT
    assert network["images"] == 32
    (own,) = (probed / "networks").iterdir()
    files = list((folder / network["file"]).parent.iterdir())
    assert sorted(file.name for file in files) == ["network.bin", "network.json", "network.xml"]
    assert network["bytes"] == sum(file.stat().st_size for file in files)
    assert all(file.samefile(own / file.name) for file in files)


def test_a_copied_folder_predicts_the_same_bits_without_the_home_the_weights_and_tensorflow(probed, copied, tmp_path):
    image = str(write(tmp_path / "a.png", encoded(picture(), "PNG")))
    words = ("predict", "--model", str(copied / "head.npz"), image)
    assert frameworks_loaded(words, home=tmp_path / "empty") == [(0, set())]
    assert not (tmp_path / "empty" / "networks").exists()
    for family in ("", "-ridge", "-logistic", "-knn", "-head"):
        here, there = (folder / f"head{family}.npz" for folder in (copied, probed / "runs" / "digits" / "probe"))
        assert probabilities(here, tmp_path).tobytes() == probabilities(there, probed).tobytes()


def test_a_head_that_was_copied_alone_takes_the_network_of_the_home(probed, copied):
    shutil.rmtree(copied / "network")
    model = open_model_file(copied / "head.npz", probed)
    assert model.kept is not None
    assert model.kept.folder.parent == probed / "networks"
    assert model.warnings == ()


def test_a_head_without_any_network_is_built_from_the_weights_once_and_then_kept_in_the_home(trained, tmp_path):
    expected = probabilities(trained / "runs" / "digits" / "train-head" / "head.npz", trained)
    head = Path(shutil.copy(trained / "runs" / "digits" / "train-head" / "head.npz", tmp_path / "head.npz"))
    assert open_model_file(head, tmp_path).kept is None
    np.testing.assert_allclose(probabilities(head, tmp_path), expected, atol=1e-4, rtol=0)
    assert open_model_file(head, tmp_path).kept is not None
    assert probabilities(head, tmp_path).tobytes() == probabilities(head, tmp_path).tobytes()


def flipped(folder: Path) -> str:
    content = bytearray((folder / "network.bin").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "network.bin").write_bytes(content)
    return "network.bin is damaged"


def without_weights(folder: Path) -> str:
    (folder / "network.bin").unlink()
    return "network.bin is missing"


def cut(folder: Path) -> str:
    (folder / "network.xml").write_bytes((folder / "network.xml").read_bytes()[:-100])
    return "network.xml is damaged"


def unsealed(folder: Path) -> str:
    content = json.loads((folder / "network.json").read_bytes()) | {"gflop_per_image": 1.0}
    (folder / "network.json").write_text(json.dumps(content))
    return "network.json is damaged"


def no_description(folder: Path) -> str:
    (folder / "network.json").write_text("[]")
    return "network.json: it: Input should be"


def changed(folder: Path, **entries: object) -> None:
    content = json.loads((folder / "network.json").read_bytes()) | entries
    (folder / "network.json").write_text(json.dumps({**content, "sha256": seal(content)}))


def of_another_head(folder: Path) -> str:
    changed(folder, recipe_key="0" * 64)
    return "it is the network of other features"


def of_other_widths(folder: Path) -> str:
    changed(folder, output_shapes={"block5c_add": [3], "top_activation": [4]})
    return "it is the network of other features"


def of_a_stranger(folder: Path) -> str:
    (folder / "network.xml").write_text("<net")
    files = json.loads((folder / "network.json").read_bytes())["files"]
    changed(folder, files={**files, "network.xml": sha256_of(folder / "network.xml")})
    return "OpenVINO cannot read it"


HARM = [flipped, without_weights, cut, unsealed, no_description, of_another_head, of_other_widths, of_a_stranger]


@pytest.mark.parametrize("harm", HARM)
def test_what_is_not_the_network_of_the_head_is_said_and_another_one_is_taken(harm, probed, copied):
    expected = probabilities(copied / "head.npz", probed)
    reason = harm(copied / "network")
    model = open_model_file(copied / "head.npz", probed)
    (warning,) = model.warnings
    assert warning.startswith(f"The network in '{copied / 'network'}', beside the head, is not used: {reason}")
    assert model.kept is not None
    assert model.kept.folder.parent == probed / "networks"
    assert probabilities(copied / "head.npz", probed).tobytes() == expected.tobytes()


def test_where_no_network_can_be_used_and_the_weights_are_gone_they_are_asked_for(copied, tmp_path):
    flipped(copied / "network")
    with pytest.raises(models.InvalidSetting, match=r"There is no weights file .*lite0\.pth"):
        open_model_file(copied / "head.npz", tmp_path)


def test_a_network_that_changes_after_it_was_found_is_refused(copied, tmp_path):
    model = open_model_file(copied / "head.npz", tmp_path)
    flipped(copied / "network")
    with pytest.raises(PipelineError, match=r"network.bin is damaged.*Remove that folder"):
        inference(model)


def test_weights_that_are_named_are_still_checked(copied, tmp_path):
    own = f"backbone.weights={lite0_path()}"
    assert probabilities(copied / "head.npz", tmp_path, own).shape == (5, 10)
    with pytest.raises(RequestError, match=r"(?s)trained on other features.*backbone.weights"):
        open_model_file(copied / "head.npz", tmp_path, ("backbone.weights=random",))


def test_another_precision_and_another_batch_are_run_by_the_same_network(copied, tmp_path):
    expected = probabilities(copied / "head.npz", tmp_path)
    found = probabilities(copied / "head.npz", tmp_path, "compute.precision=float32", "compute.batch_size=5")
    assert np.abs(found - expected).max() < (0.2 if cpu_has_bfloat16() else 1e-6)
    assert not (tmp_path / "networks").exists()


def test_a_network_that_predicts_something_else_is_not_kept_and_the_result_says_why(trained, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(trained, home)
    (own,) = (home / "networks").iterdir()
    key = json.loads((own / "network.json").read_bytes())["recipe_key"]
    random = ("features", *SMALL, "--set", "backbone.weights=random")
    done(*random, home=home)
    (other,) = set((home / "networks").iterdir()) - {own}
    shutil.rmtree(own)
    changed(Path(shutil.copytree(other, own)), recipe_key=key)
    result = done("train-head", *SMALL, "--set", "head.epochs=10", home=home)
    assert result["network"] is None
    assert any(
        "is not kept beside the head: its probabilities of training images differ by" in one
        for one in result["warnings"]
    )
    assert not (home / "runs" / "digits" / "train-head" / "network").exists()


def test_of_tensorflow_no_network_is_kept_and_nothing_is_said(tmp_path):
    words = ("compute.engine=tensorflow", "compute.precision=float32")
    done(*of(("features",), *words), home=tmp_path)
    result = done(*of(("train-head",), *words, "head.epochs=1"), home=tmp_path)
    assert result["network"] is None
    assert not [warning for warning in result["warnings"] if "network" in warning]
    model = open_model(tmp_path, "digits")
    assert model.kept is None
    assert model.warnings == ()


@pytest.mark.slow
def test_a_network_in_int8_runs_without_what_made_it(tmp_path, monkeypatch):
    words = ("compute.engine=openvino", "compute.precision=int8")
    done(*of(("features",), *words), home=tmp_path)
    done(*of(("train-head",), *words, "head.epochs=1"), home=tmp_path)
    head, find = tmp_path / "runs" / "digits" / "train-head" / "head.npz", importlib.util.find_spec
    expected = probabilities(head, tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nncf" else find(name))
    with pytest.raises(models.EngineUnavailable):
        models.resolve_engine("openvino", "int8")
    model = open_model_file(head, tmp_path)
    assert model.warnings == ()
    assert probabilities(head, tmp_path).tobytes() == expected.tobytes()
