"""Measures what is said of calibration, on simulated answers: `python benchmarks/calibration_noise.py`.

Logits are normal, of deviation 2; labels are drawn from their softmax. A classifier's probabilities are the softmax of these
logits at a temperature: at 1 it is perfectly calibrated, at 0.5 overconfident. Images in groups of 5 have logits and labels
half of whose variance is in common. A temperature is fitted on one draw and judged on another one of the same kind.
"""

from typing import NamedTuple

import click
import numpy as np
from scipy.special import softmax
from scipy.stats import norm

from bottleneck_features.models.probabilities import with_temperature
from bottleneck_features.pipeline.evaluation.calibration import Known, calibrate, needed_temperature
from bottleneck_features.pipeline.evaluation.reliability import reliability

SPREAD, TOGETHER, ALIKE, MANY = 2.0, 5, 0.5, 400_000
WRONGLY = 0.05


class Kind(NamedTuple):
    """How many images of how many classes, at which temperature, in groups or not."""

    n: int
    classes: int
    temperature: float
    grouped: bool = False


def drawn(random: np.random.Generator, kind: Kind, n: int | None = None) -> Known:
    """Draw images."""
    count = n or kind.n
    logits, uniform, groups = random.normal(size=(count, kind.classes)), random.normal(size=count), None
    if kind.grouped:
        groups = np.arange(count) // TOGETHER
        shared = random.normal(size=(groups.max() + 1, kind.classes + 1))[groups]
        logits = np.sqrt(1 - ALIKE) * logits + np.sqrt(ALIKE) * shared[:, 1:]
        uniform = np.sqrt(1 - ALIKE) * uniform + np.sqrt(ALIKE) * shared[:, 0]
    probabilities = softmax(SPREAD * logits, axis=1)
    labels = (probabilities.cumsum(axis=1) < norm.cdf(uniform)[:, None]).sum(axis=1).clip(max=kind.classes - 1)
    return Known(labels, with_temperature(probabilities, kind.temperature), groups)


def row(kind: Kind, repeats: int) -> str:
    """Return a row of the table."""
    random = np.random.default_rng(0)
    labels, probabilities, _ = drawn(random, kind, MANY)
    true = reliability(labels, probabilities).expected_error
    held, shown, floors, widths, words = 0, [], [], [], {"better": 0, "worse": 0}
    for _ in range(repeats):
        found = calibrate(drawn(random, kind), drawn(random, kind), held_out=True, temperature=needed_temperature)
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
    kinds = (
        f"{kind.n:,} images, {kind.classes} classes, T = {kind.temperature:g}{', groups of 5' if kind.grouped else ''}"
    )
    shares = [100 * held / repeats, 100 * np.mean(shown), *(100 * count / repeats for count in words.values())]
    return (
        f"| {kinds} | {100 * true:.1f} | {error:.1f} | {floor:.1f} | {shares[0]:.0f}, {100 * np.mean(widths):.1f} | "
        f"{' | '.join(f'{share:.1f}' for share in shares[1:])} |"
    )


@click.command(help=__doc__)
@click.option("--repeats", default=400, show_default=True, help="Draws of each kind.")
def main(repeats: int) -> None:
    """Print a table: errors in points, shares of draws in percent."""
    print("| | true error | shown | noise floor | interval holds, width | above the noise | better | worse |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for classes in (2, 10):
        for temperature in (1.0, 0.8, 0.5):
            kinds = [Kind(n, classes, temperature) for n in (100, 300, 1000)]
            kinds += [Kind(n, classes, temperature, True) for n in (300, 1000)]
            for kind in kinds:
                print(row(kind, repeats), flush=True)


if __name__ == "__main__":
    main()
