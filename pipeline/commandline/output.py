"""What commands print: tables, JSON, warnings, and the one line of an error."""

import json
import logging
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.table import Table

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.reporting.answer import answer, headline
from bottleneck_features.pipeline.tables import (
    PROBE_COLUMNS,
    SPLIT_TITLES,
    accuracy_text,
    calibration_sentence,
    duration_text,
    interval_text,
    pair_line,
    percent_text,
    probe_rows,
    shown_name,
    spread_columns,
    spread_rows,
    table_columns,
    table_rows,
)
from bottleneck_features.plain import visible

_SCORED = {
    "test": "the test images were scored at the end of this run",
    "validation": "there is no test split, and settings were chosen on these validation images",
    "cross_validated": "cross-validated: everything is learned and chosen on a fold's own training images",
}
LOG_WIDTH = 160  # columns of a table that goes to a file


def echo(text: object, err: bool = False) -> None:
    """Print a line on stdout or, with `err`, on the error stream, as a terminal may show it."""
    click.echo(visible(str(text)), err=err)


class VisibleFormatter(logging.Formatter):
    """Warnings as a terminal may show them: they name what others chose, such as what a cache says of its machine."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return visible(super().format(record))


def print_json(content: Any) -> None:
    """Print an object as JSON on stdout."""
    echo(json.dumps(content, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under their column names."""
    table = Table(*map(visible, columns), box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(visible, row))
    Console(width=None if sys.stdout.isatty() else LOG_WIDTH, highlight=False, markup=False).print(table)


def print_methods(result: Mapping[str, Any]) -> None:
    """Print the methods of a result as a table, with a line that explains the numbers."""
    for line in headline(result):
        echo(line)
    print_table(table_columns(result["methods"]), table_rows(result["methods"], result["select"]))
    echo(f"{shown_name(result['select'])} with its 95 % interval; {_SCORED[result['scored_on']]}")
    if result["images_per_second"]:
        echo(f"extraction: {result['images_per_second']:,.1f} images/s, all layers in one pass")


def print_probe(result: Mapping[str, Any]) -> None:
    """Print the rows of a probe by validation accuracy, the best of each family with its score, and the files."""
    split, select = result["scored_on"], result["select"]
    for line in headline(result):
        echo(line)
    echo(f"\nThe best of each family, {SPLIT_TITLES.get(split, f'on {split} images')}:")
    print_table(
        (*PROBE_COLUMNS[:3], SPLIT_TITLES.get(split, split), PROBE_COLUMNS[4]),
        probe_rows(result["methods"], split, select),
    )
    echo(f"{shown_name(select)} with its 95 % interval; {_SCORED[split]}")
    echo("\nAll probes on validation images:")
    print_table(PROBE_COLUMNS, probe_rows(result["table"], "validation", select))
    for pair in result["pairs"]:
        echo(pair_line(pair, result["scored_on"]))
    _print_spread(result)
    echo(f"{result['methods'][0]['name']}, {calibration_sentence(result['calibration'])}")
    _print_files(result)


def _print_spread(result: Mapping[str, Any]) -> None:
    """Print how test figures vary over splits and trainings, where that was asked for."""
    if seeds := result.get("seeds"):
        echo(f"\nThe spread of {shown_name(seeds['measure'])}:")
        print_table(spread_columns(seeds), spread_rows(seeds))
        echo(f"{seeds['protocol']}\n")


def print_label_curve(result: Mapping[str, Any]) -> None:
    """Print the points of a label curve: a row per size, a column per method."""
    points = result["points"]
    sizes, methods = (list(dict.fromkeys(point[key] for point in points)) for key in ("per_class", "method"))
    cells = {(point["per_class"], point["method"]): _mean(point) for point in points}
    rows = [(str(size), *(cells[size, method] for method in methods)) for size in sizes]
    print_table(("images per class", *methods), rows)
    echo(
        f"top-1 accuracy on {result['n_scored']:,} {result['scored_on']} images, mean over n = {points[0]['seeds']} seeds"
    )
    echo(result["protocol"])
    echo(result["answer"])
    _print_files(result)


def _mean(point: Mapping[str, Any]) -> str:
    return interval_text(point["mean"], *point["interval"]) if point["interval"] else percent_text(point["mean"])


def print_scored(result: Mapping[str, Any]) -> None:
    """Print one trained method and its files."""
    print_methods(result)
    _print_files(result)


def print_head(result: Mapping[str, Any]) -> None:
    """Print the trained head, its calibration, and its files."""
    print_methods(result)
    echo(calibration_sentence(result["calibration"]))
    _print_files(result)


def print_report(result: Mapping[str, Any]) -> None:
    """Print the answer, the results that are missing with their commands, and the path of the page."""
    echo(result["answer"])
    for command, adds in result["missing"].items():
        echo(f"not on the page yet: {adds}\n  {command}")
    echo(f"report: {result['files'][0]}")


def print_comparison(result: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Print the compared methods, the answer, and where the report is."""
    print_methods(result)
    _print_spread(result)
    echo(answer(result))
    echo(f"report: {report['files'][0]}")


def print_advice(result: Mapping[str, Any]) -> None:
    """Print the recommended method, why, and what to type next."""
    echo(f"Recommended: {result['recommendation']}")
    for reason in (*result["reasons"], *result["cannot_tell"]):
        echo(f"- {reason}")
    echo(f"Rule of thumb: {result['rule_of_thumb']}")
    for line in result["commands"]:
        echo(f"next:  {line}")


def print_inspection(result: Mapping[str, Any]) -> None:
    """Print the shortcuts, the repeated images, and where the page is."""
    from bottleneck_features.pipeline.reporting.inspect_page import SHORTCUT_COLUMNS, shortcut_rows

    print_table(SHORTCUT_COLUMNS, shortcut_rows(result["shortcuts"]))
    repeats = result["repeats"]
    echo(
        f"{repeats['sets']:,} sets of repeated images ({repeats['across_splits']:,} across splits, "
        f"{repeats['conflicting_labels']:,} with conflicting labels); near ones: {repeats['near_ones']}"
    )
    echo(f"page: {result['files'][-1]}")


def print_run(result: Mapping[str, Any], options: Sequence[str]) -> None:
    """Print the answer, what was left out for time, the report, the model, and the next command."""
    echo(result["answer"])
    for name, seconds in result["skipped"].items():
        cost = "its time is not known" if seconds is None else f"about {duration_text(seconds)}"
        echo(f"left out for time: {name} ({cost}); --minutes {_enough(result, seconds)} adds it")
    echo(f"report: {result['report']}")
    echo(f"model:  {result['model']}")
    where = options[options.index("--home") :] if "--home" in options else ()
    echo(f"next:   bottleneck predict {shlex.join(('-e', result['name'], *where))} PICTURES")


def _enough(result: Mapping[str, Any], seconds: float | None) -> int:
    return math.ceil(result["minutes"] + (seconds or 600) / 60)


def print_extraction(result: Mapping[str, Any], options: Sequence[str]) -> None:
    """Print the speed of the extraction, the cache, and the next command with the same options."""
    if result["images"]:
        echo(
            f"{result['images']:,} images at {result['images_per_second']:,.1f} images/s "
            f"({result['engine']}, {result['precision']}), peak memory {result['peak_memory_mib']:,.0f} MiB"
        )
    elif not result["images_reused"]:
        echo("All features are already in the cache: nothing to do.")
    if result["images_reused"]:
        sources = enumerated(
            f"{count:,} from {'equal images of this cache' if name == Path(result['cache']).name else name}"
            for name, count in result["reused_from"].items()
        )
        echo(f"{result['images_reused']:,} images were not computed again: {sources}")
    echo(f"cache: {result['cache']} ({result['cache_mib']:,.1f} MiB)")
    if result["shards_left"]:
        echo(
            f"Part {result['part']} is done. {result['shards_left']:,} shards of the other parts are still to be computed."
        )
        return
    echo(f"next:  bottleneck train-head {shlex.join(options)}")


def print_predictions(result: Mapping[str, Any]) -> None:
    """Print the model and the number of files on the error stream; the table is on stdout."""
    echo(f"model: {model_line(result['model'])}", err=True)
    broken = result["files_found"] - result["classified"]
    echo(
        f"{result['files_found']:,} files: {result['classified']:,} classified, {result['unlike']:,} of them unlike anything "
        f"seen in training; {broken:,} could not be used",
        err=True,
    )
    if result["resumed"]:
        echo(f"{result['resumed']:,} of them are from the earlier run that was stopped", err=True)
    if result["out"]:
        echo(result["out"])


def print_export(result: Mapping[str, Any]) -> None:
    """Print which model was written, how far each format is from the pipeline, and the files."""
    echo(f"model: {model_line(result['model'])}")
    checked, own = result["checked_images"], result["against_pipeline"]
    rows = [(row["format"], f"{row['largest_difference']:.1e}", row["path"]) for row in result["exported"]]
    print_table(("format", "largest difference", "file"), rows)
    echo(
        f"largest difference of any probability of {checked['n']} {checked['split']} images from the pipeline in float32 "
        f"(limit {checked['limit']:g}); the pipeline in {own['engine']} {own['precision']}: {own['largest_difference']:.1e}, "
        f"same class for {own['same_class']} of {checked['n']}"
    )
    _print_files(result)


def model_line(model: Mapping[str, Any]) -> str:
    """Return which trained model it is and how good it was, in one line."""
    kind = model["scored_on"]
    return (
        f"{model['name']} ({model['method']}, {' + '.join(model['layers'])} of {model['backbone']}, trained on {model['data']}): "
        f"{SPLIT_TITLES.get(kind, kind)} accuracy {accuracy_text(model, kind)} of {model['n'][kind]:,} images"
    )


def print_bench(result: Mapping[str, Any]) -> None:
    """Print the benchmark's table and its files."""
    from bottleneck_features.pipeline.stages.bench import BENCH_COLUMNS, bench_rows

    print_table(BENCH_COLUMNS, bench_rows(result["variants"]))
    _print_files(result)


def _print_files(result: Mapping[str, Any]) -> None:
    for file in result["files"]:
        echo(file)


def print_warnings(result: Mapping[str, Any]) -> None:
    """Print a result's warnings on the error stream."""
    for warning in result["warnings"]:
        echo(f"! {warning}", err=True)


def fail(message: str, code: int) -> NoReturn:
    """Print an error and end with its exit code."""
    echo(f"Error: {message}", err=True)
    sys.exit(code)
