"""Measures what is said of calibration, on simulated answers: `python benchmarks/calibration_noise.py`.

Logits are normal, of deviation 2; labels are drawn from their softmax. A classifier's probabilities are the softmax of these
logits at a temperature: at 1 it is perfectly calibrated, at 0.7 overconfident, at 1.5 underconfident. Images in groups have
logits and labels half of whose variance is in common. A temperature is fitted on one draw and judged on another of the same kind.
"""

from typing import NamedTuple

import click
import numpy as np
from scipy.special import softmax
from scipy.stats import norm

from bottleneck_features.models.probabilities import with_temperature
from bottleneck_features.pipeline.evaluation.calibration import Known, calibrate, needed_temperature
from bottleneck_features.pipeline.evaluation.reliability import reliability

SPREAD, ALIKE, MANY = 2.0, 0.5, 400_000
WRONGLY = 0.05


class Kind(NamedTuple):
    """How many images of how many classes, at which temperature fitted on how many others, and their groups' sizes, or none."""

    n: int
    fitted: int
    classes: int
    temperature: float
    groups: str = ""


def group_sizes(random: np.random.Generator, n: int, groups: str) -> np.ndarray:
    """Return the `(n,)` numbers of the images' groups: of 5 each, of Zipf's sizes, or one of 45 % and others of 4."""
    if groups == "of 5":
        return np.arange(n) // 5
    if groups == "Zipf":
        share = 1 / np.arange(1, max(8, n // 8) + 1)
        return random.choice(len(share), n, p=share / share.sum())
    return np.where(np.arange(n) < 0.45 * n, 0, np.arange(n) // 4 + 1)


def drawn(random: np.random.Generator, kind: Kind, n: int) -> Known:
    """Draw images."""
    logits, uniform, groups = random.normal(size=(n, kind.classes)), random.normal(size=n), None
    if kind.groups:
        groups = np.unique(group_sizes(random, n, kind.groups), return_inverse=True)[1]
        shared = random.normal(size=(groups.max() + 1, kind.classes + 1))[groups]
        logits = np.sqrt(1 - ALIKE) * logits + np.sqrt(ALIKE) * shared[:, 1:]
        uniform = np.sqrt(1 - ALIKE) * uniform + np.sqrt(ALIKE) * shared[:, 0]
    probabilities = softmax(SPREAD * logits, axis=1)
    labels = (probabilities.cumsum(axis=1) < norm.cdf(uniform)[:, None]).sum(axis=1).clip(max=kind.classes - 1)
    return Known(labels, with_temperature(probabilities, kind.temperature), groups)


def row(kind: Kind, repeats: int) -> str:
    """Return a row of the table."""
    random = np.random.default_rng(0)
    labels, probabilities, _ = drawn(random, kind._replace(groups=""), MANY)
    true = reliability(labels, probabilities).expected_error
    held, shown, floors, widths, words = 0, [], [], [], {"better": 0, "worse": 0}
    for _ in range(repeats):
        known, scored = drawn(random, kind, kind.fitted), drawn(random, kind, kind.n)
        found = calibrate(known, scored, held_out=True, temperature=needed_temperature)
        before, change = found.before, found.change
        assert before
        low, high = before.interval
        held += low <= true <= high
        shown.append(before.expected_error > before.noise_limit)
        floors.append((before.expected_error, before.noise))
        widths.append(high - low)
        if change and change.p_value < WRONGLY:
            words["better" if change.value < 0 else "worse"] += 1
    error, floor = 100 * np.mean(floors, axis=0)
    groups = f", groups {kind.groups}" if kind.groups else ""
    name = f"T = {kind.temperature:g}, {kind.classes} classes, {kind.n:,} images, T of {kind.fitted:,}{groups}"
    shares = [100 * held / repeats, 100 * np.mean(shown), *(100 * count / repeats for count in words.values())]
    return (
        f"| {name} | {100 * true:.1f} | {error:.1f} | {floor:.1f} | {shares[0]:.0f}, {100 * np.mean(widths):.1f} | "
        f"{' | '.join(f'{share:.1f}' for share in shares[1:])} |"
    )


@click.command(help=__doc__)
@click.option("--repeats", default=400, show_default=True, help="Draws of each kind.")
def main(repeats: int) -> None:
    """Print a table: errors in points, shares of draws in percent."""
    print("| | true error | shown | noise floor | interval holds, width | above the noise | better | worse |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for temperature in (1.0, 0.7, 1.5):
        for classes in (2, 10):
            kinds = [Kind(n, fitted, classes, temperature) for n, fitted in ((100, 100), (1000, 40), (1000, 1000))]
            kinds += [Kind(300, 300, classes, temperature, groups) for groups in ("of 5", "Zipf", "one of 45 %")]
            for kind in kinds:
                print(row(kind, repeats), flush=True)


if __name__ == "__main__":
    main()
