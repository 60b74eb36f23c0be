"""What commands print: tables, JSON, warnings, and the one line of an error."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.table import Table

from pipeline.report import table_columns, table_rows

_SCORED = {
    "test": "the test images were scored at the end of this run",
    "validation": "there is no test split, and settings were chosen on these validation images",
}
LOG_WIDTH = 160  # columns of a table that goes to a file


def print_json(content: Any) -> None:
    """Print an object as JSON on stdout."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under their column names."""
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else LOG_WIDTH, highlight=False, markup=False).print(table)


def print_methods(result: Mapping[str, Any]) -> None:
    """Print the methods of a result with what their numbers are."""
    print_table(table_columns(result["methods"]), table_rows(result["methods"]))
    click.echo(f"top-1 accuracy with its 95 % Wilson interval; {_SCORED[result['scored_on']]}")
    if result["images_per_second"]:
        click.echo(f"extraction: {result['images_per_second']:,.1f} images/s, all layers in one pass")


def calibration_sentence(result: Mapping[str, Any]) -> str:
    """Return what temperature scaling did, in one line."""
    calibration = result["calibration"]
    before, after = (100 * calibration[name]["expected_calibration_error"] for name in ("before", "after"))
    return (
        f"calibration: expected error {before:.1f} points, {after:.1f} after temperature scaling "
        f"(T = {calibration['temperature']:.2f}, fitted on validation; {calibration['bins']})"
    )


def print_warnings(result: Mapping[str, Any]) -> None:
    """Print a result's warnings on the error stream."""
    for warning in result["warnings"]:
        click.echo(f"! {warning}", err=True)


def fail(message: str, code: int) -> NoReturn:
    """Print an error and end with its exit code."""
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)
