"""The commands as functions: DATA or an experiment and settings in, a result out."""

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Unpack

from bottleneck_features.pipeline import arguments
from bottleneck_features.pipeline.api.asking import Data, Request, Settings, asking
from bottleneck_features.pipeline.api.result import Result, shown
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES, NETWORKS
from bottleneck_features.pipeline.method_row import CURVE_SEEDS, MOST
from bottleneck_features.quiet import import_tensorflow

if TYPE_CHECKING:  # it draws a random number when it is imported, and what a function needs is imported inside
    from bottleneck_features.pipeline.evaluation.study import Study
    from bottleneck_features.pipeline.methods.cross_validation import Folding
    from bottleneck_features.pipeline.methods.seeds import Seeds

SIZES = "a list of numbers of images per class, each from 1 on, or None for all"


def run(data: Data, *, minutes: float = 10.0, **settings: Unpack[Settings]) -> Result:
    """Answer what a pre-trained network is worth on some images, and keep the trained model: `bottleneck run`.

    Inspects the images, extracts their features, probes every layer, trains the walk-through's head, compares with a small
    ConvNet trained from scratch and with fine-tuning where there is time, and writes a report. Called again, it goes on where
    it was, and takes what it has.

    Args:
        data: a folder with a folder of images for each class, a table that names images, `.tar` or `.parquet` files, an
            `.npz` of images, the name of embedded data, a `.toml` file, or an `Experiment`. Settings are kept in the home.
        minutes: for all that follows the extraction; what does not fit is named, and more minutes add it.
        **settings: see `Settings`: `name`, `home`, `backbone`, `size`, and sections such as `head={"epochs": 30}`.

    Returns:
        A `Result` with `verdict`, `table`, `report`, `model` and `cache`.

    Raises:
        RequestError: there are no such data, a setting cannot be right, or classes have too few images.
        BottleneckError: another error of its family; the message says what to do.

    Examples:
        >>> result = bf.run("pictures/")
        >>> print(result.verdict)
        >>> bf.load_model(result.model).predict(["holiday/one.jpg"])
    """
    minutes = arguments.number("minutes", minutes, 0, of="a number of minutes")
    with asking(data, replaces=True, **settings) as asked:
        import_tensorflow()
        from bottleneck_features.pipeline.stages.run import run as stage

        return shown(stage(asked.experiment, asked.home, asked.options, minutes), asked.said)


def inspect(data: Data, **settings: Unpack[Settings]) -> Result:
    """Inspect images before training: what there is, and which problems they have: `bottleneck inspect`.

    Args:
        data: see `run`.
        **settings: see `Settings`.

    Returns:
        A `Result`; its `table` has a row per split and class, its warnings are the problems.

    Raises:
        RequestError: there are no such data, or a setting cannot be right.
        PipelineError: too many files cannot be used.
    """
    with asking(data, replaces=False, **settings) as asked:
        from bottleneck_features.pipeline.stages.inspect import inspect as stage

        return shown(stage(asked.experiment, asked.home, asked.options), asked.said)


def extract(
    data: Data, *, rehash: bool = False, reuse: bool = True, wait: float = 0.0, **settings: Unpack[Settings]
) -> Result:
    """Extract the features of every image, once: `bottleneck features`.

    Interrupted, it continues after the last finished shard when it is called again.

    Args:
        data: see `run`.
        rehash: whether all files are read and hashed again, even those that look unchanged.
        reuse: whether what another cache has of the same images by the same recipe is copied.
        wait: seconds to wait for another process that uses this cache.
        **settings: see `Settings`.

    Returns:
        A `Result` with `cache`, which `bf.open_features` opens.

    Raises:
        RequestError: there are no such data, or a setting cannot be right.
        ModelError: the network, its weights or the engine are not available.
        CacheError: the cache is held by another process, or is damaged.
    """
    rehash, reuse = arguments.truth("rehash", rehash), arguments.truth("reuse", reuse)
    wait = arguments.number("wait", wait, 0, of="a number of seconds")
    with asking(data, replaces=False, **settings) as asked:
        from bottleneck_features.pipeline.datasets.scan_memory import forget_scans
        from bottleneck_features.pipeline.stages.features import extract_features

        if rehash:
            forget_scans(asked.home)
        return shown(extract_features(asked.experiment, asked.home, wait, reuse=reuse), asked.said)


def train_head(data: Data, **settings: Unpack[Settings]) -> Result:
    """Train the walk-through's head on the last cached layer: `bottleneck train-head`.

    Args:
        data: see `run`; its features must be there, see `extract`.
        **settings: see `Settings`.

    Returns:
        A `Result` with `table` and `model`.

    Raises:
        NoCache: there are no such features.
        RequestError: a class has too few images, or a setting cannot be right.
    """
    with asking(data, replaces=True, **settings) as asked:
        study = _with_features(asked, "train-head")
        from bottleneck_features.pipeline.stages.train_head import train_head as stage

        return shown(stage(study), asked.said)


def probe(
    data: Data,
    *,
    folds: int | None = None,
    repeats: int | None = None,
    seeds: int | None = None,
    **settings: Unpack[Settings],
) -> Result:
    """Find the layer and the cheap classifier that are best on cached features: `bottleneck probe`.

    Args:
        data: see `run`; its features must be there, see `extract`.
        folds: of a cross-validation of the training images, from 2 to 1,000; 0: none. Default: 5 where a test split
            would be, or is, under 100 images.
        repeats: how often the folds are drawn anew, from 1 to 1,000; default: 10.
        seeds: over so many splits and trainings, from 2 to 1,000, the spread is measured too.
        **settings: see `Settings`.

    Returns:
        A `Result` with `table` (the best of each family) and `model` (of the best).

    Raises:
        NoCache: there are no such features.
        RequestError: a class has too few images, or a setting cannot be right.
    """
    with asking(data, replaces=True, **settings) as asked:
        scoring = _scoring(asked, "probe", folds, repeats, seeds)
        from bottleneck_features.pipeline.stages.probe import probe as stage

        return shown(stage(*scoring), asked.said)


def compare(
    data: Data,
    *,
    folds: int | None = None,
    repeats: int | None = None,
    seeds: int | None = None,
    backbones: Iterable[str | PathLike[str]] | None = None,
    **settings: Unpack[Settings],
) -> Result:
    """Compare frozen features with fine-tuning and with networks trained from scratch: `bottleneck compare`.

    Args:
        data: see `run`; its features must be there, see `extract`.
        folds: see `probe`.
        repeats: see `probe`.
        seeds: see `probe`.
        backbones: compare pre-trained networks instead: two or more names, or paths of `.keras` files, each with `@SIZE` where
            it is to see images of another size than `input.size`. What is missing of their features is extracted, and the best
            probe of each is compared on the same images.
        **settings: see `Settings`; `compare={"methods": ["head", "best-probe", "fine-tune"]}` chooses the methods.

    Returns:
        A `Result` with `table` and `report`; of `backbones` with `winner`, empty where it cannot be told, and a `table` of
        networks.

    Raises:
        NoCache: there are no such features.
        RequestError: a class has too few images, or a setting cannot be right.
        ModelError: there is no such network.
        DownloadError: weights of `backbones` are neither here nor to be had.

    Examples:
        >>> found = bf.compare("pictures/", backbones=["resnet18", "efficientnet-lite0", "mine.keras"])
        >>> print(found.verdict)
    """
    if backbones is not None:
        return _compare_backbones(data, backbones, folds, repeats, seeds, settings)
    with asking(data, replaces=True, **settings) as asked:
        study, folding, spread = _scoring(asked, "compare", folds, repeats, seeds)
        from bottleneck_features.pipeline.stages.compare import compare as stage
        from bottleneck_features.pipeline.stages.report import report as page_of

        found = stage(study, folding, spread)
        page = page_of(study.for_command("report")).details["files"][0]
        return Result({**found.as_json(), "report": page}, asked.said)


def _compare_backbones(
    data: Data,
    backbones: Iterable[str | PathLike[str]],
    folds: int | None,
    repeats: int | None,
    seeds: int | None,
    settings: Settings,
) -> Result:
    what = "a list of names of networks, or paths of .keras files"
    named = [
        arguments.text(f"backbones[{place}]", one, what)
        for place, one in enumerate(arguments.items("backbones", backbones, what))
    ]
    if seeds is not None:
        raise RequestError("seeds does not go with backbones: leave one of them out.")
    with asking(data, replaces=True, **settings) as asked:
        from bottleneck_features.pipeline.evaluation.study import open_data
        from bottleneck_features.pipeline.methods.compared_backbones import compared_backbones, require_alone

        require_alone(asked.experiment, named, asked.overrides)
        found = compared_backbones(asked.experiment, named)
        study = open_data(asked.experiment, asked.home, COMPARE_BACKBONES, asked.options)
        import_tensorflow()
        from bottleneck_features.pipeline.methods.cross_validation import folding_of
        from bottleneck_features.pipeline.stages.compare_backbones import compare_backbones as stage

        return shown(stage(study, found, folding_of(study, folds, repeats)), asked.said)


def label_curve(
    data: Data,
    sizes: Iterable[int | None] = (1, 5, 10, 50, None),
    *,
    seeds: int = CURVE_SEEDS,
    **settings: Unpack[Settings],
) -> Result:
    """Measure accuracy at growing numbers of labelled images: `bottleneck compare --label-curve`.

    Args:
        data: see `run`; its features must be there, see `extract`.
        sizes: labelled images per class; None: all.
        seeds: per point, from 1 to 1,000.
        **settings: see `Settings`.

    Returns:
        A `Result`; its `table` has a row per point.

    Raises:
        NoCache: there are no such features.
        RequestError: a size is under 1, a class has too few images, or a setting cannot be right.
    """
    every, seeds = _curve_sizes(sizes), arguments.whole_number("seeds", seeds, 1, MOST)
    with asking(data, replaces=True, **settings) as asked:
        study = _with_features(asked, "label-curve")
        from bottleneck_features.pipeline.stages.label_curve import label_curve as stage

        return shown(stage(study, every, seeds), asked.said)


def fine_tune(data: Data, *, method: str = "fine-tune", **settings: Unpack[Settings]) -> Result:
    """Train the network itself with a new last layer: `bottleneck fine-tune`.

    Args:
        data: see `run`; for `fine-tune` its features must be there, see `extract`.
        method: `fine-tune` (from the pre-trained weights, batch norm frozen), `from-pretrained` (all of it, batch norm too) or
            `from-scratch`.
        **settings: see `Settings`.

    Returns:
        A `Result` with `table` and `model`.

    Raises:
        RequestError: there is no such method, a class has too few images, or a setting cannot be right.
    """
    method = arguments.one_of("method", method, NETWORKS)
    with asking(data, replaces=True, **settings) as asked:
        import_tensorflow()
        from bottleneck_features.pipeline.evaluation.study import open_study
        from bottleneck_features.pipeline.stages.fine_tune import fine_tune as stage

        return shown(stage(open_study(asked.experiment, asked.home, method, asked.options)), asked.said)


def advise(data: Data, *, folds: int | None = None, repeats: int | None = None, **settings: Unpack[Settings]) -> Result:
    """Recommend a method by cached features and validation images: `bottleneck advise`.

    Args:
        data: see `run`; its features must be there, see `extract`.
        folds: see `probe`.
        repeats: see `probe`.
        **settings: see `Settings`.

    Returns:
        A `Result` with `recommendation`, `reasons` and `cannot_tell` among its keys.

    Raises:
        NoCache: there are no such features.
        RequestError: a class has too few images, or a setting cannot be right.
    """
    with asking(data, replaces=True, **settings) as asked:
        study, folding, _ = _scoring(asked, "advise", folds, repeats, None)
        from bottleneck_features.pipeline.stages.advise import advise as stage

        return shown(stage(study, folding), asked.said)


def report(data: Data, **settings: Unpack[Settings]) -> Result:
    """Collect all results of an experiment on one page: `bottleneck report`.

    Args:
        data: see `run`; a command that scores must have run.
        **settings: see `Settings`; without any, those of the last command that scored a method are used.

    Returns:
        A `Result` with `report`.

    Raises:
        NoCache: there are no such features.
        RequestError: no command that scores has run yet.
    """
    with asking(data, replaces=True, **settings) as asked:
        from bottleneck_features.pipeline.evaluation.study import open_study
        from bottleneck_features.pipeline.reporting.sources import as_last_scored
        from bottleneck_features.pipeline.stages.report import report as stage

        experiment, options = asked.experiment, asked.options
        if not asked.overrides:
            experiment, options = as_last_scored(experiment, asked.home, options)
        return shown(stage(open_study(experiment, asked.home, "report", options)), asked.said)


def bench(data: Data, *, quick: bool = False, **settings: Unpack[Settings]) -> Result:
    """Measure stage one on this machine against the walk-through's script: `bottleneck bench`.

    Args:
        data: see `run`.
        quick: fewer images, repeats and precisions: about two minutes on two cores.
        **settings: see `Settings`.

    Returns:
        A `Result`; its `table` has a row per variant.

    Raises:
        RequestError: a setting cannot be right.
    """
    quick = arguments.truth("quick", quick)
    with asking(data, replaces=False, **settings) as asked:
        import_tensorflow()
        from bottleneck_features.pipeline.stages.bench import FULL_EFFORT, QUICK_EFFORT
        from bottleneck_features.pipeline.stages.bench import bench as stage

        return shown(stage(asked.experiment, asked.home, QUICK_EFFORT if quick else FULL_EFFORT), asked.said)


def _curve_sizes(sizes: Iterable[int | None]) -> tuple[int | None, ...]:
    """Return the sizes of a curve, rising and each once; None last."""
    given = arguments.items("sizes", sizes, SIZES)
    if not given:
        raise arguments.refusal("sizes", SIZES, given)
    places = [place for place, size in enumerate(given) if size is not None]
    numbers = sorted({arguments.whole_number(f"sizes[{place}]", given[place], 1) for place in places})
    return (*numbers, None) if len(places) < len(given) else tuple(numbers)


def _with_features(asked: Request, command: str) -> "Study":
    from bottleneck_features.pipeline.evaluation.study import open_study_with_features

    return open_study_with_features(asked.experiment, asked.home, command, asked.options)


def _scoring(
    asked: Request, command: str, folds: int | None, repeats: int | None, seeds: int | None
) -> "tuple[Study, Folding | None, Seeds | None]":
    """Open what a command scores, with how it is cross-validated and what its spread is measured over."""
    study = _with_features(asked, command)
    from bottleneck_features.pipeline.methods.cross_validation import folding_of
    from bottleneck_features.pipeline.methods.seeds import seeds_of

    return study, folding_of(study, folds, repeats), seeds_of(study, seeds)
