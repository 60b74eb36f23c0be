"""The probe as a user runs it: a table chosen on validation images, one look at the test images, a head that predicts."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commandline import SMALL, invoke
from trained import target_of, trained_method

from bottleneck_features.features import open_features
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.evaluation.duplicates import Duplicates
from bottleneck_features.pipeline.evaluation.evaluation_set import EvaluationSet
from bottleneck_features.pipeline.evaluation.scores import score_counts
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods.classifier import Classifier
from bottleneck_features.pipeline.methods.layer_rows import LayerRows, layer_sets
from bottleneck_features.pipeline.methods.saved_head import load_head, save_head

SHORT = ("--set", "head.epochs=3")
SETS = ["block3b_add", "block5c_add", "top_activation", "block5c_add + top_activation"]


@pytest.fixture(scope="module")
def probed(extracted):
    """The result object of a probe of 120 digits."""
    done = invoke("probe", *SMALL, *SHORT, "--json", home=extracted)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_every_family_is_tried_on_every_layer_and_the_joined_ones(probed):
    tried = {(row["name"], " + ".join(row["layers"])) for row in probed["table"]}
    joined = [*SETS, "block3b_add + block5c_add + top_activation"]
    assert tried == {(family, layers) for family in ("logistic", "ridge", "knn") for layers in joined} | {
        ("head", layers) for layers in SETS[:3]
    }
    ranks = [row["accuracy"]["validation"] for row in probed["table"]]
    assert ranks[1:] == sorted(ranks[1:], reverse=True)


def test_only_the_best_of_each_family_sees_the_test_images_and_once(probed):
    assert probed["test_scorings"] == 4
    assert all(row["accuracy"]["test"] is None for row in probed["table"])
    for method in probed["methods"]:
        assert method["n"]["test"] == 120
        rivals = [row["accuracy"]["validation"] for row in probed["table"] if row["name"] == method["name"]]
        assert method["accuracy"]["validation"] == max(rivals)
    assert len(probed["pairs"]) == 6


def test_every_l2_value_of_every_path_was_computed_and_the_best_is_marked(probed):
    linear = [path for path in probed["paths"] if path["family"] != "knn"]
    assert {len(path["l2"]) for path in linear} == {45}
    for path in probed["paths"]:
        values = path["k"] if path["family"] == "knn" else path["l2"]
        assert path["accuracy"][values.index(path["chosen"])] == max(path["accuracy"])


def test_the_saved_head_predicts_what_was_scored(probed, extracted):
    head = load_head(Path(probed["files"][0]))
    (folder,) = (extracted / "features").iterdir()
    test = open_features(folder)["test"]
    rows = np.concatenate([test.features[layer][:] for layer in head.recipe["layers"]], axis=1)
    probabilities = head.probabilities(rows)
    best = probed["methods"][0]
    assert head.recipe["method"] == best["name"]
    assert (probabilities.argmax(axis=1) == test.y).mean() == best["accuracy"]["test"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert head.recipe["temperature"] == probed["calibration"]["temperature"]
    assert head.recipe["accuracy"] == best["accuracy"]
    assert head.recipe["cache_identity"]["input.size"] == [32, 32]


def test_the_table_and_the_pictures_are_shown(extracted):
    done = invoke("probe", *SMALL, *SHORT, "--all", home=extracted)
    assert done.exit_code == 0, done.output
    for words in (
        "l2 = ",
        "k = ",
        "best epoch",
        "block5c_add+top_activation",
        "exact McNemar p =",
        "calibration: expected error",
    ):
        assert words in done.stdout
    folder = extracted / "runs" / "digits" / "probe"
    assert {file.name for file in folder.iterdir()} == {
        "result.json",
        "head.npz",
        *(f"head-{family}.npz" for family in ("head", "logistic", "ridge", "knn")),
        "predictions.npz",
        "paths.png",
        "depth.png",
        "network",
    }


def test_fits_that_stopped_early_are_said_in_words(extracted, monkeypatch):
    monkeypatch.setattr("bottleneck_features.models.logistic.STEPS", 0)
    done = invoke("probe", *SMALL, "--set", "head.epochs=1", home=extracted)
    assert done.exit_code == 0, done.output
    assert re.search(r"^! The logistic regression with l2 = \S+ stopped before its optimum:", done.stderr, re.MULTILINE)
    assert "ConvergenceWarning" not in done.stderr


def test_without_a_cache_the_next_command_is_named(tmp_path):
    done = invoke("probe", *SMALL, home=tmp_path)
    assert done.exit_code == 2
    assert "Type first: bottleneck features -e digits" in done.stderr


def test_test_images_are_refused_to_a_method_that_saw_them():
    final = EvaluationSet(
        target_of(), np.array([0, 1, 1]), Subset("test", np.arange(3)), Duplicates((), np.zeros(3, bool), "")
    )
    method = Method("head", (), 0, {"validation": score_counts(1, 2)}, {})
    assert final.score(trained_method(method, lambda part: np.eye(2)[[0] * len(part)])).scores[
        "test"
    ].accuracy == pytest.approx(1 / 3)
    with pytest.raises(PipelineError, match="'head' was already scored"):
        final.score(trained_method(method, lambda part: np.eye(2)[[1] * len(part)]))
    assert final.scorings == 1


def test_a_method_is_scored_without_the_images_that_were_learned_from_too():
    seen = Duplicates((), np.array([True, False, False]), "")
    final = EvaluationSet(target_of(), np.array([0, 1, 1]), Subset("test", np.arange(3)), seen)
    method = final.score(trained_method(Method("head", (), 0, {}, {}), lambda part: np.eye(2)[[0, 1, 0]]))
    assert method.scores["test"].accuracy == pytest.approx(2 / 3)
    assert method.scores["without_duplicates"].accuracy == 0.5


def test_without_a_test_split_no_test_score_is_made_up():
    final = EvaluationSet(
        target_of(), np.array([0, 1]), Subset("train", np.array([4, 7])), Duplicates((), np.zeros(2, bool), "")
    )
    method = Method("head", (), 0, {"validation": score_counts(1, 2)}, {})
    assert final.score(trained_method(method, lambda part: np.eye(2)[[0] * len(part)])) == method
    assert final.kind == "validation"


class _Views:
    """Two splits of 5 samples, 2 views each, a spatial map of 2×3 positions and a flat layer."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.identity = {"input.views": ["identity", "hflip"]}
        self.maps = {split: random.normal(size=(5, 2, 2, 3, 4)).astype(np.float16) for split in ("train", "validation")}
        self.flat = {split: random.normal(size=(5, 2, 3)).astype(np.float16) for split in ("train", "validation")}

    def __getitem__(self, split):
        one = type("Split", (), {})()
        one.features, one.y = {"maps": self.maps[split], "flat": self.flat[split]}, np.arange(5)
        return one


@pytest.mark.parametrize("cut", [slice(0, 8), slice(1, 2), slice(3, 7), slice(5, 8)])
def test_rows_hold_layers_side_by_side_views_one_after_the_other_and_maps_averaged(cut):
    cache = _Views()
    parts = Subset("train", np.array([1, 3])), Subset("validation", np.array([0, 4]))
    rows = LayerRows(cache, ("maps", "flat"), *parts)
    expected = np.concatenate(
        [
            np.concatenate(
                [cache.maps[part.split].astype(np.float32).mean(axis=(2, 3)), cache.flat[part.split]], axis=2
            )[part.indices].reshape(-1, 7)
            for part in parts
        ]
    )
    assert rows.shape == (8, 7)
    assert rows.labels.tolist() == [1, 3, 0, 4]
    np.testing.assert_allclose(rows[cut], expected[cut], atol=1e-3)


@pytest.mark.parametrize(("layers", "count"), [(("a",), 1), (("a", "b"), 3), (("a", "b", "c"), 5)])
def test_layers_are_joined_where_there_are_several(layers, count):
    assert len(layer_sets(layers)) == len(set(layer_sets(layers))) == count


def test_a_head_of_neighbours_keeps_its_rows(probed, tmp_path):
    head = load_head(Path(probed["files"][0]))
    rows = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float16)
    arrays = {"mean": np.zeros(4), "scale": np.ones(4), "rows": rows, "labels": np.arange(6) % 2, "k": np.array(1)}
    novelty = replace(head.novelty, rows=head.novelty.rows[:, :4])
    neighbours = replace(head, classifier=Classifier(arrays, 10), novelty=novelty)
    kept = load_head(save_head(neighbours, tmp_path / "head.npz"))
    probabilities = kept.probabilities(rows.astype(np.float32))
    assert (probabilities.argmax(axis=1) == np.arange(6) % 2).all()
    assert probabilities.min() > 0


def test_what_is_no_head_is_refused_by_name(tmp_path):
    with pytest.raises(RequestError, match=r"no head .*nowhere\.npz"):
        load_head(tmp_path / "nowhere.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(RequestError, match=r"text\.npz.* is not a head"):
        load_head(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", rows=np.zeros(3))
    with pytest.raises(RequestError, match=r"other\.npz.* is not a head"):
        load_head(tmp_path / "other.npz")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_truncated_head_is_refused_by_name(probed, tmp_path, share):
    whole = Path(probed["files"][0]).read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(RequestError, match=r"half\.npz.* is truncated"):
        load_head(tmp_path / "half.npz")


def test_a_head_of_another_format_or_without_a_part_says_to_probe_again(probed, tmp_path):
    with np.load(Path(probed["files"][0])) as content:
        arrays = dict(content)
    np.savez(tmp_path / "old.npz", **{**arrays, "recipe": np.array('{"format": 1}')})
    with pytest.raises(RequestError, match=r"old\.npz.* has format 1, not 3\. Probe"):
        load_head(tmp_path / "old.npz")
    del arrays["seen_rows"]
    np.savez(tmp_path / "less.npz", **arrays)
    with pytest.raises(RequestError, match=r"less\.npz.* lacks 'seen_rows'"):
        load_head(tmp_path / "less.npz")


def test_a_cache_with_views_is_probed_by_averaging_them(tmp_path):
    words = (*SMALL, "--set", "input.views=identity,hflip", "--set", "backbone.layers=block3b_add", *SHORT)
    assert invoke("features", *words, home=tmp_path).exit_code == 0
    done = invoke("probe", *words, "--json", home=tmp_path)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert {method["n"]["validation"] for method in result["methods"]} == {24}
    assert {method["n"]["test"] for method in result["methods"]} == {120}
