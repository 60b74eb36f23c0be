"""The comparison of pre-trained networks: the best probe of each on the same images and folds, and what it costs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.evaluation.differences import holm
from bottleneck_features.pipeline.evaluation.predictions import PREDICTIONS_FILE
from bottleneck_features.pipeline.evaluation.scored import keep_predictions, score_details, score_method
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.extraction.cache import weights_notes
from bottleneck_features.pipeline.extraction.calibration import keep_calibration
from bottleneck_features.pipeline.extraction.extract import outputs_known
from bottleneck_features.pipeline.extraction.filling import NetworkOnDemand, fill_cache, is_whole
from bottleneck_features.pipeline.extraction.identity import images_key_of
from bottleneck_features.pipeline.extraction.network_costs import NetworkCosts, network_costs
from bottleneck_features.pipeline.extraction.opened import OpenedExperiment
from bottleneck_features.pipeline.methods.best_probe import best_probe, search_probes, search_with_progress
from bottleneck_features.pipeline.methods.compared_backbones import ComparedBackbone
from bottleneck_features.pipeline.methods.cross_validation import Folding, cross_validate
from bottleneck_features.pipeline.reporting.networks import winner_of
from bottleneck_features.pipeline.results import Clock, Result, experiment_json, write_result

Networks = Mapping[str, OpenedExperiment]


def compare_backbones(study: Study, backbones: Sequence[ComparedBackbone], folding: Folding | None = None) -> Result:
    """Compare the best probes of several networks' frozen features on the same images.

    Each network's features are extracted where they are missing. The best of `logistic`, `ridge` and `knn` is chosen on
    validation images, for each network among its own layers, as `probe` does without the walk-through's head, and scored once.

    Args:
        study: the experiment, opened; features of its own network need not be there.
        backbones: the networks, from `compared_backbones`.
        folding: how the training images are cross-validated: beside the test split, or in its place where there is none.

    Returns:
        The `Result`, with `methods` (a row per network, `network` in each saying what it costs), `pairs` (of networks, on the
        same images or folds; p-values adjusted among all of them), `best` (the first by what is compared), `winner` (empty
        where it cannot be told), `images`, `asked`, `duplicates`, `predictions` and `files`.

    Raises:
        RequestError: a class has too few samples to train and to validate.
        models.ModelError: a network cannot be built for its size; no features were computed then.
        features.CacheError: the disk is full, or another run holds a cache, or one is damaged.
        PipelineError: images have changed while they were compared.
    """
    _ = study.holdout  # classes too small to be split are named before anything is computed
    networks = _opened(study, backbones)
    costs = _with_features(study, networks)
    first = study.with_features(next(iter(networks.values())))
    with workers() as pool:
        folded = None
        if folding:
            with study.clock.phase("cross-validate"):
                folded = cross_validate(first, folding, _probes_of_fold(networks, pool))
        if folded and "test" not in study.dataset.splits:
            first = first.cross_validated(folded)
        with study.clock.phase("train"):
            trained = [_best_of(first, label, networks, pool) for label in networks]
        with study.clock.phase("evaluate"):
            scored = [score_method(first, one, folded) for one in trained]
    rows = [one.row for one in scored]
    kind, compared = first.evaluation.kind, first.target.compared
    best = max(rows, key=lambda row: row.figure(kind, compared).value)
    pairs = _adjusted(first.evaluation.comparisons(best.label))
    methods = [row.as_json() | {"network": costs[row.label].as_json()} for row in rows]
    details: dict[str, Any] = {
        "data": study.dataset.title,
        "asked": [one.asked for one in backbones],
        "methods": methods,
        **score_details(first, folded),
        "pairs": pairs,
        "best": best.label,
        "winner": winner_of(best.label, pairs, kind),
        "images": sum(one.images for one in costs.values()),
        "images_key": images_key_of(first.identity),
        "duplicates": first.duplicates.as_json(),
        "classes": list(study.classes),
        "predictions": keep_predictions(first, scored),
    }
    picture = plots.networks(methods, kind, first.target.select)
    details["files"] = [
        *([str(plots.save_figure(picture, study.folder / "networks.png"))] if picture else []),
        str(study.folder / PREDICTIONS_FILE),
    ]
    return _written(study, first, networks, details)


def _opened(study: Study, backbones: Sequence[ComparedBackbone]) -> dict[str, OpenedExperiment]:
    """Open every network's experiment, by label; those that see images of one size share the data set."""
    datasets = {study.experiment.input: study.dataset}
    found = {}
    for one in backbones:
        settings = one.experiment
        if settings.input not in datasets:
            datasets[settings.input] = open_dataset(settings, study.home)
        dataset = datasets[settings.input]
        keep_calibration(settings, dataset, study.home)
        found[one.label] = OpenedExperiment(settings, study.home, study.command, dataset, Clock())
    if len({images_key_of(one.identity) for one in found.values()}) > 1:
        raise PipelineError("The images have changed while they were opened. Type the same command again.")
    return found


def _with_features(study: Study, networks: Networks) -> dict[str, NetworkCosts]:
    """Extract what is missing of every network's features; each network is built before any computes.

    Returns:
        What each costs, by label.
    """
    missing: dict[str, NetworkOnDemand] = {}
    for label, one in networks.items():
        if not is_whole(one):
            missing[label] = network = NetworkOnDemand(one)
            if outputs_known(one) is None:
                network()
    costs = {}
    for number, (label, one) in enumerate(networks.items(), 1):
        images = 0
        if label in missing:
            title = f"network {number} of {len(networks)}, {label}"
            images = fill_cache(one, missing[label], title=title)["images"]
        costs[label] = network_costs(one, missing.pop(label, NetworkOnDemand(one)), images)
    return costs


def _probes_of_fold(networks: Networks, pool: Workers) -> Callable[[Study], Mapping[str, TrainedMethod]]:
    def probes(fold: Study) -> Mapping[str, TrainedMethod]:
        studies = {label: fold.with_features(one) for label, one in networks.items()}
        return {label: best_probe(search_probes(own, pool), own, pool) for label, own in studies.items()}

    return probes


def _best_of(study: Study, label: str, networks: Networks, pool: Workers) -> TrainedMethod:
    """Return the best probe of a network, called by the network's label."""
    own, number = study.with_features(networks[label]), list(networks).index(label) + 1
    found = search_with_progress(own, pool, (), f"probes of network {number} of {len(networks)}, {label}")
    trained = best_probe(found, own, pool)
    return replace(trained, method=replace(trained.method, name=label))


def _adjusted(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Adjust p-values for all pairs (Holm): the first network is found on the images that are compared."""
    values = holm([pair["p_value"] for pair in pairs])
    return [{**pair, "p_adjusted": value} for pair, value in zip(pairs, values, strict=True)]


def _written(study: Study, scored: Study, networks: Networks, details: Mapping[str, Any]) -> Result:
    """Write the result as one of the experiment, whose own network need not be among those that were compared."""
    experiments = {label: one.experiment for label, one in networks.items()}
    random = [label for label, one in experiments.items() if one.backbone.weights == "random"]
    warnings = (
        *(
            f"RANDOM WEIGHTS: {label} was not pre-trained; its figures are not about transfer learning."
            for label in random
        ),
        *scored.image_warnings(),
        *(f"{label}: {text}" for label, one in networks.items() for text in one.cautions),
        *scored.evaluation_warnings(),
        *scored.duplicates.warnings(details["methods"]),
    )
    notes = tuple(f"{label}: {note}" for label, one in experiments.items() for note in weights_notes(one))
    details, warnings = scored.with_look(details, warnings)
    clocks = (study.clock, scored.clock, *(one.clock for one in networks.values()))
    phases = dict.fromkeys(phase for clock in clocks for phase in clock.seconds)
    seconds = {phase: sum(clock.seconds.get(phase, 0.0) for clock in clocks) for phase in phases}
    settings = experiment_json(study.experiment)
    result = Result(study.command, settings, "", seconds, warnings, details, study.folder, notes)
    write_result(result)
    return result
