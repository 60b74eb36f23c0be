"""Finds the results that belong on an experiment's report, and names those that do not belong or are missing."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bottleneck_features.foreign import read_json
from bottleneck_features.pipeline.asked_experiment import set_words
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.predictions import Predictions, load_predictions
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.experiment_file import as_made, flat, override_text, restored_experiment
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES, NETWORKS, row_label, training_command
from bottleneck_features.pipeline.reporting.answer import answering, best_method, scored_methods
from bottleneck_features.pipeline.resolved_experiment import resolved
from bottleneck_features.pipeline.result_schema import RECORDS, ScoredResult, missing_keys, require_result
from bottleneck_features.pipeline.results import RESULT_FILE, experiment_json
from bottleneck_features.plain import visible

CURVE_SIZES = (1, 5, 10, 50)  # images per class, then all there are
SPLITTING = ("seed", "head.validation_split", "dataset", "score")
_OF_EACH_NETWORK = ("input.fit", "input.crop_share")  # what `auto` leaves to the networks that are compared


@dataclass(frozen=True)
class ReportedCommand:
    """A command whose result a report can show.

    Attributes:
        words: the command; that of a label curve lacks its sizes, which depend on the data.
        adds: what it adds to the page; empty for a result that is optional: if there is none, it is not listed as missing.
        depends: sections and settings that its numbers depend on, besides the features.
    """

    words: str
    adds: str
    depends: tuple[str, ...]


REPORTED_COMMANDS = {
    "compare": ReportedCommand(
        "compare",
        "methods against one another, accuracy against time, confusion, each class, calibration and mistakes",
        (*SPLITTING, "head", "convnet", "finetune", "compare"),
    ),
    "probe": ReportedCommand("probe", "every cached layer and family of probes", (*SPLITTING, "head")),
    "train-head": ReportedCommand("train-head", "", (*SPLITTING, "head")),
    "label-curve": ReportedCommand(
        "compare --label-curve",
        "how many labels it takes",
        (*SPLITTING, "convnet"),
    ),
    COMPARE_BACKBONES: ReportedCommand("compare --backbones A,B", "", (*SPLITTING, "input")),
    "inspect": ReportedCommand("inspect", "problems of the data", ("dataset",)),
    "advise": ReportedCommand("advise", "which method suits the data", SPLITTING),
    **{method: ReportedCommand(training_command(method), "", (*SPLITTING, "finetune")) for method in NETWORKS},
}
SCORING = tuple(  # commands that score methods on the features of the experiment's own network
    name for name in REPORTED_COMMANDS if issubclass(RECORDS[name], ScoredResult) and name != COMPARE_BACKBONES
)


@dataclass(frozen=True)
class Sources:
    """What there is to report.

    Attributes:
        results: result objects by command; all of the same features and images.
        commands: what repeats each of them, by command.
        remarks: a sentence for each result that does not belong here, or was made with other settings.
        missing: what else a command would add, by the command.
    """

    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def require_scores(self, experiment: str, options: tuple[str, ...]) -> None:
        """Refuse a report of nothing.

        Args:
            experiment: its name.
            options: the words that name it on the command line.

        Raises:
            RequestError: no command that scores has run yet; the message says which to type.
        """
        if scored_methods(self.results):
            return
        remarks = "".join(f"\n{remark}" for remark in self.remarks)
        raise RequestError(
            f"There is nothing to report of {experiment!r} yet: no command that scores a method has run on its "
            f"features.{remarks}\nType first: bottleneck compare {shlex.join(options)}"
        )


def find_sources(
    runs: Path,
    experiment: Mapping[str, Any],
    *,
    key: str,
    images_key: str,
    counts: Mapping[str, int],
    smallest: int,
    options: tuple[str, ...],
) -> Sources:
    """Collect the results of an experiment.

    A result of other features (another cache key) or, where a command uses none, of other data is left out and named. One
    of the same features with other settings is shown, and a remark names the settings. One that is damaged, or that no command
    can have written, is left out too.

    Args:
        runs: the folder of the experiment's results, one folder per command.
        experiment: as results have it.
        key: of the experiment's cache.
        images_key: of its images and labels, see `images_key_of`.
        counts: images by split.
        smallest: how many images of a class every class has to train on.
        options: the words that name the experiment on the command line.

    Returns:
        The `Sources`.
    """
    sources = Sources()
    for name, stage in REPORTED_COMMANDS.items():
        result, reason = read_result(runs, name)
        words = f"{stage.words} {curve_sizes(smallest)}" if name == "label-curve" else _repeated(name, stage, result)
        again = f"bottleneck {words} {shlex.join(_taken(name, options, result))}".rstrip()
        if result and not reason and name == COMPARE_BACKBONES:
            reason = "" if result["images_key"] == images_key else "it is of other images or labels than there are now"
        elif result and not reason:
            reason = _does_not_belong(result, stage, experiment, key, counts)
        if result and not reason:
            _take(sources, name, stage, result=result, experiment=experiment, options=options)
            continue
        if stage.adds:
            sources.missing[again] = stage.adds
        if reason:
            sources.remarks.append(f"The result of {name} is not shown: {reason}. To make it again: {again}")
    return sources


def curve_sizes(smallest: int) -> str:
    """Return sizes for `--label-curve`, such as `1,5,10,all`, if the smallest class has `smallest` training images."""
    return ",".join([*(str(size) for size in CURVE_SIZES if size <= smallest), "all"])


def as_last_scored(experiment: Experiment, home: Path, options: tuple[str, ...]) -> tuple[Experiment, tuple[str, ...]]:
    """Return an experiment with the settings of the last command that scored a method, and the words that name it then.

    Args:
        experiment: the experiment.
        home: the artifacts folder.
        options: the words that name it.
    """
    settings = experiment_json(resolved(experiment))
    last = last_settings(home / "runs" / experiment.name, settings)
    return restored_experiment(settings, "the last result", last), (*options, *set_words(last))


def last_settings(runs: Path, experiment: Mapping[str, Any]) -> tuple[str, ...]:
    """Return `section.key=value` of what the newest result with scores was made with, where that is not the experiment's.

    Args:
        runs: the folder of the experiment's results, one folder per command.
        experiment: as results have it.
    """
    there = [name for name in SCORING if (runs / name / RESULT_FILE).is_file()]
    for name in sorted(there, key=lambda name: -(runs / name / RESULT_FILE).stat().st_mtime):
        result, _ = read_result(runs, name)
        if result:  # else `find_sources` says what is wrong with it
            return tuple(_differing(result["experiment"], experiment, tuple(experiment), ("name", "description")))
    return ()


def predictions_of(
    sources: Sources, runs: Path, dataset: Dataset
) -> tuple[tuple[str, Predictions] | None, tuple[str, ...]]:
    """Return the command that the page answers from with its predictions; a remark where it has none of the best method."""
    name = answering(sources.results)
    found, shown = load_predictions(sources.results[name], runs / name), row_label(best_method(sources.results[name]))
    classes = len(dataset.class_names)
    if found and shown in found.predicted and found.are_of(dataset.splits.get(found.split), classes):
        return (name, found), ()
    remark = (
        f"The predictions of {name} for single images are not shown: its predictions.npz is missing, or damaged, or "
        f"belongs to another result. To make it again: {sources.commands[name]}"
    )
    return None, (remark,)


def read_result(runs: Path, name: str) -> tuple[dict[str, Any], str]:
    """Return the result of a command, or an empty one with the reason why it cannot be shown; without one where none is."""
    try:
        content = visible(read_json(runs / name / RESULT_FILE))
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
        if lacks := missing_keys(name, content):
            return {}, f"it lacks {', '.join(lacks)}, so another version made it"
        require_result(name, content)
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError) as error:
        return {}, f"its {RESULT_FILE} cannot be read ({visible(str(error))})"
    return content, ""


def _does_not_belong(
    result: Any, stage: ReportedCommand, experiment: Mapping[str, Any], key: str, counts: Mapping[str, int]
) -> str:
    if result["cache_key"]:
        return "" if result["cache_key"] == key else _of_other_features(result, experiment, key)
    changed = _differing(result["experiment"], experiment, ("dataset", "input", "backbone"), ())
    if stage.words == "inspect":
        changed = _differing(result["experiment"], experiment, ("dataset",), ())
        found = {split: sum(own.values()) for split, own in result["images"].items()}
        if not changed and found != dict(counts):
            return f"it saw {_listed(found)} images, and there are {_listed(counts)} now"
    return f"it was made with {_and(changed)}" if changed else ""


def _of_other_features(result: Mapping[str, Any], experiment: Mapping[str, Any], key: str) -> str:
    sections = ("dataset", "input", "backbone", "features", "compute", "seed")
    changed = _differing(result["experiment"], experiment, sections, ())
    because = f", with {_and(changed)}" if changed else ", of images or weights that have changed since"
    return f"it was made from other features (cache key {result['cache_key'][:8]}, not {key[:8]}){because}"


def _take(
    sources: Sources,
    name: str,
    stage: ReportedCommand,
    *,
    result: Mapping[str, Any],
    experiment: Mapping[str, Any],
    options: tuple[str, ...],
) -> None:
    unsaid = ("dataset.path", *(_OF_EACH_NETWORK if name == COMPARE_BACKBONES else ()))
    changed = _differing(result["experiment"], experiment, stage.depends, unsaid)
    sources.results[name] = result
    overrides = [word for setting in changed for word in ("--set", setting)]
    words = _label_curve(result) if name == "label-curve" else _repeated(name, stage, result)
    words += f" --seeds {result['seeds']['n']}" if result.get("seeds") else ""
    sources.commands[name] = f"bottleneck {words} {shlex.join((*_taken(name, options, result), *overrides))}".rstrip()
    if changed:
        sources.remarks.append(
            f"The result of {name} was made with {_and(changed)}, unlike this report: be careful when you compare its "
            "figures with others."
        )


def _label_curve(result: Mapping[str, Any]) -> str:
    sizes = dict.fromkeys(str(point["per_class"]) for point in result["points"])
    return f"compare --label-curve {','.join(sizes)} --seeds {result['points'][0]['seeds']}"


def _taken(name: str, options: tuple[str, ...], result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words that name the experiment without those that a command refuses: see `require_alone`."""
    if name != COMPARE_BACKBONES:
        return options
    own = any("backbone.name=" in word for word in options) or any(
        row["network"]["backbone"] == result["experiment"]["backbone"].get("name") for row in result.get("methods", ())
    )
    refused = ("compare.methods=", *(() if own else ("backbone.layers=", "backbone.weights=")))
    pairs = zip(options, (*options[1:], ""), strict=True)
    left_out = [place for place, (word, value) in enumerate(pairs) if word == "--set" and value.startswith(refused)]
    return tuple(word for place, word in enumerate(options) if place not in left_out and place - 1 not in left_out)


def _repeated(name: str, stage: ReportedCommand, result: Mapping[str, Any]) -> str:
    """Return the words that make a result again; without one the words that make the first."""
    if name != COMPARE_BACKBONES or not result:
        return stage.words
    return f"compare --backbones {shlex.quote(','.join(result['asked']))}"


def _differing(
    theirs: Mapping[str, Any], ours: Mapping[str, Any], wanted: tuple[str, ...], unless: tuple[str, ...]
) -> list[str]:
    """Return `section.key=value` of the other experiment's settings that differ, among the sections and keys wanted."""
    own = dict(flat(visible(ours)))
    return [
        override_text(name, value)
        for name, value in flat(as_made(theirs))
        if name not in unless and (name in wanted or name.split(".")[0] in wanted) and own.get(name) != value
    ]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in counts.items())


def _and(parts: list[str]) -> str:
    return " and ".join(parts)
