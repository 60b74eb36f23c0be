"""What a function of a stage returns: the object behind `--json`, with what a notebook wants of it."""

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck_features.foreign import read_json
from bottleneck_features.pipeline import arguments
from bottleneck_features.pipeline.api.frames import frame_of
from bottleneck_features.pipeline.api.tables import table_of
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.method_names import NETWORKS
from bottleneck_features.pipeline.reporting.verdicts import verdict_of
from bottleneck_features.pipeline.results import RESULT_FILE
from bottleneck_features.pipeline.results import Result as Written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLACES = ("folder", "files", "report", "model", "cache")  # keys of paths
TRAINING = ("probe", "train-head", *NETWORKS)
MAKERS = {  # what has a place of its own, and the function that makes it
    "report": "bf.report(data)",
    "model": "bf.probe(data)",
    "cache": "bf.extract(data)",
}


class Result(Mapping[str, Any]):
    """What a command has found: a mapping with the keys of the object that `--json` prints, and shorter ways to some of it.

    Attributes:
        content: that object.
        said: how the data were understood, where they were given for the first time.
    """

    def __init__(self, content: Mapping[str, Any], said: tuple[str, ...] = ()) -> None:
        self.content, self.said = content, said

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)

    @property
    def command(self) -> str:
        """Which command it is of, such as `probe`."""
        return str(self.content["command"])

    @property
    def verdict(self) -> str:
        """What was found, in a sentence or two, with its interval and the number of images."""
        return verdict_of(self.content)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that a reader of the figures must know, the gravest first."""
        return tuple(self.content["warnings"])

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that put no figure in doubt, such as a licence."""
        return tuple(self.content.get("notes", ()))

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return Path(self.content["folder"])

    @property
    def files(self) -> tuple[Path, ...]:
        """What the command has written, besides result.json."""
        return tuple(map(Path, self.content.get("files", ())))

    @property
    def table(self) -> Any:
        """What it is about as a pandas DataFrame, or where pandas is not installed as a list of dictionaries.

        A row per method, with its accuracy and the ends of the 95 % interval as fractions, n and seconds, the one that the
        verdict is of first (`chosen`): it was chosen on validation images, so another may be ahead on these. Of
        `predict` a row per file, of `evaluate` per class, of `inspect` per split and class, of `label_curve` per point, of
        `bench` per variant, of `export` per format, of `extract` per layer.

        Raises:
            AttributeError: the command has no table.
        """
        return frame_of(table_of(self.content))

    @property
    def report(self) -> Path:
        """The page of all results.

        Raises:
            AttributeError: the command makes none.
        """
        beside = self.folder.parent / "report" / "report.html"  # which `compare` writes too
        own = beside if self.command == "compare" and beside.is_file() else self._first(".html")
        return self._place("report", self.content.get("report") or own)

    @property
    def model(self) -> Path:
        """The file of the trained model, which `bf.load_model` opens.

        Raises:
            AttributeError: the command trains none.
        """
        trained = self._first(".npz", ".keras") if self.command in TRAINING else None
        return self._place("model", self.content.get("model") if self.command == "run" else trained)

    @property
    def cache(self) -> Path:
        """The folder of the features, which `bf.open_features` opens.

        Raises:
            AttributeError: the command extracts none.
        """
        return self._place("cache", self.content.get("cache"))

    @property
    def figures(self) -> "Mapping[str, Figure]":
        """The pictures of this result as matplotlib figures, by the names of their files."""
        from bottleneck_features.pipeline.api.figures import figures_of

        return figures_of(self.content)

    def _first(self, *endings: str) -> Path | None:
        return next((file for file in self.files if file.suffix in endings and file.is_relative_to(self.folder)), None)

    def _place(self, what: str, found: Any) -> Path:
        if not found or not isinstance(found, str | Path):
            raise AttributeError(f"{self.command} makes no {what}; {MAKERS[what]} does.")
        return Path(found)

    def __repr__(self) -> str:
        return f"{self.command}: {self.verdict}"

    def _repr_html_(self) -> str:
        from bottleneck_features.pipeline.api.cards import result_card

        places = [(name, getattr(self, name)) for name in ("report", "model", "cache") if hasattr(self, name)]
        return result_card(self.content, self.said, [*places, ("folder", self.folder)])


def shown(written: Written, said: tuple[str, ...] = ()) -> Result:
    """Return what a stage has written, as a caller gets it."""
    return Result(written.as_json(), said)


def load_result(path: str | PathLike[str]) -> Result:
    """Read a result that a command wrote.

    Args:
        path: a `result.json`, or the folder that it is in, such as `artifacts/runs/pets/probe`.

    Raises:
        RequestError: there is none, or it is none of ours.
    """
    place = arguments.path("path", path, "a result.json, or the folder that it is in")
    file = place / RESULT_FILE if place.is_dir() else place
    try:
        content = read_json(file)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"'{file}' cannot be read as a result ({error}). Give a result.json, or its folder."
        ) from None
    if not isinstance(content, dict) or not {"command", "warnings", "folder"} <= content.keys():
        raise RequestError(f"'{file}' is no result of a command. Give a result.json, or its folder.")
    return Result(_as_it_lies(content, file.absolute().parent))


def _as_it_lies(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a result with its places where they are now: the folder, or the home it is in, may have been moved."""
    then = Path(content["folder"])
    moves = [(then, folder)]
    if then.parts[-2:] == folder.parts[-2:]:  # runs/NAME/COMMAND of a home
        moves.append((then.parents[2], folder.parents[2]))

    def now(place: Any) -> Any:
        if isinstance(place, list):
            return [now(one) for one in place]
        if not isinstance(place, str):
            return place
        for old, new in moves:
            if Path(place).is_relative_to(old):
                return str(new / Path(place).relative_to(old))
        return place

    return {key: now(value) if key in PLACES else value for key, value in content.items()}
