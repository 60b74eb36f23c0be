import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from scipy.stats import binom, ttest_1samp
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from bottleneck_features.pipeline.evaluation.calibration import (
    Calibration,
    Known,
    calibrate,
    fit_temperature,
    log_loss_change,
    needed_temperature,
    whole_temperature,
    with_temperature,
)
from bottleneck_features.pipeline.evaluation.reliability import reliability
from bottleneck_features.pipeline.plots import reliability_diagram, save_figure
from bottleneck_features.pipeline.tables import calibration_sentence, reliability_text


def _calibrated(validation, scored, held_out=True, temperature=whole_temperature) -> Calibration:
    return calibrate(Known(*validation), Known(*scored), held_out=held_out, temperature=temperature)


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
    calibration = _calibrated((np.array([0, 1, 1]), np.eye(2)[[0, 1, 0]]), (np.array([0, 1]), np.eye(2)), True)
    assert np.isfinite([calibration.temperature, calibration.before.log_loss, calibration.after.log_loss]).all()


def test_the_temperature_sees_validation_images_only():
    labels, probabilities = _labels_of_their_probabilities(2000)
    half = (labels[:1000], probabilities[:1000])
    shuffled = np.random.default_rng(1).permutation(labels[1000:])
    first = _calibrated(half, (labels[1000:], probabilities[1000:]), True)
    second = _calibrated(half, (shuffled, probabilities[1000:]), True)
    assert first.temperature == second.temperature
    assert first.before.expected_error != second.before.expected_error


def test_scaling_mends_an_overconfident_classifier_of_real_digits_on_images_it_was_not_fitted_on(tmp_path):
    x, y = load_digits(return_X_y=True)
    x = x + np.random.default_rng(0).normal(0, 6, x.shape)
    model = LogisticRegression(C=100, max_iter=3000).fit(x[:300], y[:300])
    parts = [(y[part], model.predict_proba(x[part])) for part in (slice(300, 1000), slice(1000, None))]
    calibration = _calibrated(*parts, held_out=True)
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


def test_few_images_of_a_perfect_classifier_show_an_error_that_is_called_noise():
    labels, probabilities = _labels_of_their_probabilities(157)
    measured = reliability(labels, probabilities)
    assert 0.07 < measured.noise < 0.11  # the mean gap of 15 bins of 157 draws from these confidences
    assert measured.expected_error < measured.noise_limit
    assert measured.interval[0] == 0
    assert "not to be told from a perfectly calibrated classifier, which would show" in reliability_text(
        measured.as_json()
    )
    overconfident = reliability(labels, with_temperature(probabilities, 0.2))
    assert overconfident.expected_error > overconfident.noise_limit
    assert 0 < overconfident.interval[0] < overconfident.expected_error < overconfident.interval[1]
    assert ", where a perfectly calibrated classifier would show" in reliability_text(overconfident.as_json())


def test_one_confidence_has_the_noise_of_a_binomial_share():
    probabilities = np.tile([0.7, 0.3], (50, 1))
    noise = reliability(np.zeros(50, int), probabilities).noise
    expected = np.sum(binom.pmf(np.arange(51), 50, 0.7) * np.abs(np.arange(51) / 50 - 0.7))
    assert noise == pytest.approx(expected, rel=0.1)


def test_images_that_are_there_four_times_are_no_better_known_than_once():
    labels, probabilities = _labels_of_their_probabilities(300)
    alone = reliability(labels, probabilities, np.arange(300))
    groups = np.repeat(np.arange(300), 4)
    together = reliability(np.repeat(labels, 4), np.repeat(probabilities, 4, axis=0), groups)
    assert together.noise == pytest.approx(alone.noise, rel=1e-6)
    assert together.interval == pytest.approx(alone.interval, abs=1e-6)
    assert reliability(np.repeat(labels, 4), np.repeat(probabilities, 4, axis=0)).noise < 0.6 * alone.noise


def test_better_and_worse_are_said_by_a_paired_test_of_the_log_loss_only():
    labels, probabilities = _labels_of_their_probabilities(400)
    worse = log_loss_change(labels, probabilities, with_temperature(probabilities, 3))
    gains = (
        np.log(probabilities)[np.arange(400), labels]
        - np.log(with_temperature(probabilities, 3))[np.arange(400), labels]
    )
    assert worse.p_value == pytest.approx(ttest_1samp(gains, 0).pvalue)
    assert (worse.low, worse.high) == pytest.approx(ttest_1samp(gains, 0).confidence_interval(0.95))
    assert 0 < worse.low < worse.value
    better = log_loss_change(labels, with_temperature(probabilities, 3), probabilities)
    assert better.value == pytest.approx(-worse.value)
    same = log_loss_change(labels, probabilities, probabilities)
    assert (same.value, same.p_value) == (0, 1)
    fewer = log_loss_change(labels, probabilities, with_temperature(probabilities, 3), np.arange(400) // 40)
    assert fewer.high - fewer.low > 1.1 * (worse.high - worse.low)


def test_the_sentence_claims_no_more_than_the_test_and_no_cause():
    labels, probabilities = _labels_of_their_probabilities(1000)
    part = labels[:500], with_temperature(probabilities[:500], 0.3)
    rest = labels[500:], with_temperature(probabilities[500:], 0.3)
    assert "It made the probabilities better (log loss -" in calibration_sentence(
        _calibrated(part, rest, True).as_json()
    )
    turned = labels[500:], with_temperature(probabilities[500:], 3.0)  # of other images, which are not overconfident
    said = calibration_sentence(_calibrated(part, turned, True).as_json())
    assert "It made the probabilities worse (log loss +" in said
    assert "not like" not in said
    level = _calibrated((labels[:500], probabilities[:500]), (labels[500:], probabilities[500:]), True)
    assert "Whether it made the probabilities better or worse cannot be told" in calibration_sentence(level.as_json())
    same = _calibrated(part, part, held_out=False).as_json()
    assert same["log_loss_change"] is None
    assert "better" not in calibration_sentence(same)
    assert "too optimistic" in calibration_sentence(same)


def test_a_temperature_is_taken_only_where_validation_images_show_that_one_is_needed(tmp_path):
    labels, probabilities = _labels_of_their_probabilities(4000)
    parts = [slice(start, start + 100) for start in range(0, 4000, 100)]
    found = [needed_temperature(Known(labels[part], probabilities[part])) for part in parts]
    assert sum(one != 1 for one in found) <= 5  # of 40, at 5 %
    overconfident = with_temperature(probabilities[:300], 0.4)
    assert 1.5 < needed_temperature(Known(labels[:300], overconfident)) < fit_temperature(labels[:300], overconfident)
    repeated = np.repeat(np.arange(20), 60)
    few = np.repeat(labels[:20], 60), np.repeat(with_temperature(probabilities[:20], 0.6), 60, axis=0)
    assert needed_temperature(Known(*few)) != 1
    assert needed_temperature(Known(*few, repeated)) == 1
    part = labels[200:300], probabilities[200:300]
    same = _calibrated(part, (labels[300:], probabilities[300:]), temperature=needed_temperature).as_json()
    assert (same["temperature"], same["before"], same["log_loss_change"]) == (1, same["after"], None)
    assert "The 100 validation images do not show that a temperature is needed" in calibration_sentence(same)
    assert len(reliability_diagram(same, "head").axes) == 2


def test_as_much_of_a_temperature_is_taken_as_its_likelihood_ratio_leaves():
    labels, probabilities = np.tile([0, 0, 0, 1], 25), np.tile([0.9, 0.1], (100, 1))
    fitted = fit_temperature(labels, probabilities)
    chance = 0.9 ** (1 / fitted) / (0.9 ** (1 / fitted) + 0.1 ** (1 / fitted))
    ratio = 2 * (75 * np.log(chance / 0.9) + 25 * np.log((1 - chance) / 0.1))
    assert needed_temperature(Known(labels, probabilities)) == pytest.approx(fitted ** (1 - 3.841459 / ratio), rel=1e-6)


def test_a_temperature_of_few_images_seldom_makes_many_others_worse():
    labels, probabilities = _labels_of_their_probabilities(20_000)
    probabilities, worse = with_temperature(probabilities, 0.8), 0
    for start in range(0, 10_000, 50):
        part = slice(start, start + 50)
        scaled = with_temperature(probabilities[10_000:], needed_temperature(Known(labels[part], probabilities[part])))
        change = log_loss_change(labels[10_000:], probabilities[10_000:], scaled)
        worse += change.p_value < 0.05 and change.value > 0
    assert worse <= 10  # of 200; with the temperatures that fit best where 1 is rejected there are more


def test_scores_that_are_no_probabilities_have_no_error_before_a_temperature_is_fitted(tmp_path):
    labels, probabilities = _labels_of_their_probabilities(300)
    content = _calibrated((labels, probabilities), (labels, probabilities), True).of_scores().as_json()
    assert content["before"] is None
    assert content["log_loss_change"] is None
    assert calibration_sentence(content).startswith(
        "calibration: its own scores are no probabilities. After temperature"
    )
    assert len(reliability_diagram(content, "ridge").axes) == 2


@pytest.mark.parametrize("held_out", [True, False])
def test_a_temperature_of_few_validation_images_says_of_how_many(held_out):
    labels, probabilities = _labels_of_their_probabilities(300)
    for n, few in ((49, True), (50, False)):
        calibration = _calibrated((labels[:n], probabilities[:n]), (labels, probabilities), held_out)
        content = calibration.as_json()
        assert content["fitted_images"] == n
        assert (f", from {n} validation images only)" in calibration_sentence(content)) == few
