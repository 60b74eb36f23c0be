"""What is left out of a data set, and why: listed in a file, counted in every result, and too much of it is an error."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.listing import Problem
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.results import write_text
from bottleneck_features.plain import csv_row

QUARANTINE_FILE = "quarantine.csv"
SHOWN = 3  # reasons in a message; all are in the file


@dataclass(frozen=True)
class LeftOut:
    """All that is left out.

    Attributes:
        problems: what cannot be used.
        unlabelled: images without a label.
        others: what is left out without being wrong.
        unit: what a problem is one of: `images`, `rows`, `files` or `files and folders`.
    """

    problems: tuple[Problem, ...]
    unlabelled: tuple[Problem, ...]
    others: tuple[Problem, ...]
    unit: str

    def write(self, path: Path) -> None:
        """List all in a CSV file; where there is nothing, remove it."""
        path.unlink(missing_ok=True)
        if not (self.problems or self.unlabelled or self.others):
            return
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("path", "reason", "row"))
        everything = (*self.problems, *self.unlabelled, *self.others)
        writer.writerows(csv_row((item.path, item.reason, item.row or "")) for item in everything)
        write_text(path, stream.getvalue())

    def require_few_problems(self, usable: int, settings: DatasetSettings, path: Path) -> None:
        """Stop where too much cannot be used.

        Args:
            usable: how many images can be.
            settings: `on_error` and `error_limit`.
            path: the file that lists all.

        Raises:
            PipelineError: more than `error_limit` cannot be used, or all, or any with `on_error = "fail"`.
        """
        bad, total = len(self.problems), usable + len(self.problems)
        limit = settings.error_limit if settings.on_error == "quarantine" else 0.0
        shown = "\n".join(f"  {_location(item)}: {item.reason}" for item in self.problems[:SHOWN])
        if bad and not usable:
            raise PipelineError(
                f"None of the {bad:,} {self.unit} can be used:\n{shown}\nAll are listed in {path}. Mend them."
            )
        if bad <= limit * total:
            return
        strict = settings.on_error == "fail"
        allowed = "dataset.on_error=fail allows" if strict else f"dataset.error_limit={limit:g}"
        raise PipelineError(
            f"{bad:,} of {total:,} {self.unit} cannot be used, more than {allowed}:\n{shown}\n"
            f"All are listed in {path}. Mend them, or change dataset.on_error or dataset.error_limit."
        )

    def notices(self, usable: int, path: Path) -> tuple[str, ...]:
        """Return what a reader of any number from the `usable` images must know of the others."""
        bad, bare, others = len(self.problems), len(self.unlabelled), len(self.others)
        total = usable + bad
        return (
            *([f"Data: {bad:,} of {total:,} {self.unit} cannot be used and are left out; see {path}."] if bad else ()),
            *(
                [
                    f"Data: {bare:,} images have no label, so nothing is learned from them or measured on them; see {path}. "
                    "`bottleneck predict` labels images."
                ]
                if bare
                else ()
            ),
            *([f"Data: {others:,} {self._others} are left out; see {path}."] if others else ()),
        )

    @property
    def _others(self) -> str:
        return (
            "files without a row, or repeated rows," if self.unit == "rows" else "files or links that are passed over"
        )


def _location(item: Problem) -> str:
    return f"row {item.row}, {item.path or 'no path'}" if item.row else item.path
