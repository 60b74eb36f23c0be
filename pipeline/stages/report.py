"""The report: everything known of an experiment on one self-contained page."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bottleneck_features.features import Features
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.evaluation.splits import hold_out
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import backbone_label, data_warnings, open_cache
from bottleneck_features.pipeline.reporting.answer import answer, answer_without_rivals, best_method, question
from bottleneck_features.pipeline.reporting.feature_map import FeatureMap, feature_map
from bottleneck_features.pipeline.reporting.gallery import Mistake, most_confident_mistakes
from bottleneck_features.pipeline.reporting.method_tables import COLUMNS as CLASS_COLUMNS
from bottleneck_features.pipeline.reporting.method_tables import class_table, method_tables
from bottleneck_features.pipeline.reporting.page import write_page
from bottleneck_features.pipeline.reporting.provenance import provenance
from bottleneck_features.pipeline.reporting.sources import (
    Sources,
    find_sources,
    predictions_of,
    smallest_class,
    visible,
)
from bottleneck_features.pipeline.results import Clock, Result, experiment_json, run_folder, write_result


@dataclass(frozen=True)
class Subject:
    """What a report is of: an experiment with its home, the words that name it, its data and its features."""

    experiment: Experiment
    home: Path
    options: tuple[str, ...]
    dataset: Dataset
    cache: Features


def report(experiment: Experiment, home: Path, options: tuple[str, ...] = ()) -> Result:
    """Collect the results of an experiment on one page; nothing is trained and nothing is scored.

    Args:
        experiment: the experiment; its cache must be complete.
        home: the artifacts folder.
        options: the command line's words, so that the page can say how to repeat everything.

    Returns:
        The `Result`, with `answer`, `shown` (commands whose results are on the page), `missing` (what other commands would
        add), and `files`, the page first.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: no command that scores has run yet.
    """
    dataset = open_dataset(experiment, home)
    return write_report(Subject(experiment, home, options, dataset, open_cache(experiment, home, dataset)))


def page_of(subject: Subject) -> Path:
    """Return where the page of an experiment is, or will be."""
    return run_folder(subject.home, subject.experiment.name, "report") / "report.html"


def write_report(subject: Subject) -> Result:
    """Write the report of an experiment whose data and cache are open already; see `report`."""
    from bottleneck_features.pipeline.reporting.figures import draw

    experiment, clock = subject.experiment, Clock()
    page = page_of(subject)
    folder = page.parent
    with clock.phase("collect"):
        counts = {split: len(samples) for split, samples in subject.dataset.splits.items()}
        plain = experiment_json(experiment)
        smallest = smallest_class(subject.dataset, experiment)
        sources = find_sources(folder.parent, plain, subject.cache.key, counts, smallest, subject.options)
        if not any("methods" in result for result in sources.results.values()):
            raise _nothing_yet(subject, sources)
    with clock.phase("pictures"):
        pictures = draw(sources.results, folder)
    with clock.phase("images"):
        found, remarks = predictions_of(sources, folder.parent)
        images = _of_images(subject, sources, found)
    backbone = backbone_label(experiment)
    warnings, answered = _warnings(subject, sources, remarks), _answer(sources, backbone)
    with clock.phase("write"):
        content = {
            "name": experiment.name,
            "question": question(backbone, visible(subject.dataset.title)),
            "answer": answered,
            "warnings": visible(list(warnings)),
            "pictures": pictures,
            "results": sources.results,
            "tables": method_tables(sources.results),
            "class_columns": CLASS_COLUMNS,
            "missing": visible(sources.missing),
            "commands": visible([f"bottleneck features {shlex.join(subject.options)}", *sources.commands.values()]),
            "provenance": provenance(subject.cache, sources, plain),
            **images,
        }
        write_page(content, page)
    details: dict[str, Any] = {
        "data": subject.dataset.title,
        "backbone": backbone,
        "answer": answered,
        "shown": list(sources.results),
        "missing": sources.missing,
        "files": [str(file) for file in (page, *(picture.file for picture in pictures))],
    }
    result = Result("report", plain, subject.cache.key, clock.seconds, warnings, details, folder)
    write_result(result)
    return result


def _warnings(subject: Subject, sources: Sources, remarks: tuple[str, ...]) -> tuple[str, ...]:
    """What a reader must know, each once: what does not belong here first."""
    said = [*sources.remarks, *remarks, *data_warnings(subject.experiment, subject.dataset)]
    return tuple(dict.fromkeys([*said, *(text for result in sources.results.values() for text in result["warnings"])]))


def _nothing_yet(subject: Subject, sources: Sources) -> RequestError:
    options = shlex.join(subject.options)
    remarks = "".join(f"\n{remark}" for remark in sources.remarks)
    return RequestError(
        f"There is nothing to report of {subject.experiment.name!r} yet: no command that scores a method has run on its "
        f"features.{remarks}\nType first: bottleneck compare {options}"
    )


def _answer(sources: Sources, backbone: str) -> str:
    if "compare" in sources.results:
        return answer(sources.results["compare"])
    scored = [result for result in sources.results.values() if "methods" in result]
    measured = [method["name"] for result in scored for method in result["methods"]]
    return answer_without_rivals(scored[0], scored[0].get("backbone", backbone), measured)


def _of_images(subject: Subject, sources: Sources, found: tuple[str, Predictions] | None) -> dict[str, Any]:
    """What the page shows of single images, where a result has kept what was answered to each."""
    if found is None:
        return {"classes": [], "mistakes": [], "map": None}
    command, predictions = found
    result, names = sources.results[command], [visible(name) for name in subject.dataset.class_names]
    method = best_method(result)
    answered = [one for one in result["methods"] if one["name"] in predictions.predicted]
    tables = [
        class_table(name, predictions.labels, predicted, names) for name, predicted in predictions.predicted.items()
    ]
    return {
        "classes": sorted(tables, key=lambda table: table.method != method["name"]),
        "mistakes": _mistakes(subject, predictions, {**result, "methods": answered}),
        "map": _map(subject, predictions, method),
    }


def _map(subject: Subject, predictions: Predictions, method: Mapping[str, Any]) -> FeatureMap | None:
    layer = _layer(subject.cache, method)
    seed = subject.experiment.seed
    return feature_map(subject.dataset, subject.cache, layer, predictions, method["name"], seed)


def _mistakes(subject: Subject, predictions: Predictions, result: Mapping[str, Any]) -> list[Mistake]:
    """Beside training images of the run that made the mistakes, whatever this report was asked for."""
    dataset, cache, method, made_with = subject.dataset, subject.cache, best_method(result), result["experiment"]
    held = hold_out(dataset, made_with["head"]["validation_split"], made_with["seed"])
    layer = _layer(cache, method)
    return most_confident_mistakes(dataset, cache, layer, held.train, predictions, method["name"])


def _layer(cache: Features, method: Mapping[str, Any]) -> str:
    """The last layer that a method sees; the cache's last for one that sees none."""
    seen = [layer for layer in cache.layers if visible(layer) in method["layers"]]
    return (seen or cache.layers)[-1]
