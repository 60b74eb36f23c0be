"""Two classes of which one is rare, from pictures to predictions: what decides, what is said, and the threshold."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import invoke
from hypothesis import given, settings
from hypothesis import strategies as st
from imagefiles import encoded, picture, write
from sklearn.metrics import balanced_accuracy_score, f1_score

from bottleneck_features.models.probabilities import decide
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.target import class_target
from bottleneck_features.pipeline.evaluation.thresholds import (
    best_threshold,
    log_odds_of,
    moved_threshold,
    reached_at_best,
    spread_of,
)
from bottleneck_features.pipeline.experiment import ScoreSettings
from bottleneck_features.pipeline.methods import probe_search

COUNTS = {"common": 270, "rare": 30}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Grey pictures, the rare ones a little redder: some cannot be told apart."""
    root, random = tmp_path_factory.mktemp("unequal"), np.random.default_rng(0)
    for name, count in COUNTS.items():
        for number in range(count):
            red = int(random.normal(126 if name == "rare" else 118, 4))
            write(root / name / f"{number}.jpg", encoded(picture(number + 1000 * len(name), (red, 120, 120), (32, 32))))
    return root


@pytest.fixture(scope="module")
def words(folder) -> tuple[str, ...]:
    chosen = (
        f"dataset.path={folder}", "dataset.test_fraction=0.4", "input.size=32,32", "backbone.name=efficientnet-lite0",
        "backbone.layers=block3b_add", "head.epochs=3",
    )  # fmt: skip
    return ("-e", "natural-images", *(word for one in chosen for word in ("--set", one)))


@pytest.fixture(scope="module")
def home(words, tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    assert invoke("features", *words, home=home).exit_code == 0
    return home


@pytest.fixture(scope="module")
def probed(words, home) -> dict[str, Any]:
    done = invoke("probe", *words, "--json", home=home)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_balanced_accuracy_decides_and_the_result_says_why(probed):
    assert probed["select"] == "balanced-accuracy"
    assert "the rarest class has" in probed["select_reason"]
    kept = probed["methods"][0]
    assert kept["kept"]
    assert kept["threshold"] is not None
    assert kept["majority"]["test"] > 0.8
    for split in ("validation", "test"):
        low, high = kept["balanced_accuracy_interval"][split]
        assert low < kept["balanced_accuracy"][split] < high
    assert kept["worst_recall"]["test"] > 0.4
    assert {"auroc", "average_precision", "macro_f1"} <= kept.keys()
    assert len(probed["curves"]) == len(probed["methods"])


def test_what_the_majority_gets_is_in_the_first_lines(words, home):
    done = invoke("probe", *words, home=home)
    first = " ".join(done.stdout.partition("\n\n")[0].split())
    for words_ in (
        "always answering the most frequent class gets",
        "balanced accuracy",
        "recall",
        "decided by balanced accuracy",
    ):
        assert words_ in first


def test_a_model_answers_at_its_threshold_and_at_another_one(words, home, probed, folder):
    def answers(*options: str) -> dict[str, str]:
        done = invoke("predict", "-e", "natural-images", str(folder), *options, home=home)
        assert done.exit_code == 0, done.output
        return {row["file"]: row["label"] for row in csv.DictReader(io.StringIO(done.stdout))}

    own = answers()
    model = json.loads((home / "runs" / "natural-images" / "predict" / "result.json").read_text())
    assert 0 < model["threshold"] < 1
    everything, nothing = answers("--threshold", "0"), answers("--threshold", "1")
    assert set(everything.values()) == {"rare"}
    assert "rare" not in nothing.values()
    assert 0 < sum(label == "rare" for label in own.values()) < len(own)


@pytest.mark.slow
def test_the_code_of_the_model_card_answers_at_the_threshold(words, home, probed, folder, tmp_path):
    done = invoke("export", "-e", "natural-images", "--model", "probe:ridge", "--to", str(tmp_path), home=home)
    assert done.exit_code == 0, done.output
    predicted = ("predict", "-e", "natural-images", str(folder / "rare"), "--model", "probe:ridge")
    rows = list(csv.DictReader(io.StringIO(invoke(*predicted, home=home).stdout)))
    less_probable = next(row for row in rows if row["label"] == "rare" and float(row["probability"]) < 0.5)
    shutil.copy(less_probable["file"], tmp_path / "picture.jpg")
    code = "".join(re.findall(r"```python\n(.*?)```", (tmp_path / "model-card.md").read_text(), re.DOTALL))
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.split()[-1] == "rare"


def test_every_family_s_model_can_be_used(words, home, probed, folder):
    for family in ("ridge", "logistic", "knn", "head"):
        one = str(folder / "rare" / "0.jpg")
        done = invoke("predict", "-e", "natural-images", one, "--model", f"probe:{family}", "--json", home=home)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["model"]["method"] == family


@pytest.mark.parametrize("mode", [(), ("--folds", "5", "--repeats", "1", "--set", "dataset.test_fraction=0")])
def test_a_penalty_so_strong_that_all_probabilities_are_nearly_the_same_keeps_its_threshold(
    words, home, folder, tmp_path, monkeypatch, mode
):
    monkeypatch.setattr(probe_search, "L2_VALUES", (1e4,))
    own, split = (tmp_path, "cross_validated") if mode else (home, "test")
    if mode:
        assert invoke("features", *words, *mode[4:], home=own).exit_code == 0
    done = invoke("probe", *words, *mode, "--json", home=own)
    assert done.exit_code == 0, done.output
    row = {row["name"]: row for row in json.loads(done.stdout)["methods"]}["logistic"]
    assert row["auroc"][split] > 0.75
    assert row["balanced_accuracy"][split] > 0.7
    one = ("predict", "-e", "natural-images", str(folder), "--model", "probe:logistic")
    answers = [row["label"] for row in csv.DictReader(io.StringIO(invoke(*one, home=own).stdout))]
    assert 20 < answers.count("rare") < 120  # 30 are; a threshold of another fit answers one class only


def test_balanced_weights_find_more_of_the_rare_class_at_the_same_threshold(words, home):
    recalls = {}
    for weight in ("none", "balanced"):
        done = invoke(
            "probe",
            *words,
            "--set",
            "score.select=accuracy",
            "--set",
            f"score.class_weight={weight}",
            "--json",
            home=home,
        )
        rows = {row["name"]: row for row in json.loads(done.stdout)["methods"]}
        recalls[weight] = rows["logistic"]["worst_recall"]["test"]
        assert rows["logistic"]["threshold"] is None
    assert recalls["balanced"] > recalls["none"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("score.class_weight.rar=2", "Nearest: rare"),
        (
            "score.class_weight.rare=-1",
            "Error: score.class_weight.rare: Input should be greater than 0. Received: -1.\n",
        ),
        (
            "score.class_weight.rare=x",
            "Error: score.class_weight.rare: Input should be a valid number. Received: 'x'.\n",
        ),
        (
            "score.class_weight=balance",
            "Error: score.class_weight: unknown value. Valid: 'none' or 'balanced' or a table such as {cat = 2.0}. "
            "Received: 'balance'.\n",
        ),
        ("score.select=balanced", "score.select: unknown value"),
    ],
)
def test_a_wrong_setting_is_named(words, home, setting, said):
    done = invoke("probe", *words, "--set", setting, home=home)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_criterion_of_two_classes_is_refused_for_three():
    with pytest.raises(RequestError, match=r"score\.select=auroc is for two classes, and there are 3"):
        class_target(("a", "b", "c"), np.array([0, 1, 2]), ScoreSettings(select="auroc"))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((76, 24), "balanced-accuracy"), ((74, 26), "accuracy"), ((40, 40, 13), "balanced-accuracy")],
)
def test_the_default_follows_the_rarest_class(counts, expected):
    labels = np.repeat(np.arange(len(counts)), counts)
    assert class_target(tuple("abc"[: len(counts)]), labels, ScoreSettings()).select == expected


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 60), st.sampled_from(["balanced-accuracy", "macro-f1"]))
def test_the_threshold_reaches_what_no_other_one_exceeds(seed, count, select):
    random = np.random.default_rng(seed)
    labels = np.r_[0, 1, random.integers(0, 2, count)]
    scores = random.integers(0, 8, len(labels)) / 8
    measure = balanced_accuracy_score if select == "balanced-accuracy" else partial(f1_score, average="macro")
    probabilities = np.stack([1 - scores, scores], axis=1)
    every = [measure(labels, decide(probabilities, one)) for one in np.linspace(0, 1.2, 49)]
    found = measure(labels, decide(probabilities, best_threshold(labels, scores, select)))
    assert found == pytest.approx(max(every))
    assert reached_at_best(labels, scores, select) == pytest.approx(max(every))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(1e-4, 5), st.floats(-5, 5))
def test_a_threshold_is_at_the_same_place_in_a_fit_that_is_shifted_and_stretched(seed, stretch, shift):
    before = np.random.default_rng(seed).normal(size=50)
    after = shift + stretch * before
    first, second = (np.stack([1 - p, p], axis=1) for p in (1 / (1 + np.exp(-before)), 1 / (1 + np.exp(-after))))
    threshold = best_threshold((before > 0.3).astype(int), first[:, 1], "balanced-accuracy")
    moved = moved_threshold(threshold, spread_of(log_odds_of(first)), spread_of(log_odds_of(second)))
    assert (decide(second, moved) == decide(first, threshold)).all()


def test_answers_that_are_all_the_same_have_no_spread_and_move_no_threshold():
    assert spread_of(np.zeros(5)) is None
    assert moved_threshold(0.3, None, spread_of(np.arange(5.0))) == 0.3
