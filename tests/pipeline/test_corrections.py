import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import class_folders, encoded, picture, write
from packing import LITE, parquet_of_folder, tar_of, tar_of_folder, web_dataset

from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.datasets.corrections.applying import corrected
from bottleneck_features.pipeline.datasets.sources.cifar10 import FILES
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import DatasetSettings
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.extraction.identity import experiment_identity

NATURAL = "natural-images"
BLUE, GREEN, RED = (f"{name}/{name} 3.jpg" for name in ("blue", "green", "red"))


@pytest.fixture
def root(tmp_path) -> Path:
    return class_folders(tmp_path / "pictures")


@pytest.fixture
def fixes(tmp_path):
    """Writes a table of corrections, and returns the setting that names it."""

    def written(*rows: tuple[str, ...], header: tuple[str, ...] = ("id", "label"), name: str = "fixes.csv") -> str:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([header, *rows] if header else rows)
        return f"dataset.corrections={tmp_path / name}"

    return written


def _open(path: Path | str, home: Path, *overrides: str, source: str = "folder") -> Dataset:
    words = (f"dataset.source={source}", f"dataset.path={path}", *LITE, *overrides)
    return open_dataset(load_experiment(NATURAL, words), home)


def _embedded(source: str, *overrides: str) -> Dataset:
    return open_dataset(load_experiment(source, overrides), Path("unused"))


def _labels(dataset: Dataset) -> dict[str, str]:
    return {
        str(name): dataset.class_names[label]
        for samples in dataset.splits.values()
        for name, label in zip(samples.ids, samples.labels, strict=True)
    }


def _prints(dataset: Dataset) -> dict[str, str]:
    return {split: dataset.fingerprint(split) for split in dataset.splits}


def _table(root: Path, path: Path, changed: dict[str, str]) -> Path:
    """A table of the images below a folder, some with another label, some (empty) without a row."""
    ids = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.jpg"))
    rows = [(name, changed.get(name, name.split("/")[0])) for name in ids]
    path.write_text("file,label\n" + "".join(f"{name},{label}\n" for name, label in rows if label))
    return path


def _packed(root: Path, tmp_path: Path, source: str) -> tuple[Path, dict[str, str]]:
    """The images below a folder packed for a source, and the id of each file there."""
    files = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.jpg"))
    same = dict(zip(files, files, strict=True))
    if source == "tar":
        return tar_of_folder(root, tmp_path / "packed.tar"), same
    if source == "parquet":
        numbered = {name: f"packed/{row:09d}" for row, name in enumerate(files)}
        return parquet_of_folder(root, tmp_path / "packed.parquet"), numbered
    return (_table(root, root / "all.csv", {}) if source == "csv" else root), same


COLUMNS = ("dataset.image_column=file", "dataset.label_column=label")


@pytest.mark.parametrize("source", ["folder", "csv", "tar", "parquet"])
def test_labels_are_corrected_and_images_dropped_in_every_kind_of_files(root, tmp_path, fixes, source):
    path, ids = _packed(root, tmp_path, source)
    own = COLUMNS if source == "csv" else ()
    before = _labels(_open(path, tmp_path, *own, source=source))
    setting = fixes((ids[BLUE], "green"), (ids[GREEN], "drop"), (ids[RED], "red"))
    dataset = _open(path, tmp_path, *own, setting, source=source)
    expected = before | {ids[BLUE]: "green"}
    del expected[ids[GREEN]]
    assert _labels(dataset) == expected
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
    right = _table(root, tmp_path / "right.csv", {BLUE: "green", GREEN: "red", RED: ""})
    wrong = _table(root, tmp_path / "wrong.csv", {})
    setting = fixes((BLUE, "green"), (GREEN, "red"), (RED, "drop"))
    expected, found = (
        _open(right, tmp_path, *drawn, source="csv"),
        _open(wrong, tmp_path, *drawn, setting, source="csv"),
    )
    assert {split: list(samples.ids) for split, samples in found.splits.items()} == {
        split: list(samples.ids) for split, samples in expected.splits.items()
    }
    assert _prints(found) == _prints(expected)
    assert _prints(found) != _prints(_open(wrong, tmp_path, *drawn, source="csv"))


def test_a_test_split_is_drawn_of_what_corrections_leave(root, tmp_path, fixes):
    for i in range(1, 10):  # ten times the same picture, which is one for the draw
        write(root / "red" / f"red {i}.jpg", (root / "red" / "red 0.jpg").read_bytes())
    with pytest.raises(RequestError, match="in training and test at once"):
        _open(root, tmp_path, "dataset.test_fraction=0.2")
    setting = fixes(*((f"red/red {i}.jpg", "drop") for i in range(10)))
    dataset = _open(root, tmp_path, "dataset.test_fraction=0.2", setting)
    assert dataset.class_names == ("blue", "green")
    assert set(dataset.splits) == {"train", "test"}


def test_a_dropped_file_is_as_one_that_is_not_there(root, tmp_path, fixes):
    dropped = _open(root, tmp_path, fixes((BLUE, "drop")))
    (root / BLUE).unlink()
    assert _prints(_open(root, tmp_path)) == _prints(dropped)


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
    plain = _embedded(source, *words)
    before, pictures = _labels(plain), plain.images("test", np.arange(4))
    first, second, *_ = plain.splits["test"].ids.tolist()
    other = next(name for name in plain.class_names if name not in (before[first], before[second]))
    dataset = _embedded(source, *words, fixes((second, other), (first, "drop")))
    expected = before | {second: other}
    del expected[first]
    assert _labels(dataset) == expected
    assert dataset.class_names == plain.class_names
    assert "Data: 1 labels corrected and 1 images dropped by fixes.csv." in dataset.notices
    assert np.array_equal(dataset.images("test", np.arange(3)), pictures[1:])
    assert all(len(groups) == len(dataset.splits[split]) for split, groups in dataset.groups.items())
    assert _prints(dataset)["train"] == _prints(plain)["train"]
    assert _prints(dataset)["test"] != _prints(plain)["test"]


def test_a_limit_is_of_corrected_images(fixes):
    ids = [name for name, label in _labels(_embedded("digits")).items() if label == "7"]
    dataset = _embedded("digits", fixes(*((name, "drop") for name in ids)), "dataset.limit=20")
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

    labels = _labels(open_dataset(load_experiment(source, words), home))
    other = next(name for name in labels.values() if name not in (labels[own[0]], labels[own[1]]))
    plain = identity()
    assert identity(fixes((own[0], labels[own[0]]))) == plain
    first = identity(fixes((own[0], other), (own[1], labels[own[1]])))
    assert first != plain
    commented = fixes((own[0], "since it is so", other), header=("id", "remark", "label"), name="commented.csv")
    assert identity(commented) == first
    assert identity(fixes((own[1], other))) not in (first, plain)
    assert identity() == plain


FORMS = {
    "a header": "id,label\n{},green\n",
    "no header": "{},green\n",
    "semicolons, other names": "Label;File name\ngreen;{}\n",
    "tabs, a new label beside the old one": "id\tlabel\tnew label\n{}\tblue\tgreen\n",
    "more columns": "remark,image,class\nsure,{},green\n",
    "spaces about it": "id,label\n {} , green \n",
    "UTF-16": "id,label\n{},green\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_tables_of_every_make_are_read(root, tmp_path, form):
    text = FORMS[form].format(BLUE)
    (tmp_path / "fixes.csv").write_text(text, encoding="utf-16" if form == "UTF-16" else "utf-8")
    dataset = _open(root, tmp_path, f"dataset.corrections={tmp_path / 'fixes.csv'}")
    assert _labels(dataset)[BLUE] == "green"
    assert dataset.notices[0] == "Data: 1 labels corrected and 0 images dropped by fixes.csv."


def test_the_columns_of_the_datas_own_table_may_be_called_the_same(root, tmp_path):
    table = _table(root, root / "all.csv", {})
    table.write_text(table.read_text().replace("file,label", "photo,breed"))
    (tmp_path / "fixes.csv").write_text(f"breed,photo\ngreen,{BLUE}\n")
    own = ("dataset.image_column=photo", "dataset.label_column=breed")
    dataset = _open(table, tmp_path, *own, f"dataset.corrections={tmp_path / 'fixes.csv'}", source="csv")
    assert _labels(dataset)[BLUE] == "green"


def test_a_table_of_corrections_beside_the_tables_is_none_of_them(root, tmp_path):
    _table(root, root / "train.csv", {})
    (root / "fixes_train.csv").write_text(f"id,label\n{BLUE},green\n")
    dataset = _open(root, tmp_path, *COLUMNS, f"dataset.corrections={root / 'fixes_train.csv'}", source="csv")
    assert _labels(dataset)[BLUE] == "green"
    assert not any("other tables" in notice for notice in dataset.notices)


def test_labels_are_compared_as_those_of_the_data_are(tmp_path, fixes):
    for i in range(6):
        write(tmp_path / "in" / "café" / f"{i}.png", encoded(picture(i), "PNG"))
        write(tmp_path / "in" / "tea" / f"{i}.png", encoded(picture(i + 10), "PNG"))
    decomposed = "cafe\u0301"
    dataset = _open(tmp_path / "in", tmp_path, fixes(("tea/1.png", f" {decomposed} "), (f"{decomposed}/2.png", "tea")))
    assert _labels(dataset)["tea/1.png"] == "café"
    assert _labels(dataset)["café/2.png"] == "tea"
    with pytest.raises(
        RequestError, match=r"Row 2 of 'fixes\.csv' gives the label 'Tea', which differs from 'tea' only in case"
    ):
        _open(tmp_path / "in", tmp_path, fixes(("café/1.png", "Tea")))
    folded = _open(tmp_path / "in", tmp_path, "dataset.fold_case=true", fixes(("café/1.png", "Tea")))
    assert _labels(folded)["café/1.png"] == "tea"


def test_one_point_zero_is_one_where_labels_are_whole_numbers(root, tmp_path, fixes):
    shards = web_dataset(root, tmp_path / "shards", 100)
    first = _open(shards, tmp_path, source="tar")
    name = next(name for name, label in _labels(first).items() if label == "0")
    assert _labels(_open(shards, tmp_path, fixes((name, "1.0")), source="tar"))[name] == "1"


def test_an_image_without_a_label_is_given_one(root, tmp_path, fixes):
    members = [(f"{file.stem}.jpg", file.read_bytes()) for file in sorted((root / "blue").iterdir())]
    notes = [(f"{name[:-4]}.cls", b"even" if i % 2 == 0 else b"odd") for i, (name, _) in enumerate(members)]
    together = [one for pair in zip(members, notes, strict=True) for one in pair if one != notes[3]]
    path = tar_of(tmp_path / "some.tar", together)
    bare = _open(path, tmp_path, source="tar")
    assert members[3][0] not in _labels(bare)
    assert any("1 images have no label" in notice for notice in bare.notices)
    dataset = _open(path, tmp_path, fixes((members[3][0], "odd")), source="tar")
    assert _labels(dataset) == _labels(bare) | {members[3][0]: "odd"}
    assert not any("have no label" in notice for notice in dataset.notices)


def test_a_new_class_is_checked_as_any_and_named(root, tmp_path, fixes):
    rows = [(f"blue/blue {i}.jpg", "sky") for i in range(3)]
    dataset = _open(root, tmp_path, fixes(*rows))
    assert dataset.class_names == ("blue", "green", "red", "sky")
    assert "Data: fixes.csv makes new classes: 'sky' (3 training images)." in dataset.notices
    with pytest.raises(
        RequestError, match=r"Row 2 of .* 'gren', which is no class of the data\. Nearest: 'green'.*2 training"
    ):
        _open(root, tmp_path, fixes((BLUE, "gren")))


def test_a_class_that_loses_images_is_left_out_or_refused_as_any(root, tmp_path, fixes):
    rows = [(f"red/red {i}.jpg", "blue") for i in range(10)]
    dataset = _open(root, tmp_path, fixes(*rows))
    assert dataset.class_names == ("blue", "green")
    assert "Data: fixes.csv leaves no image of these classes: 'red'." in dataset.notices
    single = _open(root, tmp_path, fixes(*rows[1:]))
    assert any("left out with all their 1 images: 'red'" in notice for notice in single.notices)
    with pytest.raises(RequestError, match=r"Too few: 'red'"):
        _open(root, tmp_path, fixes(*rows[1:]), "dataset.small_classes=fail")
    both = [(f"{name}/{name} {i}.jpg", "drop") for name in ("red", "blue") for i in range(10)]
    with pytest.raises(RequestError, match="Only one class has usable training images: 'green'"):
        _open(root, tmp_path, fixes(*both))


def test_a_class_of_arrays_that_loses_its_training_images_is_left_out_or_refused(fixes):
    dataset = _embedded("digits")
    labels = _labels(dataset)
    sevens = [str(name) for name in dataset.splits["train"].ids if labels[str(name)] == "7"]
    with pytest.raises(RequestError, match=r"The test split of .* has classes that no usable training image has: 7"):
        _embedded("digits", fixes(*((name, "drop") for name in sevens)))
    few = _embedded("digits", fixes(*((name, "drop") for name in sevens[1:])))
    assert "7" not in few.class_names
    assert any("are left out with all their" in notice and "'7'" in notice for notice in few.notices)
    with pytest.raises(RequestError, match="Too few: '7'"):
        _embedded("digits", fixes(*((name, "drop") for name in sevens[1:])), "dataset.small_classes=fail")


def test_rows_of_images_that_cannot_be_used_change_nothing(root, tmp_path, fixes):
    (root / BLUE).write_bytes(b"no image")
    dataset = _open(root, tmp_path, fixes((BLUE, "green"), (RED, "blue"), (RED, "blue")))
    assert dataset.notices[0] == (
        "Data: 1 labels corrected and 0 images dropped by fixes.csv. Of its 3 rows 2 change nothing: 1 say what is so already or "
        "what another row says and 1 are of images that are left out in any case."
    )


REFUSED = {
    "an unknown id": (
        [("blue/x.jpg", "red")],
        r"1 of 1 ids in 'fixes\.csv' are not in the data, such as 'blue/x\.jpg'",
    ),
    "an id with folders above": ([(f"C:\\pictures\\{BLUE}", "red")], rf"Perhaps '{BLUE}' is meant"),
    "two answers": (
        [(BLUE, "red"), (BLUE, "green")],
        r"Rows 2 and 3 .* contradict one another: 'blue/blue 3\.jpg' is 'red' and",
    ),
    "a label and drop": ([(BLUE, "drop"), (BLUE, "green")], "contradict one another"),
    "no label": (
        [(RED, "red"), (BLUE, "")],
        r"Row 3 of 'fixes\.csv' gives no label to .* or `drop` to take the image out",
    ),
    "a word for none": ([(BLUE, "NaN")], r"Row 2 .* no label to .* but 'NaN', which says that there is none"),
    "no id": ([("", "red")], r"Row 2 of 'fixes\.csv' has no id"),
    "another case": ([(BLUE, "Drop")], r"Row 2 .* says 'Drop'\. To take an image out, write `drop`"),
    "a cell too many": ([(BLUE, "red", "green")], "Row 2 of 'fixes.csv' has 3 cells, the first row 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_that_cannot_be_right_is_refused_by_its_number(root, tmp_path, fixes, case):
    rows, message = REFUSED[case]
    with pytest.raises(RequestError, match=message):
        _open(root, tmp_path, fixes(*rows))


def test_dropping_everything_is_refused(fixes, root, tmp_path):
    every = [(file.relative_to(root).as_posix(), "drop") for file in root.rglob("*.jpg")]
    with pytest.raises(RequestError, match=r"'fixes\.csv' drops all 30 images that can be used"):
        _open(root, tmp_path, fixes(*every))
    with pytest.raises(RequestError, match=r"drops all 1,797 images"):
        _embedded("digits", fixes(*((name, "drop") for name in _labels(_embedded("digits")))))


@pytest.mark.parametrize("name", ["drop", "Drop"])
def test_data_with_a_class_called_drop_are_asked_to_rename_it(root, tmp_path, fixes, name):
    (root / "red").rename(root / name)
    with pytest.raises(RequestError, match=rf"Row 3 .* says `drop`, and the data have a class '{name}'.* another name"):
        _open(root, tmp_path, fixes((GREEN, "blue"), (BLUE, "drop")))
    assert _labels(_open(root, tmp_path, fixes((BLUE, "green"))))[BLUE] == "green"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("id,answer\nx,red\n", r"has no column `label`.* Columns: id, answer"),
        ("name,label\nx,red\n", r"has no column `id`"),
        ("x\ny\n", r"has one column only: 'x'"),
        (f"name,answer\n{BLUE},red\n", r"such as 'name' \(row 1\).*call them `id` and `label`"),
        ("PK\x03\x04", "Excel"),
    ],
)
def test_a_table_that_is_none_is_refused_with_what_it_takes(root, tmp_path, text, message):
    (tmp_path / "fixes.csv").write_text(text)
    with pytest.raises(RequestError, match=message):
        _open(root, tmp_path, f"dataset.corrections={tmp_path / 'fixes.csv'}")


@pytest.mark.parametrize("path", ["nowhere.csv", ".", "~nobody/fixes.csv", "s3://bucket/fixes.csv"])
def test_a_missing_table_is_refused_by_the_name_of_its_setting(path):
    with pytest.raises(RequestError, match=r"dataset\.corrections"):
        _embedded("digits", f"dataset.corrections={path}")


def test_a_table_without_rows_corrects_nothing(root, tmp_path, fixes):
    dataset = _open(root, tmp_path, fixes())
    assert dataset.notices[0] == "Data: 0 labels corrected and 0 images dropped by fixes.csv."
    assert _prints(dataset) == _prints(_open(root, tmp_path))


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
    assert _labels(_open("pictures", tmp_path, "dataset.corrections=fixes.csv"))[BLUE] == "green"
