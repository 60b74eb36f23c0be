"""Labels of every kind of data are corrected by a table, before anything is drawn or extracted."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from correcting import (
    BLUE,
    GREEN,
    NATURAL,
    RED,
    embedded,
    labels_of,
    opened,
    packed,
    prints_of,
    table_of,
)
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import class_folders, write
from packing import LITE

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.datasets.corrections.applying import corrected
from bottleneck_features.pipeline.datasets.sources.cifar10 import FILES
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.extraction.identity import experiment_identity

COLUMNS = ("dataset.image_column=file", "dataset.label_column=label")


@pytest.fixture
def root(tmp_path) -> Path:
    return class_folders(tmp_path / "pictures")


@pytest.mark.parametrize("source", ["folder", "csv", "tar", "parquet"])
def test_labels_are_corrected_and_images_dropped_in_every_kind_of_files(root, tmp_path, fixes, source):
    path, ids = packed(root, tmp_path, source)
    own = COLUMNS if source == "csv" else ()
    before = labels_of(opened(path, tmp_path, *own, source=source))
    setting = fixes((ids[BLUE], "green"), (ids[GREEN], "drop"), (ids[RED], "red"))
    dataset = opened(path, tmp_path, *own, setting, source=source)
    expected = before | {ids[BLUE]: "green"}
    del expected[ids[GREEN]]
    assert labels_of(dataset) == expected
    assert dataset.notices[0] == (
        "Data: 1 labels corrected and 1 images dropped by fixes.csv. Of its 3 rows 1 change nothing: 1 say what is so already or "
        "what another row says."
    )
    for split, samples in dataset.splits.items():
        origins = [dataset.origin(split, index) for index in range(len(samples))]
        assert len(dataset.images(split, np.arange(len(samples)))) == len(samples)
        if source == "csv":
            lines = path.read_text().splitlines()
            assert all(lines[o.row - 1].startswith(str(name)) for o, name in zip(origins, samples.ids, strict=True))


def test_a_corrected_table_is_the_table_with_these_cells_to_the_last_test_image(root, tmp_path, fixes):
    drawn = (*COLUMNS, "dataset.test_fraction=0.3", "dataset.image_root=" + str(root))
    right = table_of(root, tmp_path / "right.csv", {BLUE: "green", GREEN: "red", RED: ""})
    wrong = table_of(root, tmp_path / "wrong.csv", {})
    setting = fixes((BLUE, "green"), (GREEN, "red"), (RED, "drop"))
    expected, found = (
        opened(right, tmp_path, *drawn, source="csv"),
        opened(wrong, tmp_path, *drawn, setting, source="csv"),
    )
    assert {split: list(samples.ids) for split, samples in found.splits.items()} == {
        split: list(samples.ids) for split, samples in expected.splits.items()
    }
    assert prints_of(found) == prints_of(expected)
    assert prints_of(found) != prints_of(opened(wrong, tmp_path, *drawn, source="csv"))


def test_a_test_split_is_drawn_of_what_corrections_leave(root, tmp_path, fixes):
    for i in range(1, 10):  # ten times the same picture, which is one for the draw
        write(root / "red" / f"red {i}.jpg", (root / "red" / "red 0.jpg").read_bytes())
    with pytest.raises(RequestError, match="in training and test at once"):
        opened(root, tmp_path, "dataset.test_fraction=0.2")
    setting = fixes(*((f"red/red {i}.jpg", "drop") for i in range(10)))
    dataset = opened(root, tmp_path, "dataset.test_fraction=0.2", setting)
    assert dataset.class_names == ("blue", "green")
    assert set(dataset.splits) == {"train", "test"}


def test_a_dropped_file_is_as_one_that_is_not_there(root, tmp_path, fixes):
    dropped = opened(root, tmp_path, fixes((BLUE, "drop")))
    (root / BLUE).unlink()
    assert prints_of(opened(root, tmp_path)) == prints_of(dropped)


@pytest.fixture
def cifar(tmp_path) -> Path:
    """A folder in CIFAR-10's layout, 40 random images a file."""
    rng, folder = np.random.default_rng(0), tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*FILES["train"], *FILES["test"]]:
        labels = [i % 10 for i in range(40)]
        batch = {b"labels": labels, b"data": rng.integers(0, 256, (40, 3072), dtype=np.uint8)}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


@pytest.mark.parametrize("source", ["digits", "photo-patches", "cifar10"])
def test_arrays_are_corrected_too(fixes, cifar, source):
    words = (f"dataset.path={cifar}",) if source == "cifar10" else ()
    plain = embedded(source, *words)
    before, pictures = labels_of(plain), plain.images("test", np.arange(4))
    first, second, *_ = plain.splits["test"].ids.tolist()
    other = next(name for name in plain.class_names if name not in (before[first], before[second]))
    dataset = embedded(source, *words, fixes((second, other), (first, "drop")))
    expected = before | {second: other}
    del expected[first]
    assert labels_of(dataset) == expected
    assert dataset.class_names == plain.class_names
    assert "Data: 1 labels corrected and 1 images dropped by fixes.csv." in dataset.notices
    assert np.array_equal(dataset.images("test", np.arange(3)), pictures[1:])
    assert all(len(groups) == len(dataset.splits[split]) for split, groups in dataset.groups.items())
    assert prints_of(dataset)["train"] == prints_of(plain)["train"]
    assert prints_of(dataset)["test"] != prints_of(plain)["test"]


def test_a_limit_is_of_corrected_images(fixes):
    ids = [name for name, label in labels_of(embedded("digits")).items() if label == "7"]
    dataset = embedded("digits", fixes(*((name, "drop") for name in ids)), "dataset.limit=20")
    assert "7" not in dataset.class_names
    assert any("leaves no image of these classes: '7'" in notice for notice in dataset.notices)
    assert len(dataset.splits["train"]) == 20


@pytest.mark.parametrize("source", ["digits", "cifar10"])
def test_only_what_corrections_change_is_in_the_identity(tmp_path, fixes, cifar, source):
    words = (*LITE, *([f"dataset.path={cifar}"] if source == "cifar10" else []))
    home, own = (
        tmp_path / "home",
        ("digit-0001", "digit-0002") if source == "digits" else ("train-00001", "train-00002"),
    )
    home.mkdir()

    def identity(*more: str) -> dict[str, object]:
        experiment = load_experiment(source, (*words, *more))
        return experiment_identity(experiment, open_dataset(experiment, home))

    labels = labels_of(open_dataset(load_experiment(source, words), home))
    other = next(name for name in labels.values() if name not in (labels[own[0]], labels[own[1]]))
    plain = identity()
    assert identity(fixes((own[0], labels[own[0]]))) == plain
    first = identity(fixes((own[0], other), (own[1], labels[own[1]])))
    assert first != plain
    commented = fixes((own[0], "since it is so", other), header=("id", "remark", "label"), name="commented.csv")
    assert identity(commented) == first
    assert identity(fixes((own[1], other))) not in (first, plain)
    assert identity() == plain


IDS = [f"{i}.jpg" for i in range(12)]
CLASSES = ["a", "b", "c"]


@given(st.dictionaries(st.sampled_from(IDS), st.sampled_from([*CLASSES, "drop"]), max_size=8), st.permutations(IDS))
def test_any_answers_in_any_order_are_what_is_left(tmp_path_factory, answers, order):
    file = tmp_path_factory.getbasetemp() / "any.csv"
    file.write_text("id,label\n" + "".join(f"{name},{answers[name]}\n" for name in order if name in answers))
    given_labels = {name: CLASSES[i % 3] for i, name in enumerate(IDS)}
    found = corrected(
        DatasetSettings("folder", corrections=str(file)),
        ids=text_array(IDS),
        labels=text_array(given_labels.values()),
        splits=text_array(["train"] * len(IDS)),
        usable=np.ones(len(IDS), bool),
    )
    left = dict(zip(np.array(IDS)[~found.dropped].tolist(), found.labels[~found.dropped].tolist(), strict=True))
    wanted = {name: label for name, label in (given_labels | answers).items() if label != "drop"}
    assert left == wanted
    changed = sum(given_labels[name] != label for name, label in wanted.items())
    dropped = len(IDS) - len(wanted)
    assert found.notices[0].startswith(f"Data: {changed} labels corrected and {dropped} images dropped by any.csv.")
    idle = len(answers) - changed - dropped
    assert (f"{idle} change nothing" in found.notices[0]) == bool(idle)


def test_every_result_counts_what_was_corrected_and_inspect_names_the_setting(root, tmp_path, fixes):
    home, setting = tmp_path / "home", fixes((BLUE, "green"), (GREEN, "drop"))
    write(root / "red" / "again.jpg", (root / GREEN).read_bytes())
    words = [word for one in (f"dataset.path={root}", *LITE, "head.epochs=1") for word in ("--set", one)]
    plain = invoke("inspect", "-e", NATURAL, *words, "--json", home=home)
    (conflict,) = [one for one in json.loads(plain.stdout)["warnings"] if "more than one label" in one]
    assert "dataset.corrections" in conflict
    assert "drop" in conflict
    said = "Data: 1 labels corrected and 1 images dropped by fixes.csv."
    for command in ("inspect", "features", "train-head"):
        done = invoke(command, "-e", NATURAL, *words, "--set", setting, "--json", home=home)
        assert done.exit_code == 0, done.stderr
        assert said in json.loads(done.stdout)["warnings"]
    refused = invoke("train-head", "-e", NATURAL, *words, "--json", home=home)
    assert refused.exit_code == 2
    assert "Type first: bottleneck features" in refused.stderr


def test_a_relative_path_is_relative_to_where_the_command_is_started(root, tmp_path, fixes, monkeypatch):
    fixes((BLUE, "green"))
    monkeypatch.chdir(tmp_path)
    assert labels_of(opened("pictures", tmp_path, "dataset.corrections=fixes.csv"))[BLUE] == "green"
