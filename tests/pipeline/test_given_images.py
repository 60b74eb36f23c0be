"""What callers give as images: every usual form of it gives the pixels of stage one, the others are refused as what they are."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from imagefiles import class_folders, encoded, picture, write
from PIL import Image

from bottleneck_features.pipeline.datasets.dataset import content_hashes
from bottleneck_features.pipeline.datasets.pixels.decoding import Resizing, load_bytes
from bottleneck_features.pipeline.errors import PipelineError, RequestError
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
    with pytest.raises(PipelineError, match=r"1 of 1 images cannot be used.*\n.*16-bit.*dataset.value_range"):
        decoded([Image.open(file)])
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
    "a mask": ((PIXELS > 127).astype(np.uint8), "go from 0 to 1"),
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


def test_a_picture_whose_file_was_closed_is_named(tmp_path):
    opened = Image.open(io.BytesIO(encoded(picture(), "PNG")))
    opened.close()
    with pytest.raises(PipelineError, match=r"number 1 \(RGB, 40x30\)"):
        decoded([picture(), opened])
