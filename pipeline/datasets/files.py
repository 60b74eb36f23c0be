"""Image files as a data set: those of a folder, or those that a table names."""

from pathlib import Path

from bottleneck_features.pipeline.datasets import assembly
from bottleneck_features.pipeline.datasets.columns import of_entries
from bottleneck_features.pipeline.datasets.decoding import decoding_threads, read_file
from bottleneck_features.pipeline.datasets.images import ImageDataset, Stored
from bottleneck_features.pipeline.datasets.listing import Listing, Problem, list_folder
from bottleneck_features.pipeline.datasets.scan import printable, scan
from bottleneck_features.pipeline.datasets.table import list_table
from bottleneck_features.pipeline.experiment import Experiment


class Files:
    """Image files below a folder; an image's id is its path (a `Source`)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.threads = decoding_threads()

    def read(self, image: Stored) -> bytes:
        """See `Source`."""
        return read_file(self._root / image.id)

    def where(self, image: Stored) -> str:
        """See `Source`."""
        return str(self._root / image.id)


def open_folder(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as a folder of classes.

    Args:
        experiment: its `dataset` and `input` sections.
        home: the artifacts folder; files that cannot be used are listed in `runs/<experiment>/quarantine.csv`.

    Raises:
        RequestError: the folder or a setting cannot be right.
        PipelineError: more files than `dataset.error_limit` cannot be used, or any with `on_error = "fail"`.
    """
    return _open(experiment, home, list_folder(experiment.dataset.path, experiment.dataset.group))


def open_table(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as a CSV file that names images; otherwise as `open_folder`."""
    return _open(experiment, home, list_table(experiment.dataset))


def _open(experiment: Experiment, home: Path, listing: Listing) -> ImageDataset:
    assembly.resizing_of(experiment)  # refuses what cannot be before every file is read
    found = scan(listing.root, [entry.path for entry in listing.entries], home, experiment.dataset.max_pixels)
    records = {record.path: record for record in found}
    bad = [
        Problem(printable(entry.path), records[entry.path].problem, entry.row)
        for entry in listing.entries
        if records[entry.path].problem
    ]
    usable = of_entries([entry for entry in listing.entries if not records[entry.path].problem], records)
    problems = [*listing.problems, *bad]
    where = str(Path(experiment.dataset.path).expanduser().resolve())
    return assembly.assemble(experiment, home, usable, problems, listing.noted, Files(listing.root), where)
