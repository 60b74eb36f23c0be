"""What each command prints below the answer of its result: a short table, and where the rest is."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bottleneck_features.pipeline.commandline.next_steps import enough_minutes
from bottleneck_features.pipeline.commandline.output import (
    MOST_ROWS,
    echo,
    print_files,
    print_left_out,
    print_table,
    say,
)
from bottleneck_features.pipeline.method_names import row_label
from bottleneck_features.pipeline.reporting.answer import best_method, caveats, figures_beside
from bottleneck_features.pipeline.tables import (
    PROBE_COLUMNS,
    accuracy_text,
    calibration_sentence,
    curve_columns,
    curve_rows,
    duration_text,
    model_line,
    pair_line,
    probe_rows,
    select_value,
    shown_name,
    spread_columns,
    spread_rows,
    table_columns,
    table_rows,
)

Shown = Mapping[str, Any]
_SCORED = {
    "test": "the test images were scored at the end of this run",
    "validation": "there is no test split, and settings were chosen on these validation images",
    "cross_validated": "cross-validated: everything is learned and chosen on a fold's own training images",
}


def print_methods(result: Shown, everything: bool, **more: int) -> None:
    """Print the figures beside the answer of a result, and its methods as a table.

    Args:
        result: of a command that scores methods.
        everything: whether all of it is printed.
        more: how many of what else only `--all` prints.
    """
    _print_figures(result)
    methods = _print_table_of_methods(result["methods"], row_label(best_method(result)), result, everything)
    if not everything:
        print_left_out(methods=methods, **more)
    elif result["images_per_second"]:
        echo(f"extraction: {result['images_per_second']:,.1f} images/s, all layers in one pass")


def _print_figures(result: Shown) -> None:
    figures, *reason = figures_beside(result) or ("",)
    if result["select"] == "accuracy":
        say(figures)
    else:
        say(f"accuracy {accuracy_text(best_method(result), result['scored_on'])}; {figures}")
        say(" ".join(reason))
    echo("")


def _print_table_of_methods(methods: Sequence[Shown], best: str, scored: Shown, everything: bool) -> int:
    """Print methods, the best first and marked, the others by the figure that decides; return how many are left out.

    Args:
        methods: rows of a result.
        best: the label of the one that is marked.
        scored: has `scored_on` and `select`.
        everything: whether more than `MOST_ROWS` are printed.
    """
    split, select = scored["scored_on"], scored["select"]
    ordered = sorted(methods, key=lambda row: (row_label(row) != best, -select_value(row, split, select)))
    shown = ordered if everything else ordered[:MOST_ROWS]
    marks = [f"{'*' if row_label(row) == best else ' '} " for row in shown]
    name, *columns = table_columns(shown)
    cells = [(mark + first, *others) for mark, (first, *others) in zip(marks, table_rows(shown, select), strict=True)]
    print_table((f"  {name}", *columns), cells)
    say(f"* the verdict is of this one; {shown_name(select)} with its 95 % interval; {_SCORED[split]}", rest="  ")
    return len(ordered) - len(shown)


def print_probe(result: Shown, everything: bool) -> None:
    """Print the best probe of each family; all probes, tests and files where asked for."""
    probes, tests = len(result["table"]), len(result["pairs"])
    print_methods(result, everything, probes=probes - len(result["methods"]), tests_of_differences=tests)
    _print_spread(result)
    if not everything:
        print_files(result, everything)
        return
    echo("\nAll probes on validation images:")
    print_table(PROBE_COLUMNS, probe_rows(result["table"], "validation", result["select"]), needed=3)
    _print_pairs(result)
    say(f"{result['methods'][0]['name']}, {calibration_sentence(result['calibration'])}", rest="  ")
    _print_network(result)
    print_files(result, everything)


def _print_pairs(result: Shown) -> None:
    echo("\nDifferences on the same images:")
    for pair in result["pairs"]:
        say(pair_line(pair, result["scored_on"]), "- ", "  ")
    echo("")


def _print_spread(result: Shown) -> None:
    """Print how test figures vary over splits and trainings, where that was asked for."""
    if seeds := result.get("seeds"):
        echo(f"\nThe spread of {shown_name(seeds['measure'])}:")
        print_table(spread_columns(seeds), spread_rows(seeds), needed=len(spread_columns(seeds)))
        say(seeds["protocol"])
        echo("")


def _print_network(result: Shown) -> None:
    """Print the size of the network that is kept beside a head, and how near its predictions are."""
    if network := result["network"]:
        say(
            f"network: {network['bytes'] / 2**20:,.1f} MiB beside the head: `predict` needs no TensorFlow; probabilities of "
            f"{network['images']} training images are within {network['difference']:.1e} of those of the cache",
            rest="  ",
        )


def print_label_curve(result: Shown, everything: bool) -> None:
    """Print the points of a label curve: a row per size, a column per method."""
    echo("")
    columns, rows = curve_columns(result["points"]), curve_rows(result["points"])
    shown = rows if everything else rows[:MOST_ROWS]
    print_table(columns, shown, needed=len(columns))
    print_left_out(sizes=len(rows) - len(shown))
    say(
        f"top-1 accuracy on {result['n_scored']:,} {result['scored_on']} images by labelled images per class, mean over "
        f"n = {result['points'][0]['seeds']} seeds with its 95 % interval"
    )
    if everything:
        say(result["protocol"])
    print_files(result, everything)


def print_trained(result: Shown, everything: bool) -> None:
    """Print one trained method, its calibration, and where its files are."""
    print_methods(result, everything)
    say(calibration_sentence(result["calibration"]), rest="  ")
    if everything and "network" in result:  # of a head; fine-tuned networks are whole
        _print_network(result)
    print_files(result, everything)


def print_comparison(result: Shown, page: str, everything: bool) -> None:
    """Print the compared methods, what to know of the figures, and where the report is."""
    print_methods(result, everything, tests_of_differences=len(result["pairs"]))
    if everything:
        _print_pairs(result)
    _print_spread(result)
    say(" ".join(caveats(result, (row["name"] for row in result["methods"]))))
    echo(f"report: {page}")


def print_report(result: Shown) -> None:
    """Print what to know of the answer, the path of the page, and what is not on it yet."""
    say(result["caveats"])
    echo(f"report: {result['files'][0]}")
    for adds in result["missing"].values():
        say(f"not on the page yet: {adds}", rest="  ")


def print_advice(result: Shown) -> None:
    """Print why a method is recommended."""
    for reason in (*result["reasons"][1:], *result["cannot_tell"]):
        say(reason, "- ", "  ")
    say(f"Rule of thumb: {result['rule_of_thumb']}", rest="  ")
    if result["networks"]:
        say(f"Networks (compare --backbones): {result['networks']}", rest="  ")


def print_inspection(result: Shown, overview: str, everything: bool) -> None:
    """Print the images, shortcuts, repeated images, and where the page is."""
    from bottleneck_features.pipeline.reporting.inspect_page import SHORTCUT_COLUMNS, shortcut_rows

    say(overview)
    if rows := shortcut_rows(result["shortcuts"]):
        echo("")
        shown = rows if everything else rows[:MOST_ROWS]
        print_table(SHORTCUT_COLUMNS, shown)
        print_left_out(properties=len(rows) - len(shown))
    repeats = result["repeats"]
    say(
        f"{repeats['sets']:,} sets of repeated images ({repeats['across_splits']:,} across splits, "
        f"{repeats['conflicting_labels']:,} with conflicting labels); near ones: {repeats['near_ones']}"
    )
    echo(f"page: {result['files'][-1]}")


def print_run(result: Shown, of_models: Sequence[str], everything: bool) -> None:
    """Print the methods, what was left out for time, where the report and the model are, and its use."""
    echo("")
    print_left_out(methods=_print_table_of_methods(result["methods"], result["best"], result, everything))
    say(result["caveats"])
    for name, seconds in result["skipped"].items():
        cost = "its time is not known" if seconds is None else f"about {duration_text(seconds)}"
        say(f"left out for time: {name} ({cost}); --minutes {enough_minutes(result['minutes'], seconds)} adds it")
    if larger := result["larger"]:
        seconds = larger["extraction_seconds"]
        time = "" if seconds is None else f" and takes about {duration_text(seconds)} to extract"
        say(
            f"a larger network: --backbone {larger['backbone']} --name {result['name']}-{larger['backbone']} downloads "
            f"{larger['download_mb']} MB{time}",
            rest="  ",
        )
    echo(f"report: {result['report']}")
    echo(f"model:  {result['model']}")
    if everything:
        _print_network(result)
    echo(f"for new images: {shlex.join(('bottleneck', 'predict', *of_models))} FOLDER")


def print_extraction(result: Shown) -> None:
    """Print where the cache is."""
    echo(f"cache: {result['cache']} ({result['cache_mib']:,.1f} MiB)")
    if result["shards_left"]:
        say(
            f"Part {result['part']} is done. {result['shards_left']:,} shards of the other parts are still to be computed."
        )


def print_predictions(result: Shown) -> None:
    """Print the model on the error stream; the table is on stdout."""
    if result["resumed"]:
        say(f"{result['resumed']:,} of them are from the earlier run that was stopped", err=True)
    say(f"model: {model_line(result['model'])}", rest="  ", err=True)
    if result["out"]:
        echo(result["out"])


def print_export(result: Shown) -> None:
    """Print which model was written, and where."""
    checked, own = result["checked_images"], result["against_pipeline"]
    say(f"model: {model_line(result['model'])}", rest="  ")
    echo("")
    rows = [
        (Path(row["path"] or "–").name, row["format"], f"{row['largest_difference']:.1e}") for row in result["exported"]
    ]
    print_table(("file", "format", "largest difference"), rows)
    say(
        f"the pipeline in {own['engine']} {own['precision']} differs by {own['largest_difference']:.1e}, with the same class "
        f"for {own['same_class']} of {checked['n']}"
    )
    echo(f"files: {result['to']}")


def print_bench(result: Shown, everything: bool) -> None:
    """Print the variants with the fastest first, and where the picture is."""
    from bottleneck_features.pipeline.stages.bench import BENCH_COLUMNS, bench_rows

    ordered = sorted(result["variants"], key=lambda variant: -variant["ratio"])
    echo("")
    shown = ordered if everything else ordered[:MOST_ROWS]
    print_table(BENCH_COLUMNS, bench_rows(shown))
    print_left_out(variants=len(ordered) - len(shown))
    print_files(result, everything)
