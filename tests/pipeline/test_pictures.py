"""Pictures are files that are whole, whoever else writes them at the same time."""

import pytest
from matplotlib.figure import Figure
from PIL import Image

from bottleneck_features.pipeline.datasets.sources.embedded import digits
from bottleneck_features.pipeline.inspection.contact_sheets import draw_sheet
from bottleneck_features.pipeline.inspection.repeats import Place
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
