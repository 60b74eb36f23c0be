"""What is asked of classes before anything can be learnt from them."""

from collections.abc import Collection, Mapping

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.listing import natural_key
from bottleneck_features.pipeline.errors import RequestError

FEWEST = 2  # images of a class, so that one can be held out


def small_classes(training: Mapping[str, int], settings: DatasetSettings) -> tuple[str, ...]:
    """Return the classes that cannot be in training and validation at once.

    Args:
        training: how many usable training images each class has.
        settings: `small_classes`; of data that are only measured no class is too small.

    Raises:
        RequestError: there are some, with `small_classes = "fail"`.
    """
    if not settings.learned:
        return ()
    few = tuple(sorted((name for name, count in training.items() if count < FEWEST), key=natural_key))
    if few and settings.small_classes == "fail":
        raise RequestError(
            f"Every class needs at least {FEWEST} usable training images (dataset.small_classes=fail). Too few: {_listed(few)}. "
            "Add images, or take the class away."
        )
    return few


def left_out_notice(few: Collection[str], images: int) -> tuple[str, ...]:
    """Return what a reader must know of small classes that are left out with all their images."""
    if not few:
        return ()
    return (
        f"Data: classes with fewer than {FEWEST} usable training images are too small to be split and are left out with all "
        f"their {images:,} images: {_listed(few)}. dataset.small_classes=fail stops instead.",
    )


def require_two(training: Collection[str], settings: DatasetSettings) -> None:
    """Refuse data to learn from whose training images have fewer than two classes."""
    if settings.learned and len(training) < 2:
        found = (
            f"Only one class has usable training images: {next(iter(training))!r}"
            if training
            else "No training image is usable"
        )
        raise RequestError(f"{found}. There must be two classes at least: one folder, or one label, for each.")


def require_trained(splits: Mapping[str, Collection[str]], location: str, settings: DatasetSettings) -> None:
    """Refuse classes that no training image has, in data to learn from.

    Args:
        splits: the classes of each split.
        location: of the data, as messages name it.
        settings: whether anything is learned from them.
    """
    if not settings.learned:
        return
    known = splits["train"]
    for split, classes in splits.items():
        strangers = sorted(set(classes) - set(known), key=natural_key)
        if strangers:
            alike = {name.casefold() for name in known}
            advice = (
                "dataset.fold_case=true joins names that differ only in case."
                if any(name.casefold() in alike for name in strangers)
                else "Add training images of them, or take these images away."
            )
            raise RequestError(
                f"The {split} split of '{location}' has classes that no usable training image has: {', '.join(strangers[:10])}. "
                f"Training classes: {', '.join(sorted(known, key=natural_key)[:10])}. {advice}"
            )


def _listed(names: Collection[str]) -> str:
    return enumerated(map(repr, names))
