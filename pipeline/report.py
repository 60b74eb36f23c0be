"""The report: a comparison as a table in the terminal and as one self-contained HTML page."""

import base64
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.results import write_text

_TITLES = {
    "comparison": "Accuracy of each method",
    "learning-curves": "Learning curves",
    "confusion": "Confusion matrices",
}
_CHOSEN_ON = {
    "test": "Both were chosen on validation images.",
    "validation": "There is no test split: both were chosen on these same images, so the figures flatter both.",
}


def table_columns(methods: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the column names of `table_rows`, with the number of images each accuracy is of."""
    counts = {split: max(method["n"][split] for method in methods) for split in ("train", "validation", "test")}
    return (
        "method",
        *(f"{split}, n = {count:,}" for split, count in counts.items()),
        "parameters",
        "extraction",
        "training",
    )


def table_rows(methods: list[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the comparison as text, one tuple a method in the order of `table_columns`.

    Args:
        methods: the `methods` of a result object.
    """
    return [
        (
            f"{method['name']} ({', '.join(method['layers'])})" if method["layers"] else method["name"],
            *(_accuracy(method, split) for split in ("train", "validation", "test")),
            f"{method['parameters']:,}",
            _duration(method["seconds"]["extract"]),
            _duration(method["seconds"]["train"]),
        )
        for method in methods
    ]


def write_report(result: Mapping[str, Any], command: tuple[str, ...], path: Path) -> Path:
    """Write `report.html` for a comparison.

    Args:
        result: the result object of `compare`.
        command: the words that repeat it.
        path: of the page.

    Returns:
        `path`.
    """
    environment = Environment(loader=PackageLoader("pipeline"), autoescape=True, undefined=StrictUndefined)
    experiment = result["experiment"]
    page = environment.get_template("report.html").render(
        name=experiment["name"],
        backbone=result["backbone"],
        data=result["data"],
        answer=answer(result),
        warnings=result["warnings"],
        columns=table_columns(result["methods"]),
        rows=table_rows(result["methods"]),
        pairs=[_pair(pair, result["scored_on"]) for pair in result["pairs"]],
        pictures=[_picture(Path(file)) for file in result["files"] if file.endswith(".png")],
        commands=_commands(command),
        provenance=_provenance(result),
    )
    write_text(path, page)
    return path


def answer(result: Mapping[str, Any]) -> str:
    """Return the outcome in two sentences: the best frozen method against the best network from scratch."""
    split = result["scored_on"]
    compared = {name for pair in result["pairs"] for name in (pair["first"], pair["second"])}
    rivals = [
        method for method in result["methods"] if method["name"] in compared and method["accuracy"][split] is not None
    ]
    frozen = max((m for m in rivals if m["layers"]), key=lambda m: m["accuracy"]["validation"])
    scratch = max((m for m in rivals if not m["layers"]), key=lambda m: m["accuracy"]["validation"])
    pair = next(p for p in result["pairs"] if {p["first"], p["second"]} == {frozen["name"], scratch["name"]})
    gap = 100 * (frozen["accuracy"][split] - scratch["accuracy"][split])
    verdict = f"{abs(gap):.1f} points {'ahead of' if gap > 0 else 'behind'}" if gap else "level with"
    doubt = "a real difference" if pair["p_value"] < 0.05 else "which may be chance"
    return (
        f"A linear head on the frozen features of {result['backbone']} ({frozen['name']}, {frozen['layers'][0]}) reaches "
        f"{_accuracy(frozen, split)} "
        f"on {frozen['n'][split]:,} {split} images, {verdict} the best network trained from scratch ({scratch['name']}, "
        f"{_accuracy(scratch, split)}): {doubt} (exact McNemar p = {pair['p_value']:.2g}). "
        f"{_CHOSEN_ON[split]}"
    )


def _accuracy(method: Mapping[str, Any], split: str) -> str:
    value, interval = method["accuracy"][split], method["interval"][split]
    if value is None:
        return "–"
    return f"{100 * value:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:,.1f} s" if seconds < 120 else f"{seconds / 60:,.1f} min"


def _pair(pair: Mapping[str, Any], split: str) -> str:
    low, high = pair["difference_interval"]
    return (
        f"{pair['first']} against {pair['second']}: {100 * pair['difference']:+.1f} points "
        f"[{100 * low:+.1f}, {100 * high:+.1f}] (95 %, paired bootstrap); {pair['only_first_right']:,} {split} images only "
        f"the first got right, {pair['only_second_right']:,} only the second; exact McNemar p = {pair['p_value']:.2g}"
    )


def _picture(path: Path) -> dict[str, str]:
    return {"title": _TITLES[path.stem], "base64": base64.b64encode(path.read_bytes()).decode()}


def _commands(command: tuple[str, ...]) -> str:
    options = shlex.join(command)
    return "\n".join(f"bottleneck {stage} {options}".rstrip() for stage in ("features", "compare"))


def _provenance(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = {
        split: max(method["n"][split] for method in result["methods"]) for split in ("train", "validation", "test")
    }
    rate = result["images_per_second"]
    return [
        ("images", ", ".join(f"{split} {count:,}" for split, count in counts.items())),
        ("extraction", f"{rate:,.1f} images/s" if rate else "rate not known"),
        ("cache key", result["cache_key"]),
        ("seed", str(result["experiment"]["seed"])),
        ("peak memory of compare", f"{result['peak_memory_mib']:,.0f} MiB"),
        *((f"version of {name}", value) for name, value in result["versions"].items()),
        *((name, str(value)) for name, value in result["hardware"].items()),
    ]
