"""What tests of the pipeline share."""

from pathlib import Path

import pytest
from imagefiles import write
from tablefiles import JPEG


@pytest.fixture
def table(tmp_path) -> Path:
    """A CSV beside an `images` folder with ten pictures, the rows as a test wants them."""
    for i in range(10):
        write(tmp_path / "images" / f"{i}.jpg", JPEG)
    return tmp_path / "list.csv"
