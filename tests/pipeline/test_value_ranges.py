"""Which numbers are black and white is one choice for a whole data set: made by its first scan, kept, and said."""

import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from deepfiles import png16, tiff, turned
from imagefiles import COLOURS, encoded, picture, write
from PIL import Image

import bottleneck_features as bf
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset
from bottleneck_features.pipeline.datasets.pixels.value_ranges import RANGES_FILE
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment

LITE = (
    "backbone.name=efficientnet-lite0",
    "backbone.layers=top_activation",
    "input.size=40,40",
    "dataset.test_fraction=0",
)
NAMES = tuple(COLOURS)


def _open(root: Path, home: Path, *overrides: str) -> ImageDataset:
    return open_dataset(load_experiment("natural-images", (f"dataset.path={root}", *LITE, *overrides)), home)


def _pixels(name: str, seed: int) -> np.ndarray:
    pixels = np.array(picture(seed, COLOURS[name], size=(40, 40)))
    pixels[0, 0], pixels[0, 1] = 255, 0
    return pixels


def _fill(root: Path, file, images: int = 3, names: tuple[str, ...] = NAMES) -> Path:
    """Write pictures of every class, each as `file` makes it of 8-bit pixels; returns the folder."""
    for name in names:
        for i in range(images):
            write(root / name / f"{i}.png", file(_pixels(name, i)))
    return root


def _images(dataset: ImageDataset) -> np.ndarray:
    return dataset.images("train", np.arange(len(dataset.splits["train"])))


def _scaled(pixels: np.ndarray, low: float, high: float, dtype: str) -> np.ndarray:
    values = pixels / 255 * (high - low) + low
    return (values if dtype[0] == "f" else np.rint(values)).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "said"),
    [
        ("u2", 0, 4095, "hold 16-bit values; 0 to 4,095 becomes black to white"),
        ("u2", 0, 255, "hold 16-bit values; 0 to 255 becomes black to white"),
        ("u4", 0, 65535, "hold 32-bit values; 0 to 65,535 becomes"),
        ("i2", -1000, 1000, "hold signed 16-bit values; -1,000 to 1,000 becomes"),
        ("i4", -3, 100_000, "hold signed 32-bit values; -3 to 100,000 becomes"),
        ("f4", 0, 1, "hold 32-bit floating-point values; 0 to 1 becomes"),
        ("f8", -7.5, 1e6, "hold 64-bit floating-point values; -7.5 to 1,000,000 becomes"),
    ],
)  # fmt: skip
def test_the_range_is_that_of_all_images_together(tmp_path, dtype, low, high, said):
    eight = _open(_fill(tmp_path / "eight", lambda pixels: encoded(Image.fromarray(pixels), "PNG")), tmp_path / "home")
    deep = _open(_fill(tmp_path / "deep", lambda pixels: tiff(_scaled(pixels, low, high, dtype))), tmp_path / "home")
    assert np.abs(_images(eight).astype(int) - _images(deep)).max() <= 1
    assert f"Data: 9 images {said}" in deep.notices[0]
    assert "dataset.value_range" in deep.notices[0]
    assert not eight.notices
    assert "dataset.value_range" not in eight.identity


def test_floats_within_0_to_1_are_not_stretched(tmp_path):
    dataset = _open(_fill(tmp_path / "data", lambda pixels: tiff((pixels / 255 * 0.5 + 0.2).astype("f4"))), tmp_path)
    assert dataset.identity["dataset.value_range"] == {"float": [0, 1]}


def test_every_kind_of_number_has_a_range_and_eight_bits_stay(tmp_path):
    makers = {
        "blue": lambda pixels: png16(pixels.astype(np.uint16) * 257),
        "green": lambda pixels: encoded(Image.fromarray(pixels), "PNG"),
        "red": lambda pixels: tiff(_scaled(pixels, -100, 900, "i2")),
    }
    for name, make in makers.items():
        _fill(tmp_path / "mixed", make, names=(name,))
    mixed = _open(tmp_path / "mixed", tmp_path)
    assert mixed.identity["dataset.value_range"] == {"unsigned": [0, 65535], "signed": [-100, 900]}
    plain = _open(_fill(tmp_path / "plain", makers["green"]), tmp_path)
    assert np.abs(_images(mixed).astype(int) - _images(plain)).max() <= 1
    assert [notice.split(" images")[0] for notice in mixed.notices] == ["Data: 3", "Data: 3"]


def test_images_that_come_later_are_clipped_and_counted_and_change_nothing(tmp_path):
    root = _fill(tmp_path / "data", lambda pixels: tiff(_scaled(pixels, 0, 4095, "u2")))
    first = _open(root, tmp_path)
    write(root / "red" / "late.png", tiff(np.full((40, 40, 3), 5000, np.uint16)))
    later = _open(root, tmp_path)
    assert later.identity == first.identity
    assert "1 of them have values outside of this range" in later.notices[0]
    assert "dataset.value_range=LOW,HIGH" in later.notices[0]
    place = later.splits["train"].ids.tolist().index("red/late.png")
    assert later.images("train", np.array([place])).min() == 255


def test_a_test_split_that_comes_with_the_data_has_no_say(tmp_path):
    _fill(tmp_path / "data" / "train", lambda pixels: tiff(_scaled(pixels, 0, 4095, "u2")))
    _fill(tmp_path / "data" / "test", lambda pixels: tiff(_scaled(pixels, 0, 60000, "u2")))
    words = (f"dataset.path={tmp_path / 'data'}", *LITE[:3])
    dataset = open_dataset(load_experiment("natural-images", words), tmp_path)
    assert dataset.identity["dataset.value_range"] == {"unsigned": [0, 4095]}
    assert "9 of them have values outside" in dataset.notices[0]


def test_value_range_sets_it_and_keeps_nothing(tmp_path):
    root = _fill(tmp_path / "data", lambda pixels: tiff(_scaled(pixels, 0, 4095, "u2")))
    wide = _open(root, tmp_path, "dataset.value_range=0,65535")
    assert wide.identity["dataset.value_range"] == {"unsigned": [0, 65535]}
    assert _images(wide).max() <= 16
    assert not (tmp_path / RANGES_FILE).exists()
    assert _open(root, tmp_path).identity["dataset.value_range"] == {"unsigned": [0, 4095]}


def test_what_is_for_files_is_refused_where_there_are_none(tmp_path):
    for setting in ("dataset.value_range=0,9", "dataset.bands=3,2,1"):
        with pytest.raises(RequestError, match="are for image files, and digits has none"):
            open_dataset(load_experiment("digits", (setting,)), tmp_path)


@pytest.mark.parametrize("ending", ["tar", "parquet"])
def test_numbers_in_containers_have_the_range_of_a_folder(tmp_path, ending):
    root = _fill(tmp_path / "data", lambda pixels: tiff(_scaled(pixels, -100, 900, "i2")))
    if ending == "tar":
        with tarfile.open(tmp_path / "data.tar", "w") as archive:
            archive.add(root, "data")
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        arrow = pytest.importorskip("pyarrow")
        paths = sorted(root.glob("*/*.png"))
        columns = {"image": [path.read_bytes() for path in paths], "label": [path.parent.name for path in paths]}
        parquet.write_table(arrow.table(columns), tmp_path / "data.parquet")
    packed = _open(tmp_path / f"data.{ending}", tmp_path / "home", f"dataset.source={ending}")
    loose = _open(root, tmp_path / "home")
    assert packed.identity["dataset.value_range"] == loose.identity["dataset.value_range"] == {"signed": [-100, 900]}
    np.testing.assert_array_equal(_images(packed), _images(loose))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"x": 3}', '{"x": {"unsigned": [1]}}'])
def test_damaged_ranges_are_found_anew(tmp_path, damage):
    root = _fill(tmp_path / "data", lambda pixels: tiff(_scaled(pixels, 0, 4095, "u2")))
    identity = _open(root, tmp_path).identity
    (tmp_path / RANGES_FILE).write_text(damage)
    assert _open(root, tmp_path).identity == identity
    assert list(json.loads((tmp_path / RANGES_FILE).read_text())) == [str(root)]


def test_bands_are_a_part_of_the_identity_and_have_a_range_of_their_own(tmp_path):
    def of_bands(pixels: np.ndarray) -> bytes:
        return tiff(np.dstack([pixels[..., ::-1] * np.uint16(16), pixels * np.uint16(200)]), photometric=1)

    root = _fill(tmp_path / "data", of_bands)
    with pytest.raises(PipelineError, match=r"it has 6 bands.*dataset\.bands=3,2,1"):
        _open(root, tmp_path)
    with pytest.raises(PipelineError, match=r"None of the 9 files can be used:(.|\n)*it has 6 bands"):
        _open(root, tmp_path, "dataset.error_limit=1")
    plain = _open(_fill(tmp_path / "plain", lambda pixels: encoded(Image.fromarray(pixels), "PNG")), tmp_path)
    for asked, factor, high in (("3,2,1", 16, 4095), ("4,5,6", 200, 65535)):
        dataset = _open(root, tmp_path, f"dataset.bands={asked}")
        assert dataset.identity["dataset.bands"] == [int(one) for one in asked.split(",")]
        assert dataset.identity["dataset.value_range"] == {"unsigned": [0, high]}
        expected = np.rint(_images(plain) * (factor / high * 255))
        assert np.abs(expected - _images(dataset)).max() <= 1


def test_transparency_that_looks_like_a_picture_is_said_with_the_way_out(tmp_path):
    root = _fill(tmp_path / "data", lambda pixels: encoded(Image.fromarray(np.dstack([pixels, pixels[..., 0]])), "PNG"))
    (notice,) = _open(root, tmp_path).notices
    assert "9 images looks like a picture" in notice
    assert "dataset.bands=1,2,3" in notice
    assert not _open(root, tmp_path, "dataset.bands=1,2,3").notices


PREDICT = ("predict", "-e", "natural-images", "--json")


@pytest.fixture(scope="module")
def deep_model(tmp_path_factory) -> Path:
    """The home of a head that was trained on 12-bit TIFFs, which lie beside it with the same pictures as 8-bit files."""
    home = tmp_path_factory.mktemp("deep")
    _fill(home / "data", lambda pixels: tiff(_scaled(pixels, 0, 4095, "u2")), images=12)
    words = [word for one in (f"dataset.path={home / 'data'}", *LITE[:3]) for word in ("--set", one)]
    for command in (("features",), ("train-head", "--set", "head.epochs=12")):
        done = invoke(command[0], "-e", "natural-images", *words, *command[1:], home=home)
        assert done.exit_code == 0, done.output
        assert "0 to 4,095 becomes black to white" in " ".join(done.output.split())
    return home


def _predicted(home: Path, folder: Path, *more: str) -> dict:
    done = invoke(*PREDICT, *more, str(folder), home=home)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_predict_reads_numbers_by_the_range_of_the_training_images(deep_model, tmp_path):
    pixels = _pixels("red", 50)
    half = pixels // 2  # whose own range would make it twice as bright
    contents = {
        "deep.tif": tiff(_scaled(half, 0, 4095, "u2")),
        "deep.png": png16(_scaled(half, 0, 4095, "u2")),
        "eight.png": encoded(Image.fromarray(half), "PNG"),
        "turned.tif": turned(half, 6, "TIFF"),
    }
    for name, content in contents.items():
        write(tmp_path / "files" / name, content)
    found = _predicted(deep_model, tmp_path / "files")["predictions"]
    chances = [{one["label"]: one["probability"] for one in prediction["classes"]} for prediction in found]
    for other in chances[1:]:
        assert max(abs(other[label] - chance) for label, chance in chances[0].items()) < 0.05


def test_a_model_reads_arrays_by_the_range_of_the_training_images(deep_model, tmp_path):
    deep = np.minimum(_scaled(_pixels("red", 50), 0, 4095, "u2"), 255)  # which would be bright, if white were 255
    (head,) = deep_model.rglob("train-head/head.npz")
    model = bf.load_model(head, home=deep_model)
    file = write(tmp_path / "deep.tif", tiff(deep))
    np.testing.assert_allclose(model.predict_proba([deep]), model.predict_proba([file]), atol=1e-6)


def test_predict_says_when_it_is_asked_for_another_range(deep_model):
    found = _predicted(deep_model, deep_model / "data" / "red", "--set", "dataset.value_range=0,65535")
    assert any("0 to 65,535; in training they were 0 to 4,095" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("high", "mark", "said"),
    [
        (60_000, None, "from about 0 to 2,55[0-9] only.*dataset.value_range=0,255"),
        (None, -9999.0, "may be a mark for missing values.*dataset.value_range=LOW,HIGH"),
    ],
)
def test_a_range_that_few_values_make_wide_is_questioned(tmp_path, high, mark, said):
    def file(pixels: np.ndarray) -> bytes:
        grey = pixels[..., 0].astype(np.uint16) * 10
        if mark is None:
            grey[2, 2] = high if (pixels == _pixels(NAMES[0], 0)).all() else 2550
            return png16(grey)
        values = (grey / 2550).astype(np.float32)
        values[3:6] = mark
        return tiff(values)

    notices = " ".join(_open(_fill(tmp_path / "data", file), tmp_path / "home").notices)
    assert re.search(said, notices), notices


def test_an_ordinary_range_is_not_questioned(tmp_path):
    data = _fill(tmp_path / "data", lambda pixels: png16(pixels[..., 0].astype(np.uint16) * 16))
    (notice,) = _open(data, tmp_path / "home").notices
    assert "4,095" in notice
    assert "contrast" not in notice
