"""The simulation of many workers agrees with what can be worked out by hand."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from simulate_scale import Assumptions, main, simulate

UNTROUBLED = Assumptions(
    shards=1000, seconds=10.0, deviation=0.0, start=20.0, hand_out=0.0, watch=0.0, days_between_deaths=1e9,
    straggler_share=0.0, slowness=1.0,
)  # fmt: skip


@pytest.mark.parametrize("workers", [1, 10, 100, 1000])
def test_without_trouble_the_time_is_the_work_divided_by_the_workers(workers):
    outcome = simulate(UNTROUBLED, workers, 0)
    assert outcome.seconds == pytest.approx(20 + 1000 / workers * 10)
    assert (outcome.deaths, outcome.lost_seconds) == (0, 0)


def test_a_driver_that_is_slower_than_its_workers_sets_the_time():
    outcome = simulate(replace(UNTROUBLED, hand_out=1.0), 100, 0)
    assert outcome.seconds == pytest.approx(20 + 1000 * 1.0 + 10)
    assert outcome.driver_share == pytest.approx(1000 / 1030)


def test_a_driver_that_looks_slowly_finds_many_that_have_ended():
    outcome = simulate(replace(UNTROUBLED, watch=0.05), 100, 0)
    assert outcome.seconds == pytest.approx(20 + 10 * (10 + 2 * 100 * 0.05) + 10)


def test_deaths_come_at_their_rate_and_cost_on_average_half_a_shard_and_a_start():
    mortal = replace(UNTROUBLED, shards=20_000, days_between_deaths=1000 / 86_400)
    outcome = simulate(mortal, 1, 0)
    assert outcome.deaths == pytest.approx(20_000 * 10 / 1000, rel=0.2)
    assert outcome.lost_seconds / outcome.deaths == pytest.approx(5, rel=0.2)
    assert outcome.seconds == pytest.approx(20 + 200_000 + outcome.lost_seconds + 20 * outcome.deaths)


def test_a_slow_worker_gets_fewer_shards_rather_than_making_all_wait():
    outcome = simulate(replace(UNTROUBLED, straggler_share=0.5, slowness=10.0), 100, 0)
    assert 20 + 1000 * 10 / 100 < outcome.seconds <= 20 + 10 * 1000 / 40 + 100


def test_shards_vary_about_the_mean_they_were_given():
    assert simulate(replace(UNTROUBLED, shards=20_000, deviation=5.0), 1, 0).seconds == pytest.approx(200_020, rel=0.02)


def test_the_command_prints_its_assumptions_and_draws(tmp_path):
    words = ["--images", "100000", "--workers", "10,1", "--seeds", "2", "--picture", str(tmp_path / "scale.png")]
    done = CliRunner().invoke(main, [*words, "--json"])
    content = json.loads(done.stdout)
    assert content["assumed"]["shards"] == 98
    assert [row["workers"] for row in content["rows"]] == [1, 10]
    assert (tmp_path / "scale.png").stat().st_size > 10_000


@pytest.mark.parametrize("received", ["0", "x", "", "1,,2"])
def test_workers_that_are_no_numbers_are_refused(received):
    done = CliRunner().invoke(main, ["--workers", received])
    assert done.exit_code == 2
    assert f"--workers takes whole numbers ≥ 1 parted by commas. Received: '{received}'" in done.output
