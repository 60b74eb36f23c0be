import contextlib
import logging
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import check, encoded, picture, write
from PIL import Image

from bottleneck_features.pipeline.datasets.pixels.decoding import (
    MAX_PIXELS,
    UnusableImage,
    decoding_threads,
    load,
    load_bytes,
    opened,
    read_file,
)
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing

GRADIENT = np.linspace(0, 255, 48, dtype=np.uint8).reshape(6, 8)


def pixels_of(content: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a picture at the size it is stored in."""
    header = check(content, max_pixels).header
    return load_bytes(content, Resizing((header.height, header.width)), max_pixels=max_pixels)


@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000"])
def test_every_lossless_format_gives_its_pixels_back(format):
    grey = Image.fromarray(GRADIENT)
    options = {"lossless": True} if format == "WEBP" else {}
    pixels = pixels_of(encoded(grey.convert("RGB") if format == "WEBP" else grey, format, **options))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.repeat(GRADIENT[..., None], 3, -1))


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_orientation_of_a_camera_is_applied(turn, tmp_path):
    upright = Image.fromarray(np.repeat(np.repeat(GRADIENT[..., None], 3, -1), 16, 0).repeat(16, 1))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the inverse Transpose of each orientation
    stored = upright.transpose(Image.Transpose(undo[turn])) if turn in undo else upright
    exif = Image.Exif()
    exif[0x0112] = turn
    content = encoded(stored, "JPEG", quality=95, exif=exif)
    whole = load_bytes(content, Resizing((96, 128)))
    assert np.abs(whole.astype(int) - np.asarray(upright)).max() < 12
    small = load(write(tmp_path / "x.jpg", content), Resizing((24, 32)))  # drafted
    assert np.abs(small.astype(int) - np.asarray(upright.resize((32, 24), Image.Resampling.BILINEAR))).mean() < 3


def test_transparent_pixels_are_white_and_half_transparent_ones_half():
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = (0, 128, 255)
    assert pixels_of(encoded(Image.fromarray(pixels, "RGBA"), "PNG"))[0, :, 0].tolist() == [255, 127, 0]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    assert pixels_of(encoded(palette, "PNG", transparency=0))[0].tolist() == [[255, 255, 255], [200, 100, 50]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_mode_becomes_three_channels_of_eight_bits(mode):
    image = picture().convert("L").convert(mode) if mode == "LA" else picture().convert(mode)
    content = encoded(image, "PNG" if mode in ("LA", "RGBA") else "TIFF")
    assert check(content).header.mode == mode
    assert pixels_of(content).shape == (30, 40, 3)


def test_the_first_picture_of_an_animation_is_taken():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for format in ("GIF", "WEBP", "TIFF"):
        content = encoded(frames[0], format, save_all=True, append_images=frames[1:])
        assert pixels_of(content)[0, 0, 0] > 200


def test_a_shrunk_large_jpeg_is_the_picture_shrunk_whole(tmp_path):
    image = picture(size=(900, 700)).resize((1800, 1400))
    path = write(tmp_path / "large.jpg", encoded(image, quality=95))
    whole = Image.fromarray(pixels_of(path.read_bytes())).resize((64, 48), Image.Resampling.BILINEAR)
    assert np.abs(load(path, Resizing((48, 64))).astype(int) - np.asarray(whole)).max() <= 2


@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic"])
def test_resizing_without_antialiasing_agrees_with_tensorflow(tmp_path, kernel):
    import tensorflow as tf

    pixels = np.asarray(picture(size=(50, 37)))
    path = write(tmp_path / "x.png", encoded(Image.fromarray(pixels), "PNG"))
    expected = np.clip(tf.image.resize(pixels, (20, 30), kernel, antialias=False).numpy(), 0, 255)
    interior = (slice(2, -2), slice(2, -2))  # the two treat a border differently
    ours = load(path, Resizing((20, 30), kernel, antialias=False)).astype(float)
    assert np.abs(ours - expected)[interior].mean() < (0.6 if kernel != "bicubic" else 3.0)


@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic", "lanczos3"])
def test_resizing_with_antialiasing_agrees_with_tensorflow(tmp_path, kernel):
    import tensorflow as tf

    pixels = np.asarray(picture(size=(50, 37)))
    path = write(tmp_path / "x.png", encoded(Image.fromarray(pixels), "PNG"))
    expected = np.clip(tf.image.resize(pixels, (20, 30), kernel, antialias=True).numpy(), 0, 255)
    assert np.abs(load(path, Resizing((20, 30), kernel)) - expected).max() <= 1.01


def test_a_bomb_is_not_unpacked():
    content = encoded(Image.new("1", (6000, 6000)), "PNG")
    with pytest.raises(UnusableImage, match=r"more than dataset.max_pixels=1,000,000"):
        check(content, max_pixels=1_000_000)
    header = (
        b"BM"
        + struct.pack("<IHHI", 58, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 24, 0, 4, 0, 0, 0, 0)
    )
    with pytest.raises(UnusableImage, match="decompression bomb"):
        check(header + b"\0" * 4)
    assert check(content, max_pixels=36_000_000).header.width == 6000


def test_the_limit_of_bytes_is_for_large_numbers_only():
    for format in ("PNG", "TIFF"):
        content = encoded(picture(size=(20, 10)).convert("RGBA"), format)
        assert check(content, max_pixels=200).header.width == 20
    deep = Image.fromarray(np.zeros((10, 20), np.float32))
    with pytest.raises(UnusableImage, match=r"20x10 pixels of 4 bytes each.*dataset\.max_pixels=200"):
        check(encoded(deep, "TIFF"), max_pixels=200)


def test_a_progressive_jpeg_of_very_many_scans_is_not_decoded():
    content = encoded(picture(size=(200, 150)), progressive=True)
    assert check(content).header.format == "JPEG"
    last = content.rindex(b"\xff\xda")
    scan = content[last : last + 2 + int.from_bytes(content[last + 2 : last + 4], "big")] + bytes(10)
    with pytest.raises(UnusableImage, match=r"a progressive JPEG of 5,0\d\d scans; at most 100"):
        check(content[:-2] + scan * 5000 + b"\xff\xd9")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_truncated_file_is_refused(format, share):
    content = encoded(picture(size=(200, 150)), format)
    with pytest.raises(UnusableImage):
        check(content[: int(len(content) * share)])


def test_other_bytes_than_were_scanned_are_refused():
    with pytest.raises(UnusableImage, match="not those that were scanned"):
        load_bytes(encoded(picture()), Resizing((8, 8)), sha256="0" * 64)


def test_what_is_no_file_has_its_kind_in_the_reason(tmp_path):
    with pytest.raises(UnusableImage, match="a folder, not a file"):
        read_file(tmp_path)
    with pytest.raises(UnusableImage, match="there is no such file"):
        read_file(tmp_path / "none.jpg")
    with pytest.raises(UnusableImage, match="no file can have this name"):
        read_file(tmp_path / "a\0b.jpg")


FUZZED = [encoded(picture(size=(24, 18)), format) for format in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")]


@given(
    st.sampled_from(FUZZED),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 200),
)
def test_a_fuzzed_header_is_an_image_or_a_reason_in_one_line(content, changes, cut):
    broken = bytearray(content)
    for position, value in changes:
        broken[position % len(broken)] = value
    content = bytes(broken[: len(broken) - cut] if cut < 50 else broken)
    try:
        outcome = f"uint8 in {pixels_of(content, max_pixels=1 << 20).ndim} dimensions"
    except UnusableImage as problem:
        outcome = str(problem)
    assert outcome
    assert "\n" not in outcome


def test_threads_are_no_more_than_the_quota_of_a_container(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 3)  # counts the cgroup's quota too
    assert decoding_threads() == 3


def _settings_of_pillow() -> tuple[object, ...]:
    return list(warnings.filters), logging.getLogger("PIL").level, Image.MAX_IMAGE_PIXELS


def test_decoding_leaves_no_setting_of_the_process_changed():
    before = _settings_of_pillow()
    contents = [encoded(picture(seed)) for seed in range(40)] + [b"broken"] * 10

    def decode(content: bytes) -> None:
        with contextlib.suppress(UnusableImage):
            check(content, 2 * MAX_PIXELS)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, contents))
    assert _settings_of_pillow() == before
    with opened(contents[0], 2 * MAX_PIXELS):
        assert Image.MAX_IMAGE_PIXELS == 2 * MAX_PIXELS
        with opened(contents[1]):
            pass
        assert Image.MAX_IMAGE_PIXELS == 2 * MAX_PIXELS
    assert _settings_of_pillow() == before


def test_a_program_that_has_settings_of_its_own_keeps_them():
    content = encoded(picture(0))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
        before = list(warnings.filters)
        check(content)
        assert sorted(map(str, warnings.filters)) == sorted(map(str, before))
    own = Image.MAX_IMAGE_PIXELS
    try:
        with opened(content, 2 * MAX_PIXELS):
            Image.MAX_IMAGE_PIXELS = 10**9
        assert Image.MAX_IMAGE_PIXELS == 10**9
    finally:
        Image.MAX_IMAGE_PIXELS = own


def test_importing_the_data_sets_changes_no_setting_of_pillow():
    code = (
        "import logging, warnings; from PIL import Image; before = Image.MAX_IMAGE_PIXELS\n"
        "import bottleneck_features.pipeline.datasets\n"
        "assert Image.MAX_IMAGE_PIXELS == before and not logging.getLogger('PIL').level\n"
        "assert not any('PIL' in str(one) for one in warnings.filters), warnings.filters"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
