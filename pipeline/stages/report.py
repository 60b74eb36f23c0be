"""The report: all results of an experiment on one self-contained page."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from bottleneck_features.pipeline.evaluation.splits import smallest_class
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.extraction.identity import images_key_of
from bottleneck_features.pipeline.method_names import BEST_PROBE, COMPARE_BACKBONES, row_title
from bottleneck_features.pipeline.method_row import CURVE_SEEDS
from bottleneck_features.pipeline.reporting.answer import (
    answer_of,
    answering,
    best_method,
    big_figure,
    headline_of,
    question,
)
from bottleneck_features.pipeline.reporting.confusion import confusion_tables
from bottleneck_features.pipeline.reporting.figures import draw, drawn_pictures, moved_thresholds
from bottleneck_features.pipeline.reporting.method_tables import method_tables, networks_section
from bottleneck_features.pipeline.reporting.page import write_page
from bottleneck_features.pipeline.reporting.problems import data_problems
from bottleneck_features.pipeline.reporting.provenance import provenance
from bottleneck_features.pipeline.reporting.single_images import single_images
from bottleneck_features.pipeline.reporting.sources import find_sources, predictions_of
from bottleneck_features.pipeline.results import Result, by_importance, experiment_json
from bottleneck_features.plain import visible


def report(study: Study) -> Result:
    """Collect the results of an experiment on one page; nothing is trained and nothing is scored.

    Args:
        study: the experiment, opened; its cache must be complete.

    Returns:
        The `Result`, with `answer`, of which `verdict` is the first part and `caveats` the rest, `best_method` (its title),
        `shown` (commands whose results are on the page), `missing` (what other commands would add), and `files`, the page
        first.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: no command that scores has run yet.
    """
    experiment, options = study.experiment, study.options
    clock, cache, folder = study.clock, study.cache, study.folder
    page = folder / "report.html"
    with clock.phase("collect"):
        counts = {split: len(samples) for split, samples in study.dataset.splits.items()}
        seeds = range(experiment.seed, experiment.seed + CURVE_SEEDS)
        smallest = smallest_class(study.dataset, experiment.head.validation_split, seeds)
        plain = experiment_json(experiment)
        sources = find_sources(
            folder.parent,
            plain,
            key=cache.key,
            images_key=images_key_of(study.identity),
            counts=counts,
            smallest=smallest,
            options=options,
        )
        sources.require_scores(experiment.name, options)
    with clock.phase("images"):
        found, remarks = predictions_of(sources, folder.parent, study.dataset)
        images = single_images(study, sources.results, found)
    with clock.phase("pictures"):
        pictures = draw(sources.results, folder)
        if moved := images["thresholds"]:
            positive = "" if moved.positive is None else visible(study.classes[moved.positive])
            pictures += drawn_pictures(iter([moved_thresholds(moved, positive)]), folder, of_main=True)
    answer = answer_of(sources.results, study.backbone)
    main = answering(sources.results)
    in_order = [sources.results[main], *(own for name, own in sources.results.items() if name != main)]
    made_with = _said_once(text for result in in_order for text in result["warnings"])
    found_wrong = by_importance([*sources.remarks, *remarks, *study.data_warnings(), *made_with])
    warnings = tuple(
        text for text in found_wrong if text not in study.notes
    )  # earlier versions called a licence a warning
    with clock.phase("write"):
        content = {
            "name": experiment.name,
            "names": visible(list(study.dataset.class_names)),
            "question": question(study.backbone, visible(study.dataset.title)),
            "big": big_figure(sources.results),
            "verdict": answer.verdict,
            "caveats": answer.caveats,
            "predict_words": _predict_words(sources.results, experiment.name),
            "headline": headline_of(sources.results),
            "warnings": visible(list(warnings)),
            "notes": visible(list(study.notes)),
            "pictures": pictures,
            "results": sources.results,
            "tables": method_tables(sources.results),
            "networks": networks_section(sources.results.get(COMPARE_BACKBONES)),
            "confusions": confusion_tables(sources.results),
            "missing": visible(sources.missing),
            "commands": visible([f"bottleneck features {shlex.join(options)}", *sources.commands.values()]),
            "provenance": provenance(cache, sources, plain),
        }
        write_page("report.html", content | images | data_problems(study.dataset, sources.results), page)
    details: dict[str, Any] = {
        "data": study.dataset.title,
        "backbone": study.backbone,
        "answer": answer.text,
        "verdict": answer.verdict,
        "caveats": answer.caveats,
        "best_method": row_title(best_method(sources.results[main])),
        "shown": list(sources.results),
        "missing": sources.missing,
        "files": [str(file) for file in (page, *(picture.file for picture in pictures))],
    }
    return study.write(details, warnings, cache.key)


def _said_once(texts: Iterable[str]) -> list[str]:
    """Return warnings without those whose first sentence another command has said: the rest of it is of other methods."""
    known: dict[str, str] = {}
    for text in texts:
        known.setdefault(text.partition(". ")[0], text)
    return list(known.values())


def _predict_words(results: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """Return the command that uses the model which the page is about; empty where none is kept: `compare` keeps none."""
    main = answering(results)
    model = "probe" if best_method(results[main])["name"] == BEST_PROBE else main
    if model not in results or model == "compare":
        return ""
    return visible(f"bottleneck predict {shlex.join(('-e', name, '--model', model))}")
