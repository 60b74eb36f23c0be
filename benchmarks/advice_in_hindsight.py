"""How good `advise` was, by images that it had not: `python benchmarks/advice_in_hindsight.py HOME`.

HOME has the features of the six data sets (the script names the command of one that is missing). All images of a data set are
pooled and split anew, whole groups at a time. `advise` sees the drawn training part only; what it measured is then made as
`probe` and `compare` would, and scored on the images left out. The small ConvNet is trained too where `advise` found it too
expensive, on images of 96 pixels; the network is fine-tuned in the first draws of the two smallest sets. The learning curve of
the advice, which recommends nothing, is left out. An interval holds if the advice's and that of the left-out images overlap.
Another method is ahead if the paired p-value is below 0.05, also after Holm's correction over the methods.
"""

import dataclasses
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest.mock import patch

import click
import numpy as np
from arguments import FOLDER, real_data
from PIL import Image

from bottleneck_features.features import Features
from bottleneck_features.models.parallel import workers
from bottleneck_features.models.probabilities import decide
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.dataset import Samples
from bottleneck_features.pipeline.datasets.splitting import grouped_split, stratified_draw, stratified_split
from bottleneck_features.pipeline.datasets.texts import factorized
from bottleneck_features.pipeline.evaluation.differences import Answers, holm, paired_difference
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.study import Study, open_study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.figures import Figure
from bottleneck_features.pipeline.methods.best_probe import ProbeSearch, final_probe
from bottleneck_features.pipeline.methods.convnet import train_convnet
from bottleneck_features.pipeline.methods.cross_validation import folding_of
from bottleneck_features.pipeline.methods.network import train_network
from bottleneck_features.pipeline.methods.pixels import pixels_on_disk
from bottleneck_features.pipeline.methods.training import predicted_probabilities
from bottleneck_features.pipeline.results import Clock
from bottleneck_features.pipeline.stages import advise

LITE = ("backbone.name=efficientnet-lite0", "backbone.layers=block3b_add,block5c_add,top_activation")
SMALL = (*LITE, "input.size=96,96")
MOST_LEFT_OUT = 10_000
SHRUNK, TUNED = 96, "fine-tune"
COLUMNS = (
    "data", "draws", "recommended", "stated", "on the images left out", "ConvNet (draws)", "fine-tuned (draws)",
    "intervals overlap", "left-out figure inside", "another ahead", "… not said", "… also by Holm",
)  # fmt: skip


class Data(NamedTuple):
    """A data set: its experiment and settings, the share that is left out or how many images are drawn to train on, and folds."""

    experiment: str
    settings: tuple[str, ...]
    left_out: float = 0.0
    train: int = 0
    folds: int | None = None  # the experiment of the vehicles sets dataset.test_fraction, and so has none by itself
    tuned: int = 0  # draws in which the network is fine-tuned as well


SETS = {
    "photo-patches": Data("photo-patches", (), left_out=0.25),
    "digits": Data("digits", (), left_out=500 / 1797),
    "natural-images": Data("natural-images", ("dataset.path={}/mini_natural_images", *LITE), left_out=1909 / 3626),
    "cifar10, 500": Data("cifar10", ("dataset.path={}/cifar-10-batches-py", *SMALL), train=500, tuned=3),
    "cifar10, 5000": Data("cifar10", ("dataset.path={}/cifar-10-batches-py", *SMALL), train=5000),
    "emergency-vehicles": Data(
        "emergency-vehicles",
        ("dataset.path={}/emergency_small/train.csv", "dataset.group=photo", *LITE),
        left_out=0.2,
        folds=5,
        tuned=3,
    ),
}  # fmt: skip


class Pooled:
    """All images of a data set, whatever split they were in, with their features in memory."""

    def __init__(self, study: Study) -> None:
        self.study, self.dataset, self.layers = study, study.dataset, study.cache.layers
        splits = self.dataset.splits
        self.names = np.concatenate([np.full(len(own), split) for split, own in splits.items()])
        self.places = np.concatenate([np.arange(len(own)) for own in splits.values()])
        self.ids = np.array([f"{split}/{one}" for split, own in splits.items() for one in own.ids])
        self.labels = np.concatenate([own.labels for own in splits.values()])
        self.groups = self._groups()
        self.features = {
            layer: np.concatenate([study.cache[split].features[layer][:] for split in splits]) for layer in self.layers
        }

    def _groups(self) -> np.ndarray | None:
        if not self.dataset.groups:
            return None
        return factorized(np.concatenate([self.dataset.groups[split] for split in self.dataset.splits]))[1]

    def images(self, rows: np.ndarray) -> np.ndarray:
        """Return the images of some rows."""
        out = np.empty((len(rows), *self.dataset.image_shape), np.uint8)
        for split in np.unique(self.names[rows]):
            own = np.flatnonzero(self.names[rows] == split)
            out[own] = self.dataset.images(split, self.places[rows[own]])
        return out

    def parted(self, data: Data, seed: int) -> dict[str, np.ndarray]:
        """Draw which rows are the training part, and which are left out."""
        if data.train:
            train = stratified_draw(self.labels, data.train, seed, left=1)
            others = np.setdiff1d(np.arange(len(self.labels)), train)
            left = np.random.default_rng(seed).choice(others, min(MOST_LEFT_OUT, len(others)), replace=False)
            return {"train": train, "test": np.sort(left)}
        if self.groups is None:
            train, test = stratified_split(self.labels, data.left_out, seed)
        else:
            train, test = grouped_split(self.labels, self.groups, data.left_out, seed)
        return {"train": train, "test": test}


class DrawnDataset(Dataset):
    """Some rows of the pool as splits, whose images are shrunk to a largest size."""

    def __init__(self, pool: Pooled, rows: Mapping[str, np.ndarray], largest: int = 0) -> None:
        own = pool.dataset
        self.title, self.class_names = own.title, own.class_names
        height, width, channels = own.image_shape
        self.image_shape = (min(largest or height, height), min(largest or width, width), channels)
        self.splits = {split: Samples(pool.ids[part], pool.labels[part]) for split, part in rows.items()}
        self.groups = {} if pool.groups is None else {s: pool.groups[part].astype(str) for s, part in rows.items()}
        self._pool, self._rows = pool, rows

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.images`."""
        images = self._pool.images(self._rows[split][indices])
        height, width, _ = self.image_shape
        if images.shape[1:] == self.image_shape:
            return images
        return np.stack([np.asarray(Image.fromarray(one).resize((width, height))) for one in images])


class DrawnSplit(NamedTuple):
    """What a study reads of a cache's split."""

    features: Mapping[str, np.ndarray]
    y: np.ndarray
    ids: np.ndarray

    @property
    def x(self) -> np.ndarray:
        """The features of the last layer."""
        return list(self.features.values())[-1]

    def __len__(self) -> int:
        return len(self.y)


class DrawnFeatures(Features):
    """The features of some rows of the pool, in memory."""

    def __init__(self, pool: Pooled, rows: Mapping[str, np.ndarray]) -> None:
        cache = pool.study.cache
        self.path, self.identity, self.key, self.provenance = cache.path, cache.identity, cache.key, cache.provenance
        self.layers, self.class_names = cache.layers, cache.class_names
        self._splits = {
            split: DrawnSplit(
                MappingProxyType({layer: own[part] for layer, own in pool.features.items()}),
                pool.labels[part],
                pool.ids[part],
            )
            for split, part in rows.items()
        }


class Outcome(NamedTuple):
    """What one piece of advice was worth."""

    recommendation: str
    stated: Figure
    measured: Figure
    ahead: dict[str, tuple[float, float, float]]  # method: points ahead, p-value, Holm's
    unsaid: tuple[str, ...]
    unsaid_holm: tuple[str, ...]
    others: dict[str, float]


def outcome(pool: Pooled, data: Data, seed: int, home: Path) -> Outcome:
    """Ask for advice on a drawn training part, and score what it measured on the images left out."""
    rows = pool.parted(data, seed)
    experiment = dataclasses.replace(pool.study.experiment, seed=seed)
    cache = DrawnFeatures(pool, rows)
    alone = Study(experiment, home, "advise", DrawnDataset(pool, {"train": rows["train"]}), Clock())
    alone.__dict__.update(cache=cache, identity=cache.identity, cache_key=cache.key)
    with _kept() as made:
        result = advise.advise(alone, folding_of(alone, data.folds, None))
    known = {name: getattr(alone, name) for name in ("cache", "identity", "cache_key", "holdout", "target")}

    def whole(largest: int = 0) -> Study:
        study = dataclasses.replace(alone, dataset=DrawnDataset(pool, rows, largest))
        study.__dict__.update(known)
        return study

    answers = _probes(whole(), made["search"])
    answers[advise.SCRATCH] = (
        _convnet(made[advise.SCRATCH], whole()) if advise.SCRATCH in made else _convnet_anew(whole(SHRUNK))
    )
    if seed < data.tuned:
        answers[TUNED] = _fine_tuned(whole())
    return _outcome(whole(), result.details, answers)


@contextmanager
def _kept() -> Iterator[dict[str, Any]]:
    """Keep the search and the small ConvNet that `advise` makes, so that the same ones are scored; without a learning curve."""
    made: dict[str, Any] = {}
    search, train = advise.search_with_progress, advise.train_convnet

    def searched(*arguments: Any) -> Any:
        made["search"] = search(*arguments)
        return made["search"]

    def trained(*arguments: Any) -> Any:
        made[advise.SCRATCH] = train(*arguments)
        return made[advise.SCRATCH]

    replaced = {"search_with_progress": searched, "train_convnet": trained, "learning_curve": lambda *_: ()}
    with patch.multiple(advise, **replaced):
        yield made


def _probes(study: Study, search: ProbeSearch) -> dict[str, Answers]:
    """Answer the images left out with the best of each family of probes, the kept one first."""
    with workers() as pool:
        made = [final_probe(study, one, pool) for one in search.best_of_families()]
    return {one.method.label: _answered(study, one) for one in made}


def _convnet(made: TrainedMethod, study: Study) -> Answers:
    """Answer the images left out with the ConvNet that was trained for the advice, whose own pixels are gone."""
    images = study.dataset.images("test", np.arange(len(study.dataset.splits["test"])))
    size = study.experiment.convnet.batch_size
    probabilities = predicted_probabilities(made.model, images, np.arange(len(images)), batch_size=size)
    return Answers(probabilities, decide(probabilities, made.method.threshold))


def _convnet_anew(study: Study) -> Answers:
    with pixels_on_disk(study.dataset, study.home) as pixels:
        return _answered(study, train_convnet(study, pixels, "small"))


def _fine_tuned(study: Study) -> Answers:
    with pixels_on_disk(study.dataset, study.home) as pixels:
        return _answered(study, train_network(study, pixels, TUNED))


def _answered(study: Study, made: TrainedMethod) -> Answers:
    probabilities = made.probabilities(study.scored_images)
    return Answers(probabilities, decide(probabilities, made.method.threshold))


def _outcome(study: Study, said: Mapping[str, Any], answers: Mapping[str, Answers]) -> Outcome:
    target, part = study.target, study.scored_images
    labels, groups = study.labels(part), study.groups(Subset(part.split, part.indices))
    advised, evidence = said["recommendation"], said["evidence"]
    shown = next(iter(answers)) if advised == advise.NOT_ENOUGH else advised
    options = {one["method"]: one["figure"] for one in (evidence["probe"], *evidence["rivals"])}

    def scored(name: str) -> Figure:
        return getattr(target.figures_of(labels, *answers[name], groups), target.compared.replace("-", "_"))

    others = [name for name in answers if name != shown]
    gaps = [paired_difference(labels, answers[name], answers[shown], groups, target.compared) for name in others]
    adjusted = holm([gap.p_value for gap in gaps])
    ahead = {
        name: (gap.value, gap.p_value, p)
        for name, gap, p in zip(others, gaps, adjusted, strict=True)
        if gap.value > 0 and gap.p_value < advise.SIGNIFICANT
    }
    told = advised == advise.NOT_ENOUGH
    unsaid = tuple(name for name in ahead if not told and not any(name in one for one in said["cannot_tell"]))
    certain = tuple(name for name in unsaid if ahead[name][2] < advise.SIGNIFICANT)
    values = {name: scored(name).value for name in answers}
    return Outcome(advised, Figure(**options[shown]), scored(shown), ahead, unsaid, certain, values)


def _mean(method: str, found: list[Outcome]) -> str:
    values = [one.others[method] for one in found if method in one.others]
    return f"{100 * np.mean(values):.1f} % ({len(values)})" if values else ""


def _line(name: str, found: list[Outcome]) -> str:
    held = sum(one.stated.low <= one.measured.high and one.measured.low <= one.stated.high for one in found)
    inside = sum(one.stated.low <= one.measured.value <= one.stated.high for one in found)
    families = Counter(one.recommendation.partition("@")[0] for one in found)
    advised = ", ".join(f"{family} {count}" for family, count in families.most_common())
    stated, measured = (100 * np.mean([getattr(one, what).value for one in found]) for what in ("stated", "measured"))
    convnet, tuned = _mean(advise.SCRATCH, found), _mean(TUNED, found)
    return (
        f"| {name} | {len(found)} | {advised} | {stated:.1f} % | {measured:.1f} % | {convnet} | {tuned} | {held} | {inside} | "
        f"{sum(bool(one.ahead) for one in found)} | {sum(bool(one.unsaid) for one in found)} | "
        f"{sum(bool(one.unsaid_holm) for one in found)} |"
    )


@click.command(help=__doc__)
@click.argument("home", type=FOLDER)
@real_data
@click.option("--draws", default=20, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(list(SETS)), default=list(SETS), help="Default: all six.")
def main(home: Path, data: Path, draws: int, only: tuple[str, ...]) -> None:
    """Print of each data set what was advised, what it stated and what was measured, and who was ahead."""
    lines, every = [], []
    for name in only:
        own = SETS[name]
        experiment = load_experiment(own.experiment, tuple(one.format(data) for one in own.settings))
        pool = Pooled(open_study(experiment, home, "advise"))
        found = []
        for seed in range(draws):
            scratch = Path(tempfile.mkdtemp())
            found.append(outcome(pool, own, seed, scratch))
            shutil.rmtree(scratch)
            print(name, seed, found[-1], flush=True)
        lines.append(_line(name, found))
        every += found
    print(f"\n| {' | '.join(COLUMNS)} |\n|---|---:|---|{9 * '---:|'}")
    print("\n".join([*lines, _line("all", every)]))


if __name__ == "__main__":
    main()
