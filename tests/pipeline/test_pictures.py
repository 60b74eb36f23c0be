"""Pictures are files that are whole, whoever else writes them at the same time."""

import numpy as np
import pytest
from deepfiles import turned
from imagefiles import picture, write
from matplotlib.figure import Figure
from PIL import Image

from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.datasets.sources.embedded import digits
from bottleneck_features.pipeline.evaluation.details import Place
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.inspection.contact_sheets import draw_sheet, thumbnails
from bottleneck_features.pipeline.plots.style import save_figure


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_two_commands_may_draw_the_same_picture_side_by_side(tmp_path, monkeypatch, suffix):
    path, save, others = tmp_path / f"time.{suffix}", Figure.savefig, [Figure()]

    def save_beside_another(figure, *arguments, **options):
        save(figure, *arguments, **options)
        if others:
            save_figure(others.pop(), path)

    monkeypatch.setattr(Figure, "savefig", save_beside_another)
    assert save_figure(Figure(), path).stat().st_size > 100
    assert list(tmp_path.iterdir()) == [path]


def test_a_contact_sheet_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "class-000.jpg"
    path.write_bytes(b"the old one")

    def half(image, target, *arguments, **options):
        (target.write if hasattr(target, "write") else target.write_bytes)(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="No space"):
        draw_sheet(digits(), [Place("train", 0)], path)
    assert path.read_bytes() == b"the old one"


def test_photographs_that_their_camera_turned_are_upright_and_in_proportion_on_a_sheet(tmp_path):
    upright = picture(size=(12, 8)).resize((240, 160))
    for number, orientation in enumerate((1, 3, 6, 8) * 3):
        content = turned(np.asarray(upright), orientation, "JPEG", quality=95)
        write(tmp_path / "pictures" / "ab"[number % 2] / f"{number}.jpg", content)
    dataset = open_dataset(load_experiment("natural-images", (f"dataset.path={tmp_path / 'pictures'}",)), tmp_path)
    small = np.asarray(upright.resize((80, 53)), int)
    for thumbnail in thumbnails(dataset, [Place("train", index) for index in range(12)], 80):
        assert thumbnail.size == (80, 53)
        assert np.abs(np.asarray(thumbnail) - small).mean() < 5
