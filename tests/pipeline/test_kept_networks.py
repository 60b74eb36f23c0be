"""A network that was compiled once is kept in the home: the next run opens it, unless it is not what was kept."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commandline import SMALL, command, frameworks_loaded, invoke, shard_hashes
from smallnetworks import small_network

from bottleneck_features.features.manifest import seal
from bottleneck_features.models.engines import cpu_has_bfloat16
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.extraction import networks
from bottleneck_features.pipeline.extraction.extract import open_for_extraction
from bottleneck_features.pipeline.extraction.networks import WantedNetwork, build_network, network_of, open_network

pytestmark = pytest.mark.usefixtures("own_networks")
OPENVINO = ("compute.engine=openvino", "compute.precision=float32", "input.size=32,32", "dataset.limit=120")


def opened_digits(home: Path, *overrides: str):
    return open_for_extraction(load_experiment("digits", (*OPENVINO, *overrides)), home)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A network that is compiled in no time."""
    return small_network(tmp_path_factory.mktemp("small") / "small.keras", 0)


@pytest.fixture(scope="module")
def digits(small) -> Callable[..., WantedNetwork]:
    """The small network as it is wanted in a home, with settings."""
    return lambda home, *overrides: network_of(opened_digits(home, f"backbone.name={small}", *overrides))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", pytest.param("int8", marks=pytest.mark.slow)])
def test_the_next_run_opens_it_without_a_framework_and_writes_the_same_bytes(precision, tmp_path):
    if precision == "bfloat16" and not cpu_has_bfloat16():
        pytest.skip("this processor does not multiply in bfloat16")
    words = ("features", *SMALL, "--set", "compute.engine=openvino", "--set", f"compute.precision={precision}")
    assert invoke(*words, home=tmp_path).exit_code == 0
    first, result = shard_hashes(tmp_path), tmp_path / "runs" / "digits" / "features" / "result.json"
    check = json.loads(result.read_bytes())["check"]
    shutil.rmtree(tmp_path / "features")
    assert frameworks_loaded(words, home=tmp_path) == [(0, set())]
    assert shard_hashes(tmp_path) == first
    again = json.loads(result.read_bytes())
    assert (again["images"], again["check"]) == (240, check)


@pytest.fixture(scope="module")
def kept(tmp_path_factory, digits) -> Path:
    """An artifacts folder with a kept network."""
    home = tmp_path_factory.mktemp("kept")
    build_network(digits(home))
    return home


def flipped(folder: Path) -> None:
    content = bytearray((folder / "network.bin").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "network.bin").write_bytes(content)


def cut(folder: Path) -> None:
    (folder / "network.xml").write_bytes((folder / "network.xml").read_bytes()[:-100])


def without_weights(folder: Path) -> None:
    (folder / "network.bin").unlink()


def changed(folder: Path, **entries: object) -> None:
    content = json.loads((folder / "network.json").read_bytes()) | entries
    (folder / "network.json").write_text(json.dumps({**content, "sha256": seal(content)}))


def of_another_openvino(folder: Path) -> None:
    made_by = json.loads((folder / "network.json").read_bytes())["made_by"]
    changed(folder, made_by={**made_by, "openvino": "2020.1"})


def of_another_recipe(folder: Path) -> None:
    changed(folder, recipe_key="0" * 64)


def of_another_format(folder: Path) -> None:
    changed(folder, format=1)


def unsealed(folder: Path) -> None:
    content = json.loads((folder / "network.json").read_bytes()) | {"gflop_per_image": 1.0}
    (folder / "network.json").write_text(json.dumps(content))


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "harm",
    [
        flipped, cut, without_weights, of_another_openvino, of_another_recipe, of_another_format, unsealed, emptied,
    ],
)  # fmt: skip
def test_one_that_is_not_what_was_kept_is_not_used(harm, kept, digits, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(kept, home)
    assert open_network(digits(home)) is not None
    harm(digits(home).folder)
    assert open_network(digits(home)) is None


@pytest.mark.parametrize("harm", [flipped, emptied])
def test_one_that_is_not_what_was_kept_is_made_again(harm, kept, digits, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(kept, home)
    harm(digits(home).folder)
    build_network(digits(home))
    assert open_network(digits(home)) is not None
    assert [path.name for path in (home / "networks").iterdir()] == [digits(home).folder.name]


def test_settings_that_change_the_features_and_images_of_another_size_have_networks_of_their_own(kept, small, digits):
    same, other = digits(kept, "score.select=accuracy"), digits(kept, "backbone.layers=first")
    assert same.folder == digits(kept).folder
    assert open_network(other) is None
    settings = tuple(one for one in OPENVINO if not one.startswith("dataset"))
    overrides = (*settings, f"backbone.name={small}")
    patches = network_of(open_for_extraction(load_experiment("photo-patches", overrides), kept))
    assert patches.recipe_key == same.recipe_key
    assert open_network(patches) is None


def test_a_process_with_fewer_cores_gets_the_same_features_from_it(tmp_path, monkeypatch):
    opened = opened_digits(tmp_path)
    images, expected = opened.dataset.images("train", np.arange(20)), build_network(network_of(opened))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    again = open_network(network_of(opened))
    assert again is not None
    for layer, features in expected(images).items():
        assert again(images)[layer].tobytes() == features.tobytes()


def test_one_that_another_process_keeps_meanwhile_is_harmed_by_nobody(tmp_path, digits, monkeypatch):
    opened, make = digits(tmp_path), networks.experiment_extractor

    def slowly(*arguments):
        monkeypatch.setattr(networks, "experiment_extractor", make)
        build_network(opened)  # the other one is done before this one
        return make(*arguments)

    monkeypatch.setattr(networks, "experiment_extractor", slowly)
    build_network(opened)
    assert open_network(opened) is not None
    assert [path.name for path in (tmp_path / "networks").iterdir()] == [opened.folder.name]


@pytest.mark.slow
def test_processes_that_keep_one_at_once_do_not_harm_one_another(tmp_path):
    words = ("features", "-e", "digits", *(word for one in OPENVINO[:-1] for word in ("--set", one)))
    several = [
        subprocess.Popen(command(*words, "--set", f"dataset.limit={limit}", home=tmp_path)) for limit in (90, 100, 120)
    ]
    assert [process.wait(timeout=280) for process in several] == [0, 0, 0]
    assert open_network(network_of(opened_digits(tmp_path))) is not None
    assert len(list((tmp_path / "networks").iterdir())) == 1


def test_a_home_in_which_it_cannot_be_kept_is_said_and_works(tmp_path, small, caplog):
    (tmp_path / "networks").write_text("no folder")
    done = invoke("features", *SMALL, "--set", f"backbone.name={small}", home=tmp_path)
    assert done.exit_code == 0, done.output
    assert "The compiled network is not kept" in caplog.text
