"""Small pictures of a data set's images, inside the page."""

import io
from collections.abc import Sequence

from PIL import Image

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.details import Place
from bottleneck_features.pipeline.inspection.contact_sheets import thumbnails
from bottleneck_features.pipeline.reporting.page import data_uri

QUALITY = 70  # of WebP


def data_uris(dataset: Dataset, places: Sequence[Place], side: int) -> list[str]:
    """Return the images at some places, at most `side` pixels wide and high, as `data:` addresses."""
    return [_data_uri(image) for image in thumbnails(dataset, places, side)]


def sprite(dataset: Dataset, places: Sequence[Place], side: int, columns: int) -> str:
    """Return the images at some places as one picture of square cells, row by row, as a `data:` address."""
    rows = -(-len(places) // columns)
    sheet = Image.new("RGBA", (columns * side, rows * side))
    for number, image in enumerate(thumbnails(dataset, places, side)):
        row, column = divmod(number, columns)
        sheet.paste(image, (column * side + (side - image.width) // 2, row * side + (side - image.height) // 2))
    return _data_uri(sheet)


def _data_uri(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "WEBP", quality=QUALITY)
    return data_uri("webp", content.getvalue())
