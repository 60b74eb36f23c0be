"""A trained model is measured on labelled pictures: by the figures of `probe`, whatever the pictures are and lack."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import SMALL, invoke
from deepfiles import tiff
from imagefiles import encoded, picture, write
from packing import parquet_of_folder, tar_of_folder
from PIL import Image

from bottleneck_features.pipeline.datasets.sources.embedded import digits
from bottleneck_features.pipeline.evaluation.per_class import per_class
from bottleneck_features.pipeline.evaluation.scores import confusion

COUNTS = {"common": 270, "rare": 30}
ROW = ("accuracy", "interval", "majority", "worst_recall", "worst_class")
MEASURES = ("balanced_accuracy", "macro_f1", "auroc", "average_precision")


def _colour(name: str, random: np.random.Generator) -> tuple[int, int, int]:
    return int(random.normal(126 if name == "rare" else 118, 4)), 120, 120


def _pictures(root: Path, counts: dict[str, int], seed: int) -> Path:
    random = np.random.default_rng(seed)
    for name, count in counts.items():
        for number in range(count):
            content = encoded(picture(number + 1000 * len(name) + seed, _colour(name, random), (32, 32)))
            write(root / name / f"{number}.jpg", content)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Grey pictures, the rare ones a little redder: some cannot be told apart."""
    return _pictures(tmp_path_factory.mktemp("unequal") / "grey", COUNTS, 0)


@pytest.fixture(scope="module")
def home(folder, tmp_path_factory) -> Path:
    """A home with a probe of these pictures, which has a threshold."""
    home, chosen = tmp_path_factory.mktemp("home"), ("dataset.test_fraction=0.4", "input.size=32,32", "head.epochs=3")
    words = [word for one in (*chosen, "backbone.layers=block3b_add") for word in ("--set", one)]
    for command in ("features", "probe"):
        done = invoke(command, str(folder), *words, home=home)
        assert done.exit_code == 0, done.output
    return home


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> Path:
    """Other pictures of the same kinds."""
    return _pictures(tmp_path_factory.mktemp("others") / "more", {"common": 30, "rare": 10}, 7)


def _evaluated(home: Path, *words: str, model: str = "grey") -> dict[str, Any]:
    done = invoke("evaluate", model, *words, "--json", home=home)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def _rows(result: dict[str, Any]) -> list[dict[str, str]]:
    with Path(result["files"][0]).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _require_the_row(figures: dict[str, Any], row: dict[str, Any]) -> None:
    for name in ROW:
        assert figures[name] == pytest.approx(row[name]["test"], abs=1e-12), name
    for name in MEASURES:
        for key in (name, f"{name}_interval"):
            assert figures[key] == pytest.approx(row[key]["test"], abs=1e-9), key


@pytest.fixture(scope="module")
def probed(home) -> dict[str, Any]:
    return json.loads((home / "runs" / "grey" / "probe" / "result.json").read_text())


def test_the_figures_are_those_of_probe_on_the_same_test_images(home, folder, probed):
    result = _evaluated(home, str(folder), "--split", "test", "--set", "dataset.test_fraction=0.4")
    kept = next(row for row in probed["methods"] if row["kept"])
    assert kept["threshold"] is not None
    assert result["images"] == {"test": kept["n"]["test"]}
    _require_the_row(result["figures"], kept)
    for key in ("log_loss", "expected_calibration_error"):
        assert result["calibration"][key] == pytest.approx(probed["calibration"]["after"][key], abs=1e-6)
    assert result["trained_on"]["images"] == 0
    assert result["test_looks"]["count"] == probed["test_looks"]["count"] + 1
    assert result["curves"]["positive"] == 1


def test_images_that_the_model_was_trained_on_are_counted_and_the_verdict_is_of_the_others(home, folder, probed):
    result = _evaluated(home, str(folder))
    kept = next(row for row in probed["methods"] if row["kept"])
    assert result["n"] == sum(COUNTS.values())
    assert result["trained_on"]["images"] == result["n"] - kept["n"]["test"]
    _require_the_row(result["trained_on"]["figures_without"], kept)
    assert any("was trained on" in warning and "too optimistic" in warning for warning in result["warnings"])
    marked = [row["trained_on"] for row in _rows(result)]
    assert marked.count("yes") == result["trained_on"]["images"]
    said = invoke("evaluate", "grey", str(folder), home=home)
    assert f"on the {kept['n']['test']:,} images that the model was not trained on" in " ".join(said.stdout.split())


def test_the_table_has_every_answer_and_its_probabilities_sum_to_one(home, others):
    result = _evaluated(home, str(others))
    rows = _rows(result)
    assert [row["file"] for row in rows[:2]] == ["common/0.jpg", "common/1.jpg"]
    assert list(rows[0])[:5] == ["file", "label", "prediction", "correct", "group"]
    probabilities = np.array([[float(row[f"probability_{name}"]) for name in COUNTS] for row in rows])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=2e-6)
    right = [row["label"] == row["prediction"] for row in rows]
    assert [row["correct"] == "yes" for row in rows] == right
    assert np.mean(right) == result["figures"]["accuracy"]
    answered = np.where(probabilities[:, 1] >= result["threshold"], "rare", "common")
    assert [row["prediction"] for row in rows] == answered.tolist()
    assert sum(row["unlike"] == "yes" for row in rows) == result["unlike"]["images"]
    assert np.array(result["confusion"]).sum() == 40
    assert {Path(file).name for file in result["files"]} == {"predictions.csv", "confusion.png", "curves.png"}
    assert json.loads((home / "runs" / "grey" / "evaluate" / "result.json").read_text()) == result


def test_archives_and_parquet_files_are_measured_as_the_folder_is(home, others, tmp_path):
    tar = tar_of_folder(others, tmp_path / "packed" / "test.tar")
    parquet = parquet_of_folder(others, tmp_path / "rows" / "test.parquet")
    expected = _evaluated(home, str(others))["figures"]
    assert _evaluated(home, str(tar))["figures"] == expected
    assert _evaluated(home, str(parquet))["figures"] == expected


def test_a_table_with_groups_has_intervals_that_count_them(home, others):
    names = sorted(str(path.relative_to(others)) for path in others.rglob("*.jpg"))
    lines = [f"{name},{name.split('/')[0]},{name.split('/')[0]}-{i % 5}" for i, name in enumerate(names)]
    table = write(others.parent / "list.csv", "\n".join(["file,label,scene", *lines]).encode())
    words = (str(table), "--set", f"dataset.image_root={others}")
    alone = _evaluated(home, *words)
    grouped = _evaluated(home, *words, "--set", "dataset.group=scene")
    assert grouped["figures"]["accuracy"] == alone["figures"]["accuracy"]
    assert grouped["figures"]["interval"] != alone["figures"]["interval"]
    assert [alone["groups"], grouped["groups"]] == [None, 10]
    assert any("come in 10 groups" in warning for warning in grouped["warnings"])
    assert {row["group"] for row in _rows(grouped)} == {f"{name}-{i}" for name in COUNTS for i in range(5)}


def test_classes_are_matched_by_name_and_those_that_the_model_does_not_know_are_refused(home, others, tmp_path):
    data = shutil.copytree(others, tmp_path / "three")
    for number in range(3):  # first in the order of names, so that the numbers of the other classes are others
        shutil.copytree(others / "rare", data / "a stranger", dirs_exist_ok=True)
        write(data / "a stranger" / f"x{number}.jpg", encoded(picture(number)))
    done = invoke("evaluate", "grey", str(data), home=home)
    assert done.exit_code == 2, done.output
    assert "does not know these classes of the data: 'a stranger' (13 images)" in done.stderr
    assert "Its classes: 'common', 'rare'." in done.stderr
    assert "--unknown-classes leave-out" in done.stderr
    result = _evaluated(home, str(data), "--unknown-classes", "leave-out")
    expected = _evaluated(home, str(others))
    assert result["left_out"] == {"a stranger": 13}
    assert result["figures"] == expected["figures"]
    assert any("left out: 'a stranger' (13)" in warning for warning in result["warnings"])


def test_data_of_strangers_only_are_refused_whatever_is_asked_for(home, tmp_path):
    _pictures(tmp_path / "cats", {"cat": 3, "dog": 3}, 1)
    done = invoke("evaluate", "grey", str(tmp_path / "cats"), "--unknown-classes", "leave-out", home=home)
    assert done.exit_code == 2, done.output
    assert "No image is of a class that the model knows" in done.stderr


def test_pictures_of_one_class_give_its_recall_and_no_more(home, others, tmp_path):
    shutil.copytree(others / "rare", tmp_path / "one" / "rare")
    result = _evaluated(home, str(tmp_path / "one"))
    assert result["n"] == 10
    assert result["per_class"][0]["recall"]["value"] == result["figures"]["accuracy"]
    assert "auroc" not in result["figures"]
    assert result["curves"] is None
    assert any("there are no images of 'common'" in warning for warning in result["warnings"])
    said = invoke("evaluate", "grey", str(tmp_path / "one"), home=home)
    assert "all of class 'rare': how often other classes are taken for it is not measured" in " ".join(
        said.stdout.split()
    )


def test_a_table_of_three_pictures_whose_labels_do_not_repeat_is_measured(home, others, tmp_path):
    table = write(tmp_path / "few.csv", b"file,label\ncommon/0.jpg,common\nrare/0.jpg,rare\n")
    assert _evaluated(home, str(table), "--set", f"dataset.image_root={others}")["n"] == 2


def test_unreadable_files_are_listed_and_do_not_end_the_command_however_many_they_are(home, others, tmp_path):
    data = shutil.copytree(others, tmp_path / "broken")
    for number in range(20):
        write(data / "rare" / f"broken {number}.jpg", encoded(picture(number))[:300])
    training = home / "runs" / "grey" / "quarantine.csv"
    training.write_text("of the training")
    result = _evaluated(home, str(data))
    assert result["n"] == 40
    listed = Path(result["files"][-1])
    assert listed == home / "runs" / "grey" / "evaluate" / "quarantine.csv"
    assert len(listed.read_text().splitlines()) == 21
    assert any("20 of 60 files cannot be used" in warning for warning in result["warnings"])
    assert training.read_text() == "of the training"
    training.unlink()


def test_numbers_are_read_by_the_range_of_the_training_or_the_one_that_is_given(home, tmp_path):
    for name in COUNTS:
        write(tmp_path / "deep" / name / "a.tif", tiff(np.full((32, 32), 700, np.int16)))
    done = invoke("evaluate", "grey", str(tmp_path / "deep"), home=home)
    assert done.exit_code == 2, done.output
    assert "the model was trained on none" in " ".join(done.stderr.split())
    assert "--set dataset.value_range=LOW,HIGH" in " ".join(done.stderr.split())
    result = _evaluated(home, str(tmp_path / "deep"), "--set", "dataset.value_range=0,1000")
    assert result["n"] == 2


def test_names_are_cells_that_no_spreadsheet_computes(home, others, tmp_path):
    content = (others / "rare" / "0.jpg").read_bytes()
    write(tmp_path / "names" / "rare" / "a.jpg", content)
    write(tmp_path / "names" / "=rare" / "a.jpg", content)
    result = _evaluated(home, str(tmp_path / "names"), "--unknown-classes", "leave-out")
    assert [row["file"] for row in _rows(result)] == ["rare/a.jpg"]
    column = ("--set", "dataset.label_column=label")  # there is but one label, so it is not recognised
    table = write(tmp_path / "list.csv", b"file,label\n=1+1.jpg,rare\n0.jpg,rare\n")
    shutil.copytree(others / "rare", tmp_path / "images")
    write(tmp_path / "images" / "=1+1.jpg", content)
    rows = _rows(_evaluated(home, str(table), "--set", f"dataset.image_root={tmp_path / 'images'}", *column))
    assert {row["file"] for row in rows} == {"'=1+1.jpg", "0.jpg"}


def test_what_is_printed_begins_with_the_verdict_and_ends_with_the_next_command(home, others):
    head = home / "runs" / "grey" / "probe" / "head.npz"
    done = invoke("evaluate", str(head), str(others), home=home)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "alanced accuracy" in lines[0] or "Not shown to be better" in lines[0]
    assert "log loss" in done.stdout
    assert "'rare' is answered from a probability of" in " ".join(done.stdout.split())
    assert lines[-1] == f"next:  bottleneck export --model {head} --home {home}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["bottleneck evaluate MODEL DATA", "Received: neither", "trained models in", "grey"]),
        (["{others}"], ["bottleneck evaluate MODEL DATA"]),
        (["grey", "{others}", "more"], ["one MODEL and one DATA"]),
        (["-e", "grey", "grey", "{others}"], ["give DATA alone"]),
        (["-e", "grey"], ["give DATA alone"]),
        (["gray", "{others}"], ["There is no experiment 'gray'", "with results", "grey"]),
        (["none.npz", "{others}"], ["There is no file 'none.npz'", "A trained model is"]),
        (["{head}", "{others}", "--model", "probe"], ["is a file", "leave out --model probe"]),
        (["grey", "{others}", "--model", "fine-tune"], ["There is no trained model", "--model probe"]),
        (["grey", "nowhere"], ["There is no file or folder"]),
        (["grey", "{others}", "--split", "validation"], ["--split validation: the data have no such split", "train"]),
        (["grey", "{others}", "--split", "test"], ["--split test: the data have no such split"]),
        (["grey", "{others}", "--set", "dataset.grup=x"], ["grup", "Nearest: group"]),
        (["grey", "{others}", "--set", "input.size=48,48"], ["input.size", "then"]),
        (["grey", "{others}", "--set", "dataset.common_size=16,16"], ["common_size", "leave it out", "[16, 16]"]),
        (["{others}/rare/0.jpg", "{others}"], ["no trained model"]),
    ],
)  # fmt: skip
def test_a_wrong_request_quotes_what_was_received(home, others, words, expected):
    head = home / "runs" / "grey" / "probe" / "head.npz"
    done = invoke("evaluate", *[word.format(others=others, head=head) for word in words], home=home)
    assert done.exit_code == 2, done.output
    for text in expected:
        assert text in done.stderr


@pytest.mark.parametrize("words", [("digits",), ("-e", "digits")])
def test_a_head_is_as_good_on_embedded_test_images_as_its_result_says(trained, words):
    limit = ("--set", "dataset.limit=120")
    done = invoke(
        "evaluate", *words, "digits", "--split", "test", *limit, "--json", "--model", "train-head", home=trained
    )
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    scored = json.loads((trained / "runs" / "digits" / "train-head" / "result.json").read_text())
    assert result["figures"]["accuracy"] == scored["methods"][0]["accuracy"]["test"]
    assert result["figures"]["macro_f1"] == scored["methods"][0]["macro_f1"]["test"]
    assert result["confusion"] == scored["confusion"]
    assert result["calibration"]["log_loss"] == pytest.approx(scored["calibration"]["after"]["log_loss"], abs=1e-6)
    assert result["trained_on"] == {"images": 0, "figures_without": None}


@pytest.fixture(scope="module")
def saved_digits(tmp_path_factory) -> Path:
    """Training digits as PNG files, four of each class, and arrays of them that are twice as large."""
    root, everything = tmp_path_factory.mktemp("saved"), digits()
    train = everything.splits["train"]
    places = np.concatenate([np.flatnonzero(train.labels == label)[:4] for label in range(10)])
    images = everything.images("train", places)
    for place, image in zip(places.tolist(), images, strict=True):
        write(root / "files" / str(train.labels[place]) / f"{place}.png", encoded(Image.fromarray(image), "PNG"))
    np.savez(root / "large.npz", x=images.repeat(2, axis=1).repeat(2, axis=2), y=train.labels[places])
    return root


@pytest.fixture(scope="module")
def of_files(trained, saved_digits) -> dict[str, Any]:
    words = ("-e", "digits", "--model", "train-head", str(saved_digits / "files"), "--json")
    return json.loads(invoke("evaluate", *words, home=trained).stdout)


def test_training_images_of_arrays_are_known_again_where_they_were_saved_as_files(trained, of_files):
    limited = json.loads((trained / "runs" / "digits" / "train-head" / "result.json").read_text())["methods"][0]["n"]
    assert 0 < of_files["trained_on"]["images"] <= limited["train"] + limited["validation"]
    assert of_files["n"] == 40


def test_arrays_of_another_size_become_what_the_model_takes(trained, saved_digits, of_files):
    words = ("-e", "digits", "--model", "train-head", "--json")
    arrays = invoke("evaluate", *words, str(saved_digits / "large.npz"), home=trained)
    assert arrays.exit_code == 0, arrays.output
    found = json.loads(arrays.stdout)
    assert found["n"] == 40
    assert abs(found["figures"]["accuracy"] - of_files["figures"]["accuracy"]) < 0.2


def test_arrays_of_a_test_split_alone_are_measured_though_nothing_could_be_trained_on_them(
    trained, saved_digits, tmp_path
):
    with np.load(saved_digits / "large.npz") as arrays:
        np.savez(tmp_path / "test.npz", x_test=arrays["x"], y_test=arrays["y"])
        seven = arrays["y"] == 7
        np.savez(
            tmp_path / "both.npz",
            **{"x_train": arrays["x"][~seven], "y_train": arrays["y"][~seven]},
            **{"x_test": arrays["x"][seven], "y_test": arrays["y"][seven]},
        )
    words = ("-e", "digits", "--model", "train-head", "--json")
    whole, alone, both = (
        invoke("evaluate", *words, str(file), home=trained)
        for file in (saved_digits / "large.npz", tmp_path / "test.npz", tmp_path / "both.npz")
    )
    assert json.loads(alone.stdout)["figures"] == json.loads(whole.stdout)["figures"]
    assert json.loads(both.stdout)["n"] == 40
    refused = invoke("inspect", str(tmp_path / "test.npz"), home=tmp_path / "home")
    assert "there are no images and no labels of the train split" in refused.output


def test_without_features_in_the_home_it_says_that_training_images_are_not_known(home, others, tmp_path):
    head = home / "runs" / "grey" / "probe" / "head.npz"
    result = _evaluated(tmp_path, str(others), model=str(head))
    assert result["trained_on"]["images"] is None
    assert any("is not known" in warning for warning in result["warnings"])
    assert {row["trained_on"] for row in _rows(result)} == {""}


@pytest.mark.slow
def test_a_network_is_measured_by_its_file(extracted, tmp_path):
    words = (*SMALL, "--set", "finetune.epochs=1")
    assert invoke("fine-tune", *words, home=extracted).exit_code == 0
    file = extracted / "runs" / "digits" / "fine-tune" / "model.keras"
    done = invoke(
        "evaluate", str(file), "digits", "--split", "test", "--set", "dataset.limit=120", "--json", home=extracted
    )
    assert done.exit_code == 0, done.output
    result, scored = json.loads(done.stdout), json.loads(file.with_name("result.json").read_text())
    assert result["figures"]["accuracy"] == scored["methods"][0]["accuracy"]["test"]
    assert result["unlike"] is None
    assert result["trained_on"]["images"] == 0


def test_figures_of_a_class_are_those_of_its_row_and_its_column():
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 1, 0])
    found = per_class(labels, predicted, confusion(labels, predicted, 4), ("a", "b", "c", "d"))
    assert [one.name for one in found] == ["c", "a", "b", "d"]
    third, first, second, absent = found
    assert (third.n, third.taken_for, third.taken, third.f1) == (1, "a", 1, 0)
    assert (first.n, first.predicted, first.taken_for, first.taken) == (3, 2, "b", 2)
    assert first.recall is not None
    assert first.recall.value == 1 / 3
    assert (first.precision, first.f1) == (1 / 2, 2 / 5)
    assert (second.recall.value, second.precision, second.taken_for) == (1.0, 1 / 2, "")
    assert (absent.n, absent.recall, absent.precision, absent.f1) == (0, None, None, None)
