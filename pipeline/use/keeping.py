"""Keeps the network of a head beside it, once its predictions are those of the features that the head was trained on."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features import models
from bottleneck_features.errors import BottleneckError
from bottleneck_features.features.storage import publish_link, workshop
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.extraction.networks import DESCRIPTION, FILES, give_name, network_of, opened_or_built
from bottleneck_features.pipeline.methods.layer_rows import LayerRows
from bottleneck_features.pipeline.methods.saved_head import SavedHead
from bottleneck_features.pipeline.use.inference import predicted_from
from bottleneck_features.pipeline.use.kept_network import BESIDE

LIMIT = 1e-4  # of a probability
RUNS, RUN = 4, 8  # training images that are compared: pieces of the data, as far-off files are read in pieces


@dataclass(frozen=True)
class NetworkBeside:
    """What became of the network of a head.

    Attributes:
        kept: JSON: `file`, `bytes` (of all its files), `images` that were checked, and the largest `difference` of a
            probability; None where it is not kept.
        warnings: why it is not, where one would expect it.
    """

    kept: dict[str, Any] | None
    warnings: tuple[str, ...] = ()


def keep_network(study: Study, heads: Sequence[SavedHead], folder: Path) -> NetworkBeside:
    """Keep the network beside heads, by links to the files in the home where the file system has them.

    It is compared first: probabilities of training images, by the network and by their features in the cache. Only networks of
    OpenVINO are kept. One of earlier heads goes.

    Args:
        study: the experiment, opened; its cache is complete.
        heads: of its features.
        folder: where the heads are.
    """
    place, wanted = folder / BESIDE, network_of(study)
    if not wanted.can_be_kept:
        _remove(place)
        return NetworkBeside(None)
    try:
        difference = _difference(study, heads, opened_or_built(wanted))
        if not difference <= LIMIT:  # NaN too
            raise ValueError(
                f"its probabilities of training images differ by up to {difference:.2g} from those of their features in the "
                f"cache, more than {LIMIT:g}"
            )
        size = _linked(wanted.folder, place)
    except (BottleneckError, OSError, ValueError) as error:
        _remove(place)
        return NetworkBeside(None, (f"The network is not kept beside the head: {str(error).rstrip('.')}.",))
    file = f"{BESIDE}/{FILES[0]}"
    return NetworkBeside({"file": file, "bytes": size, "images": _checked(study).size, "difference": difference})


def _difference(study: Study, heads: Sequence[SavedHead], extractor: models.Extractor) -> float:
    """Return the largest difference of a probability between new features of some training images and those in the cache."""
    split, indices = study.holdout.train.split, _checked(study)
    size = extractor.batch_size

    def batches() -> Iterator[np.ndarray]:
        for start in range(0, len(indices), size):
            yield study.dataset.images(split, indices[start : start + size])

    outputs, dtype, differences = list(extractor.map(batches())), study.experiment.features.dtype, []
    for head in heads:
        found = np.concatenate([predicted_from(part, head, dtype).probabilities for part in outputs])
        rows = LayerRows(study.cache, tuple(head.recipe["layers"]), Subset(split, indices))
        differences.append(np.abs(found - head.probabilities(rows[:], rows.views)).max())
    return float(np.max(differences))


def _checked(study: Study) -> np.ndarray:
    """Return the places in their split of a few training images: runs of them, evenly spread over all."""
    every = np.sort(study.holdout.train.indices)
    starts = np.linspace(0, max(0, len(every) - RUN), RUNS).astype(np.int64)
    return every[np.unique(np.minimum(starts[:, None] + np.arange(RUN), len(every) - 1))]


def _remove(place: Path) -> None:
    """Remove a network, all of it at once for whoever looks."""
    with workshop(place) as aside, suppress(FileNotFoundError):
        place.replace(aside / place.name)


def _linked(source: Path, place: Path) -> int:
    """Give the files of a network names beside a head, without a second copy where that can be; return their bytes."""
    with workshop(place) as making:
        for name in (*FILES, DESCRIPTION):
            publish_link(making / name, source / name)
        size = sum(file.stat().st_size for file in making.iterdir())
        give_name(making, place)
    return size
