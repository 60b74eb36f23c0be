from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from bottleneck_features.pipeline.evaluation.calibration import (
    calibrate,
    fit_temperature,
    reliability,
    with_temperature,
)
from bottleneck_features.pipeline.plots import reliability_diagram, save_figure
from bottleneck_features.pipeline.tables import calibration_sentence


def _labels_of_their_probabilities(n: int, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(0, spread, (n, 10)), axis=1)
    labels = (probabilities.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return labels, probabilities


def test_the_expected_calibration_error_is_the_weighted_gap_between_confidence_and_accuracy():
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.4, 0.6]] * 6)
    labels = np.array([0, 0, 1, 1] + [1] * 6)
    measured = reliability(labels, probabilities)
    assert measured.expected_error == pytest.approx(0.4 * abs(0.5 - 0.9) + 0.6 * abs(1.0 - 0.6))
    assert measured.counts[[8, 13]].tolist() == [6, 4]
    assert np.isnan(measured.accuracy[0])
    assert measured.as_json()["bins"]["accuracy"][0] is None


def test_probabilities_that_are_true_have_almost_no_calibration_error():
    measured = reliability(*_labels_of_their_probabilities(20000))
    assert measured.expected_error < 0.015
    assert measured.equal_mass_error < 0.015


def test_the_temperature_that_was_applied_is_found_again():
    labels, probabilities = _labels_of_their_probabilities(20000)
    overconfident = with_temperature(probabilities, 0.5)
    assert fit_temperature(labels, overconfident) == pytest.approx(2.0, rel=0.03)
    assert np.array_equal(overconfident.argmax(axis=1), probabilities.argmax(axis=1))


def test_a_probability_of_zero_for_the_right_class_is_no_obstacle():
    calibration = calibrate((np.array([0, 1, 1]), np.eye(2)[[0, 1, 0]]), (np.array([0, 1]), np.eye(2)), True)
    assert np.isfinite([calibration.temperature, calibration.before.log_loss, calibration.after.log_loss]).all()


def test_the_temperature_sees_validation_images_only():
    labels, probabilities = _labels_of_their_probabilities(2000)
    half = (labels[:1000], probabilities[:1000])
    shuffled = np.random.default_rng(1).permutation(labels[1000:])
    first = calibrate(half, (labels[1000:], probabilities[1000:]), True)
    second = calibrate(half, (shuffled, probabilities[1000:]), True)
    assert first.temperature == second.temperature
    assert first.before.expected_error != second.before.expected_error


def test_scaling_mends_an_overconfident_classifier_of_real_digits_on_images_it_was_not_fitted_on(tmp_path):
    x, y = load_digits(return_X_y=True)
    x = x + np.random.default_rng(0).normal(0, 6, x.shape)
    model = LogisticRegression(C=100, max_iter=3000).fit(x[:300], y[:300])
    parts = [(y[part], model.predict_proba(x[part])) for part in (slice(300, 1000), slice(1000, None))]
    calibration = calibrate(*parts, held_out=True)
    assert calibration.temperature > 1.5
    assert calibration.after.expected_error < 0.5 * calibration.before.expected_error
    assert calibration.after.log_loss < calibration.before.log_loss
    diagram = reliability_diagram(calibration.as_json(), "digits with noise")
    with Image.open(save_figure(diagram, tmp_path / "reliability.png")) as picture:
        assert picture.format == "PNG"


def test_equal_confidences_give_the_same_error_in_any_order():
    labels = np.tile([0, 0, 0, 1], 150)  # three of four right at a confidence of three quarters
    probabilities = np.tile([0.75, 0.25], (600, 1))
    order = np.argsort(labels, kind="stable")
    for chosen in (slice(None), order, order[::-1]):
        assert reliability(labels[chosen], probabilities).equal_mass_error == pytest.approx(0, abs=1e-12)


def test_a_temperature_that_makes_test_images_worse_is_said_to():
    validation, test = np.zeros(100, int), np.tile([0, 0, 0, 1], 25)
    probabilities = np.tile([0.75, 0.25], (100, 1))
    calibration = calibrate((validation, probabilities), (test, probabilities), held_out=True).as_json()
    said = calibration_sentence(calibration)
    assert "made it worse: the temperature of the validation images does not suit the test images" in said
    folded = replace(
        calibrate((test, probabilities), (test, probabilities), held_out=False), fitted_on="cross_validated"
    )
    content = {**folded.as_json(), "after": {**folded.as_json()["after"], "expected_calibration_error": 0.5}}
    assert "made it worse: a temperature minimises the log loss, not this error" in calibration_sentence(content)
    assert "from 40 images only" in calibration_sentence({**content, "fitted_images": 40})
    too_sure = (test, np.tile([0.9, 0.1], (100, 1)))
    assert "worse" not in calibration_sentence(calibrate(too_sure, too_sure, held_out=True).as_json())


@pytest.mark.parametrize("held_out", [True, False])
def test_a_temperature_of_few_validation_images_says_of_how_many(held_out):
    labels, probabilities = _labels_of_their_probabilities(300)
    for n, few in ((49, True), (50, False)):
        calibration = calibrate((labels[:n], probabilities[:n]), (labels, probabilities), held_out)
        content = calibration.as_json()
        assert content["fitted_images"] == n
        assert (f", from {n} validation images only;" in calibration_sentence(content)) == few
