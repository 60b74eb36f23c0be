"""What DATA on the command line is: a folder, tables, archives or Parquet files, an .npz of images."""

import posixpath
import tarfile
import zipfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from bottleneck_features import features
from bottleneck_features.errors import nearest, quoted
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.containers import PATTERN
from bottleneck_features.pipeline.datasets.layout.recognition import convention_of
from bottleneck_features.pipeline.datasets.layout.refusals import Location
from bottleneck_features.pipeline.datasets.layout.walking import walk
from bottleneck_features.pipeline.datasets.listing import looks_like_image
from bottleneck_features.pipeline.datasets.paths import in_full, local_path
from bottleneck_features.pipeline.datasets.sources.table_columns import (
    first_image,
    guessed_columns,
    guessed_split,
    numbered,
)
from bottleneck_features.pipeline.datasets.sources.table_paths import Files, names_a_file
from bottleneck_features.pipeline.datasets.table_reading import read_tables
from bottleneck_features.pipeline.errors import RequestError

TABLES = (".csv", ".tsv", ".txt")
KINDS = {".tar": "tar", ".parquet": "parquet", ".npz": "npz", **dict.fromkeys(TABLES, "csv")}
SAID = {"folder": "a folder of images", "tar": "tar archives", "parquet": "Parquet files", "npz": "an .npz of images"}
WHAT_DATA_IS = (
    "DATA is a folder with a folder of images for each class, a table that names images (.csv), .tar or .parquet files, an .npz "
    "of images, or the name of embedded data (photo-patches, digits)."
)


@dataclass(frozen=True)
class GivenData:
    """What was recognised.

    Attributes:
        settings: of the `dataset` section, `source` and `path` among them.
        said: what it is, with what was guessed, for a message.
    """

    settings: Mapping[str, Any]
    said: str


def recognise(data: str, named: Collection[str] = ()) -> GivenData:
    """Find out what DATA is.

    Args:
        data: a path or a pattern, or the URL of files in a store.
        named: the settings of the `dataset` section that are given beside it, so that nobody has to guess them.

    Raises:
        RequestError: there is nothing there, or it is nothing that images can be read from; says what to give.
    """
    if features.is_url(data) or (PATTERN.search(data) and not local_path(data).exists()):
        source = KINDS.get(posixpath.splitext(data.rstrip("/"))[1].lower(), "")
        if source == "npz":
            raise RequestError(f"'{data}': an .npz is one file on this disk. Copy it here, and give its path.")
        if not source and not features.is_url(data):
            raise RequestError(_nothing_there(data, local_path(data)))
        return _of_kind(data, source or _kind_behind(data), named)
    path = local_path(data)
    if path.is_dir():
        return _folder(path, named)
    if not path.exists():
        raise RequestError(_nothing_there(data, path))
    return _of_kind(str(path.resolve()), _kind_of_file(path), named)


def _of_kind(path: str, source: str, named: Collection[str] = ()) -> GivenData:
    if source == "csv":
        return _table(path, named)
    return GivenData({"source": source, "path": path}, SAID[source])


def _kind_behind(url: str) -> NoReturn:
    raise RequestError(
        f"What is behind '{url}' cannot be told from its name: give files that end in .tar or .parquet, such as "
        f"{url.rstrip('/')}/*.tar or {url.rstrip('/')}/*.parquet."
    )


def _kind_of_file(path: Path) -> str:
    ending = path.suffix.lower()
    if ending in KINDS:
        return KINDS[ending]
    if looks_like_image(path.name):
        raise RequestError(
            f"'{path}' is a single picture. {WHAT_DATA_IS} A trained model classifies it: bottleneck predict"
        )
    if path.read_bytes()[:4] == b"PAR1":
        return "parquet"
    if zipfile.is_zipfile(path):
        raise RequestError(f"'{path}' is a ZIP archive: unpack it, and give the folder. {WHAT_DATA_IS}")
    if tarfile.is_tarfile(path):
        return "tar"
    raise RequestError(f"'{path}' is nothing that images are read from. {WHAT_DATA_IS}")


def _folder(path: Path, named: Collection[str]) -> GivenData:
    """Tell a folder of classes from one of tables, archives or Parquet files."""
    files = walk(path).files
    images = [name for name in files if looks_like_image(name)]
    endings = {posixpath.splitext(name)[1].lower() for name in files}
    if not images:
        for ending in (".parquet", ".tar"):
            if ending in endings:
                return _of_kind(str(path.resolve()), KINDS[ending])
    has_table = any(posixpath.splitext(name)[1].lower() in (".csv", ".tsv") for name in _beside(path))
    if has_table and not _has_classes(path, images):
        return _table(str(path.resolve()), named)
    return _of_kind(str(path.resolve()), "folder")


def _beside(path: Path) -> list[str]:
    return [child.name for child in path.iterdir() if child.is_file()]


def _has_classes(root: Path, images: list[str]) -> bool:
    with suppress(RequestError):
        convention = convention_of(images, DatasetSettings(source="folder"), Location(f"'{root}'", root))
        places = (convention.place_of(folder) for folder in {posixpath.dirname(name) for name in images})
        return len({place.label for place in places if place and place.label}) > 1
    return False


def _table(path: str, named: Collection[str]) -> GivenData:
    """Guess the columns of a table: which names the images, which says what they show, which the split."""
    settings = DatasetSettings(source="csv", path=path)
    table = read_tables(settings)[0][0]
    given = local_path(path)
    is_there = partial(names_a_file, Files(given if given.is_dir() else given.parent))
    found: dict[str, Any] = {"source": "csv", "path": path}
    if first_image(table, is_there):
        table, found["header"] = numbered(table), False
    labels = {"label_column", "label_columns"}
    fixed = {*named, *(labels if labels & {*named} else ())}
    columns: dict[str, Any] = {key: name for key, name in guessed_columns(table, is_there).items() if key not in fixed}
    known = {*columns, *named}
    missing = [key for key in ("image_column", "label_column") if key not in known and "label_columns" not in known]
    if "image_column" not in known or missing:
        raise RequestError(
            f"'{table.path}' has no column that {'names images' if 'image_column' not in known else 'looks like labels'}. "
            f"Columns: {', '.join(table.header)}. Name them: --set dataset.{missing[0] if missing else 'image_column'}=…"
        )
    if "split_column" not in named and (split := guessed_split(table, columns.values())):
        columns["split_column"] = split
    if "label_columns" in columns:
        columns["label_columns"] = columns["label_columns"].split(",")
    said = quoted(str(name) if isinstance(name, str) else ",".join(name) for name in columns.values())
    return GivenData({**found, **columns}, f"a table; by what is in its columns, {', '.join(columns)} = {said}")


def _nothing_there(data: str, path: Path) -> str:
    folder = path.parent
    names = sorted(child.name for child in folder.iterdir()) if folder.is_dir() else []
    near = nearest(path.name, names) if names else []
    said = f" Nearest there: {quoted(near)}." if near and len(near) < len(names) else ""
    return f"There is no file or folder {in_full(path)}.{said} {WHAT_DATA_IS}"
