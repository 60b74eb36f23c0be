"""`features` on pictures that were added, moved or corrected: what is computed, what is said, and what later commands see."""

import json
import logging
import re
import time
from pathlib import Path

import pytest
from commandline import bottleneck, invoke
from imagefiles import class_folders, encoded, picture, write
from smallnetworks import small_network

from bottleneck_features.features import open_features, verify
from bottleneck_features.features.manifest import seal
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.extraction import extract
from bottleneck_features.pipeline.extraction.calibration import keep_calibration
from bottleneck_features.pipeline.stages.features import extract_features

IMAGES = 24  # a class


@pytest.fixture
def pictures(tmp_path):
    return class_folders(tmp_path / "pictures", images=IMAGES, classes=("blue", "red"))


def _words(pictures: Path, *more: str) -> tuple[str, ...]:
    settings = [
        f"dataset.path={pictures}",
        "backbone.name=efficientnet-lite0",
        "backbone.weights=imagenet",
        "input.size=32,32",
    ]
    settings += ["backbone.layers=top_activation", "features.shard_size=16", "dataset.test_fraction=0.25"]
    return ("-e", "natural-images", *(word for one in settings for word in ("--set", one)), *more)


def _features(home: Path, pictures: Path, *more: str) -> dict:
    done = invoke("features", *_words(pictures, *more), "--json", home=home)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def _shards(cache: str) -> dict[str, bytes]:
    return {str(file.relative_to(cache)): file.read_bytes() for file in Path(cache).rglob("*.h5")}


def test_a_picture_more_is_one_forward_pass_and_the_rest_is_taken(tmp_path, pictures):
    first = _features(tmp_path / "home", pictures)
    assert (first["images"], first["images_resumed"], first["images_reused"], first["reused_from"]) == (48, 0, 0, {})
    write(pictures / "blue" / "a new one.jpg", encoded(picture(99_999, (30, 40, 220))))
    started = time.perf_counter()
    done = invoke("features", *_words(pictures), home=tmp_path / "home")
    elapsed = time.perf_counter() - started
    assert re.search(r"^1 images at ", done.output, re.M)
    assert f"48 images were not computed again: 48 from {Path(first['cache']).name}" in " ".join(done.output.split())
    result = json.loads((tmp_path / "home/runs/natural-images/features/result.json").read_text())
    assert (result["images"], result["images_resumed"], result["images_reused"]) == (1, 0, 48)
    assert result["reused_from"] == {Path(first["cache"]).name: 48}
    assert result["images_per_second"] == first["images_per_second"]
    assert result["seconds"]["extract"] + result["seconds"]["compile"] < elapsed
    fresh = _features(tmp_path / "fresh", pictures)
    assert _shards(result["cache"]) == _shards(fresh["cache"])
    assert invoke("train-head", *_words(pictures), home=tmp_path / "home").exit_code == 0
    listed = invoke("cache", "ls", "--json", home=tmp_path / "home")
    old, new = sorted(json.loads(listed.stdout), key=lambda row: row["images"])
    assert old["state"] == f"complete, superseded by {new['cache']}"
    assert old["recipe"] == new["recipe"]
    shown = invoke("cache", "rm", "--superseded", home=tmp_path / "home")
    assert re.search(r"1 caches would be removed; run the command again with --yes \(frees \d\.\d MiB\)", shown.output)
    shard = Path(result["cache"]) / "train/00000.h5"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-9] + bytes(9 * [7]))
    refused = invoke("cache", "rm", "--superseded", "--yes", home=tmp_path / "home")
    assert (refused.exit_code, len(list((tmp_path / "home/features").iterdir()))) == (1, 2)
    assert f"{shard} is damaged" in refused.output
    shard.write_bytes(whole)
    gone = invoke("cache", "rm", "--superseded", "--yes", home=tmp_path / "home")
    assert f"superseded by {new['cache']}" in " ".join(gone.output.split())
    assert [path.name for path in (tmp_path / "home/features").iterdir()] == [new["cache"]]
    assert verify(tmp_path / "home/features" / new["cache"]).ok


def test_corrected_labels_and_moved_files_need_no_forward_pass_and_a_correction_no_shard(tmp_path, pictures):
    first = _features(tmp_path / "home", pictures, "--set", "dataset.test_fraction=0")
    fixes = tmp_path / "fixes.csv"
    fixes.write_text("id,label\nblue/blue 3.jpg,red\n")
    corrected = _features(
        tmp_path / "home", pictures, "--set", "dataset.test_fraction=0", "--set", f"dataset.corrections={fixes}"
    )
    assert (corrected["images"], corrected["images_reused"]) == (0, 48)
    assert any("1 labels corrected" in warning for warning in corrected["warnings"])
    for shard in (Path(first["cache"]) / "train").iterdir():
        assert shard.samefile(Path(corrected["cache"]) / "train" / shard.name)
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    found = invoke("cache", "verify", first["cache"], home=tmp_path / "home")
    assert found.exit_code == 1
    assert "Other caches share 1 of these files: verify them too." in found.output
    shard.write_bytes(whole)
    (pictures / "blue/blue 3.jpg").rename(pictures / "red/blue 3.jpg")
    moved = _features(tmp_path / "home", pictures, "--set", "dataset.test_fraction=0")
    assert (moved["images"], moved["images_reused"]) == (0, 48)
    before, after = open_features(corrected["cache"])["train"], open_features(moved["cache"])["train"]
    label = dict(zip(after.ids, after.y, strict=True))
    assert label["red/blue 3.jpg"] == dict(zip(before.ids, before.y, strict=True))["blue/blue 3.jpg"] == 1


def test_another_draw_of_the_test_split_needs_no_forward_pass(tmp_path, pictures):
    first = _features(tmp_path / "home", pictures)
    other = _features(tmp_path / "home", pictures, "--set", "dataset.split_seed=1")
    assert other["cache"] != first["cache"]
    assert (other["images"], other["images_reused"]) == (0, 48)


def test_no_reuse_computes_all(tmp_path, pictures):
    _features(tmp_path / "home", pictures)
    other = _features(tmp_path / "home", pictures, "--set", "dataset.split_seed=1", "--no-reuse")
    assert (other["images"], other["images_reused"]) == (48, 0)


@pytest.mark.parametrize(
    "change",
    [
        "features.pooling=max",
        "input.size=40,40",
        "backbone.layers=first,last",
        "features.dtype=float32",
    ],
)
def test_another_recipe_computes_all(tmp_path, pictures, change):
    small = small_network(tmp_path / "small.keras", 0)
    network = ("--set", f"backbone.name={small}", "--set", "backbone.layers=last")
    _features(tmp_path / "home", pictures, *network)
    assert _features(tmp_path / "home", pictures, *network, "--set", change)["images"] == 48


def test_rows_of_another_kind_of_machine_are_computed_again_and_it_says_why(tmp_path, pictures, monkeypatch, caplog):
    words = [word for word in _words(pictures)[2:] if word != "--set"]
    extract_features(load_experiment("natural-images", words), tmp_path)
    monkeypatch.setattr(extract, "machine_kind", lambda engine: "another")
    monkeypatch.setattr(extract, "hardware", lambda: {"processor": "Another Processor"})
    experiment = load_experiment("natural-images", [*words, "dataset.split_seed=1"])
    with caplog.at_level(logging.WARNING):
        done = extract_features(experiment, tmp_path)
    assert (done.details["images"], done.details["images_reused"]) == (48, 0)
    said = r"The features of 48 images in .* were not used: .*Another Processor here\), so low bits may differ"
    assert re.search(said, caplog.text)


@pytest.mark.parametrize(
    "made",
    [
        {"settings": [1], "hardware": None, "versions": "x"},
        {"settings": {"features": []}, "hardware": {"processor": {}}},
    ],
)
def test_whatever_another_cache_says_of_its_making_is_no_fault(tmp_path, pictures, monkeypatch, made):
    words = [word for word in _words(pictures)[2:] if word != "--set"]
    first = extract_features(load_experiment("natural-images", words), tmp_path)
    manifest = Path(first.details["cache"]) / "manifest.json"
    content = json.loads(manifest.read_bytes())
    content["provenance"] |= made
    content["sha256"] = seal(content)
    manifest.write_text(json.dumps(content))
    other = load_experiment("natural-images", [*words, "dataset.split_seed=1"])
    assert extract_features(other, tmp_path).details["images_reused"] == 48
    monkeypatch.setattr(extract, "machine_kind", lambda engine: "another")
    third = load_experiment("natural-images", [*words, "dataset.split_seed=2"])
    extract_features(third, tmp_path)
    assert open_features(first.details["cache"])


def test_the_shapes_and_shards_of_a_new_cache_are_not_those_another_cache_claims(tmp_path, pictures):
    claimed = _features(tmp_path / "home", pictures)
    manifest = Path(claimed["cache"]) / "manifest.json"
    content = json.loads(manifest.read_bytes())
    content["layers"][0]["shape"] = [7]
    content["sha256"] = seal(content)
    manifest.write_text(json.dumps(content))
    words = ("--set", "dataset.split_seed=1")
    result = _features(tmp_path / "home", pictures, *words)
    assert _shards(result["cache"]) == _shards(_features(tmp_path / "fresh", pictures, *words)["cache"])


def test_parts_take_rows_too(tmp_path, pictures):
    _features(tmp_path / "home", pictures)
    write(pictures / "red" / "another.jpg", encoded(picture(99_999, (220, 40, 30))))
    parts = [_features(tmp_path / "home", pictures, "--shard", f"{i}/2") for i in (1, 2)]
    assert sum(part["images"] for part in parts) == 1
    assert sum(part["images_reused"] for part in parts) == 48
    assert _shards(parts[1]["cache"]) == _shards(_features(tmp_path / "fresh", pictures)["cache"])


@pytest.mark.slow
def test_int8_data_that_grow_keep_the_network_that_was_calibrated_first(tmp_path, pictures):
    int8 = ("--set", "compute.precision=int8", "--set", "compute.calibration=16")
    first = invoke("features", *_words(pictures, *int8), "--json", home=tmp_path / "home")
    if first.exit_code:
        assert "int8" in first.output  # some processors give zeros with so few images
        pytest.skip(first.output)
    write(pictures / "blue" / "0.jpg", encoded(picture(99_999, (30, 40, 220))))
    grown = _features(tmp_path / "home", pictures, *int8)
    assert (grown["images"], grown["images_reused"]) == (1, 48)
    (kept,) = (tmp_path / "home/calibrations").iterdir()
    others = class_folders(tmp_path / "others", images=IMAGES, classes=("blue", "red"))
    for words in ((pictures, *int8, "--set", "dataset.split_seed=1"), (others, *int8)):
        experiment = load_experiment("natural-images", [word for word in _words(*words)[2:] if word != "--set"])
        keep_calibration(experiment, open_dataset(experiment, tmp_path / "home"), tmp_path / "home")
    assert len(list((tmp_path / "home/calibrations").iterdir())) == 3  # of other data and another draw: their own
    kept.write_bytes(b"no array")
    refused = invoke("features", *_words(pictures, *int8), home=tmp_path / "home")
    assert refused.exit_code == 1
    assert "calibration images" in refused.output
    assert "Remove the file" in refused.output


def test_what_a_cache_says_of_its_machine_reaches_no_terminal_as_it_is(tmp_path, pictures):
    first = _features(tmp_path / "home", pictures)
    cache = Path(first["cache"])
    content = json.loads((cache / "manifest.json").read_bytes())
    content["provenance"]["versions"]["tensorflow"] = "\x1b]0;owned\x07"
    content["sha256"] = seal(content)
    (cache / "manifest.json").write_text(json.dumps(content))
    shard = cache / "train/00001.h5"
    shard.unlink()
    again = bottleneck("features", *_words(pictures), home=tmp_path / "home")
    assert "tensorflow \\u001b]0;owned\\u0007 then" in again.stderr
    assert "\x1b]" not in again.stderr


def test_where_everything_is_had_nothing_is_compiled(tmp_path, pictures):
    _features(tmp_path / "home", pictures)
    result = _features(tmp_path / "home", pictures, "--set", "dataset.split_seed=1")
    assert result["images"] == 0
    assert "compile" not in result["seconds"]
