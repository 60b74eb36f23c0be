"""Figures of a column stand below one another, whatever follows them."""

import pytest

from bottleneck_features.figure_text import INTERVAL, aligned, right_aligned


@pytest.mark.parametrize(
    "cells",
    [
        ["1,234", "8", "–"], ["12.5 s", "3.3 min", "unknown"], ["95.7 % [89.3, 98.3]", "fitted on 680", ""],
        ["-3.2 [-10.7, +4.0]", ""], ["4.5e-06", "1e-04"], ["<1%", ">99%"], ["363.5–499.5"], ["95.1 %, 1.2 points"],
    ],
)  # fmt: skip
def test_figures_stand_to_the_right(cells):
    assert right_aligned(cells)


@pytest.mark.parametrize("cells", [["", ""], [], ["cat"], ["1", "all"], ["7×7×1280"], ["7 (12)"], ["l2 = 0.1"]])
def test_other_texts_do_not(cells):
    assert not right_aligned(cells)


def test_figures_before_intervals_end_below_one_another():
    cells = ["100.0 % [98.4, 100.0]", "9.1 % [1.0, 12.3]", "fitted on 300"]
    assert aligned(cells) == ["100.0 % [98.4, 100.0]", "  9.1 % [1.0, 12.3]  ", "fitted on 300"]
    assert aligned(["1", "10"]) == ["1", "10"]


def test_a_figure_with_its_interval_is_found_in_a_sentence():
    text = "reaches accuracy 95.7 % [89.3, 98.3] on 173 images; guessing gets 5.0 %."
    assert INTERVAL.findall(text) == ["95.7 % [89.3, 98.3]"]
