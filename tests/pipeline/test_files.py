import csv
import json
import os
import shutil
import time
from pathlib import Path

import hostile
import numpy as np
import pytest
from commandline import invoke
from imagefiles import COLOURS, class_folders, encoded, picture, write

from bottleneck_features.features import open_features
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.datasets.pixels.decoding import UnusableImage
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.extraction.identity import experiment_identity

LITE = ("backbone.name=efficientnet-lite0", "backbone.layers=top_activation", "input.size=32,32")
NAMES = tuple(COLOURS)


def _open(root: Path, home: Path, *overrides: str, experiment: str = "natural-images") -> Dataset:
    words = (f"dataset.path={root}", *LITE, *overrides)
    return open_dataset(load_experiment(experiment, words), home)


def _quarantined(home: Path, experiment: str = "natural-images") -> list[dict[str, str]]:
    with (home / "runs" / experiment / "quarantine.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def root(tmp_path) -> Path:
    return class_folders(tmp_path / "pictures")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> tuple[dict[str, str], Path, Dataset]:
    """All hostile files beside sound ones: the reasons they must have, the artifacts folder, the open data set."""
    folder, home = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("home")
    class_folders(folder)
    reasons = hostile.make(folder / "green")
    return reasons, home, _open(folder, home, "dataset.error_limit=1")


def test_there_are_at_least_forty_hostile_files(corpus):
    assert len(corpus[0]) >= 40


@pytest.mark.parametrize("name", [*hostile.CONTENTS, *hostile.OBJECTS, "caf\\xe9.jpg"])
def test_a_hostile_file_is_quarantined_with_its_reason(corpus, name):
    reasons, home, dataset = corpus
    found = {row["path"]: row["reason"] for row in _quarantined(home)}
    assert reasons[name] in found[f"green/{name}"]
    assert found[f"green/{name}"]
    assert not any(f"green/{name}" in samples.ids for samples in dataset.splits.values())


def test_sound_files_beside_hostile_ones_keep_their_labels_and_pixels(corpus):
    _, _, dataset = corpus
    assert sum(len(samples) for samples in dataset.splits.values()) == 30
    for split, samples in dataset.splits.items():
        images = dataset.images(split, np.arange(len(samples)))
        for identifier, label, image in zip(samples.ids, samples.labels, images, strict=True):
            assert dataset.class_names[label] == identifier.split("/")[0]
            nearest = min(NAMES, key=lambda name, image=image: np.abs(image.mean((0, 1)) - COLOURS[name]).sum())
            assert nearest == identifier.split("/")[0]


def test_what_is_left_out_is_said_with_every_result(corpus):
    reasons, _, dataset = corpus
    assert (
        f"{len(reasons)} of {len(reasons) + 30} files and folders cannot be used and are left out" in dataset.notices[0]
    )


def test_more_broken_files_than_allowed_stop_with_the_first_reasons(root, tmp_path):
    for i in range(3):
        write(root / "red" / f"broken {i}.jpg", b"")
    with pytest.raises(PipelineError, match=r"3 of 33 files cannot be used.*0\.05") as failed:
        _open(root, tmp_path)
    assert "red/broken 0.jpg: an empty file" in str(failed.value)
    assert "quarantine.csv" in str(failed.value)
    assert len(_quarantined(tmp_path)) == 3
    assert sum(map(len, _open(root, tmp_path, "dataset.error_limit=0.1").splits.values())) == 30


def test_one_broken_file_stops_where_none_is_allowed(root, tmp_path):
    write(root / "red" / "broken.jpg", b"")
    with pytest.raises(PipelineError, match="1 of 31 files cannot be used"):
        _open(root, tmp_path, "dataset.on_error=fail")


def test_mended_files_leave_no_quarantine_behind(root, tmp_path):
    path = write(root / "red" / "broken.jpg", b"")
    _open(root, tmp_path)
    assert len(_quarantined(tmp_path)) == 1
    path.write_bytes(encoded(picture()))
    assert _open(root, tmp_path, "dataset.test_fraction=0.2").notices == ()
    assert not (tmp_path / "runs" / "natural-images" / "quarantine.csv").exists()


@pytest.mark.parametrize("disguised", [False, True])
@pytest.mark.parametrize("change", ["other picture", "truncated", "gone"])
def test_a_file_that_changes_after_the_scan_stops_the_run(root, tmp_path, change, disguised):
    dataset = _open(root, tmp_path)
    path = root / dataset.splits["train"].ids[0]
    status, content = path.stat(), path.read_bytes()
    path.unlink()
    if change != "gone":
        path.write_bytes(encoded(picture(77)) if change == "other picture" else content[:-40])
        if disguised:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(PipelineError, match="is no longer what it was at the start"):
        dataset.images("train", np.arange(4))


def test_how_to_start_again_after_a_change_is_said_with_the_options_typed(root, tmp_path, monkeypatch):
    def changed(*_):
        raise UnusableImage("its bytes are others")

    monkeypatch.setattr("bottleneck_features.pipeline.datasets.image_dataset.load_bytes", changed)
    options = ("-e", "natural-images", "--set", f"dataset.path={root}", "--set", "seed=3")
    done = invoke("inspect", *options, home=tmp_path)
    assert done.exit_code == 1
    assert f"bottleneck features --rehash {' '.join(options)} --home {tmp_path}" in done.stderr


def test_the_fingerprint_follows_pixels_labels_and_names_and_nothing_else(root, tmp_path):
    def prints() -> dict[str, str]:
        dataset = _open(root, tmp_path)
        return {split: dataset.fingerprint(split) for split in dataset.splits}

    first, path = prints(), root / "red" / "red 0.jpg"
    os.utime(path)
    assert prints() == first
    content = path.read_bytes()
    path.write_bytes(encoded(picture(99)))
    assert prints() != first
    path.write_bytes(content)
    (root / "red").rename(root / "rosé")
    assert prints() != first


def test_only_image_files_have_their_decoding_in_the_identity(root, tmp_path):
    folder = load_experiment("natural-images", (f"dataset.path={root}", *LITE))
    embedded = load_experiment("digits")
    for experiment, expected in ((folder, True), (embedded, False)):
        identity = experiment_identity(experiment, open_dataset(experiment, tmp_path))
        assert ("input.decoding" in identity) is expected


def test_a_common_size_gives_all_images_the_same_detail_and_is_in_the_identity(root, tmp_path):
    write(root / "red" / "large.png", encoded(picture(7, size=(300, 200))))
    plain = _open(root, tmp_path)
    common = _open(root, tmp_path, "dataset.common_size=16,24")
    assert plain.image_shape == (32, 32, 3)
    assert common.image_shape == (16, 24, 3)
    assert common.images("train", np.array([0])).shape == (1, 16, 24, 3)
    assert common.identity["dataset.common_size"] == [16, 24]
    assert "dataset.common_size" not in plain.identity


def test_a_limit_takes_the_same_files_with_their_fingerprint_and_groups(root, tmp_path):
    whole = _open(root, tmp_path, r"dataset.group=\d$|\d\.")
    limited = _open(root, tmp_path, r"dataset.group=\d$|\d\.", "dataset.limit=12")
    assert len(limited.splits["train"]) == 12
    assert set(limited.splits["train"].ids) < set(whole.splits["train"].ids)
    assert len(limited.groups["train"]) == 12
    assert limited.fingerprint("train") != whole.fingerprint("train")


def _one_class(root: Path) -> None:
    for name in NAMES[1:]:
        shutil.rmtree(root / name)


def _one_image(root: Path) -> None:
    for path in sorted((root / "red").iterdir())[1:]:
        path.unlink()


def _unknown_class(root: Path) -> None:
    class_folders(root / "train")
    class_folders(root / "test", classes=(*NAMES, "pink"))
    for name in NAMES:
        shutil.rmtree(root / name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_one_class, "Only one class has usable training images: 'blue'"),
        (_unknown_class, "test split of .* has classes that no usable training image has: pink"),
    ],
)
def test_data_from_which_nothing_can_be_learnt_are_refused(root, tmp_path, make, message):
    make(root)
    with pytest.raises(RequestError, match=message):
        _open(root, tmp_path)


def test_a_class_of_one_image_is_left_out_by_name_or_refused(root, tmp_path):
    _one_image(root)
    dataset = _open(root, tmp_path)
    assert dataset.class_names == ("blue", "green")
    assert any("left out with all their 1 images: 'red'" in notice for notice in dataset.notices)
    with pytest.raises(RequestError, match=r"at least 2 usable training images .*Too few: 'red'"):
        _open(root, tmp_path, "dataset.small_classes=fail")


def test_given_splits_are_kept_and_groups_in_several_are_said(root, tmp_path):
    for split in ("train", "val"):
        class_folders(tmp_path / "split" / split, 4)
    dataset = _open(tmp_path / "split", tmp_path, r"dataset.group=[a-z]+ \d")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 12, "validation": 12}
    (notice,) = dataset.notices
    assert notice.startswith("Data: 12 groups have images in more than one split of the data as given.")
    assert "dataset.group" in notice


def test_a_limit_keeps_a_class_of_one_image(root, tmp_path):
    for split in ("train", "test"):
        class_folders(tmp_path / "split" / split, images=6)
    for extra in list((tmp_path / "split" / "test" / "red").iterdir())[1:]:
        extra.unlink()
    limited = _open(tmp_path / "split", tmp_path, "dataset.limit=8")
    assert len(limited.splits["train"]) == 8
    for samples in limited.splits.values():
        assert set(samples.labels) == set(range(len(limited.class_names)))


def test_without_a_test_fraction_there_is_no_test_split(root, tmp_path):
    assert set(_open(root, tmp_path, "dataset.test_fraction=0").splits) == {"train"}


def test_of_few_images_none_are_held_back_unless_they_are_asked_for(root, tmp_path):
    few = _open(root, tmp_path)
    assert {split: len(samples) for split, samples in few.splits.items()} == {"train": 30}
    assert "no test images are held back of 30 images" in few.notices[0]
    assert "--set dataset.test_fraction=0.2" in few.notices[0]
    asked = _open(root, tmp_path, "dataset.test_fraction=0.2")
    assert (set(asked.splits), asked.notices) == ({"train", "test"}, ())


def test_of_enough_images_a_fifth_is_held_back(tmp_path):
    root = tmp_path / "pictures"
    for number in range(500):
        small = encoded(picture(number, size=(9, 9)), "PNG")
        write(root / "ab"[number % 2] / f"{number}.png", small)
    dataset = _open(root, tmp_path)
    assert 60 < len(dataset.splits["test"]) < 140
    other = _open(root, tmp_path, "dataset.split_seed=1")
    assert set(other.splits["test"].ids) != set(dataset.splits["test"].ids)
    next((root / "a").iterdir()).unlink()
    assert set(_open(root, tmp_path).splits) == {"train"}


@pytest.mark.parametrize(
    ("source", "override", "message"),
    [
        ("digits", "dataset.group=x", "group is for source folder or csv or tar or parquet, not for digits"),
        ("photo-patches", "dataset.path=x", "path is for source"),
        ("photo-patches", "dataset.split_seed=1", "split_seed is for source"),
        ("natural-images", "dataset.split_seed=-1", "split_seed"),
        (
            "natural-images",
            "dataset.label_column=x",
            "label_column is for source csv or tar or parquet, not for folder",
        ),
        ("natural-images", "dataset.error_limit=2", "error_limit"),
        ("natural-images", "dataset.common_size=100", "common_size takes a height and a width"),
        ("natural-images", "dataset.common_size=100,4", "common_size.*greater than or equal to 8"),
        ("digits", "dataset.common_size=16,16", "common_size is for source .*, not for digits"),
        ("natural-images", "dataset.on_error=ignore", "on_error.*quarantine"),
    ],
)
def test_a_key_that_does_not_belong_is_refused_in_one_line(source, override, message):
    with pytest.raises(RequestError, match=message) as refused:
        load_experiment(source, (override,))
    assert "\n" not in str(refused.value)


def test_the_kernels_that_cannot_point_sample_are_refused(root, tmp_path):
    with pytest.raises(RequestError, match=r"input\.antialias=false goes with"):
        _open(root, tmp_path, "input.antialias=false", "input.resize=lanczos3")


def test_a_row_without_a_file_is_quarantined_with_its_number(root, tmp_path):
    lines = [f"{path.relative_to(root)},{path.parent.name}" for path in sorted(root.rglob("*.jpg"))]
    write(root / "list.csv", "\n".join(["file,label", *lines[:-1], "red/none.jpg,red"]).encode())
    columns = ("dataset.image_column=file", "dataset.label_column=label")
    dataset = _open(root / "list.csv", tmp_path, *columns, experiment="emergency-vehicles")
    bad, unnamed = _quarantined(tmp_path, "emergency-vehicles")
    assert bad == {"path": "red/none.jpg", "reason": "there is no such file", "row": "31"}
    assert unnamed == {"path": "red/red 9.jpg", "reason": "no row names this file", "row": ""}
    assert len(dataset.notices) == 2
    assert len(dataset.splits["train"]) == 29


@pytest.mark.slow
def test_stage_one_and_two_run_on_a_folder_with_broken_files(root, tmp_path):
    write(root / "red" / "broken.jpg", b"\xff\xd8\xff")
    settings = (f"dataset.path={root}", *LITE, "dataset.test_fraction=0.2", "head.epochs=60", "head.learning_rate=0.01")
    words = [word for setting in settings for word in ("--set", setting)]
    done = invoke("features", "-e", "natural-images", *words, "--json", home=tmp_path)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert any("1 of 31 files cannot be used" in warning for warning in result["warnings"])
    cache = open_features(result["cache"])
    for part in cache.values():
        assert [cache.class_names[label] for label in part.y] == [identifier.split("/")[0] for identifier in part.ids]
    trained = invoke("train-head", "-e", "natural-images", *words, "--json", home=tmp_path)
    assert trained.exit_code == 0, trained.output
    content = json.loads(trained.stdout)
    assert content["methods"][0]["accuracy"]["test"] > 0.6
    assert content["warnings"] == result["warnings"]


@pytest.mark.parametrize("experiment", ["natural-images", "emergency-vehicles"])
def test_without_a_path_one_line_says_what_to_put_there(tmp_path, experiment):
    start = time.perf_counter()
    done = invoke("features", "-e", experiment, home=tmp_path)
    assert done.exit_code == 2
    assert "dataset.path is missing" in done.stderr
    assert "--set dataset.path=" in done.stderr
    assert time.perf_counter() - start < 60
