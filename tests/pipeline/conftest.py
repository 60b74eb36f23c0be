"""What tests of the pipeline share."""

from functools import partial
from pathlib import Path

import pytest
from correcting import write_corrections
from imagefiles import write
from tablefiles import JPEG


@pytest.fixture
def table(tmp_path) -> Path:
    """A CSV beside an `images` folder with ten pictures, the rows as a test wants them."""
    for i in range(10):
        write(tmp_path / "images" / f"{i}.jpg", JPEG)
    return tmp_path / "list.csv"


@pytest.fixture
def fixes(tmp_path):
    """Writes a table of corrections, and returns the setting that names it."""
    return partial(write_corrections, tmp_path)
