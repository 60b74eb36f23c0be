"""`bottleneck cache …`: listing, checking, exporting, importing and removing caches."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bottleneck_features import features
from bottleneck_features.features.records import KEY_DIGITS
from bottleneck_features.pipeline.commandline.cli_frame import all_option, home_option, json_option
from bottleneck_features.pipeline.commandline.next_steps import typed
from bottleneck_features.pipeline.commandline.output import (
    MOST_ROWS,
    echo,
    fail,
    print_json,
    print_left_out,
    print_next,
    print_table,
    say,
)
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.home import home_words

_FILES = "Name files as SPLIT=FILE, such as train=train.npz or train=features.npy,labels.npy"
_SHOWN = 10
_COLUMNS = ("cache", "state", "images", "MiB", "age", "own MiB", "recipe", "dtype", "layers")

cache_argument = click.argument("path", metavar="CACHE", type=click.Path(path_type=Path))


@click.group()
def cache() -> None:
    """List, check, export, import and remove caches of features.

    CACHE is a cache's folder, or its name in the artifacts folder as `cache ls` shows it.
    """


@cache.command("ls")
@home_option
@json_option
@all_option
def cache_ls(home: Path, as_json: bool, everything: bool) -> None:
    """List the caches, the newest first: whether they are complete, what is in them, how large and how old they are.

    Caches of the same recipe share what they have computed: `own MiB` is what only this one takes on the disk. A cache is
    superseded by a later one of the same experiment and recipe that has all of its images.

    \b
    Example: bottleneck cache ls
    """
    later = features.superseded(_caches(home))
    found = features.list_caches(_caches(home))
    if as_json:
        print_json([_row(info, later.get(info.path)) for info in found])
        return
    if not found:
        echo(f"No cache in {home}.")
        print_next(typed("features", ("-e", "photo-patches", *home_words(home))))
        return
    rows = [_row(info, later.get(info.path)) for info in sorted(found, key=lambda info: info.created, reverse=True)]
    unreadable = [row["problem"] for row in rows if row["problem"]]
    number = "1 cache" if len(rows) == 1 else f"{len(rows):,} caches"
    say(f"{number} in {home}: {len(later):,} superseded, {len(unreadable):,} unreadable.")
    shown = rows if everything else rows[:MOST_ROWS]
    print_table(_COLUMNS, [tuple(str(row.get(column, "")) for column in _COLUMNS) for row in shown])
    print_left_out(caches=len(rows) - len(shown))
    for problem in unreadable:
        say(problem, "! ", "  ", err=True)
    print_next(_after_listing(rows[0], len(later), home))


def _after_listing(newest: dict[str, Any], superseded: int, home: Path) -> list[tuple[str, ...]]:
    words = ("--superseded",) if superseded else (newest["cache"],)
    return typed("cache rm" if superseded else "cache verify", (*words, *home_words(home)))


@cache.command("verify")
@cache_argument
@home_option
@click.option("--repair", is_flag=True, help="Move damaged files to quarantine/, so that `features` makes them again.")
@json_option
def cache_verify(path: Path, home: Path, repair: bool, as_json: bool) -> None:
    """Check every byte: hashes, shapes, finiteness, ids and labels. Exit code 1 when something is damaged.

    \b
    Example: bottleneck cache verify digits-efficientnet-lite0-1d19099a --repair
    """
    folder = located(path, home)
    report = features.repair(folder) if repair else features.verify(folder)
    if as_json:
        problems = [{"file": problem.file, "reason": problem.reason} for problem in report.problems]
        print_json({"cache": str(folder), "shards": report.shards, "pending": report.pending, "problems": problems})
    else:
        files = "1 file is" if len(report.problems) == 1 else f"{len(report.problems):,} files are"
        found = "The cache is whole" if report.ok else f"{files} damaged"
        say(
            f"{found}: {report.shards:,} shards, {report.bytes / 2**20:,.1f} MiB checked in {report.seconds:.1f} s; "
            f"{report.pending:,} pending"
        )
    if report.ok:
        if not as_json:
            print_next(typed("cache export", (str(path), *home_words(home))))
        return
    advice = (
        "The damaged files are in quarantine/. Run the `bottleneck features …` that made this cache to make them again."
        if repair
        else "Move them away with --repair, then run the `bottleneck features …` that made this cache."
    )
    if report.shared:
        advice += f" Other caches share {report.shared:,} of these files: verify them too."
    fail("\n".join([f"{len(report.problems)} damaged:", *map(str, report.problems), advice]), 1)


@cache.command("export")
@cache_argument
@home_option
@click.option("--format", "kind", type=click.Choice(features.EXPORT_FORMATS), default="npz", show_default=True)
@click.option(
    "--to", "target", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: the artifacts folder."
)
@click.option("--layer", help="Which layer; default: the last one.")
def cache_export(path: Path, home: Path, kind: str, target: Path | None, layer: str | None) -> None:
    """Write a cache's features, labels and ids for other programs, one file per split; memory use stays constant.

    Parquet has besides, of each image: split, group, path of its file and, where a command has scored a method on these
    features, what the best one predicted, its confidence, and the image's place on the map of the report.

    \b
    Example: bottleneck cache export cifar10-resnet50-1a2b3c4d --format npz
             bottleneck cache export photo-patches-efficientnet-lite0-5e6f7a8b --format parquet --to viewer
    """
    from bottleneck_features.pipeline.stages.cache_export import export_cache

    found = export_cache(located(path, home), home, target or home, kind, layer)
    if "title" in found.about:
        say(f"With the predictions of {found.about['title']} ({found.about['command']}).", err=True)
    for remark in found.remarks:
        say(remark, err=True)
    for file in found.files:
        echo(file)
    print_next(typed("cache ls", home_words(home)), err=True)


@cache.command("import")
@click.argument("name")
@click.argument("files", nargs=-1, required=True, metavar="SPLIT=FILE[,LABELS]…")
@home_option
def cache_import(name: str, files: tuple[str, ...], home: Path) -> None:
    """Make a cache of features and labels that others saved with NumPy: .npz files, or .npy files in pairs.

    FILE is an .npz with features and labels, or an .npy of features; then LABELS is the .npy of its labels, and may be
    left out where it lies beside FILE and is called alike, such as train_features.npy and train_labels.npy. FILE.npz:ARRAY
    names an array that is not found by its name or shape. Without SPLIT= one file (and its labels) is the train split, or
    an .npz the splits that its names tell apart, such as X_train and X_test.

    Use it with `open_features` in Python and with `cache export`. Other commands do not use it: without the images they
    cannot check where it came from.

    \b
    Example: bottleneck cache import cifar10 train=CIFAR10_train.npz test=CIFAR10_test.npz
             bottleneck cache import dogs train=X_train.npy,y_train.npy test=X_test.npy,y_test.npy
             bottleneck cache import birds train=birds.npz:codes,birds.npz:species
             bottleneck cache import cats features.npy labels.npy
    """
    imported = features.import_features(_caches(home), name, _sources(files))
    for split, taken in imported.taken.items():
        echo(f"{split}: {taken}", err=True)
    names = imported.class_names
    more = ", …" if len(names) > _SHOWN else ""
    echo(f"{len(names):,} classes: {', '.join(map(repr, names[:_SHOWN]))}{more}", err=True)
    echo(imported.path)
    print_next(typed("cache export", (imported.path.name, *home_words(home))), err=True)


@cache.command("rm")
@click.argument("path", metavar="[CACHE]", required=False, type=click.Path(path_type=Path))
@click.option("--superseded", is_flag=True, help="Remove all caches that `cache ls` calls superseded.")
@home_option
@click.option("--yes", is_flag=True, help="Remove it. Without this option nothing is removed.")
def cache_rm(path: Path | None, superseded: bool, home: Path, yes: bool) -> None:
    """Remove a cache, or the superseded ones; without --yes, only show what would be removed and what that frees.

    Files that other caches share stay for them. Before superseded ones are removed, the caches that supersede them are checked.

    \b
    Example: bottleneck cache rm digits-efficientnet-lite0-1d19099a --yes
             bottleneck cache rm --superseded
    """
    if (path is None) != superseded:
        raise RequestError("Give the cache to remove, or --superseded: one of the two.")
    verb = "removed" if yes else "would be removed; run the command again with --yes"
    if path is not None:
        gone = _gone(located(path, home), yes)
        say(f"{len(gone.files):,} files, {_mib(gone.bytes)} MiB of {gone.path} {verb}{_freed(gone)}")
        print_next(_after_removal(str(path), home, yes))
        return
    later = features.superseded(_caches(home))
    if not later:
        echo(f"No cache in {home} is superseded.")
        print_next(typed("cache ls", home_words(home)))
        return
    freed = features.freed_by(file for folder in later for file in features.removal(folder).files)
    for folder in sorted({*later.values()} if yes else ()):
        features.require_unchanged(folder)
    for folder in later:
        gone = _gone(folder, yes)
        say(f"{gone.path.name}: {_mib(gone.bytes)} MiB, superseded by {later[folder].name}", rest="  ")
    say(f"{len(later):,} caches {verb} (frees {_mib(freed)} MiB)")
    print_next(_after_removal("--superseded", home, yes))


def _after_removal(what: str, home: Path, yes: bool) -> list[tuple[str, ...]]:
    """Return the command that does what was only shown, or, once it is done, the one that shows what is left."""
    return typed("cache ls", home_words(home)) if yes else typed("cache rm", (what, "--yes", *home_words(home)))


def _gone(folder: Path, yes: bool) -> features.Removal:
    return features.remove_cache(folder) if yes else features.removal(folder)


def _freed(gone: features.Removal) -> str:
    return "" if gone.freed == gone.bytes else f" (frees {_mib(gone.freed)} MiB: other caches share the rest)"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f}"


def located(path: Path, home: Path) -> Path:
    """Return the folder of a cache given by its path or by its name in the artifacts folder.

    Raises:
        RequestError: there is none; the message names those there are.
    """
    for folder in (path, _caches(home) / path):
        if (folder / "manifest.json").is_file():
            return folder
    names = [info.path.name for info in features.list_caches(_caches(home))]
    raise RequestError(f"There is no cache {str(path)!r}. Caches in {home}: {', '.join(names) or 'none'}.")


def _caches(home: Path) -> Path:
    from bottleneck_features.pipeline.extraction.cache import cache_root

    return cache_root(home)


def _sources(words: tuple[str, ...]) -> dict[str, str | tuple[str, str]]:
    """Return the file, or the files of features and labels, of each split that was named."""
    if len(words) <= 2 and not any(_is_named(word) for word in words):
        return _unnamed(_pair(",".join(words)))
    sources: dict[str, str | tuple[str, str]] = {}
    for word in words:
        split, equals, file = word.partition("=")
        if not (equals and split and file):
            raise RequestError(f"{_FILES}. Received: {word!r}")
        if split in sources:
            raise RequestError(f"Name each split once. Received twice: {split!r}")
        sources[split] = _pair(file)
    return sources


def _is_named(word: str) -> bool:
    return "=" in word and not Path(word).is_file()


def _unnamed(files: str | tuple[str, str]) -> dict[str, str | tuple[str, str]]:
    if isinstance(files, str):
        return dict.fromkeys(features.splits_in(files), files)
    if all(file.endswith(".npz") for file in files):
        raise RequestError(f"Which split is which? {_FILES}. Received: {' '.join(files)}")
    return {"train": files}


def _pair(text: str) -> str | tuple[str, str]:
    """Return FILE, or FILE and LABELS, of `FILE[,LABELS]`; the name of FILE may have commas too."""
    first, comma, second = text.rpartition(",")
    if not comma or Path(text).exists():
        return text
    if not (first and second):
        raise RequestError(f"{_FILES}. Received: {text!r}")
    return first, second


def _row(info: features.CacheInfo, later: Path | None) -> dict[str, Any]:
    if info.problem:
        return {"cache": info.path.name, "state": "unreadable", "problem": info.problem}
    return {
        "cache": info.path.name,
        "experiment": info.experiment,
        "backbone": info.backbone,
        "layers": ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in (info.shapes or {}).items()),
        "dtype": info.dtype,
        "images": info.images,
        "MiB": round(info.bytes / 2**20, 1),
        "own MiB": round(features.removal(info.path).freed / 2**20, 1),
        "recipe": info.recipe[:KEY_DIGITS],
        "age": _age(info.created),
        "state": _state(info, later),
        "problem": "",
    }


def _state(info: features.CacheInfo, later: Path | None) -> str:
    state = "complete" if info.complete else f"{info.done_images:,} of {info.images:,} images"
    return f"{state}, superseded by {later.name}" if later else state


def _age(created: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
