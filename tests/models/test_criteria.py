"""Criteria are scikit-learn's figures, and searches choose by them; weights of classes are scikit-learn's too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.utils.class_weight import compute_class_weight

from bottleneck_features import models
from bottleneck_features.models.class_weights import class_weights
from bottleneck_features.models.criteria import CRITERIA, average_precision, criterion_named, default_criterion
from bottleneck_features.models.errors import InvalidSetting
from bottleneck_features.models.parallel import workers
from bottleneck_features.models.probes import (
    Coordinates,
    SettingPath,
    search_logistic,
    search_neighbours,
    search_ridge,
    training_coordinates,
)

SOME_L2 = tuple(10.0**power for power in range(3, -5, -1))


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), count=st.integers(2, 60))
def test_criteria_are_scikit_learns_figures(seed, classes, count):
    random = np.random.default_rng(seed)
    probabilities = random.integers(1, 6, (count, classes)).astype(float)  # few values: there are ties
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = random.integers(0, classes, count)
    predicted = probabilities.argmax(axis=1)
    expected = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced-accuracy": np.mean(metrics.recall_score(labels, predicted, average=None, labels=np.unique(labels))),
        "macro-f1": metrics.f1_score(labels, predicted, average="macro"),
        "log-loss": -metrics.log_loss(labels, probabilities, labels=range(classes)),
    }
    if classes == 2 and len(set(labels)) == 2:
        rarer = 0 if (labels == 0).sum() < (labels == 1).sum() else 1
        expected["auroc"] = metrics.roc_auc_score(labels, probabilities[:, 1])
        expected["average-precision"] = metrics.average_precision_score(labels == rarer, probabilities[:, rarer])
        for positive in (0, 1):
            theirs = metrics.average_precision_score(labels == positive, probabilities[:, positive])
            assert average_precision(probabilities, labels, positive) == theirs
    for name, value in expected.items():
        assert CRITERIA[name](probabilities, labels) == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("name", ["auroc", "average-precision"])
def test_what_is_for_two_classes_says_so(name):
    with pytest.raises(ValueError, match="is for two classes. Received: 3 classes"):
        CRITERIA[name](np.full((4, 3), 1 / 3), np.array([0, 1, 2, 0]))
    with pytest.raises(ValueError, match="needs samples of both classes. Received: 4 of class 1 only"):
        CRITERIA[name](np.full((4, 2), 1 / 2), np.ones(4, int))


def test_an_unknown_criterion_is_refused_with_the_names():
    with pytest.raises(InvalidSetting, match="'macro-f1'"):
        criterion_named("f1")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([24, 76], "balanced-accuracy"), ([25, 75], "accuracy"), ([10, 10, 3], "balanced-accuracy"), ([10, 10, 4], "accuracy"),
     ([5, 5, 0], "balanced-accuracy")],
)  # fmt: skip
def test_the_default_looks_at_the_rarest_class(counts, expected):
    assert default_criterion(np.repeat(np.arange(len(counts)), counts), len(counts)) == expected


def test_class_weights_are_scikit_learns():
    labels = np.array([0, 0, 0, 1, 2, 2])
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_array_equal(class_weights(labels, 3, "balanced"), balanced)
    assert class_weights(labels, 3, "none").tolist() == [1, 1, 1]
    assert class_weights(labels, 3, {1: 4}).tolist() == [1, 4, 1]
    assert class_weights(labels, 3, [1, 2, 3]).tolist() == [1, 2, 3]
    assert np.isfinite(class_weights(labels, 4, "balanced")).all(), "one class has no sample"


@pytest.mark.parametrize(
    ("how", "said"),
    [("even", "'balanced'"), ({3: 1.0}, "names class 3, but the classes are 0 … 2"), ([1.0, 2.0], "needs 3 weights"),
     ([1.0, 0.0, 1.0], "above 0"), ({0: float("inf")}, "above 0")],
)  # fmt: skip
def test_class_weights_that_are_none_are_refused(how, said):
    with pytest.raises(InvalidSetting, match=said):
        class_weights(np.array([0, 1, 2]), 3, how)


def _rare(count, features, apart):
    """Samples of which 10 % are of class 1, whose first three features are a little larger."""
    random = np.random.default_rng(0)
    labels = (random.random(count) < 0.1).astype(int)
    rows = random.normal(size=(count, features)).astype(np.float32)
    rows[:, :3] += apart * labels[:, None]
    return rows, labels


@pytest.fixture(scope="module")
def rare():
    return _rare(1000, features=12, apart=1.3)


@pytest.fixture(scope="module", params=["logistic", "ridge", "knn"])
def searched(request):
    """What each criterion makes of the same path, on few samples of many features."""
    rows, labels = _rare(650, features=100, apart=1.0)

    def search(criterion):
        with workers() as pool:
            train = training_coordinates(rows[:150], labels[:150], pool)
            held = Coordinates(train.basis, train.basis.rotate(rows[150:], pool), labels[150:])
            if request.param == "knn":
                return search_neighbours(train, held, 2, 40, pool, criterion=criterion)[0]
            find = search_logistic if request.param == "logistic" else search_ridge
            path, linear = find(train, held, 2, SOME_L2, pool, criterion=criterion)
            scores = held.rows @ linear.weights.T + linear.bias
            assert path.accuracy[path.best] == (scores.argmax(axis=1) == held.labels).mean(), "its weights are kept"
            return path

    return {name: search(criterion) for name, criterion in CRITERIA.items()}


def test_a_search_chooses_by_its_criterion(searched):
    for name, path in searched.items():
        assert path.criterion[path.best] == path.criterion.max(), name
        np.testing.assert_array_equal(path.accuracy, searched["accuracy"].accuracy)
    np.testing.assert_array_equal(searched["accuracy"].criterion, searched["accuracy"].accuracy)
    usual, fair = searched["accuracy"], searched["balanced-accuracy"]
    assert fair.criterion[usual.best] < fair.criterion[fair.best] - 0.05, "accuracy chooses what hardly finds class 1"


def test_among_equals_the_lowest_loss_decides_then_the_first():
    path = SettingPath("l2", np.arange(4.0), np.ones(4), np.array([0.1, 0.3, 0.2, 0.2]), np.array([0.5, 0.9, 0.9, 0.9]))
    assert path.chosen == 2.0


def test_the_estimator_chooses_by_its_criterion_and_finds_the_rare_class_with_weights(rare):
    rows, labels = rare
    names = np.array(["other", "cat"])[labels]
    plain = models.LogisticPath().fit(rows[:500], names[:500])
    fair = models.LogisticPath(criterion="balanced-accuracy", class_weight="balanced").fit(rows[:500], names[:500])
    recall = [metrics.recall_score(names[500:], one.predict(rows[500:]), pos_label="cat") for one in (plain, fair)]
    assert recall[1] > recall[0] + 0.15
    by_label = models.LogisticPath(l2=(1.0,), class_weight={"cat": 3.0, "other": 1.0}).fit(rows, names)
    by_sample = models.LogisticPath(l2=(1.0,)).fit(rows, names, sample_weight=1.0 + 2.0 * labels)
    np.testing.assert_array_equal(by_label.coef_, by_sample.coef_)
    with pytest.raises(ValueError, match="class_weight must be finite and above 0"):
        models.LogisticPath(class_weight={"cat": 0.0, "other": 1.0}).fit(rows, names)


def test_samples_of_weight_zero_are_left_out(rare):
    rows, labels = rare
    weights = np.where(np.arange(1000) < 600, 1.0, 0.0)
    without = models.LogisticPath(l2=(1.0,)).fit(rows[:600], labels[:600], sample_weight=np.ones(600))
    left_out = models.LogisticPath(l2=(1.0,)).fit(rows, labels, sample_weight=weights)
    np.testing.assert_array_equal(without.coef_, left_out.coef_)
