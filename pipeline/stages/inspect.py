"""The contents and the problems of a data set, before anything is computed from it."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bottleneck_features import models
from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.assembly import resizing_of
from bottleneck_features.pipeline.datasets.texts import concatenated, factorized
from bottleneck_features.pipeline.evaluation.details import Place
from bottleneck_features.pipeline.evaluation.splits import why_no_holdout
from bottleneck_features.pipeline.evaluation.study import open_data
from bottleneck_features.pipeline.experiment import Experiment, InputSettings
from bottleneck_features.pipeline.input_fit import CROP, with_resolved_fit
from bottleneck_features.pipeline.inspection.contact_sheets import contact_sheets
from bottleneck_features.pipeline.inspection.hints import hints
from bottleneck_features.pipeline.inspection.regions import find_marks, looked_at
from bottleneck_features.pipeline.inspection.repeats import Repeats, describe_all, find_repeats
from bottleneck_features.pipeline.inspection.shortcuts import (
    Shortcut,
    find_shortcuts,
    mark_warnings,
    shortcuts_of_regions,
)
from bottleneck_features.pipeline.kept_experiments import note_contents
from bottleneck_features.pipeline.reporting.inspect_page import write_inspect_page
from bottleneck_features.pipeline.results import Result, experiment_json, write_result

SIZE = (64, 64)  # the least that image files are resized to for a look at them
FILE_WIDTH = 8.5  # inches of the pictures that are files
LISTED = 1000  # pairs in result.json
_SHOWN = 20  # groups and conflicts in result.json
UNEVEN = 10  # times the smallest class
LITTLE = 0.4  # of a picture's area: less than of one of 16:9, which a crop of 0.875 shows 43 % of
_QUANTILES = {"least": 0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "most": 1}


def inspect(experiment: Experiment, home: Path, options: tuple[str, ...] = ()) -> Result:
    """Inspect the data set of an experiment; needs neither a cache nor a network.

    Args:
        experiment: its `dataset` section, and `input`: images are looked at as they will be extracted, so that they are decoded
            once, but for sizes and kernels that show too little of them.
        home: the artifacts folder.
        options: the command line's words, so that the page can say how to repeat it.

    Returns:
        The `Result`, with `images` (by split and class), `pictures` (sizes, modes, …), `repeats`, `groups`,
        `shortcuts` and `files`. Beside result.json are pictures, contact sheets and `inspect.html`.

    Raises:
        RequestError: the data set's settings cannot be right.
        PipelineError: too many files cannot be used.
    """
    experiment = _with_known_fit(experiment)
    study = open_data(replace(experiment, input=_looked_at(experiment.input)), home, "inspect")
    clock, folder, dataset = study.clock, study.folder, study.dataset
    with clock.phase("describe"):
        places, described = describe_all(dataset)
    labels = np.concatenate([samples.labels for samples in dataset.splits.values()])
    named = [dataset.groups[split] for split in dataset.splits if dataset.groups]
    groups = factorized(concatenated(named))[1] if named else None
    with clock.phase("repeats"):
        repeats = find_repeats(dataset, places, described)
    with clock.phase("shortcuts"):
        shortcuts, shortcut_warnings = _shortcuts(dataset, described["colour"], labels, groups)
    with clock.phase("pictures"):
        counts = _counts(dataset)
        drawn = _drawn(dataset, counts, labels)
        pictures = [
            plots.save_figure(draw(FILE_WIDTH), folder / f"{title.lower().replace(' ', '-')}.png")
            for title, draw in drawn.items()
        ]
        sheets = contact_sheets(dataset, folder, experiment.seed)
    seen = _seen(dataset, experiment)
    details: dict[str, Any] = {
        "data": dataset.title,
        "images": counts,
        "pictures": {**_summary(dataset), **({"seen": _quantiles(seen)} if len(seen) else {})},
        "groups": _straddling(dataset),
        "repeats": _repeats_json(dataset, repeats),
        "shortcuts": [shortcut.as_json() for shortcut in shortcuts],
        "files": [str(path) for path in (*pictures, *sheets, folder / "inspect.html")],
    }
    small = why_no_holdout(dataset)
    warnings = (
        *dataset.notices,
        *note_contents(home, experiment, dataset),
        *shortcut_warnings,
        *_warnings(details),
        *_crop_warnings(seen, labels, dataset.class_names),
        *map(_group_hint, dataset.group_candidates),
        *([f"Classes: {small}"] if small else []),
    )
    result = Result("inspect", experiment_json(experiment), "", clock.seconds, warnings, details, folder)
    pairs = [(pair.first, pair.second, pair.kind) for pair in _worth_a_look(dataset, repeats)]
    write_inspect_page(write_result(result), dataset, drawn, sheets, pairs, options, folder / "inspect.html")
    return result


def overview(result: Mapping[str, Any]) -> str:
    """Return in one line how many images and classes there are, and how many images each split has."""
    sizes = {split: sum(own.values()) for split, own in result["images"].items()}
    classes = len(next(iter(result["images"].values())))
    return (
        f"{result['data']}: {sum(sizes.values()):,} images of {classes:,} classes; "
        f"{', '.join(f'{split} {size:,}' for split, size in sizes.items())}"
    )


def _shortcuts(
    dataset: Dataset, colour: np.ndarray, labels: np.ndarray, groups: np.ndarray | None
) -> tuple[tuple[Shortcut, ...], tuple[str, ...]]:
    """Return the shortcuts, and the warnings of them."""
    found = find_shortcuts(hints(dataset, colour), labels, groups, dataset.class_names)
    chosen = looked_at(labels)
    own = None if groups is None else groups[chosen]
    regions = find_marks(dataset, labels[chosen], own, chosen)
    parts = shortcuts_of_regions(regions, labels[chosen], own, dataset.class_names)
    warnings = (
        *(shortcut.sentence() for shortcut in found if shortcut.warns),
        *mark_warnings(regions, dataset.class_names),
    )
    return tuple(sorted((*found, *parts), key=lambda shortcut: -shortcut.skill)), warnings


def _with_known_fit(experiment: Experiment) -> Experiment:
    """Return the experiment with what `input.fit` stands for; of a network that is not there pictures are looked at whole."""
    try:
        return with_resolved_fit(experiment)
    except models.ModelError:
        return replace(experiment, input=replace(experiment.input, fit="stretch"))


def _looked_at(settings: InputSettings) -> InputSettings:
    shows_enough = min(settings.size) >= min(SIZE) and settings.antialias and settings.resize != "nearest"
    return settings if shows_enough else InputSettings(size=SIZE, fit="stretch")


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    return {
        split: {
            name: int(count)
            for name, count in zip(
                dataset.class_names, np.bincount(samples.labels, minlength=len(dataset.class_names)), strict=True
            )
        }
        for split, samples in dataset.splits.items()
    }


def _drawn(
    dataset: Dataset, counts: dict[str, dict[str, int]], labels: np.ndarray
) -> dict[str, Callable[[float], Figure]]:
    """Return the pictures by their titles, as functions of a width in inches."""
    by_split, names = {split: list(own.values()) for split, own in counts.items()}, dataset.class_names
    drawn: dict[str, Callable[[float], Figure]] = {
        "Class balance": lambda width: plots.class_balance(by_split, names, width)
    }
    sizes = [(origin.header.width, origin.header.height) for origin in dataset.origins()]
    if len(set(sizes)) > 1:
        drawn["Image sizes"] = lambda width: plots.image_sizes(np.array(sizes), labels, names, width)
    return drawn


def _summary(dataset: Dataset) -> dict[str, Any]:
    """Return what kinds of pictures there are: sizes (width × height), formats, modes and aspect ratios with their counts."""
    origins = list(dataset.origins())
    if not origins:
        height, width, _ = dataset.image_shape
        total = sum(len(samples) for samples in dataset.splits.values())
        return {"sizes": {f"{width}×{height}": total}, "different_sizes": 1}
    headers = [origin.header for origin in origins]
    sizes = Counter(f"{header.width}×{header.height}" for header in headers)
    return {
        "sizes": dict(sizes.most_common(10)),
        "different_sizes": len(sizes),
        "formats": dict(Counter(header.format for header in headers).most_common()),
        "modes": dict(Counter(header.mode for header in headers).most_common()),
        "aspect_ratio": _quantiles([header.width / header.height for header in headers]),
        "mebibytes": round(sum(origin.size for origin in origins) / 2**20, 1),
    }


def _quantiles(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    found = np.quantile(values, list(_QUANTILES.values())).round(3).tolist()
    return dict(zip(_QUANTILES, found, strict=True))


def _seen(dataset: Dataset, experiment: Experiment) -> np.ndarray:
    """Return the share of its area that the network sees of each picture, `(n,)`; `(0,)` where none is cropped."""
    sizes = [origin.header.size for origin in dataset.origins()]
    if not sizes or (resizing := resizing_of(experiment)).fit != CROP:
        return np.empty(0)
    shown = {
        size: np.prod([axis.part[1] - axis.part[0] for axis in resizing.axes(size)]) for size in dict.fromkeys(sizes)
    }
    return np.array([shown[size] for size in sizes])


def _crop_warnings(seen: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return a warning about the class of which a crop shows the least, where that is little."""
    if not len(seen):
        return ()
    medians = {name: float(np.median(seen[labels == number])) for number, name in enumerate(class_names)}
    least = min(medians, key=medians.__getitem__)
    if medians[least] >= LITTLE:
        return ()
    return (
        f"Crop: of half of the pictures of {least!r} the network sees {100 * medians[least]:.0f} % of the area or less, their "
        "middle. If what counts may lie beside it: --set input.fit=pad shows pictures whole, with black beside them.",
    )


def _straddling(dataset: Dataset) -> dict[str, Any]:
    where: dict[str, set[str]] = defaultdict(set)
    for split, groups in dataset.groups.items():
        for group in factorized(groups)[0]:
            where[group].add(split)
    parted = sorted(group for group, splits in where.items() if len(splits) > 1)
    return {"number": len(where), "in_several_splits": len(parted), "examples": parted[:_SHOWN]}


def _worth_a_look(dataset: Dataset, repeats: Repeats) -> list[Any]:
    """Return the pairs, those of different labels first, then those of different splits."""
    return sorted(
        repeats.pairs,
        key=lambda pair: (
            _label(dataset, pair.first) == _label(dataset, pair.second), pair.first.split == pair.second.split,
        ),
    )  # fmt: skip


def _label(dataset: Dataset, place: Place) -> str:
    return dataset.class_names[dataset.splits[place.split].labels[place.index]]


def _repeats_json(dataset: Dataset, repeats: Repeats) -> dict[str, Any]:
    def named(place: Place) -> dict[str, str]:
        samples = dataset.splits[place.split]
        return {"split": place.split, "id": str(samples.ids[place.index]), "label": _label(dataset, place)}

    conflicts = [own for own in repeats.sets if len({_label(dataset, place) for place in own}) > 1]
    spread = Counter(" and ".join(sorted({place.split for place in own})) for own in repeats.sets)
    pairs = _worth_a_look(dataset, repeats)
    return {
        "near_ones": repeats.near_ones,
        "sets": len(repeats.sets),
        "images": sum(len(own) for own in repeats.sets),
        "kinds": dict(Counter(pair.kind for pair in pairs)),
        "sets_by_splits": dict(spread),
        "across_splits": sum(count for splits, count in spread.items() if " and " in splits),
        "exact_across_splits": sum("exact" in pair.kind and pair.first.split != pair.second.split for pair in pairs),
        "conflicting_labels": len(conflicts),
        "conflicts": [[named(place) for place in own[:_SHOWN]] for own in conflicts[:_SHOWN]],
        "pairs": [
            {**asdict(pair), "first": named(pair.first), "second": named(pair.second)} for pair in pairs[:LISTED]
        ],
    }


def _group_hint(column: str) -> str:
    return (
        f"Groups: column {column!r} has few values with many images each. If images with the same value belong together (one "
        "sender, one scene), they must not be trained and tested on at once: "
        f"--set {shlex.quote(f'dataset.group={column}')} keeps them in one split."
    )


def _warnings(details: dict[str, Any]) -> list[str]:
    found = []
    repeats = details["repeats"]
    if repeats["conflicting_labels"]:
        unlike = {image["label"]: image["id"] for image in reversed(repeats["conflicts"][0])}
        first = " and ".join(f"'{one}' ({label})" for label, one in sorted(unlike.items())[:2])
        found.append(
            f"Labels: {repeats['conflicting_labels']:,} sets of repeated images have more than one label, such as {first}. A "
            "table of ids and right labels, or `drop`, corrects them where the data cannot be changed: --set "
            "dataset.corrections=fixes.csv"
        )
    if repeats["across_splits"]:
        found.append(
            f"Leak: {repeats['across_splits']:,} sets of repeated images lie in more than one split "
            f"({repeats['exact_across_splits']:,} exact pairs; check near-duplicates by eye: inspect.html shows the first "
            "ones, result.json lists them under `repeats`). Remove the copies, or, if the data have no splits of their own, "
            "set dataset.group: images of one group stay in one split."
        )
    for split, counts in details["images"].items():
        least, most = (choose(counts, key=counts.__getitem__) for choose in (min, max))
        if counts[most] > UNEVEN * counts[least]:
            found.append(
                f"Balance: in {split} the class {most!r} has {counts[most]:,} images, {least!r} {counts[least]:,}; overall "
                "accuracy says little about small classes."
            )
    return found
