"""Which images belong together: those of one group, and those that repeat one another."""

import numpy as np

from bottleneck_features.pipeline.datasets.texts import factorized
from bottleneck_features.pipeline.evaluation.details import Place
from bottleneck_features.pipeline.evaluation.folds import units_of
from bottleneck_features.pipeline.evaluation.groups import groups_of
from bottleneck_features.pipeline.evaluation.likeness import perceptual_hashes
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.inspection.repeats import find_repeats


def units_among(study: Study, *parts: Subset) -> np.ndarray:
    """Return the `(n,)` numbers of what stays together, of the images of all parts, one after the other."""
    dataset = study.dataset
    places = [Place(part.split, index) for part in parts for index in part.indices.tolist()]
    names = groups_of(dataset, *parts)
    groups = None if names is None else factorized(names)[1]
    with study.clock.phase("duplicates"):
        described = np.concatenate([perceptual_hashes(dataset, part) for part in parts])
        repeats = find_repeats(dataset, places, described)
    rows = {place: row for row, place in enumerate(places)}
    return units_of(groups, [[rows[place] for place in same] for same in repeats.sets], len(places))
