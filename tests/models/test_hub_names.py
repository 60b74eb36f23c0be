"""A name on a hub is fetched once by the hub's own utility; without a network the message says which files to put where."""

import os
import subprocess
import sys

import pytest
from published import write_folder

from bottleneck_features import models
from bottleneck_features.models.errors import BackboneFileError, InvalidSetting, UnknownBackbone
from bottleneck_features.models.sources.hub_downloads import own_name, presets

pytest.importorskip("keras_hub")

NOWHERE = "http://127.0.0.1:9"  # a proxy that is not there: no network
IDENTITY = """
import sys
from bottleneck_features import models
found = models.weights_identity(sys.argv[1])
print(found.source, found.notice, models.find_source(sys.argv[1]).last_layer(("auto",)), "keras" in sys.modules)
"""


def identified(name, home):
    places = {
        "HF_HUB_CACHE": str(home / "hf"),
        "HF_HOME": str(home / "hf-home"),
        "KAGGLEHUB_CACHE": str(home / "kaggle"),
    }
    proxies = {
        "HTTPS_PROXY": NOWHERE,
        "HTTP_PROXY": NOWHERE,
        "https_proxy": NOWHERE,
        "http_proxy": NOWHERE,
        "NO_PROXY": "",
    }
    run = subprocess.run(
        [sys.executable, "-c", IDENTITY, name],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **places, **proxies},
        check=False,
    )
    return run.stdout.strip() or run.stderr.strip().splitlines()


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("hf://facebook/dinov2-small", "https://huggingface.co/facebook/dinov2-small"),
        ("dinov2_small", "https://www.kaggle.com/models/keras/dinov2/keras/dinov2_small"),
        (
            "kaggle://keras/vit/keras/vit_base_patch16_224_imagenet",
            "https://www.kaggle.com/models/keras/vit/keras/vit_base",
        ),
    ],
)
def test_without_a_network_the_files_are_named(name, where, tmp_path):
    lines = "\n".join(identified(name, tmp_path))
    assert (
        f"WeightsUnavailable: The files of '{name}'" in lines or "WeightsUnavailable: The files of 'kaggle://" in lines
    )
    assert f"from:  {where}" in lines
    assert "config.json" in lines
    assert "--set backbone.name=FOLDER" in lines


def test_a_model_of_hugging_face_that_is_here_needs_no_network(tmp_path):
    place = tmp_path / "hf" / "models--facebook--dinov2-small"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    folder = place / "snapshots" / "abc"
    folder.mkdir(parents=True)
    write_folder("dinov2", folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    said = identified("hf://facebook/dinov2-small", tmp_path)
    assert said == "imagenet facebook_dinov2-small (licence apache-2.0) norm False"


def test_a_preset_that_is_here_needs_no_network(tmp_path):
    organisation, model, framework, variant, version = presets()["dinov2_small"].removeprefix("kaggle://").split("/")
    place = tmp_path / "kaggle" / "models" / organisation / model / framework / variant
    (place / version).mkdir(parents=True)
    write_folder("dinov2", place / version)
    (place / f"{version}.complete").touch()
    assert identified("dinov2_small", tmp_path) == "imagenet dinov2_small (its files state no licence) norm False"


def test_presets_are_known_without_importing_kerashub():
    assert presets()["dinov2_small"].startswith("kaggle://keras/dinov2/keras/dinov2_small/")
    assert {"siglip_base_patch16_224", "vit_base_patch16_224_imagenet", "clip_vit_base_patch16"} <= set(presets())


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("dinov2_smal", UnknownBackbone, "Nearest: 'dinov2_small'"),
        (
            "facebook/dinov2-small",
            UnknownBackbone,
            r"There is no folder.*On Hugging Face it would be hf://facebook/dinov2-small",
        ),
        ("./nothing/here", BackboneFileError, "There is no folder or file './nothing/here'"),
        ("nothing.keras", BackboneFileError, "There is no file 'nothing.keras'"),
        ("nothing.onnx", BackboneFileError, "There is no file 'nothing.onnx'"),
        ("kaggle://keras/vit", InvalidSetting, "kaggle://organisation/model/keras/variant"),
        ("hf://a/b/c", InvalidSetting, "hf://organisation/model"),
    ],
)
def test_a_wrong_name_says_what_would_be_right(name, kind, says):
    with pytest.raises(kind, match=says):
        models.weights_identity(name)


def test_a_file_of_weights_is_not_a_network(tmp_path):
    file = tmp_path / "resnet18.safetensors"
    file.touch()
    with pytest.raises(
        BackboneFileError, match=r"is no model file: .*name their network, and the file as backbone\.weights"
    ):
        models.find_source(str(file))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("hf://google/vit-base-patch16-224", "google_vit-base-patch16-224"),
        ("kaggle://keras/vit/keras/vit_base/2", "vit_base"),
        ("dinov2_small", "dinov2_small"),
    ],
)
def test_a_hubs_name_is_one_word_in_results(name, label):
    assert own_name(name) == label
