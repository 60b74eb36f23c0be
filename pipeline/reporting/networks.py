"""Which pre-trained network is best on some images, in sentences and as a table; or that it cannot be told."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bottleneck_features.pipeline.figures import SIGNIFICANT
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES, method_label
from bottleneck_features.pipeline.reporting.answer import no_better_than_guessing
from bottleneck_features.pipeline.reporting.sources import read_result
from bottleneck_features.pipeline.tables import (
    SPLIT_TITLES,
    TESTS,
    figure_text,
    gap_figures,
    gap_text,
    images_text,
    megabytes_text,
    p_text,
    select_value,
)

Content = Mapping[str, Any]
WINNER, LEVEL, OTHER = "* ", "= ", "  "


def winner_of(best: str, pairs: Sequence[Content], split: str) -> str:
    """Return the network that is ahead of every other one, by more than chance; empty where none is.

    Args:
        best: the label of the first one.
        pairs: of networks, with p-values adjusted among all pairs.
        split: that they were scored on; on images that chose the probes too no network is named.
    """
    return "" if split == "validation" or _level(best, pairs) else best


def networks_verdict(result: Content) -> list[str]:
    """Return what a comparison of networks has found, in sentences.

    Args:
        result: of `compare --backbones`.
    """
    split, best, rows = result["scored_on"], result["best"], _by_label(result)
    row = rows[best]
    reached = f"{best} reaches {figure_text(row, split, result['select'])} on {images_text(row, split)}."
    level = _level(best, result["pairs"])
    gaps = {_other(pair, best): pair for pair in result["pairs"] if best in (pair["first"], pair["second"])}
    ahead = [f"of {name} by {_gap(pair, best)}" for name, pair in gaps.items() if name not in level]
    apart = [f"{_gap(pair, best)} against {name}" for name, pair in gaps.items() if name in level]
    if split == "validation":
        told = [f"Each network's probe was chosen on these images, so none is named as the best: {best} is "
                f"{'; '.join(f'{_gap(pair, best)} against {name}' for name, pair in gaps.items())}."]  # fmt: skip
    elif not level:
        told = [f"{best} is ahead of every other network: {'; '.join(ahead)}."]
    else:
        told = [f"Which network is best cannot be told from these images: {best} is {'; '.join(apart)}."]
        told += [f"{best} is ahead {'; '.join(ahead)}."] if ahead else []
        told += _cheapest([rows[name] for name in (best, *level)])
    return [*no_better_than_guessing(result, row), *told, reached]


def networks_columns(result: Content) -> tuple[str, ...]:
    """Return the column names of `networks_rows`, the most important first."""
    split = result["scored_on"]
    count = max(row["n"][split] for row in result["methods"])
    scored = f"{SPLIT_TITLES.get(split, split)}, n = {count:,}"
    return ("network", scored, "against the first", "images/s", "MB", "GFLOP", "input", "features", "probe", "weights")


def networks_rows(result: Content) -> list[tuple[str, ...]]:
    """Return the networks as text, the best first, in the order of `networks_columns`."""
    split, best = result["scored_on"], result["best"]
    gaps = {_other(pair, best): pair for pair in result["pairs"] if best in (pair["first"], pair["second"])}
    return [
        (
            row["name"],
            figure_text(row, split, result["select"], named=False),
            gap_figures(gaps[row["name"]], row["name"]) if row["name"] in gaps else "",
            _number(row["network"]["images_per_second"], ",.1f"),
            megabytes_text(row["network"]["megabytes"]),
            _number(row["network"]["gflop_per_image"], ",.3g"),
            "×".join(map(str, row["network"]["input_size"])),
            f"{sum(row['network']['features'][layer] for layer in row['layers']):,}",
            method_label(row["family"], row["layers"]),
            row["network"]["weights"],
        )
        for row in ordered_networks(result)
    ]


def networks_marks(result: Content) -> list[str]:
    """Return what stands before each row of `networks_rows`: which one is the winner, or which cannot be told apart."""
    best, level = result["best"], _level(result["best"], result["pairs"])
    if result["winner"]:
        return [WINNER if row["name"] == best else OTHER for row in ordered_networks(result)]
    return [LEVEL if row["name"] in (best, *level) else OTHER for row in ordered_networks(result)]


def networks_legend(result: Content) -> str:
    """Return what the marks and the figures mean."""
    same = "folds" if result["scored_on"] == "cross_validated" else "images"
    mark = "* is ahead of every other" if result["winner"] else "= cannot be told from the first"
    return (
        f"{mark} on the same {same}. Each network has its best probe; differences are in points, with their 95 % interval, and "
        f"p-values are {TESTS[result['pairs'][0]['test']].rstrip(',')}, adjusted for all pairs (Holm)"
    )


def ordered_networks(result: Content) -> list[Content]:
    """Return the rows of networks, the best first, the others by the figure that decides."""
    split, select, best = result["scored_on"], result["select"], result["best"]
    return sorted(result["methods"], key=lambda row: (row["name"] != best, -select_value(row, split, select)))


def notices(result: Content) -> list[str]:
    """Return the origin and the licence of the networks' weights, where they are known."""
    return [f"{row['name']}: {row['network']['notice']}" for row in result["methods"] if row["network"]["notice"]]


def known_comparison(runs: Path, images_key: str) -> Content | None:
    """Return what `compare --backbones` found of the same images; None where there is no such result.

    Args:
        runs: the folder of the experiment's results.
        images_key: of the images and labels there are now.
    """
    result, wrong = read_result(runs, COMPARE_BACKBONES)
    return result if result and not wrong and result["images_key"] == images_key else None


def _cheapest(rows: Sequence[Content]) -> list[str]:
    rates = {row["name"]: row["network"]["images_per_second"] for row in rows}
    if not all(rates.values()):
        return []
    fastest = max(rates, key=lambda name: rates[name])
    return [f"Of these {fastest} is the fastest: {rates[fastest]:,.1f} images/s."]


def _level(best: str, pairs: Sequence[Content]) -> list[str]:
    """Return the networks that cannot be told from the best one."""
    own = [pair for pair in pairs if best in (pair["first"], pair["second"])]
    return [_other(pair, best) for pair in own if pair["p_adjusted"] >= SIGNIFICANT]


def _other(pair: Content, name: str) -> str:
    return pair["second"] if pair["first"] == name else pair["first"]


def _gap(pair: Content, best: str) -> str:
    return f"{gap_text(pair, best)} ({p_text(pair['p_adjusted'])})"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _by_label(result: Content) -> dict[str, Content]:
    return {row["name"]: row for row in result["methods"]}
