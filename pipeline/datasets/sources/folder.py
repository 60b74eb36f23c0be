"""A folder of classes as a data set: `root/<class>/…`, or `root/{train,val,test}/<class>/…`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset
from bottleneck_features.pipeline.datasets.layout.convention import groups_of
from bottleneck_features.pipeline.datasets.layout.placing import beside_notice, imageless, passed_over_notice, placed
from bottleneck_features.pipeline.datasets.layout.recognition import convention_of
from bottleneck_features.pipeline.datasets.layout.refusals import LAYOUTS, Location
from bottleneck_features.pipeline.datasets.layout.walking import Walk, walk
from bottleneck_features.pipeline.datasets.listing import Entry, Listing, printable
from bottleneck_features.pipeline.datasets.paths import in_full, local_path
from bottleneck_features.pipeline.datasets.sources.image_files import open_listing
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment


def open_folder(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as a folder of classes.

    Args:
        experiment: its `dataset` and `input` sections.
        home: the artifacts folder; files that cannot be used are listed in `runs/<experiment>/quarantine.csv`.

    Raises:
        RequestError: the folder or a setting cannot be right.
        PipelineError: more files than `dataset.error_limit` cannot be used, or any with `on_error = "fail"`.
    """
    return open_listing(experiment, home, list_folder(experiment.dataset, home))


def list_folder(settings: DatasetSettings, home: Path | None = None) -> Listing:
    """List `root/<class>/…`, or `root/{train,val,test}/<class>/…`; a class may have folders of its own.

    Args:
        settings: `path`, `splits`, `class_level`, `follow_links`, and `group`: a regular expression on the path; its first
            group, or the whole match, names an image's group.
        home: the artifacts folder, whose pictures are no images of the data, should it lie below the root.

    Returns:
        The `Listing`. Hidden files, `__MACOSX` and what systems leave behind are not in it.

    Raises:
        RequestError: the root is no such folder, or the expression is none or does not fit a path.
    """
    root = existing_folder(settings.path)
    try:
        found = walk(root, follow_links=settings.follow_links, without=home)
    except OSError as error:
        raise RequestError(f"'{printable(str(root))}' cannot be listed ({error.strerror}).") from error
    if not found.files:
        raise RequestError(_nothing_in(root, found))
    convention = convention_of(found.files, settings, Location(f"'{root}'", root))
    places = placed(found.files, convention)
    entries = tuple(Entry(path, place.label, place.split) for path, place in places.labelled)
    _refuse_names_that_are_no_text(entry.label for entry in entries)
    if settings.group:
        groups = groups_of((entry.path for entry in entries), settings.group)
        entries = tuple(replace(entry, group=group) for entry, group in zip(entries, groups, strict=True))
    empty = imageless(found, convention)
    return Listing(
        root,
        entries,
        (*places.misplaced, *found.unlisted, *found.links),
        (*places.left_out, *found.passed_over),
        places.unlabelled,
        empty.classes,
        (
            *convention.notices,
            *passed_over_notice(places.passed_over, empty.passed_over),
            *beside_notice(found.beside, convention),
            *_repeated(found),
        ),
        unit="files and folders" if found.unlisted or found.links else "files",
    )


def existing_folder(path: str) -> Path:
    """Return the root folder that `dataset.path` names, resolved; a `RequestError` says why there is none."""
    if not path:
        raise RequestError(
            "dataset.path is missing: give your folder of images by --set dataset.path=/where/it/is. " + LAYOUTS
        )
    root = local_path(path)
    if root.is_file():
        raise RequestError(f"dataset.path must be a folder; archives are not unpacked. Received: '{root}'")
    if not root.is_dir():
        raise RequestError(f"There is no folder {in_full(root)}. {LAYOUTS}")
    return root.resolve()


def _nothing_in(root: Path, found: Walk) -> str:
    if found.links:
        return (
            f"In '{root}' there is nothing but {len(found.links):,} symbolic links, such as '{found.links[0].path}', and "
            "dataset.follow_links=false does not follow them. Give dataset.follow_links=true."
        )
    if found.unlisted:
        first = found.unlisted[0]
        return f"There is no file to be seen in '{root}': '{first.path}': {first.reason}."
    if found.beside:
        shown = printable(found.beside[0])
        return f"There is no image in '{root}', only {len(found.beside):,} other files such as '{shown}'. {LAYOUTS}"
    folders = f", only {len(found.folders):,} folders" if found.folders else ""
    return f"There is no file in '{root}'{folders}. {LAYOUTS}"


def _refuse_names_that_are_no_text(names: Iterable[str]) -> None:
    for name in dict.fromkeys(names):
        if printable(name) != name:
            raise RequestError(f"The name of the folder '{printable(name)}' is not UTF-8. Rename it.")


def _repeated(found: Walk) -> tuple[str, ...]:
    if not found.repeated:
        return ()
    again, first = next(iter(found.repeated.items()))
    return (
        f"Data: by way of symbolic links {len(found.repeated):,} folders are there twice, with all that is in them, such as "
        f"'{printable(again)}', which is '{printable(first)}'.",
    )
