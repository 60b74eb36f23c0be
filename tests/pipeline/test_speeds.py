"""The speed of stage one, remembered over the runs that made a cache."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bottleneck_features.pipeline.extraction import speeds


def test_runs_that_end_together_all_count_towards_the_speed(tmp_path, monkeypatch):
    read = speeds._speeds

    def read_slowly(folder):
        found = read(folder)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(speeds, "_speeds", read_slowly)
    with ThreadPoolExecutor(4) as runs:
        list(runs.map(lambda images: speeds.remember_speed(tmp_path, "key", images, 1.0, 32), (40, 60, 80, 100)))
    assert speeds.extraction_speed(tmp_path, "key") == 70.0
    assert speeds.extraction_speed(tmp_path, "another key") is None


@pytest.mark.parametrize("content", ["", "[1]", '{"key": 3}'])
def test_a_broken_memory_of_speeds_is_begun_anew(tmp_path, content):
    (tmp_path / speeds.SPEEDS).write_text(content)
    assert speeds.extraction_speed(tmp_path, "key") is None
    speeds.remember_speed(tmp_path, "key", 10, 2.0, 32)
    assert speeds.extraction_speed(tmp_path, "key") == 5.0


def test_a_run_of_less_than_a_batch_counts_only_while_nothing_else_is_known(tmp_path):
    speeds.remember_speed(tmp_path, "key", 1, 0.5, 32)
    assert speeds.extraction_speed(tmp_path, "key") == 2.0
    speeds.remember_speed(tmp_path, "key", 639, 5.9, 32)
    assert speeds.extraction_speed(tmp_path, "key") == 100.0
    speeds.remember_speed(tmp_path, "key", 31, 0.5, 32)
    speeds.remember_speed(tmp_path, "key", 0, 0.5, 32)
    assert speeds.extraction_speed(tmp_path, "key") == 100.0
