"""`bottleneck cache …` on a cache that a real extraction made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from commandline import SMALL, invoke

from bottleneck_features.features import open_features
from bottleneck_features.pipeline.commandline.cli import main


@pytest.fixture
def home(extracted, tmp_path) -> Path:
    shutil.copytree(extracted / "features", tmp_path / "features")
    return tmp_path


def _cache(home: Path) -> Path:
    return next((home / "features").glob("digits-efficientnet-lite0-*"))


def _run(home: Path, *words: str):
    return CliRunner().invoke(main, ["cache", *words, "--home", str(home)])


def test_a_sound_cache_passes_verify(home):
    done = _run(home, "verify", _cache(home).name)
    assert done.exit_code == 0
    assert "0 pending" in done.output


def test_a_damaged_shard_is_found_put_aside_and_made_again(home):
    whole = open_features(_cache(home))["train"].x[:].copy()  # the slice itself is a view of the file
    shard = _cache(home) / "train" / "00000.h5"
    content = bytearray(shard.read_bytes())
    content[-5] ^= 0x10
    shard.write_bytes(content)

    found = _run(home, "verify", _cache(home).name)
    assert found.exit_code == 1
    assert "train/00000.h5" in found.output
    assert _run(home, "verify", _cache(home).name, "--repair").exit_code == 1

    refused = invoke("train-head", *SMALL, home=home)
    assert refused.exit_code == 1
    assert isinstance(refused.exception, SystemExit)
    again = invoke("features", *SMALL, "--json", home=home)
    assert json.loads(again.stdout)["images"] == 120
    assert np.array_equal(open_features(_cache(home))["train"].x[:], whole)
    assert _run(home, "verify", _cache(home).name).exit_code == 0


def test_no_command_computes_from_a_shard_changed_behind_its_back(home):
    cache = _cache(home)
    shard = cache / "train" / "00000.h5"
    whole = shard.read_bytes()
    middle = len(whole) // 2
    shard.write_bytes(
        whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 400]) + whole[middle + 400 :]
    )

    for words in (("probe", *SMALL), ("train-head", *SMALL), ("features", *SMALL), ("cache", "export", cache.name)):
        refused = invoke(*words, home=home)
        assert refused.exit_code == 1, words
        assert f"{shard} is damaged" in refused.output
        assert f"bottleneck cache verify {cache} --repair" in refused.output
        assert "`bottleneck features …`" in refused.output
    assert not (home / "runs").exists(), "nothing was written"

    assert invoke("cache", "verify", str(cache), "--repair", home=home).exit_code == 1
    assert json.loads(invoke("features", *SMALL, "--json", home=home).stdout)["images"] == 120
    assert shard.read_bytes() == whole
    assert invoke("train-head", *SMALL, "--set", "head.epochs=1", home=home).exit_code == 0


def test_a_missing_shard_is_named_and_never_read_as_fill_values(home):
    (_cache(home) / "test" / "00000.h5").unlink()
    done = invoke("train-head", *SMALL, home=home)
    assert done.exit_code == 1
    assert "test/00000.h5" in done.stderr


def test_rm_only_says_what_would_go_until_it_is_told_yes(home):
    cache = _cache(home)
    assert "would be removed" in _run(home, "rm", cache.name).output
    assert cache.exists()
    assert _run(home, "rm", cache.name, "--yes").exit_code == 0
    assert not cache.exists()


@pytest.mark.parametrize("command", ["verify", "export", "rm"])
def test_an_unknown_cache_is_refused_with_the_names_there_are(home, command):
    done = _run(home, command, "nowhere")
    assert done.exit_code == 2
    assert _cache(home).name in done.output


def test_what_was_exported_can_be_imported(home, tmp_path):
    cache = _cache(home)
    assert _run(home, "export", cache.name, "--to", str(tmp_path / "out")).exit_code == 0
    files = [f"{split}={tmp_path / 'out' / f'{cache.name}_{split}.npz'}" for split in ("train", "test")]
    done = _run(home, "import", "walk-through", *files)
    assert done.exit_code == 0, done.output
    imported, original = open_features(done.stdout.strip()), open_features(cache)
    assert np.array_equal(imported["test"].x[:], original["test"].x[:])
    assert np.array_equal(imported["test"].ids, original["test"].ids)


@pytest.fixture
def published(tmp_path, monkeypatch) -> Path:
    """A folder of arrays as others publish them, which is the current one."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 8)).astype("float32"), np.arange(30) % 3
    folder = tmp_path / "published"
    folder.mkdir()
    np.savez(folder / "both.npz", X_train=x[:20], y_train=y[:20], X_test=x[20:], y_test=y[20:])
    np.savez(folder / "odd.npz", codes=x, other=x, kinds=np.array(["cat", "dog", "eel"])[y])
    np.save(folder / "train_features.npy", x)
    np.save(folder / "train_labels.npy", y + 1)
    np.save(folder / "a,b.npy", x)
    (folder / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("words", "splits", "classes"),
    [
        ("both.npz", ["train", "test"], ("0", "1", "2")),
        ("test=both.npz", ["test"], ("0", "1", "2")),
        ("train_features.npy", ["train"], ("1", "2", "3")),
        ("train=train_features.npy", ["train"], ("1", "2", "3")),
        ("train_features.npy train_labels.npy", ["train"], ("1", "2", "3")),
        ("train_features.npy,train_labels.npy", ["train"], ("1", "2", "3")),
        ("train=a,b.npy,train_labels.npy", ["train"], ("1", "2", "3")),
        ("train=a,b.npy", ["train"], ("1", "2", "3")),
        ("all=odd.npz:codes,odd.npz:kinds", ["all"], ("cat", "dog", "eel")),
        ("odd.npz:codes", ["train"], ("cat", "dog", "eel")),
    ],
)
def test_arrays_that_others_published_are_imported(published, words, splits, classes):
    done = _run(published, "import", "mine", *words.split())
    assert done.exit_code == 0, done.output
    opened = open_features(done.stdout.strip())
    assert list(opened) == splits
    assert opened.class_names == classes
    assert f"{splits[0]}: features" in done.stderr
    assert f"3 classes: '{classes[0]}', " in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train", "There is no file 'train'"),
        ("=x.npz", "Name files as SPLIT=FILE"),
        ("train=", "Name files as SPLIT=FILE"),
        ("train=both.npz,", "Name files as SPLIT=FILE"),
        ("train=both.npz test.npz", "Name files as SPLIT=FILE"),
        ("both.npz both.npz", "Which split is which?"),
        ("both.npz both.npz both.npz", "Name files as SPLIT=FILE"),
        ("train=both.npz train=both.npz", "Received twice: 'train'"),
        ("train=nowhere.npz", "There is no file 'nowhere.npz'"),
        ("train=train_features.npy,nowhere.npy", "There is no file 'nowhere.npy'"),
        ("train=old.h5", "is an HDF5 file"),
        ("train=odd.npz", "Name both arrays: train=odd.npz:FEATURES,odd.npz:LABELS"),
        ("train=train_labels.npy,train_features.npy", "Features must be floats"),
        ("test=a,b.npy", "Give the labels as a second file"),
        ("../x=odd.npz:codes", "A split's name must be letters"),
    ],
)
def test_files_that_cannot_be_imported_are_refused(published, words, expected):
    done = _run(published, "import", "mine", *words.split())
    assert done.exit_code in (1, 2)
    assert expected in done.stderr
    assert not done.stdout
    assert not list(published.glob("features/*"))


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (
            "train=train_features.npy",
            0,
            "train: features train_features.npy float32 (30, 8), labels train_labels.npy int64",
        ),
        ("both.npz", 0, "test: features 'X_test' float32 (10, 8), labels 'y_test' int64 (10,)"),
        ("train=old.h5", 2, "Error: old.h5 is an HDF5 file"),
    ],
)
def test_an_import_says_what_it_took_or_why_not(published, words, code, expected):
    done = _run(published, "import", "mine", *words.split())
    assert done.exit_code == code
    assert expected in done.stderr
    assert done.exception is None or isinstance(done.exception, SystemExit)
