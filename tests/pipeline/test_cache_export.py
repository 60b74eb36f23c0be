"""A cache exported as Parquet: what other programs find beside the features."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet as parquet
import pytest
import strangers
from commandline import SMALL, bottleneck, invoke
from hypothesis import HealthCheck, given, settings, strategies
from imagefiles import class_folders

from bottleneck_features.features import describe_cache, open_features
from bottleneck_features.pipeline.evaluation.predictions import load_predictions
from bottleneck_features.pipeline.evaluation.study import open_study
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.reporting import feature_map as reporting_map
from bottleneck_features.pipeline.reporting.feature_map import STEPS, _packed, _scaled, feature_map
from bottleneck_features.pipeline.reporting.joined import joined

ADDED = ["predicted", "confidence", "method", "map_x", "map_y"]
ALWAYS = ["id", "label", "class_name", "split", "group"]


def export(home: Path, to: Path, *words: str):
    (cache,) = (home / "features").iterdir()
    return invoke("cache", "export", str(cache), "--format", "parquet", "--to", str(to), *words, home=home)


def frame(folder: Path) -> pandas.DataFrame:
    return pandas.concat([pandas.read_parquet(file) for file in sorted(folder.glob("*.parquet"))], ignore_index=True)


@pytest.fixture
def home(trained, tmp_path) -> Path:
    """A copy of an artifacts folder with features and a head, whose files a test may change."""
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    for other in set((home / "runs" / "digits").iterdir()) - {home / "runs" / "digits" / "train-head"}:
        shutil.rmtree(other)  # of tests that have worked in the same folder
    return home


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """An artifacts folder beside the photographs of which it has the features, and a head."""
    root = tmp_path_factory.mktemp("photographs")
    words = (str(class_folders(root / "pictures", 20)), "--set", "input.size=32,32", "--set", "head.epochs=2")
    for command in ("features", "train-head"):
        done = invoke(command, *words, "--set", "dataset.test_fraction=0.4", home=root / "home")
        assert done.exit_code == 0, done.output
    return root


def test_the_predictions_are_those_of_the_result_and_null_where_nothing_was_scored(home, tmp_path):
    done = export(home, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "With the predictions of head@top_activation (train-head)." in done.stderr
    found, runs = frame(tmp_path / "out"), home / "runs" / "digits" / "train-head"
    assert list(found) == [*ALWAYS, *ADDED, "features"], "digits are in no files: no path"
    result = json.loads((runs / "result.json").read_text())
    answers = load_predictions(result, runs)
    scored = found[found["split"] == "test"].set_index("id").loc[answers.ids]
    names = np.array(open_features(next((home / "features").iterdir())).class_names)
    assert scored["predicted"].tolist() == names[answers.predicted["head@top_activation"]].tolist()
    assert np.array_equal(scored["confidence"], answers.confidence["head@top_activation"])
    right = (scored["predicted"] == scored["class_name"]).mean()
    assert right == pytest.approx(result["methods"][0]["accuracy"]["test"])
    assert found.loc[found["split"] == "train", ADDED].isna().all(axis=None)
    assert scored[ADDED].notna().all(axis=None)


def test_the_map_is_the_one_of_the_report(home, tmp_path):
    assert export(home, tmp_path / "out").exit_code == 0
    found = frame(tmp_path / "out").query("split == 'test'")
    study = open_study(load_experiment("digits", SMALL[3::2]), home, "report")
    runs = home / "runs" / "digits" / "train-head"
    answers = load_predictions(json.loads((runs / "result.json").read_text()), runs)
    layer = study.cache.layers[-1]
    shown = feature_map(
        study.dataset, study.cache, layer=layer, predictions=answers, method="head@top_activation", seed=0
    )
    assert shown.shown == len(found) == 120
    places = found.set_index("id").loc[answers.ids, ["map_x", "map_y"]].to_numpy()
    assert shown.data["maps"]["t-SNE"] == _packed(_scaled(places))
    assert np.ptp(_scaled(places)) == STEPS


def test_the_metadata_say_what_is_in_the_file(home, tmp_path):
    assert export(home, tmp_path / "out").exit_code == 0
    cache = open_features(next((home / "features").iterdir()))
    for file in (tmp_path / "out").glob("*.parquet"):
        assert json.loads(parquet.read_schema(file).metadata[b"bottleneck"]) == {
            "cache_key": cache.key,
            "layer": "top_activation",
            "experiment": "digits",
            "command": "train-head",
            "method": "head@top_activation",
            "title": "head@top_activation",
            "scored_on": "test",
            "seed": 0,
            "projection": "t-SNE of the features of top_activation",
        }


def test_the_paths_are_those_of_the_files(photographs, tmp_path):
    assert export(photographs / "home", tmp_path / "out").exit_code == 0
    found = frame(tmp_path / "out")
    assert list(found) == [*ALWAYS, "path", *ADDED, "features"]
    assert found["path"].tolist() == [str(photographs / "pictures" / one) for one in found["id"]]
    assert all(Path(path).is_file() for path in found["path"])


def test_a_photograph_that_is_gone_has_no_path(photographs, tmp_path):
    gone = next((photographs / "pictures").rglob("*.jpg"))
    moved = gone.rename(photographs / "moved.jpg")
    try:
        assert export(photographs / "home", tmp_path / "out").exit_code == 0
    finally:
        moved.rename(gone)
    found = frame(tmp_path / "out").set_index("id")["path"]
    assert found.index[found.isna()].tolist() == [str(gone.relative_to(photographs / "pictures"))]


def test_the_paths_of_a_table_are_found_as_the_table_is(tmp_path):
    pictures = class_folders(tmp_path / "elsewhere" / "pictures", 6, ("red", "green"))
    lines = [f"{file.relative_to(pictures)},{file.parent.name}" for file in sorted(pictures.rglob("*.jpg"))]
    (tmp_path / "list.csv").write_text("\n".join(["image,colour", *lines]))
    words = ("--set", f"dataset.image_root={pictures}", "--set", "input.size=32,32", "--set", "dataset.test_fraction=0")
    done = invoke("features", str(tmp_path / "list.csv"), *words, home=tmp_path / "home")
    assert done.exit_code == 0, done.output
    done = export(tmp_path / "home", tmp_path / "out")
    assert "There are no predictions to join" in done.stderr
    found = frame(tmp_path / "out")
    assert found["path"].tolist() == [str(pictures / one) for one in found["id"]]
    assert set(found["path"]) == set(map(str, pictures.rglob("*.jpg")))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=strategies.data())
def test_whatever_a_cache_says_of_its_making_it_is_exported(photographs, data):
    (folder,) = (photographs / "home" / "features").iterdir()
    made_by = data.draw(strangers.changed(describe_cache(folder).provenance["settings"]))
    found = joined(open_features(folder), made_by, photographs / "home")
    assert found.remarks or "path" in found.beside.columns


def test_without_the_photographs_the_export_says_why_it_has_no_paths(photographs, tmp_path):
    elsewhere = (photographs / "pictures").rename(photographs / "elsewhere")
    try:
        done = export(photographs / "home", tmp_path / "out")
    finally:
        elsewhere.rename(photographs / "pictures")
    assert done.exit_code == 0
    assert "Paths are left out: There is no folder" in done.stderr
    assert list(frame(tmp_path / "out")) == [*ALWAYS, *ADDED, "features"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda runs: shutil.rmtree(runs), "no result of a command that scored a method on these features"),
        (
            lambda runs: (runs / "predictions.npz").unlink(),
            "The predictions of train-head are left out: its predictions.npz",
        ),
        (
            lambda runs: _changed(runs, cache_key="0" * 64),
            "no result of a command that scored a method on these features",
        ),
        (
            lambda runs: (runs / "result.json").write_text("{"),
            "The result of train-head is not used: its result.json cannot",
        ),
        (lambda runs: _changed(runs, methods=3), "The result of train-head is not used: "),
    ],
)
def test_results_that_are_not_of_these_features_are_not_joined(home, tmp_path, change, said):
    change(home / "runs" / "digits" / "train-head")
    done = export(home, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert said in " ".join(done.stderr.split())
    assert list(frame(tmp_path / "out")) == [*ALWAYS, "features"]


def _changed(runs: Path, **keys: object) -> None:
    file = runs / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))


def test_imported_features_have_no_paths_and_no_predictions(tmp_path):
    np.savez(tmp_path / "birds.npz", features=np.ones((4, 3), np.float32), labels=np.arange(4) % 2)
    assert invoke("cache", "import", "birds", f"train={tmp_path / 'birds.npz'}", home=tmp_path).exit_code == 0
    done = export(tmp_path, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "these features were imported" in done.stderr
    assert list(frame(tmp_path / "out")) == [*ALWAYS, "features"]


def test_a_process_of_its_own_writes_the_same_files(photographs, tmp_path):
    home = photographs / "home"
    assert export(home, tmp_path / "here").exit_code == 0
    (cache,) = (home / "features").iterdir()
    words = ("cache", "export", cache.name, "--format", "parquet", "--to", str(tmp_path / "there"))
    done = bottleneck(*words, home=home)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.split():
        assert Path(line).read_bytes() == (tmp_path / "here" / Path(line).name).read_bytes()
    assert len(done.stdout.split()) == len(list((tmp_path / "here").iterdir()))


def test_too_few_scored_images_have_no_place_on_a_map(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(reporting_map, "FEWEST", 25)
    done = export(photographs / "home", tmp_path / "out")
    assert "There is no map: the scored images are too few, or alike." in done.stderr
    assert list(frame(tmp_path / "out")) == [*ALWAYS, "path", "predicted", "confidence", "method", "features"]
