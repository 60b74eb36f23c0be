"""Out-of-distribution images are told at a false-alarm rate that holds, or it is said that they cannot be told."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from commandline import invoke
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as some_arrays

import bottleneck_features as bf
from bottleneck_features.models.neighbours import kth_distances, kth_distances_to_other_groups
from bottleneck_features.pipeline.evaluation.study import open_data
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.methods.kept_head import _COMPARED, seen_images
from bottleneck_features.pipeline.methods.novelty import Novelty, learn_novelty
from bottleneck_features.pipeline.use.prediction import Prediction

LINE = np.array([[0.0], [1], [3], [7]], np.float32)


def of(apart: list[float], groups: list[int] | None = None) -> Novelty:
    own = np.array(range(len(apart)) if groups is None else groups, np.int32)
    return Novelty(np.ones((len(apart), 2), np.float16), own, np.array(apart, np.float32))


def test_the_kth_nearest_row_counts_and_of_fewer_rows_the_farthest():
    assert kth_distances(np.array([[2.0]], np.float32), LINE, 2).tolist() == [1]
    assert kth_distances(np.array([[2.0]], np.float32), LINE, 3).tolist() == [2]
    assert kth_distances(np.array([[2.0]], np.float32), LINE, 9).tolist() == [5]


@pytest.mark.parametrize(
    ("groups", "k", "expected"),
    [
        ([0, 1, 2, 3], 1, [1, 1, 2, 4]),
        ([0, 1, 2, 3], 2, [3, 2, 3, 6]),
        ([0, 0, 1, 1], 1, [3, 2, 2, 6]),
        ([0, 0, 1, 1], 5, [7, 6, 3, 7]),
        ([0, 0, 0, 1], 2, [7, 6, 4, 6]),
        ([0, 0, 0, 0], 1, [np.inf] * 4),
    ],
)
def test_rows_are_measured_to_those_of_other_groups(groups, k, expected):
    assert kth_distances_to_other_groups(LINE, LINE, np.array(groups), k).tolist() == expected


def test_more_rows_than_are_compared_at_a_time_are_each_measured():
    rows = np.random.default_rng(0).normal(size=(700, 3)).astype(np.float32)
    every = np.linalg.norm(rows[:, None].astype(float) - rows, axis=2)
    alone = kth_distances_to_other_groups(rows, rows, np.arange(700), 4)
    np.testing.assert_allclose(alone, np.sort(every, axis=1)[:, 4], rtol=1e-6)
    np.testing.assert_allclose(kth_distances(rows, rows, 5), np.sort(every, axis=1)[:, 4], rtol=1e-6)


def test_p_values_are_those_of_the_books():
    asked = np.array([0.5, 1, 2.5, 3, 4, 4.5], np.float32)
    assert of([3, 1, 4, 2]).p_values(asked).tolist() == [5 / 5, 5 / 5, 3 / 5, 3 / 5, 2 / 5, 1 / 5]


def test_a_large_group_counts_no_more_than_a_small_one():
    own = of([1, 3, 2, 9, 9, 9, 9], [0, 0, 1, 2, 2, 2, 2])
    assert own.count == 3
    assert own.p_values(np.array([2.5, 5, 10], np.float32)).tolist() == [(1 + 0.5 + 1) / 4, (1 + 1) / 4, 1 / 4]


def test_what_is_as_far_as_the_threshold_is_not_flagged():
    own = of([1, 2, 3, 3])
    assert own.threshold(0.2) == 3
    assert own.threshold(0.5) == 3
    assert own.threshold(0.6) == 2
    assert own.threshold(0.8) == 1
    assert own.threshold(0.19) is None


SOME = some_arrays(
    np.float32, st.integers(1, 30), elements=st.sampled_from([0.25, 0.5, 0.50000006, 1.0, 1.0000001, 1.5])
)


@given(SOME, SOME, st.integers(0, 3), st.integers(1, 99), st.randoms())
@settings(deadline=None)
def test_a_relative_distance_is_above_1_exactly_where_the_p_value_is_small_enough(apart, asked, seed, per_cent, random):
    own = of(apart.tolist(), np.unique(np.random.default_rng(seed).integers(0, 9, len(apart)), return_inverse=True)[1])
    limit, flagged = own.threshold(per_cent / 100), own.p_values(asked) <= per_cent / 100
    assert (own.warning(per_cent / 100) == "") == (limit is not None)
    if limit is None:
        assert not flagged.any()
    else:
        assert ((asked / np.float64(limit) > 1) == flagged).all()
        rows = [Prediction("a", (("b", 1.0),), float(one)) for one in asked / np.float64(limit)]
        assert [one.row(1)[3] for one in rows] == ["yes" if one else "no" for one in flagged]
        assert [float(one.row(1)[4]) > 1 for one in rows] == [one.as_json()["distance"] > 1 for one in rows]
        assert [float(one.row(1)[4]) > 1 for one in rows] == flagged.tolist()


def test_the_smallest_number_of_images_for_a_rate_is_1_less_than_1_over_it():
    assert of(list(range(1, 20))).threshold(0.05) == 19
    few = of(list(range(1, 19)))
    assert few.threshold(0.05) is None
    assert few.warning(0.05) == (
        "`unlike` is not known: the model has seen 18 images, so the smallest p-value is 1 / 19. A false-alarm rate of 0.05 "
        "needs 19 images."
    )


def test_of_images_in_groups_the_groups_count():
    own = of([1.0] * 90, np.repeat(np.arange(9), 10))
    assert own.threshold(0.1) == 1
    assert own.threshold(0.09) is None
    assert "seen 90 images in 9 groups, so the smallest p-value is 1 / 10. " in own.warning(0.09)
    assert own.warning(0.09).endswith("needs 11 groups.")
    one = of([np.inf] * 5, [0] * 5)
    assert one.threshold(0.9) is None
    assert "the 5 images that the model has seen are one group" in one.warning(0.9)


def test_pictures_that_are_there_several_times_do_not_look_near_to_themselves():
    rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    once = learn_novelty(rows, np.arange(40))
    often = learn_novelty(np.repeat(rows, 6, axis=0), np.repeat(np.arange(40), 6))
    assert (often.count, often.apart.min() > 0.1) == (40, True)
    assert learn_novelty(np.repeat(rows, 6, axis=0), np.arange(240)).apart.max() < 1e-3 < once.apart.min()


@pytest.mark.parametrize("images", [1, 4])
def test_false_alarms_are_as_many_as_was_asked_for(images):
    """200 groups around their own centres, of as many images each; new ones are from the same source."""
    random, found = np.random.default_rng(0), []
    for _ in range(20):
        centres = random.normal(size=(400, 5)) * random.gamma(1, size=(400, 1))
        rows = (np.repeat(centres, images, axis=0) + random.normal(size=(400 * images, 5)) / 3).astype(np.float32)
        own = learn_novelty(rows[: 200 * images], np.repeat(np.arange(200), images))
        found.append(np.mean(own.distances(rows[200 * images :]) > own.threshold(0.05)))
    assert 0.03 <= np.mean(found) <= 0.06


def test_groups_and_copies_are_kept_together_across_training_and_validation(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 20, 20, 3), np.uint8)
    pixels[15] = pixels[2]  # of another group
    labels, groups = np.arange(12) % 2, np.array(list("aabbccddeeff"))
    np.savez(
        tmp_path / "own.npz",
        **{"x_train": pixels[:12], "y_train": labels, "groups_train": groups},
        **{"x_val": pixels[12:], "y_val": labels[:4], "groups_val": np.array(list("fggh"))},
    )
    experiment = load_experiment("folder", ("dataset.source=npz", f"dataset.path={tmp_path / 'own.npz'}"))
    study = open_data(experiment, tmp_path, "probe")
    seen = seen_images(study)
    assert [(part.split, len(part)) for part in seen.parts] == [("train", 12), ("validation", 4)]
    together = [np.flatnonzero(seen.units == unit).tolist() for unit in np.unique(seen.units)]
    assert sorted(together) == [[0, 1], [2, 3, 15], [4, 5], [6, 7], [8, 9], [10, 11, 12], [13, 14]]


def test_a_bounded_number_of_images_is_kept_the_same_every_time(tmp_path, monkeypatch):
    monkeypatch.setattr("bottleneck_features.pipeline.methods.kept_head._COMPARED", 100)
    studies = [open_data(load_experiment("digits", (f"seed={seed}",)), tmp_path, "probe") for seed in (0, 3)]
    first, again = map(seen_images, studies)
    assert [len(part) for part in first.parts] == [100]
    assert first.parts[0].indices.tolist() == again.parts[0].indices.tolist() == sorted(set(first.parts[0].indices))
    assert _COMPARED == 5_000


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[str]:
    from PIL import Image

    from bottleneck_features.pipeline.datasets.sources.embedded import digits

    folder = tmp_path_factory.mktemp("files")
    for place, image in enumerate(digits().images("test", np.arange(30))):
        Image.fromarray(image).save(folder / f"{place:02}.png")
    return [str(file) for file in sorted(folder.iterdir())]


def test_predict_flags_at_the_rate_that_was_asked_for(trained, images, tmp_path):
    flagged = []
    for rate in ("0.01", "0.05", "0.5"):
        out = tmp_path / f"{rate}.csv"
        words = ("--model", "train-head", "--false-alarms", rate, "--out", str(out))
        done = invoke("predict", "-e", "digits", *images, *words, home=trained)
        assert done.exit_code == 0, done.output
        said = " ".join(done.stderr.split())
        assert (
            f"note: About {100 * float(rate):g} % of images like those of training, of new groups where there are groups"
            in said
        )
        assert "How many unlike images pass is not known." in said
        rows = list(csv.DictReader(out.open()))
        assert all((row["unlike"] == "yes") == (float(row["distance"]) > 1) for row in rows)
        result = json.loads((trained / "runs" / "digits" / "predict" / "result.json").read_text())
        assert (result["false_alarms"], result["compared_with"]) == (float(rate), {"images": 120, "groups": 120})
        flagged.append(sum(row["unlike"] == "yes" for row in rows))
        assert result["unlike"] == flagged[-1]
    assert flagged[0] <= flagged[1] < flagged[2]
    assert 8 <= flagged[2] <= 22


def test_where_nothing_can_be_flagged_predict_says_so_and_the_columns_are_empty(trained, images):
    words = ("predict", "-e", "digits", "--model", "train-head", images[0], "--false-alarms", "0.005")
    command = (sys.executable, "-m", "bottleneck_features", *words, "--home", str(trained))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (row,) = csv.DictReader(done.stdout.splitlines())
    assert (row["unlike"], row["distance"]) == ("", "")
    message = (
        "`unlike` is not known: the model has seen 120 images, so the smallest p-value is 1 / 121. A false-alarm rate of "
        "0.005 needs 199 images."
    )
    said = " ".join(done.stderr.split())
    assert message in said
    assert re.search(r"1 files: 1 classified, most often as '\d' \(1\); 0 could not be used", said)
    assert "by mistake" not in said
    result = json.loads(invoke(*words, "--json", home=trained).stdout)
    assert message in result["warnings"]
    assert result["unlike"] is None
    assert result["predictions"][0]["unlike"] is result["predictions"][0]["distance"] is None


@pytest.mark.parametrize("value", ["0", "1", "-0.1", "5", "nan"])
def test_a_rate_that_is_none_is_refused(trained, images, value):
    done = invoke("predict", "-e", "digits", images[0], f"--false-alarms={value}", home=trained)
    assert done.exit_code == 2
    said = " ".join(done.stderr.split())
    assert "--false-alarms takes a share of images between 0 and 1, both excluded. Received: " in said


def test_python_takes_the_rate_too(trained, images):
    model = bf.load_model("digits", model="train-head", home=trained)
    assert not model.unlike(images, false_alarms=0.01)[model.distances(images, false_alarms=0.01) <= 1].any()
    result = bf.predict(model, images, false_alarms=0.5, home=trained)
    assert [one["unlike"] for one in result["predictions"]] == model.unlike(images, false_alarms=0.5).tolist()
    with pytest.warns(UserWarning, match=r"A false-alarm rate of 0.001 needs 999 images"):
        assert not model.unlike(images, false_alarms=0.001).any()
    with pytest.warns(UserWarning, match="is not known"):
        assert np.isnan(model.distances(images[:2], false_alarms=0.001)).all()
    for wrong in (0, 1, 2.5, "0.05", True, None):
        with pytest.raises(bf.RequestError, match="false_alarms takes a share of images between 0 and 1"):
            model.unlike(images, false_alarms=wrong)
