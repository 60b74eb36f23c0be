"""`bottleneck cache …` on a cache that a real extraction made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from commandline import SMALL, bottleneck, invoke

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

    refused = bottleneck("train-head", *SMALL, home=home)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    again = bottleneck("features", *SMALL, "--json", home=home)
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
    assert json.loads(bottleneck("features", *SMALL, "--json", home=home).stdout)["images"] == 120
    assert shard.read_bytes() == whole
    assert invoke("train-head", *SMALL, "--set", "head.epochs=1", home=home).exit_code == 0


def test_a_missing_shard_is_named_and_never_read_as_fill_values(home):
    (_cache(home) / "test" / "00000.h5").unlink()
    done = bottleneck("train-head", *SMALL, home=home)
    assert done.returncode == 1
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
    imported, original = open_features(done.output.strip()), open_features(cache)
    assert np.array_equal(imported["test"].x[:], original["test"].x[:])
    assert np.array_equal(imported["test"].ids, original["test"].ids)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("train", "SPLIT=FILE.npz"),
        ("=x.npz", "SPLIT=FILE.npz"),
        ("train=", "SPLIT=FILE.npz"),
        ("train=nowhere.npz", "There is no file 'nowhere.npz'"),
    ],
)
def test_a_wrong_file_to_import_is_refused(home, word, expected):
    done = _run(home, "import", "mine", word)
    assert done.exit_code == 2
    assert expected in done.output
