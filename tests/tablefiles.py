"""Tables of the tests that name images, written and listed."""

from pathlib import Path

from imagefiles import encoded, picture

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.listing import Listing
from bottleneck_features.pipeline.datasets.sources.table import list_table

JPEG = encoded(picture())
NAMES = [f"{i}.jpg" for i in range(10)]
LABELS = ["a", "b"] * 5


def rows(names, labels, header=("file", "label"), separator=",") -> str:
    """The text of a table of files and labels."""
    lines = [header] if header else []
    lines += zip(names, labels, strict=True)
    return "".join(separator.join(line) + "\n" for line in lines)


def listed(table: Path, text: str | bytes, **settings: object) -> Listing:
    """What a table lists that is written with a text."""
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    columns = {"image_column": "file", "label_column": "label", **settings}
    return list_table(DatasetSettings("csv", str(table), **columns))


def paths(listing: Listing) -> list[str]:
    """The paths of a listing."""
    return [entry.path for entry in listing.entries]
