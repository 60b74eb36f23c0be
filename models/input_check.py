"""See at start-up that a network gets numbers of the kind it was trained on, and gives features that tell images apart.

Sources of the faults: rescaling twice, or not at all, is the commonest in published code; the network still answers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

LOWEST, HIGHEST, DEVIATION = "input_lowest", "input_highest", "input_deviation"  # of what reaches the first weights
CONSTANT, LARGEST = "constant_channels", "largest"
RAW = 8.0  # numbers from 0 to beyond this were not rescaled
UNDERSHOOT = 5.0  # of 0, by a wide kernel of resizing
BEYOND = 400.0  # of 0..255, or centred as caffe's
FLAT = 0.03  # standard deviation of a channel; images that are rescaled once have 0.2 or more
TWICE = (2.5, 25.0)  # between that of standardised images, about 1, and that of 0..255, about 70
DEAD = 6e-8  # the least that float16 holds
MOST_CONSTANT = 0.99  # share of channels; at 32 pixels a last map after ReLU has 0.92
MOST_LARGE = 1e5
SET = "set backbone.preprocessing to 'torch', 'tf', 'caffe' or {mean = …, std = …}"

Check = Mapping[str, Mapping[str, float]]


def input_figures(values: np.ndarray) -> dict[str, float]:
    """Return what tells how numbers were scaled.

    Args:
        values: what reaches the first layer with weights, of images with dark and bright pixels, channels last.

    Returns:
        The least and the largest number, and the largest of the channels' standard deviations.
    """
    return {
        LOWEST: float(values.min()),
        HIGHEST: float(values.max()),
        DEVIATION: float(values.std(axis=tuple(range(values.ndim - 1)), dtype=np.float64).max()),
    }


def output_figures(features: np.ndarray) -> dict[str, float]:
    """Return what tells whether a layer's features tell images apart.

    Args:
        features: `(n, …, channels)`, of images that differ.
    """
    rows = features.reshape(len(features), -1)
    constant = float((np.ptp(rows, axis=0) == 0).mean()) if len(rows) > 1 else 0.0
    return {CONSTANT: constant, LARGEST: float(np.abs(rows).max())}


def judge(values: np.ndarray, where: str) -> str:
    """Return what is wrong with the numbers that reach the first weights; empty where nothing is.

    Args:
        values: as in `input_figures`.
        where: whose they are, for the message.
    """
    return _of_input(input_figures(values), where)


def cautions(check: Check, where: str, *, raw_is_asked: bool = False) -> tuple[str, ...]:
    """Return what a reader of the figures must know of a network's numbers.

    Args:
        check: of an extractor.
        where: the network's name.
        raw_is_asked: whether `backbone.preprocessing = "none"` says that it takes 0..255.
    """
    first = next(iter(check.values()), {})
    found = [_of_input(first, where)] if DEVIATION in first and not raw_is_asked else []
    for layer, figures in check.items():
        if figures.get(CONSTANT, 0.0) > MOST_CONSTANT:
            found.append(
                f"{figures[CONSTANT]:.0%} of the channels of layer '{layer}' are the same for different images: the network does "
                f"not see what differs. If its input is of another kind, {SET}."
            )
        if figures.get(LARGEST, 1.0) < DEAD:
            found.append(
                f"Layer '{layer}' has numbers of at most {figures[LARGEST]:.1g}, which float16 keeps as zeros: it is dead."
            )
        if figures.get(LARGEST, 0.0) > MOST_LARGE:
            found.append(
                f"Layer '{layer}' has numbers up to {figures[LARGEST]:.0g}: what the network gets is far from what it was "
                f"trained on. If its input is of another kind, {SET}."
            )
    return tuple(text for text in found if text)


def _of_input(figures: Mapping[str, float], where: str) -> str:
    lowest, highest = figures[LOWEST], figures[HIGHEST]
    if max(highest, -lowest) > BEYOND:
        return (
            f"The first layer of '{where}' gets numbers from {lowest:.0f} to {highest:.0f}: what is before it standardises 0..1, "
            "and gets 0..255. Set backbone.preprocessing to {mean = [0, 0, 0], std = [1, 1, 1]}, which makes 0..1 of them."
        )
    if lowest > -UNDERSHOOT and highest > RAW:
        return (
            f"The first layer of '{where}' gets numbers from {lowest:.0f} to {highest:.0f}: nothing before it rescales images. "
            f"If it was trained on others, {SET}; if on 0..255, to 'none', and this is not said again."
        )
    if figures[DEVIATION] < FLAT:
        return (
            f"The first layer of '{where}' gets numbers that hardly differ (from {lowest:.3g} to {highest:.3g}): images are "
            "rescaled twice, by backbone.preprocessing and the network, or twice by the network. Where it rescales by itself "
            "leave backbone.preprocessing at 'auto'; a mean and a std are of 0..1 unless `scale` says otherwise."
        )
    if TWICE[0] < figures[DEVIATION] < TWICE[1]:
        return (
            f"The first layer of '{where}' gets numbers from {lowest:.3g} to {highest:.3g}, which spread more than standardised "
            "ones: images may be standardised twice. Where the network standardises by itself leave backbone.preprocessing at "
            "'auto'."
        )
    return ""
