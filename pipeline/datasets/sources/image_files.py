"""Image files on a disk as a data set, whatever lists them."""

from pathlib import Path

import numpy as np

from bottleneck_features.pipeline.datasets.assembly import LabelledScan, assemble, resizing_of
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset, StoredImage
from bottleneck_features.pipeline.datasets.listing import Listing, printable
from bottleneck_features.pipeline.datasets.paths import local_path
from bottleneck_features.pipeline.datasets.pixels.decoding import decoding_threads
from bottleneck_features.pipeline.datasets.pixels.file_bytes import read_file
from bottleneck_features.pipeline.datasets.scanning import scan_files
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.experiment import Experiment


class FileReader:
    """Reads image files below a folder; an image's id is its path (an `ImageReader`)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.threads = decoding_threads()

    def read(self, image: StoredImage) -> bytes:
        """See `ImageReader`."""
        return read_file(self._root / image.id)

    def location(self, image: StoredImage) -> str:
        """See `ImageReader`."""
        return str(self._root / image.id)


def open_listing(experiment: Experiment, home: Path, listing: Listing) -> ImageDataset:
    """Look at the files of a listing and make a data set of them; see `open_folder`."""
    resizing = resizing_of(experiment)  # refuses what cannot be before every file is read
    entries = listing.entries
    settings = experiment.dataset
    paths = [entry.path for entry in entries]
    scan = scan_files(listing.root, paths, home, resizing, settings.max_pixels, follow_links=settings.follow_links)
    groups, rows = text_array(printable(entry.group) for entry in entries), np.array([e.row for e in entries], np.int32)
    labels, splits = text_array(entry.label for entry in entries), text_array(entry.split for entry in entries)
    groups = groups if (groups != "").any() else groups[:0]
    numbers, candidates = rows if rows.any() else None, listing.group_candidates
    labelled = LabelledScan(
        scan, scan.ids, labels, splits, groups, scan.problems, rows=numbers, group_candidates=candidates
    )
    location = str(local_path(settings.path).resolve())
    return assemble(experiment, home, labelled, reader=FileReader(listing.root), location=location, listing=listing)
