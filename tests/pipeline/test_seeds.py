"""The spread over splits and trainings: each is what its seed would have made, and nothing else is changed by it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import SMALL, invoke
from imagefiles import encoded, write
from PIL import Image

from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.datasets.sources.embedded import digits
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.study import Study, open_study
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.method_row import Method, Score
from bottleneck_features.pipeline.methods import seeds as spreads
from bottleneck_features.pipeline.methods.head import fit_head
from bottleneck_features.pipeline.methods.saved_head import load_head
from bottleneck_features.pipeline.methods.seeds import LARGEST_SEED, seeds_of, spread_details

CLASSES, IMAGES = 4, 40  # digits 0 to 3, of each so many
CLOSED = ("logistic", "ridge", "knn")


def _written(root: Path, split: str = "") -> Path:
    """Write real digits in folders of their classes, those of `split` besides."""
    dataset = digits()
    for part, count in (("train", IMAGES), *([(split, 12)] if split else [])):
        for label in range(CLASSES):
            rows = np.flatnonzero(dataset.splits["test" if part == split else "train"].labels == label)[:count]
            for row, pixels in zip(rows, dataset.images("test" if part == split else "train", rows), strict=True):
                folder = root / part / str(label) if split else root / str(label)
                write(folder / f"{row}.png", encoded(Image.fromarray(pixels), "PNG"))
    return root


def _settings(path: Path, *others: str) -> tuple[str, ...]:
    return (
        f"dataset.path={path}", "backbone.name=efficientnet-lite0", "backbone.layers=block3b_add,block5c_add",
        "input.size=32,32", "head.epochs=2", "convnet.epochs=2", *others,
    )  # fmt: skip


def _words(settings: tuple[str, ...]) -> tuple[str, ...]:
    return ("-e", "natural-images", *(word for setting in settings for word in ("--set", setting)))


def _done(command: str, words: tuple[str, ...], *others: str, home: Path) -> dict[str, Any]:
    done = invoke(command, *words, *others, "--json", home=home)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def validated(tmp_path_factory) -> tuple[tuple[str, ...], Path]:
    """Features of digits that bring validation images and have a test split drawn: the words of the experiment, and the home."""
    home = tmp_path_factory.mktemp("validated")
    words = _words(_settings(_written(home / "pictures", "val"), "dataset.test_fraction=0.3"))
    _done("features", words, home=home)
    return words, home


@pytest.fixture(scope="module")
def probed(validated) -> dict[str, Any]:
    words, home = validated
    result = _done("probe", words, "--folds", "0", "--seeds", "3", home=home)
    return {**result, "head": load_head(Path(result["folder"]) / "head.npz")}


def _rows(spread: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in spread["methods"]}


def test_every_split_is_what_its_seed_draws_when_features_are_extracted(validated, probed):
    words, home = validated
    other = (*words, "--set", "dataset.split_seed=1")
    _done("features", other, home=home)
    alone = _done("probe", other, "--folds", "0", home=home)
    spread = _rows(probed["seeds"])
    assert {row["name"]: row["accuracy"]["test"] for row in alone["methods"]} == {
        name: spread[name]["splits"]["values"][1] for name in (*CLOSED, "head")
    }
    assert spread["best-probe"]["splits"]["values"][1] == alone["methods"][0]["accuracy"]["test"]
    assert probed["seeds"]["test_images"][1] == alone["methods"][0]["n"]["test"]
    assert len({tuple(row["splits"]["values"]) for row in spread.values()}) > 1


def test_every_training_is_what_its_seed_makes(validated, probed):
    words, home = validated
    alone = _done("probe", (*words, "--set", "seed=2"), "--folds", "0", home=home)
    spread = _rows(probed["seeds"])
    for row in alone["methods"]:
        assert spread[row["name"]]["trainings"]["values"][2] == row["accuracy"]["test"]


def test_with_fixed_validation_images_what_has_no_random_numbers_does_not_vary_over_trainings(probed):
    spread = _rows(probed["seeds"])
    assert [spread[name]["trainings"]["deviation"] for name in CLOSED] == [0, 0, 0]
    assert any(spread[name]["splits"]["deviation"] > 0 for name in CLOSED)
    assert "logistic, ridge and knn do not move" in probed["seeds"]["protocol"]


def test_mean_and_deviation_are_of_the_values_and_the_first_is_the_headline(probed):
    kept = next(row for row in probed["methods"] if row.get("kept"))
    rows = {**{row["name"]: row for row in probed["methods"]}, "best-probe": kept}
    for name, own in _rows(probed["seeds"]).items():
        for over in (own["splits"], own["trainings"]):
            assert over["values"][0] == rows[name]["accuracy"]["test"]
            assert over["mean"] == pytest.approx(np.mean(over["values"]))
            assert over["deviation"] == pytest.approx(np.sqrt(np.var(over["values"]) * 3 / 2))
    assert probed["seeds"]["split_seeds"] == probed["seeds"]["training_seeds"] == [0, 1, 2]


def test_the_spread_changes_neither_what_is_kept_nor_its_figures(validated, probed):
    words, home = validated
    kept = probed["head"]
    alone = _done("probe", words, "--folds", "0", home=home)
    assert "seeds" not in alone
    again = load_head(Path(alone["folder"]) / "head.npz")
    assert kept.recipe == again.recipe
    for name, array in again.classifier.arrays.items():
        np.testing.assert_array_equal(kept.classifier.arrays[name], array)
    timeless = [{**row, "seconds": {}} for row in alone["methods"]]
    assert timeless == [{**row, "seconds": {}} for row in probed["methods"]]


def test_every_run_is_a_look_at_the_images_it_scores(validated, tmp_path):
    words, home = validated
    settings = words[3::2]
    study = open_study(load_experiment("natural-images", settings), home, "compare")
    ledger = home / "test-looks.jsonl"
    before = ledger.read_text().splitlines() if ledger.exists() else []
    seeds, first = seeds_of(study, 3), _present("head")
    spread_details(seeds, _head, first)
    looks = [json.loads(line) for line in ledger.read_text().splitlines()[len(before) :]]
    assert {line["command"] for line in looks} == {"compare"}
    assert len({line["images"] for line in looks}) == 3  # those of two other splits, and those of both trainings
    assert not (study.folder / "seeds").exists()


@pytest.mark.slow
def test_the_table_and_the_page_show_a_line_for_each_method(validated):
    words, home = validated
    done = invoke(
        "compare", *words, "--folds", "0", "--set", "compare.methods=ridge,convnet-small", "--seeds", "2", home=home
    )
    assert done.exit_code == 0, done.stderr
    table = done.stdout.partition("The spread of top-1 accuracy:")[2]
    assert "over 2 splits: mean" in table
    assert "over 2 trainings: mean" in table
    shown = [line.split()[0] for line in table.splitlines()[2:4]]
    assert shown == ["ridge@block5c_add", "convnet-small"]
    said = " ".join(table.split())
    assert "not for choosing a seed" in said
    assert "has a standard deviation of" in said
    page = (home / "runs" / "natural-images" / "report" / "report.html").read_text()
    assert "Spread over seeds (compare): top-1 accuracy" in page
    result = json.loads((home / "runs" / "natural-images" / "compare" / "result.json").read_text())
    assert "bottleneck compare --seeds 2 -e natural-images" in page

    other = (*words, "--set", "dataset.split_seed=1", "--set", "compare.methods=ridge,convnet-small")
    _done("features", other, home=home)
    alone = _done("compare", other, "--folds", "0", home=home)
    found = {name: row["splits"]["values"][1] for name, row in _rows(result["seeds"]).items()}
    assert found == {
        row["name"].replace("ridge", "ridge@block5c_add"): row["accuracy"]["test"] for row in alone["methods"]
    }


def _opened(path: Path, home: Path, *others: str) -> Dataset:
    return open_dataset(load_experiment("natural-images", _settings(path, *others)), home)


@pytest.mark.parametrize("group", ["", "[0-9](?=\\.png)"])
def test_a_data_set_drawn_anew_is_the_one_that_its_seed_opens(tmp_path, group):
    path = _written(tmp_path / "pictures")
    others = ("dataset.test_fraction=0.3", *([f"dataset.group={group}"] if group else []))
    first = _opened(path, tmp_path, *others)
    for seed in (0, 5):
        there, drawn = _opened(path, tmp_path, *others, f"dataset.split_seed={seed}"), first.redrawn(seed)
        assert bool(there.groups) == bool(drawn.groups) == bool(group)
        for split, samples in there.splits.items():
            every = np.arange(len(samples))
            assert samples.ids.tolist() == drawn.splits[split].ids.tolist()
            np.testing.assert_array_equal(samples.labels, drawn.splits[split].labels)
            np.testing.assert_array_equal(there.images(split, every[::-1]), drawn.images(split, every[::-1]))
            assert (there.contents(split, every) == drawn.contents(split, every)).all()
            assert there.fingerprint(split) == drawn.fingerprint(split)
            assert there.origin(split, 3).sha256 == drawn.origin(split, 3).sha256
            if group:
                assert there.groups[split].tolist() == drawn.groups[split].tolist()


def test_trainings_of_networks_on_other_splits_are_never_taken_for_one_another(validated):
    words, home = validated
    study = open_study(load_experiment("natural-images", words[3::2]), home, "compare")
    assert len({json.dumps(study.redrawn(seed).identity, sort_keys=True) for seed in range(3)}) == 3
    assert study.redrawn(1).cache_key == study.cache_key


def test_what_an_interrupted_run_has_scored_is_not_made_again(validated, monkeypatch):
    words, home = validated
    study = open_study(load_experiment("natural-images", words[3::2]), home, "compare")
    made: list[int] = []

    def stopped(own: Study) -> dict[str, Any]:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(own.experiment.seed)
        return _head(own)

    with pytest.raises(KeyboardInterrupt):
        spread_details(seeds_of(study, 3), stopped, _present("head"))
    found = spread_details(
        seeds_of(study, 3), lambda own: made.append(own.experiment.seed) or _head(own), _present("head")
    )
    assert made == [0, 0, 1, 2]
    assert found == spread_details(seeds_of(study, 3), _head, _present("head"))


def _head(study: Study) -> dict[str, Any]:
    return {"head": fit_head(study, study.cache.layers[-1:])}


def _present(name: str) -> dict[str, Method]:
    return {name: Method(name, (), 1, {"test": Score(0.5, 0.4, 0.6, 10)}, {})}


def test_the_largest_seed_is_followed_by_the_first(validated):
    words, home = validated
    settings = (*words[3::2], f"seed={LARGEST_SEED}", f"dataset.split_seed={LARGEST_SEED}")
    study = open_study(load_experiment("natural-images", words[3::2]), home, "probe")
    cache = study.cache
    study = replace(study, experiment=load_experiment("natural-images", settings))
    study.__dict__.update(cache=cache, identity=cache.identity)
    found = seeds_of(study, 3)
    assert found.trainings == found.splits == (LARGEST_SEED, 0, 1)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--seeds", "1"), "seeds takes 2 or more: one figure has no spread. Received: 1"),
        (("--seeds", "0"), "--seeds"),
    ],
)
@pytest.mark.parametrize("command", ["probe", "compare"])
def test_one_seed_is_no_spread(extracted, command, words, expected):
    done = invoke(command, *SMALL, *words, home=extracted)
    assert done.exit_code == 2
    assert expected in done.stderr


def test_splits_that_came_with_the_data_or_are_limited_are_said_to_stay(extracted):
    study = open_study(load_experiment("digits", (*SMALL[3::2], "head.epochs=2")), extracted, "probe")
    found = seeds_of(study, 2)
    assert (found.splits, found.trainings) == ((), (0, 1))
    details = spread_details(found, _head, _present("head"))
    assert details["not_redrawn"] == "The test split came with the data, so it is not drawn anew."
    assert details["protocol"].startswith(details["not_redrawn"])
    assert details["split_seeds"] == []
    assert _rows(details)["head"]["splits"] is None


def test_a_limited_data_set_says_that_its_splits_could_be_drawn_without_the_limit(tmp_path):
    path = _written(tmp_path / "pictures")
    limited = _opened(path, tmp_path, "dataset.test_fraction=0.3", "dataset.limit=40")
    assert not limited.redrawable
    assert "dataset.limit" in spreads.why_not_redrawn(limited)


def test_without_test_images_the_way_to_a_spread_is_named(tmp_path):
    words = _words(_settings(_written(tmp_path / "pictures")))
    _done("features", words, home=tmp_path)
    done = invoke("probe", *words, "--seeds", "3", home=tmp_path)
    assert done.exit_code == 2
    assert "--seeds scores test images, and pictures (160 image files) has none" in done.stderr
    assert "--folds 5 --repeats 10" in done.stderr
    assert "dataset.test_fraction=0.2" in done.stderr


@pytest.mark.parametrize(
    ("what", "named"), [("redrawn", r"dataset\.split_seed=1 too\. none"), ("with_seed", r"seed=1 too\. none")]
)
def test_a_split_that_cannot_be_drawn_is_named_by_its_seed_before_anything_is_trained(validated, what, named):
    words, home = validated
    study = open_study(load_experiment("natural-images", words[3::2]), home, "probe")

    def refused(seed: int) -> Study:
        raise RequestError("none")

    study.__dict__[what] = refused
    with pytest.raises(RequestError, match=named):
        seeds_of(study, 2)
