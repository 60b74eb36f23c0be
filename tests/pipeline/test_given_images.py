"""What callers give as images: every usual form of it gives the pixels of stage one, the others are refused as what they are."""

import hashlib
import os
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from imagefiles import class_folders, encoded, picture, write
from PIL import Image

from bottleneck_features.pipeline.datasets.dataset import content_hashes
from bottleneck_features.pipeline.datasets.pixels.decoding import load_bytes
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.use.given_images import Reading
from bottleneck_features.pipeline.use.image_arguments import given_images

SMALL = Resizing((24, 20))
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 24, 20, 3)).astype(np.uint8)


def decoded(given: object, resizing: Resizing = SMALL) -> np.ndarray:
    return np.concatenate(list(given_images(given).batches(resizing, 2)))


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    return sorted(class_folders(tmp_path / "photos", 3).rglob("*.jpg"))


def test_files_have_the_pixels_and_the_hashes_of_stage_one(paths):
    expected = np.stack([load_bytes(path.read_bytes(), SMALL) for path in paths])
    np.testing.assert_array_equal(decoded(paths), expected)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert [row.tobytes().hex() for row in given_images(paths).contents(SMALL)] == hashes


def forms(paths: list[Path]) -> dict[str, object]:
    import pandas

    texts = [str(path) for path in paths]
    return {
        "a tuple of Path": tuple(paths),
        "a list of text": texts,
        "an array of text": np.array(texts),
        "an array of StringDType": np.array(texts, np.dtypes.StringDType()),
        "an array of objects": np.array(texts, object),
        "an array of Path": np.array(paths, object),
        "a series": pandas.Series(texts, index=range(7, 7 + len(texts))),
        "a table of one column": pandas.DataFrame({"path": texts}),
        "a column as an array": np.array(texts)[:, None],
    }


@pytest.mark.parametrize("form", list(forms([Path("a")])))
def test_paths_may_come_in_any_sequence(form, paths):
    np.testing.assert_array_equal(decoded(forms(paths)[form]), decoded(paths))


def test_a_home_folder_in_a_path_is_written_out(monkeypatch, paths):
    monkeypatch.setenv("HOME", str(paths[0].parent))
    np.testing.assert_array_equal(decoded([f"~/{paths[0].name}"]), decoded(paths[:1]))


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "CMYK"])
def test_an_opened_picture_is_its_file(mode, tmp_path):
    file = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    picture().convert(mode).save(file)
    np.testing.assert_array_equal(decoded([Image.open(file)]), decoded([file]))


def test_a_large_jpeg_differs_from_its_file_only_by_what_libjpeg_shrinks(tmp_path):
    file = tmp_path / "x.jpg"
    picture(size=(400, 300)).save(file, quality=95)
    exact = Resizing((24, 20), "nearest")
    np.testing.assert_array_equal(decoded([Image.open(file)], exact), decoded([file], exact))
    assert (decoded([Image.open(file)]) != decoded([file])).any()


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "TIFF", "PNG"])
def test_an_opened_picture_stands_upright_as_its_file_does(turn, format, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = turn
    file = write(tmp_path / "x", encoded(picture(), format, exif=exif))
    np.testing.assert_array_equal(decoded([Image.open(file)]), decoded([file]))
    with Image.open(file) as opened:
        opened.load()
        np.testing.assert_array_equal(decoded([opened, opened]), decoded([file, file]))


def test_numbers_of_more_than_8_bits_need_a_range_as_those_of_files_do(tmp_path):
    file = tmp_path / "x.png"
    Image.fromarray(PIXELS[0, ..., 0].astype(np.uint16) * 16).save(file)
    with pytest.raises(PipelineError, match=r"1 of 1 images cannot be used.*\n.*16-bit.*black and white is unknown\n"):
        decoded([Image.open(file)])
    for given in ([file], [Image.open(file)]):
        reading = Reading(remedies={"dataset.value_range": "value_range=(LOW, HIGH)"})
        with pytest.raises(PipelineError, match=r"is unknown: give value_range=\(LOW, HIGH\)\n"):
            given_images(given, reading).pixel_contents(SMALL)
    ranged = Resizing((24, 20), ranges={"unsigned": (0, 4095)})
    np.testing.assert_array_equal(decoded([Image.open(file)], ranged), decoded([file], ranged))


ARRAYS = {
    "8-bit RGB": PIXELS,
    "a list": list(PIXELS),
    "a tuple": tuple(PIXELS),
    "integers": PIXELS.astype(np.int64),
    "floats of 0 to 1": PIXELS / 255,
    "halves": (PIXELS / np.float32(255)).astype(np.float32),
    "floats of 0 to 255": PIXELS.astype(np.float64),
    "opaque": np.concatenate([PIXELS, np.full((5, 24, 20, 1), 255, np.uint8)], -1),
    "columns first in memory": np.asfortranarray(PIXELS),
}


@pytest.mark.parametrize("form", list(ARRAYS))
def test_arrays_of_the_wanted_size_are_taken_as_they_are(form):
    np.testing.assert_array_equal(decoded(ARRAYS[form]), PIXELS)
    np.testing.assert_array_equal(given_images(ARRAYS[form]).contents(SMALL), content_hashes(PIXELS))


def test_grey_is_repeated_and_transparent_pixels_are_white():
    grey = PIXELS[..., :1]
    for form in (grey, grey[..., 0], list(grey), list(grey[..., 0])):
        np.testing.assert_array_equal(decoded(form), np.repeat(grey, 3, -1))
    clear = np.concatenate([PIXELS, np.zeros((5, 24, 20, 1), np.uint8)], -1)
    assert (decoded(clear) == 255).all()
    half = np.concatenate([PIXELS, np.full((5, 24, 20, 1), 100, np.uint8)], -1)
    np.testing.assert_array_equal(decoded(half), decoded([Image.fromarray(one) for one in half]))


def test_arrays_of_another_size_are_resized_as_files_are():
    larger = Resizing((48, 30))
    np.testing.assert_array_equal(decoded(PIXELS, larger), decoded([Image.fromarray(one) for one in PIXELS], larger))


def test_what_is_white_is_told_from_all_images_never_from_one():
    dark, bright = np.full((24, 20, 3), 0.5), np.full((24, 20, 3), 200.0)
    assert (decoded([dark, bright])[0] == 0).all()
    assert (decoded([dark, dark])[0] == 128).all()
    assert (decoded(np.zeros((2, 24, 20, 3), np.uint8)) == 0).all()


def test_arrays_of_more_than_8_bits_are_read_by_the_range_as_files_are(tmp_path):
    grey = PIXELS[..., 0].astype(np.uint16)
    files = [tmp_path / f"{place}.png" for place in range(len(grey))]
    for file, one in zip(files, grey, strict=True):
        Image.fromarray(one).save(file)
    ranges = {"unsigned": (20.0, 200.0)}
    expected = decoded(files, Resizing((24, 20), ranges=ranges))
    for given in (grey, list(grey), grey[..., None]):
        images = given_images(given, Reading(ranges=ranges))
        np.testing.assert_array_equal(np.concatenate(list(images.batches(SMALL, 2))), expected)
    untouched = given_images(PIXELS, Reading(ranges=ranges))
    np.testing.assert_array_equal(np.concatenate(list(untouched.batches(SMALL, 2))), PIXELS)
    clear = np.concatenate([PIXELS, np.zeros((5, 24, 20, 1))], -1).astype(np.uint16)
    laid = given_images(clear, Reading(ranges=ranges))
    assert (np.concatenate(list(laid.batches(SMALL, 2))) == 255).all()


DARK = {
    "a mask": ((PIXELS > 127).astype(np.uint8), "uint8, is 1, and they count from 0 .* to 255"),
    "a dark frame of floats": ((PIXELS // 3).astype(np.float32), "float32, is 85,"),
    "a dark frame of integers": ((PIXELS // 3).astype(np.int64), "int64, is 85,"),
    "digits": (PIXELS[..., 0] / 16.0, r"is 15.9375, .*\(x - black\) / \(white - black\)"),
}


@pytest.mark.parametrize("what", list(DARK))
def test_dark_images_count_to_255_alone_as_among_others_and_it_is_said(what):
    given, message = DARK[what]
    bright = np.full_like(given[:1], 255)
    alone, among = given_images(given), given_images(np.concatenate([given, bright]))
    assert re.search(message, " ".join(alone.notices))
    assert among.notices == ()
    rows = [np.concatenate(list(images.batches(SMALL, 8))) for images in (alone, among)]
    np.testing.assert_array_equal(rows[0], rows[1][:-1])


def test_one_image_with_channels_first_may_be_grey_images_which_is_said():
    first = PIXELS[0].transpose(2, 0, 1)
    (notice,) = given_images(first).notices
    assert "shape (3, 24, 20) is taken as 3 grey images" in notice
    assert "x.transpose(1, 2, 0)[None]" in notice
    for clear in (first[..., None], first.transpose(1, 2, 0)[None], PIXELS[..., 0], PIXELS[:1, ..., 0]):
        assert given_images(clear).notices == ()


def test_too_large_pictures_name_a_setting_only_where_there_is_one(paths):
    for given in (paths, [Image.open(path) for path in paths]):
        with pytest.raises(
            PipelineError, match=r"more than the 100 that are read \(a decompression bomb\?\)\n"
        ) as caught:
            given_images(given, Reading(100)).pixel_contents(SMALL)
        assert "max_pixels" not in str(caught.value)
    with pytest.raises(PipelineError, match=r"bomb\?\): give max_pixels=200\n"):
        given_images(paths, Reading(100, remedies={"dataset.max_pixels": "max_pixels=200"})).pixel_contents(SMALL)


def one_column_too_many() -> object:
    import pandas

    return pandas.DataFrame({"path": ["a.jpg"], "label": ["cat"]})


REFUSED = {
    "one path": ("a.jpg", r"One path is no list of images. Give \['a.jpg'\]"),
    "one Path": (Path("a.jpg"), r"Give \['a.jpg'\]"),
    "a folder": (os.sep, r"is a folder.*rglob"),
    "a picture": (picture(), r"One PIL image .*RGB, 40x30"),
    "nothing": ([], "There are no images: list is empty"),
    "no rows": (np.empty((0, 8, 8, 3), np.uint8), "There are no images"),
    "a generator": ((path for path in ["a.jpg"]), r"generator.*only once.*sorted"),
    "a set": ({"a.jpg"}, "set is no sequence of images"),
    "a mapping": ({"a": "a.jpg"}, "dict is no sequence"),
    "None": (None, "NoneType None is no sequence"),
    "a number": (3, "int 3 is no sequence"),
    "numbers": ([1, 2], "Number 0 is int 1, no image"),
    "a missing path": (["a.jpg", None], r"Number 1 is missing \(None\)"),
    "not a path": (["a.jpg", float("nan")], r"Number 1 is missing \(nan\)"),
    "bytes": ([b"GIF89a"], r"Number 0 is bytes.*BytesIO"),
    "a URL": (["https://example.org/a.jpg"], "Number 0 is a URL, 'https://example.org/a.jpg'"),
    "paths and pictures": (["a.jpg", "b.jpg", picture()], "a path at 0, a PIL image at 2"),
    "a table": (one_column_too_many(), r"A table of 2 columns.*table\['path'\]"),
    "one image": (PIXELS[0], r"looks like one image.*x\[None\].*\(24, 20, 3\)"),
    "rows of numbers": (np.zeros((5, 100)), r"rows of numbers, or one grey image.*\(5, 100\)"),
    "one row": (np.zeros(100), r"Images have the shape.*\(100,\)"),
    "channels first": (PIXELS.transpose(0, 3, 1, 2), r"channels come first.*x.transpose\(0, 2, 3, 1\)"),
    "a list of channels first": (list(PIXELS.transpose(0, 3, 1, 2)), r"channels come first.*x.transpose\(1, 2, 0\)"),
    "many channels": (np.zeros((5, 8, 8, 7), np.uint8), "1, 3 or 4 channels"),
    "a list of batches": ([PIXELS], "Each array of a list is one image"),
    "sizes": ([PIXELS[0], PIXELS[1, :9]], r"one shape and type.*\(9, 20, 3\) at 1.*fromarray"),
    "types": ([PIXELS[0], PIXELS[1] / 255], "uint8 of shape .* at 0, float64 of shape .* at 1"),
    "objects": (PIXELS.astype(object), "array of shape .* object"),
    "truths": (PIXELS > 9, r"Images are numbers.*astype\('uint8'\)"),
    "NaN": (np.full((2, 8, 8, 3), np.nan), "not finite"),
    "negative": (PIXELS / 127.5 - 1, "It cannot be told what is black and what is white in these images.* go from -1 to 1"),
    "beyond 255": (PIXELS.astype(np.uint16) * 16, "go from 0 to 4080"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(REFUSED))
def test_what_is_no_images_is_refused_as_what_it_is(what):
    given, message = REFUSED[what]
    with pytest.raises(RequestError, match=f"(?s){message}"):
        given_images(given)


def test_files_that_cannot_be_read_are_named_in_one_error(paths, tmp_path):
    bad = [write(tmp_path / f"bad {i}.jpg", b"no image") for i in range(7)]
    given = given_images([*paths, *bad, tmp_path / "gone.jpg", tmp_path])
    for use in (lambda: list(given.batches(SMALL, 4)), lambda: given.pixel_contents(SMALL)):
        with pytest.raises(PipelineError) as caught:
            use()
        assert str(caught.value).startswith("9 of 18 images cannot be used, and none may be left out")
        assert f"'{bad[4]}': " in str(caught.value)
        assert "and 4 more" in str(caught.value)
    with pytest.raises(PipelineError, match="(?s)2 of 18 .*gone.jpg': there is no such file.*a folder, not a file"):
        given.contents(SMALL)


def test_a_file_that_changes_after_it_was_hashed_is_refused(paths):
    given = given_images(paths)
    given.contents(SMALL)
    paths[1].write_bytes(paths[0].read_bytes())
    with pytest.raises(PipelineError, match="1 of 9 .*\n.*its bytes are not those"):
        list(given.batches(SMALL, 4))


def left_by_with(file: Path) -> Image.Image:
    with Image.open(file) as opened:
        return opened


def closed(file: Path) -> Image.Image:
    opened = Image.open(file)
    opened.close()
    return opened


def of_a_closed_file(file: Path) -> Image.Image:
    with file.open("rb") as stream:
        return Image.open(stream)


@pytest.mark.parametrize(
    ("format", "close"),
    [
        *product(["PNG", "JPEG", "TIFF", "GIF", "BMP"], [left_by_with, closed, of_a_closed_file]),
        ("WEBP", closed),  # whose bytes Pillow has read already, so that they outlive the file
    ],
)
def test_a_picture_that_was_closed_before_it_was_read_is_named(format, close, tmp_path):
    opened = close(write(tmp_path / "x", encoded(picture(), format)))
    with pytest.raises(PipelineError, match=r"number 1 \(.*, 40x30\): it was closed before it was read: load\(\) it"):
        decoded([picture(), opened])


def test_a_picture_that_was_loaded_may_be_closed(tmp_path):
    file = write(tmp_path / "x.png", encoded(picture(), "PNG"))
    with Image.open(file) as opened:
        opened.load()
    np.testing.assert_array_equal(decoded([opened]), decoded([file]))
