"""The walk-through's head: dropout and a softmax on the pooled features of a layer, or of several side by side."""

import keras
import numpy as np

from bottleneck_features import models
from bottleneck_features.pipeline.evaluation.holdout_scores import holdout_scores, scored_row
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_names import method_label
from bottleneck_features.pipeline.methods.layer_rows import layer_arrays
from bottleneck_features.pipeline.methods.training import (
    PREDICTED_AT_A_TIME,
    RowBatches,
    TrainingRecipe,
    fit,
    predicted_probabilities,
)
from bottleneck_features.pipeline.results import Clock


def fit_head(study: Study, layers: tuple[str, ...]) -> TrainedMethod:
    """Train the walk-through's head on cached layers, scored on training and validation images only.

    Args:
        study: the experiment, opened; its `head` section is the recipe.
        layers: some of the cached layers.

    Returns:
        The `TrainedMethod`.
    """
    experiment, cache, holdout = study.experiment, study.cache, study.holdout
    settings = experiment.head
    views = len(cache.identity["input.views"])
    clock = Clock()
    with clock.phase("train"):
        keras.utils.set_random_seed(experiment.seed)
        rows = {part.split: layer_arrays(cache, layers, part.split) for part in (holdout.train, holdout.validation)}
        shape = rows["train"].shape[2 if views > 1 else 1 :]
        model = models.build_head(shape, len(cache.class_names), settings.dropout)
        recipe = TrainingRecipe(settings.epochs, settings.batch_size, settings.learning_rate, experiment.seed)
        train, validation = (
            RowBatches(
                rows[part.split],
                cache[part.split].y,
                part.indices,
                batch_size=size,
                seed=experiment.seed,
                views=views,
            )
            for part, size in ((holdout.train, settings.batch_size), (holdout.validation, PREDICTED_AT_A_TIME))
        )
        curves = fit(model, train, validation, recipe, method_label("head", layers), study.target)
    seconds = {"extract": study.extraction_seconds, "train": clock.seconds["train"]}

    def predicted(part: Subset) -> np.ndarray:
        return predicted_probabilities(model, layer_arrays(cache, layers, part.split), part.indices, views)

    found = holdout_scores(study, predicted)
    method = scored_row("head", layers, model.count_params(), found, seconds)
    return TrainedMethod(method, model, predicted, found.probabilities, curves)
