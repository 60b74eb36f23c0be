"""From the cells of a table that name images to files below a folder."""

import difflib
import os
import posixpath
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from bottleneck_features.errors import quoted
from bottleneck_features.pipeline.datasets.layout.split_cells import splits_in
from bottleneck_features.pipeline.datasets.listing import ignored
from bottleneck_features.pipeline.datasets.pixels.file_kinds import ENDINGS
from bottleneck_features.pipeline.errors import RequestError

LEAVES = "the path leaves the image root"
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DRIVE = re.compile(r"[A-Za-z]:/")
_SAMPLED = 500  # paths by which it is found out where all are
_LOOKED_AT = 50_000  # files and folders, when files are not where they should be
_COMPARED = 2000  # names, for the nearest


@dataclass(frozen=True)
class Placement:
    """Where the images of a table are.

    Attributes:
        folder: below the base folder, empty where it is that folder itself.
        relative: how many leading folders of the table's relative paths are not there.
        elsewhere: how many of its absolute paths, which are those of another machine.
        dropped: those folders, as a message shows them.
        found: how many of the paths that were tried are there.
    """

    folder: str
    relative: int
    elsewhere: int
    dropped: tuple[str, ...]
    found: int


class _Folder:
    """The names in one folder."""

    def __init__(self, path: Path) -> None:
        try:
            with os.scandir(path) as entries:
                kinds = {entry.name: entry.is_dir() for entry in entries}
        except OSError:
            kinds = {}
        self.files = {name for name, is_folder in kinds.items() if not is_folder}
        self.folders = sorted(name for name, is_folder in kinds.items() if is_folder)

    @cached_property
    def images(self) -> list[str]:
        """The names of images, sorted."""
        return sorted(
            name for name in self.files if posixpath.splitext(name)[1].lower() in ENDINGS and not ignored(name)
        )

    @cached_property
    def alike(self) -> dict[str, list[str]]:
        """The names of files by what names in another case have in common."""
        return _by_name(sorted(self.files), _plain)

    @cached_property
    def stems(self) -> dict[str, list[str]]:
        """Likewise those of images, without their ending."""
        return _by_name(self.images, lambda name: _plain(posixpath.splitext(name)[0]))

    @cached_property
    def folders_alike(self) -> dict[str, list[str]]:
        """Likewise those of folders."""
        return _by_name(self.folders, _plain)


class Files:
    """The files below a folder, each folder in it listed once."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._real: dict[str, str | None] = {}  # folders as paths have them, and as they are
        self._listed: dict[str, _Folder] = {}
        self._below: dict[str, list[str]] = {}  # images in any folder, by their name and by its stem

    @property
    def searches_below(self) -> bool:
        """Whether a name without folders means a file in any folder below the base folder."""
        return bool(self._below)

    def search_below(self) -> None:
        """Look through all folders, so that `find` takes a name without folders for the file of this name in any of them."""
        for folder, inside, names in os.walk(self.base):
            inside[:] = sorted(one for one in inside if not ignored(one))
            above = posixpath.relpath(folder, self.base)
            for name in sorted(names):
                stem, ending = posixpath.splitext(_plain(name))
                if ending in ENDINGS and not ignored(name):
                    path = name if above == "." else posixpath.join(above, name)
                    for key in dict.fromkeys((_plain(name), stem)):
                        self._below.setdefault(key, []).append(path)

    def find(self, path: str) -> tuple[str, ...]:
        """Return the files that a relative path can mean.

        The file itself; else those whose names differ in case or in Unicode's form only; else, if the path has no ending of
        an image, those images that have one more.
        """
        folder, _, name = path.rpartition("/")
        if not folder and (anywhere := self._below.get(_plain(name))):
            return tuple(anywhere)
        real = self.real(folder)
        if real is None:
            return ()
        listed, above = self._folder(real), f"{real}/" if real else ""
        if name in listed.files:
            return (above + name,)
        found = listed.alike.get(_plain(name), [])
        if not found and posixpath.splitext(name)[1].lower() not in ENDINGS:
            found = listed.stems.get(_plain(name), [])
            found = [one for one in found if one.startswith(f"{name}.")] or found
        return tuple(above + one for one in found)

    def real(self, folder: str) -> str | None:
        """Return the folder that a relative path means, in whatever case; None where there is none, or several."""
        if folder not in self._real:
            self._real[folder] = self._real_folder(folder)
        return self._real[folder]

    def folders(self) -> list[str]:
        """Return the folders in the base folder."""
        return [name for name in self._folder("").folders if not ignored(name)]

    def images(self, folder: str) -> list[str]:
        """Return the names of the images in a folder."""
        return self._folder(folder).images

    def _real_folder(self, path: str) -> str | None:
        if not path or is_folder(self.base / path):
            return path
        above, _, name = path.rpartition("/")
        real = self.real(above)
        found = [] if real is None else self._folder(real).folders_alike.get(_plain(name), [])
        return posixpath.join(real or "", found[0]) if len(found) == 1 else None

    def _folder(self, path: str) -> _Folder:
        if path not in self._listed:
            self._listed[path] = _Folder(self.base / path)
        return self._listed[path]


def is_folder(path: Path) -> bool:
    """Whether there is a folder; a path that is too long is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def plain_path(cell: str) -> str:
    r"""Return a path with `/` for `\`, and without `.` and `x/..` in it."""
    return posixpath.normpath(re.sub(r"^//+", "/", cell.replace("\\", "/")))


def wrong_path(cell: str) -> str:
    """Return why a cell can name no image; empty where it can."""
    if not cell:
        return "the row names no file"
    if URL.match(cell):
        return "a URL: images are not downloaded"
    return LEAVES if plain_path(cell).split("/")[0] == ".." else ""


def names_a_file(files: Files, cell: str) -> bool:
    """Whether a cell names a file in the base folder or in `images` in it."""
    path = "" if wrong_path(cell) else plain_path(cell)
    return bool(path) and any(files.find(posixpath.join(folder, path)) for folder in ("", "images"))


def place(paths: Sequence[str], files: Files, split: str) -> Placement:
    """Find out where the images of a table are.

    Tried are the base folder, `images` in it, and the folders in it that are called like the table's split. Leading folders
    that all paths share may be those of another place: the longest rest by which most are found is taken, once for all.
    Where no file is found so, and the paths are names without folders, all folders below the base folder are searched.

    Args:
        paths: of the images, as `plain_path` returns them.
        files: below the base folder.
        split: of the table; may be empty.

    Raises:
        RequestError: several of these folders have them.
    """
    named = [name for name in files.folders() if split and splits_in(name) == (split,)]
    tried = [_placed(paths, files, folder) for folder in dict.fromkeys(["", "images", *named])]
    best = max(tried, key=lambda placement: placement.found)
    if not best.found and not any("/" in path for path in paths):
        files.search_below()
        return _placed(paths, files, "")
    same = [placement.folder for placement in tried if best.folder in named and placement.found == best.found]
    if len(same) > 1:
        raise RequestError(
            f"The files that the {split} table names are in several folders: {quoted(same)}. Write the folder into the paths, or "
            f"give one by --set dataset.image_root={files.base / same[0]}"
        )
    return best


def relative(path: str, placement: Placement, base: Path) -> str | None:
    """Return a path relative to the folder of a placement; None where it lies outside of it.

    Args:
        path: as `plain_path` returns it.
        placement: of its table.
        base: the base folder.
    """
    if not _is_absolute(path):
        return "/".join(path.split("/")[placement.relative :])
    inside = _below(path, base / placement.folder)
    if inside is not None:
        return inside
    return "/".join(path.split("/")[placement.elsewhere :]) if placement.elsewhere else None


def where_else(paths: Sequence[str], files: Files) -> str:
    """Return a hint where the first of some files that were not found may be: in another folder, or under another name."""
    name, seen = posixpath.basename(paths[0]), 0
    for folder, inside, names in os.walk(files.base):
        inside[:] = sorted(one for one in inside if not ignored(one))
        if name in names:
            there = posixpath.join(folder, name)
            placed = _placed(paths, Files(Path(folder)), "").found
            if placed >= len(_sample(paths)):
                return f" There is '{there}': give --set {shlex.quote(f'dataset.image_root={folder}')}"
            if placed:
                return (
                    f" There is '{there}', but others are in other folders: write the folders, below '{files.base}', into the "
                    "table's paths."
                )
            below = posixpath.relpath(there, files.base)
            return f" There is '{there}': if it is meant, write '{below}' into the table instead of '{paths[0]}'."
        seen += len(inside) + len(names)
        if seen > _LOOKED_AT:
            break
    for folder in ("", "images"):
        if beside := files.images(folder):
            near = difflib.get_close_matches(name, beside[:_COMPARED], 1, 0.75)
            like = f"the nearest name is '{near[0]}'" if near else f"the first is '{beside[0]}'"
            return f" There are {len(beside):,} images in '{files.base / folder}'; {like}."
    return f" There is no image in '{files.base}'."


def _placed(paths: Sequence[str], files: Files, folder: str) -> Placement:
    root = files.base / folder
    ours = [path for path in paths if not _is_absolute(path)]
    absolute = [path for path in paths if _is_absolute(path)]
    inside = [below for path in absolute if (below := _below(path, root)) is not None]
    foreign = [path for path in absolute if _below(path, root) is None]
    found = sum(bool(files.find(posixpath.join(folder, path))) for path in _sample(inside))
    relative, dropped, count = _dropped(ours, files, folder, least=0)
    elsewhere, dropped_too, more = _dropped(foreign, files, folder, least=1)
    shown = tuple(one for one in (dropped, dropped_too) if one)
    return Placement(folder, relative, elsewhere, shown, found + count + more)


def _dropped(paths: Sequence[str], files: Files, folder: str, least: int) -> tuple[int, str, int]:
    """Return how many leading folders of paths to leave out, these folders, and how many files are found so."""
    common = os.path.commonprefix([min(paths), max(paths)]) if paths else ""  # which is that of all
    shared = common.split("/")[:-1]
    tried = [path.split("/") for path in _sample(paths)]
    best, most = 0, 0
    for count in range(least, len(shared) + 1):
        found = sum(bool(files.find(posixpath.join(folder, *own[count:]))) for own in tried)
        if found > most:
            best, most = count, found
    return best, "/".join(shared[:best]), most


def _sample(items: Sequence) -> Sequence:
    return items[:: max(1, len(items) // _SAMPLED)]


def _is_absolute(path: str) -> bool:
    return posixpath.isabs(path) or bool(_DRIVE.match(path))


def _below(path: str, root: Path) -> str | None:
    """Return an absolute path below a folder; None for one that is not there, be it by way of links."""
    folder, name = posixpath.split(path)
    for inside, base in ((folder, str(root.absolute())), (_real(folder), _real(str(root)))):
        if f"{inside}/".startswith(f"{base.rstrip('/')}/"):
            return posixpath.relpath(posixpath.join(inside, name), base)
    return None


@lru_cache(maxsize=1 << 12)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _by_name(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(key(name), []).append(name)
    return found
