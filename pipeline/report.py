"""The report: a comparison as a table in the terminal and as one self-contained HTML page."""

import base64
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.results import FROZEN, PRETRAINED, SCRATCH, write_text

_TITLES = {
    "comparison": "Accuracy of each method",
    "time": "Accuracy against time",
    "learning-curves": "Learning curves",
    "confusion": "Confusion matrices",
}
_KINDS = {
    "classifier on frozen features": FROZEN,
    "network trained on from the pre-trained weights": PRETRAINED,
    "network trained from scratch": SCRATCH,
}
_CHOSEN_ON = {
    "test": "Each was chosen on validation images.",
    "validation": "There is no test split: each was chosen on these same images, so the figures flatter them all.",
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


PROBE_COLUMNS = ("family", "layers", "chosen", "validation", "fitting")


def probe_rows(methods: list[Mapping[str, Any]], split: str) -> list[tuple[str, ...]]:
    """Return probed methods as text in the order of PROBE_COLUMNS, with the accuracy on `split`."""
    return [
        (
            method["name"],
            " + ".join(method["layers"]),
            ", ".join(f"{name} = {value:.3g}" for name, value in method["hyperparameters"].items()) or "best epoch",
            _accuracy(method, split),
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
        pairs=[pair_line(pair, result["scored_on"]) for pair in result["pairs"]],
        pictures=[_picture(Path(file)) for file in result["files"] if file.endswith(".png")],
        commands=_commands(command),
        provenance=_provenance(result),
    )
    write_text(path, page)
    return path


def answer(result: Mapping[str, Any]) -> str:
    """Return the outcome in a few sentences: the best frozen method beside the best of every other kind."""
    split = result["scored_on"]
    compared = {name for pair in result["pairs"] for name in (pair["first"], pair["second"])}
    rivals = [m for m in result["methods"] if m["name"] in compared and m["accuracy"][split] is not None]
    best = {kind: _best(rivals, names) for kind, names in _KINDS.items()}
    first, *others = [method for method in best.values() if method]
    kind = next(kind for kind, method in best.items() if method is first)
    sentences = [
        f"The best {kind} ({_name(first)}{', ' + result['backbone'] if first['layers'] else ''}) reaches "
        f"{_accuracy(first, split)} on "
        f"{first['n'][split]:,} {split} images."
    ]
    for other in others:
        kind = next(kind for kind, method in best.items() if method is other)
        sentences.append(_against(first, other, kind, result["pairs"], split))
    return " ".join([*sentences, _CHOSEN_ON[split]])


def _best(methods: list[Mapping[str, Any]], names: tuple[str, ...]) -> Mapping[str, Any] | None:
    return max((m for m in methods if m["name"] in names), key=lambda m: m["accuracy"]["validation"], default=None)


def _against(
    first: Mapping[str, Any], other: Mapping[str, Any], kind: str, pairs: list[Mapping[str, Any]], split: str
) -> str:
    pair = next(p for p in pairs if {p["first"], p["second"]} == {first["name"], other["name"]})
    gap = 100 * (first["accuracy"][split] - other["accuracy"][split])
    verdict = f"{abs(gap):.1f} points {'ahead of' if gap > 0 else 'behind'}" if gap else "level with"
    doubt = "a real difference" if pair["p_value"] < 0.05 else "which may be chance"
    return (
        f"It is {verdict} the best {kind} ({_name(other)}, {_accuracy(other, split)}): {doubt} "
        f"(exact McNemar p = {pair['p_value']:.2g})."
    )


def _name(method: Mapping[str, Any]) -> str:
    return f"{method['name']} on {' + '.join(method['layers'])}" if method["layers"] else method["name"]


def _accuracy(method: Mapping[str, Any], split: str) -> str:
    value, interval = method["accuracy"][split], method["interval"][split]
    if value is None:
        return "–"
    return f"{100 * value:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:,.1f} s" if seconds < 120 else f"{seconds / 60:,.1f} min"


def pair_line(pair: Mapping[str, Any], split: str) -> str:
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
