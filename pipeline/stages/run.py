"""The whole way in one command: inspect, extract, probe, train the head, compare within a time, and report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bottleneck_features.pipeline.evaluation.study import Study, open_study
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.experiment_file import as_made
from bottleneck_features.pipeline.method_names import row_label
from bottleneck_features.pipeline.methods.costs import can_be_trained, estimated_seconds, larger_network
from bottleneck_features.pipeline.methods.cross_validation import Folding, folding_of
from bottleneck_features.pipeline.reporting.answer import best_method
from bottleneck_features.pipeline.reporting.sources import read_result
from bottleneck_features.pipeline.results import Result, experiment_json
from bottleneck_features.pipeline.stages.compare import compare
from bottleneck_features.pipeline.stages.features import extract_features
from bottleneck_features.pipeline.stages.inspect import inspect
from bottleneck_features.pipeline.stages.probe import probe
from bottleneck_features.pipeline.stages.report import report
from bottleneck_features.pipeline.stages.train_head import train_head

ALWAYS = ("head", "best-probe")  # are compared with networks where there is time for one
NETWORKS = ("convnet-small", "fine-tune")  # the first needs no network that can be trained on
REPORT_SECONDS = 15.0


@dataclass
class Budget:
    """The time there is for all that follows the extraction.

    Attributes:
        ends: when it is over, by `time.monotonic`.
        skipped: what did not fit into it, with the estimated seconds; None: not known.
    """

    ends: float
    skipped: dict[str, float | None]

    def allows(self, what: str, seconds: float | None) -> bool:
        """Return whether something fits beside the report, and note it if it does not."""
        if seconds is not None and time.monotonic() + seconds + REPORT_SECONDS <= self.ends:
            return True
        self.skipped[what] = seconds
        return False


def run(experiment: Experiment, home: Path, options: tuple[str, ...], minutes: float) -> Result:
    """Answer what a pre-trained network is worth on some images.

    Probes and the report are always made; the head, a small ConvNet trained from scratch and fine-tuning each if there is
    time. What was made before with the same data and settings is taken as it is.

    Args:
        experiment: the experiment.
        home: the artifacts folder.
        options: the words that name the experiment on the command line.
        minutes: for all that follows the extraction.

    Returns:
        The `Result`, with `answer`, of which `verdict` is the first part and `caveats` the rest, `methods` (those that are
        compared, or the probes), `best` (the label of the one that the answer is of), `scored_on`, `select`, `skipped`
        (estimated seconds by method), `larger` (see `larger_network`), `model` (the file of the trained model), `network` (kept
        beside it), `report`, `cache`, `data` and `files`.

    Raises:
        RequestError: a setting cannot be right, or classes have too few images.
        PipelineError: too many files cannot be used, or a loss became NaN.
        Whatever the stages raise.
    """
    inspected = inspect(experiment, home, options)
    extracted = extract_features(experiment, home)
    budget = Budget(time.monotonic() + 60 * minutes, {})
    study = open_study(experiment, home, "run", options)
    folding = folding_of(study, None, None)
    probed = _made(study, "probe") or probe(study.for_command("probe"), folding).as_json()
    cost = estimated_seconds(study, folding)
    if not _made(study, "train-head") and budget.allows("train-head", estimated_seconds(study)["head"]):
        train_head(study.for_command("train-head"))
    compared, study = _compared(study, folding, budget, cost)
    page = report(study.for_command("report"))
    shown = compared or probed
    details = {
        "data": study.dataset.title,
        "name": experiment.name,
        **{part: page.details[part] for part in ("answer", "verdict", "caveats")},
        "methods": shown["methods"],
        "best": row_label(best_method(shown)),
        "scored_on": shown["scored_on"],
        "select": shown["select"],
        "skipped": budget.skipped,
        "larger": larger_network(study),
        "minutes": minutes,
        "network": probed.get("network"),  # a result of an earlier release says nothing of it
        "model": str(study.folder.parent / "probe" / "head.npz"),
        "report": page.details["files"][0],
        "cache": extracted.details["cache"],
        "files": page.details["files"],
    }
    warnings = tuple(dict.fromkeys((*inspected.warnings, *shown["warnings"])))
    return study.write(details, warnings, study.cache.key)


def _compared(
    study: Study, folding: Folding | None, budget: Budget, cost: Mapping[str, float | None]
) -> tuple[Mapping[str, Any] | None, Study]:
    """Compare the probes with the networks there is time for, and with those of an earlier run.

    Returns:
        The result, None where there is no network to compare with, and the study with these methods.
    """
    before = _made(study, "compare", but=("compare",))
    known = {row["name"] for row in before["methods"]} if before else set()
    networks = []
    if "head" not in known:
        budget.ends -= cost["head"] or 0.0  # is compared with every network
    for name in NETWORKS if can_be_trained(study) else NETWORKS[:1]:
        if name in known or budget.allows(name, cost[name]):
            networks.append(name)
            budget.ends -= 0.0 if name in known else cost[name] or 0.0
    if not networks:
        return None, study
    experiment = study.experiment
    chosen = replace(experiment, compare=replace(experiment.compare, methods=(*ALWAYS, *networks)))
    study = open_study(chosen, study.home, "run", study.options)
    if before and known >= set(networks):
        return before, study
    return compare(study.for_command("compare"), folding).as_json(), study


def _made(study: Study, command: str, but: Sequence[str] = ()) -> Mapping[str, Any] | None:
    """Return the result of a command that was made of the same features by the same settings; None where there is none.

    Args:
        study: the experiment, opened.
        command: the command.
        but: sections of settings that may differ.
    """
    result, wrong = read_result(study.folder.parent, command)
    if wrong or not result or result["cache_key"] != study.cache.key:
        return None
    then, now = as_made(result["experiment"]), experiment_json(study.experiment)
    same = all(then.get(section) == now[section] for section in now if section not in (*but, "description"))
    return result if same else None
