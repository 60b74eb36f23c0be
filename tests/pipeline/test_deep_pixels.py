"""What a file says of its picture is read: turned once, every number by its own type, transparency only where it is said."""

import io

import numpy as np
import pytest
from deepfiles import png16, stored_for, tiff, turned
from hypothesis import given, settings
from hypothesis import strategies as st
from imagefiles import check, encoded, picture
from PIL import Image

from bottleneck_features.pipeline.datasets.pixels import decoding
from bottleneck_features.pipeline.datasets.pixels.decoding import Checked, UnusableImage, load_bytes
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing

FULL = {"unsigned": (0, 65535), "signed": (-32768, 32767), "float": (0, 1)}
LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True, "exact": True}}
NEARLY = {"JPEG": {"quality": 98, "subsampling": 0}, "AVIF": {"quality": 98, "subsampling": "4:4:4"}}
RANDOM = np.random.default_rng(0)


def _numbers(shape: tuple[int, ...], dtype: str = "u2", high: int = 65536) -> np.ndarray:
    return RANDOM.integers(0, high, shape).astype(dtype)


def _decoded(content: bytes, ranges=FULL, bands=(), size: tuple[int, int] | None = None) -> np.ndarray:
    header = check(content, bands=bands).header
    return load_bytes(content, Resizing(size or (header.height, header.width), bands=bands, ranges=ranges))


def _grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(levels).astype(np.uint8)[..., None], 3, -1)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(LOSSLESS | NEARLY)),
    st.integers(1, 8),
    st.sampled_from(["L", "RGB", "RGBA", "P", "1"]),
    st.integers(0, 5),
)
def test_a_picture_is_turned_once_whatever_its_format_and_mode(format, orientation, mode, seed):
    if format in NEARLY:
        mode = {"RGBA": "RGB", "P": "L", "1": "L"}.get(mode, mode)
    smooth = picture(seed, size=(6, 4)).resize((48, 32))
    stored = smooth.convert(mode)
    upright = np.asarray(stored.convert("RGB"), int)
    exif = Image.Exif()
    exif[274] = orientation
    turned_image = Image.fromarray(stored_for(np.asarray(stored), orientation)) if mode != "P" else None
    if turned_image is None:
        turned_image = Image.fromarray(stored_for(np.asarray(stored), orientation), "P")
        turned_image.putpalette(stored.getpalette())
    if format == "WEBP":
        turned_image = turned_image.convert("RGBA" if mode == "RGBA" else "RGB")
    content = encoded(turned_image, format, exif=exif, **(LOSSLESS | NEARLY)[format])
    header = check(content).header
    assert (header.width, header.height) == (48, 32)
    found = load_bytes(content, Resizing((32, 48)))
    assert np.abs(found - upright).max() <= (0 if format in LOSSLESS else 12)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_numbers_that_pillow_does_not_read_are_turned_too_and_large_jpegs_shrunk(orientation):
    pixels = _numbers((5, 7, 3))
    content = tiff(stored_for(pixels, orientation), orientation=orientation)
    np.testing.assert_array_equal(_decoded(content), np.rint(pixels / 257))
    large = np.asarray(picture(size=(12, 8)).resize((600, 400)))
    for format in ("JPEG", "MPO"):
        small = load_bytes(turned(large, orientation, format, quality=95), Resizing((40, 60)))
        whole = np.asarray(Image.fromarray(large).resize((60, 40), Image.Resampling.BILINEAR), int)
        assert np.abs(small - whole).mean() < 2


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("bands", [1, 3, 4, 13])
def test_every_number_of_a_tiff_is_read_in_every_order_and_compression(order, compression, bands):
    pixels = _numbers((9, 11, bands))
    content = tiff(pixels, order, compression, photometric=1, extra=[0] * (bands - 1))
    asked = (bands, 1, max(1, bands - 1))
    found = _decoded(content, bands=asked)
    np.testing.assert_array_equal(found, np.rint(pixels[..., [one - 1 for one in asked]] / 257))


@pytest.mark.parametrize("how", [
    {}, {"planarconfig": "separate"}, {"tile": (16, 32)}, {"tile": (16, 32), "planarconfig": "separate"}, {"predictor": 2},
    {"predictor": 2, "tile": (16, 32)}, {"predictor": 2, "planarconfig": "separate", "rowsperstrip": 7}, {"bigtiff": True},
    {"bigtiff": True, "byteorder": ">", "tile": (16, 16)},
])  # fmt: skip
def test_bands_are_read_however_they_are_laid_out(how):
    tifffile = pytest.importorskip("tifffile")
    pixels, stream = _numbers((37, 45, 5)), io.BytesIO()
    how = {"compression": "zlib", **how} if "predictor" in how else how
    stored = np.moveaxis(pixels, -1, 0) if "planarconfig" in how else pixels
    tifffile.imwrite(stream, stored, photometric="minisblack", **{"planarconfig": "contig", **how})
    found = _decoded(stream.getvalue(), bands=(5, 1, 3))
    np.testing.assert_array_equal(found, np.rint(pixels[..., [4, 0, 2]] / 257))


def test_floats_stored_as_differences_are_read():
    values = RANDOM.random((6, 9, 4)).astype("<f4")
    planes = values.astype(">f4").view(np.uint8).reshape(6, 36, 4).swapaxes(1, 2).reshape(6, -1, 4)
    rows = np.diff(planes, axis=1, prepend=np.zeros((6, 1, 4), np.uint8)).astype(np.uint8).reshape(6, -1)
    content = tiff(values, compression=8, predictor=3, photometric=1, extra=[0] * 3)
    own = tiff(
        np.frombuffer(rows.tobytes(), "<f4").reshape(values.shape),
        compression=8,
        predictor=3,
        photometric=1,
        extra=[0] * 3,
    )
    assert content != own
    np.testing.assert_array_equal(_decoded(own, bands=(1, 2, 4)), np.rint(values[..., [0, 1, 3]].astype(float) * 255))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("bands", [1, 3])
def test_every_type_of_number_has_its_own_range(order, dtype, bands):
    values = _numbers((6, 8, bands), dtype, 120) - np.dtype(dtype).type(60 if dtype[0] == "i" else 0)
    found = check(tiff(values, order))
    assert (found.numbers, found.lowest, found.highest) == (dtype, values.min(), values.max())
    low, high = (-60, 67) if dtype[0] == "i" else (0, 127)
    levels = (values.astype(float) - low) / (high - low) * 255
    kinds = {"u": "unsigned", "i": "signed", "f": "float"}
    pixels = _decoded(tiff(values, order), {kinds[dtype[0]]: (low, high)})
    np.testing.assert_array_equal(pixels, np.rint(levels) if bands == 3 else _grey(levels[..., 0]))


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_a_png_of_sixteen_bits_keeps_the_lower_byte(bands, interlaced):
    pixels = _numbers((13, 11, bands), high=4096)
    if bands % 2 == 0:
        pixels[..., -1] = 65535
    found = check(png16(pixels, interlaced))
    colours = pixels[..., : 3 if bands > 2 else 1]
    assert (found.numbers, found.highest) == ("u2", colours.max())
    levels = colours / 4095 * 255
    np.testing.assert_array_equal(
        _decoded(png16(pixels, interlaced), {"unsigned": (0, 4095)}),
        np.rint(levels) if bands > 2 else _grey(levels[..., 0]),
    )


def test_eight_bits_times_257_are_the_eight_bits():
    pixels = np.asarray(picture(size=(20, 14)))
    for content in (png16(pixels.astype(np.uint16) * 257), tiff(pixels.astype(np.uint16) * 257, ">")):
        np.testing.assert_array_equal(_decoded(content), pixels)


def test_white_is_zero_where_the_file_says_so():
    values = _numbers((4, 5), high=4096)
    for order in "<>":
        found = _decoded(tiff(values, order, photometric=0), {"unsigned": (0, 4095)})
        np.testing.assert_array_equal(found, 255 - _grey(values / 4095 * 255))
    np.testing.assert_array_equal(
        _decoded(tiff((values % 256).astype(np.uint8), photometric=0)), _grey(255 - values % 256)
    )


@pytest.mark.parametrize("most", [9, 100, 255, 1000, 4095])
@pytest.mark.parametrize("bands", [1, 3])
def test_a_largest_value_that_a_file_states_is_its_white(most, bands):
    values = _numbers((6, 7, bands), high=most + 1)
    binary = values.astype(">u2" if most > 255 else "u1").tobytes()
    text = " ".join(map(str, values.ravel())).encode()
    levels = np.broadcast_to(np.rint(values / most * 255), (6, 7, 3))
    for number, body in ((5 + bands // 2, binary), (2 + bands // 2, text)):
        content = b"P%d 7 6 %d\n" % (number, most) + body
        assert not check(content).numbers
        assert np.abs(_decoded(content, {}) - levels).max() <= 1


@pytest.mark.parametrize("bands", [1, 3])
def test_a_largest_value_of_sixteen_bits_states_nothing(bands):
    values = _numbers((6, 7, bands), high=4096)
    content = b"P%d 7 6 65535\n" % (5 + bands // 2) + values.astype(">u2").tobytes()
    assert check(content).highest == values.max()
    expected = np.broadcast_to(np.rint(values / 4095 * 255), (6, 7, 3))
    np.testing.assert_array_equal(_decoded(content, {"unsigned": (0, 4095)}), expected)


def test_floats_of_a_pfm_and_a_long_text():
    values = RANDOM.random((6, 7)).astype("<f4")
    content = b"Pf\n7 6\n-1.0\n" + values[::-1].tobytes()
    assert check(content).numbers == "f4"
    np.testing.assert_array_equal(_decoded(content), _grey(values.astype(float) * 255))
    with pytest.raises(UnusableImage, match="written as text"):
        check(b"P2 3000 3000 255\n" + b"0 " * 99)


def test_what_is_missing_becomes_the_lowest_and_does_not_count():
    values = np.array([[np.nan, 0.25, np.inf, 0.75, -np.inf]], np.float32)
    found = check(tiff(values))
    assert (found.lowest, found.highest) == (0.25, 0.75)
    assert _decoded(tiff(values), {"float": (0.25, 0.75)})[0, :, 0].tolist() == [0, 0, 0, 255, 0]
    with pytest.raises(UnusableImage, match="all its values are missing"):
        check(tiff(np.full((2, 2), np.nan)))


def test_values_outside_of_the_range_are_clipped_however_large():
    values = np.array([[-1.7e308, -1.0, 0.5, 1.7e308]])
    assert _decoded(tiff(values))[0, :, 0].tolist() == [0, 0, 128, 255]
    assert _decoded(tiff(values), {"float": (-1.7e308, 1.7e308)})[0, :, 0].tolist() == [0, 128, 128, 255]


def test_a_kind_of_number_without_a_range_is_refused_with_the_setting():
    for content in (tiff(_numbers((4, 4), "i2", 9)), png16(_numbers((4, 4)))):
        with pytest.raises(UnusableImage, match=r"unknown.*--set dataset\.value_range=LOW,HIGH"):
            _decoded(content, {"float": (0, 1)})


def test_a_fourth_band_is_transparency_only_where_it_is_said():
    pixels, fourth = np.asarray(picture(size=(8, 6))), np.tile(np.array([0, 128, 255, 255], np.uint8), (6, 2))
    four = np.dstack([pixels, fourth])
    laid = _decoded(encoded(Image.fromarray(four), "PNG"))
    for depth in (1, 257):
        deep = four.astype(np.uint8 if depth == 1 else np.uint16) * np.uint16(depth).astype(
            np.uint8 if depth == 1 else np.uint16
        )
        for extra in ((), (0,)):
            np.testing.assert_array_equal(_decoded(tiff(deep, extra=extra)), pixels)
        np.testing.assert_array_equal(_decoded(tiff(deep, extra=(2,))), laid)
        multiplied = np.rint(deep * np.dstack([fourth / 255] * 3 + [np.ones_like(fourth)])).astype(deep.dtype)
        assert np.abs(_decoded(tiff(multiplied, extra=(1,))).astype(int) - laid).max() <= 2
        np.testing.assert_array_equal(_decoded(tiff(deep, extra=(2,)), bands=(1, 2, 3)), pixels)


def test_transparency_that_looks_like_a_picture_is_noticed():
    pixels, other = np.asarray(picture(size=(8, 6))), np.asarray(picture(1, size=(8, 6)).convert("L"))
    hole = np.where(other > other.mean(), 255, 0).astype(np.uint8)
    for alpha, odd in ((other, True), (hole, False), (np.full_like(other, 255), False)):
        content = np.dstack([pixels, alpha])
        assert check(encoded(Image.fromarray(content), "PNG")).odd_alpha == odd
        assert check(png16(content.astype(np.uint16) * 257)).odd_alpha == odd
        assert check(tiff(content.astype(np.uint16) * 257, extra=(2,))).odd_alpha == odd


@pytest.mark.parametrize(("mode", "there"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("P", 3), ("1", 1)])
def test_bands_are_chosen_from_any_file_that_has_them(mode, there):
    image = picture(size=(8, 6)).convert("L" if mode == "LA" else mode)
    image = image.convert("LA") if mode == "LA" else image
    content = encoded(image, "PNG")
    assert _decoded(content, bands=(there, 1, 1)).shape == (6, 8, 3)
    np.testing.assert_array_equal(
        _decoded(content, bands=(1, 1, 1))[..., 2],
        np.asarray(
            image.convert("RGB" if mode == "P" else image.mode).getchannel(0) if mode != "1" else image.convert("L")
        ),
    )
    with pytest.raises(UnusableImage, match=rf"it has {there} bands?, and dataset\.bands=1,1,5 asks for number 5"):
        check(content, bands=(1, 1, 5))


@pytest.mark.parametrize("bands", [2, 4, 5, 13])
def test_bands_that_nothing_names_are_refused_with_the_setting(bands):
    for dtype in (np.uint8, np.uint16, np.float32):
        with pytest.raises(UnusableImage, match=rf"it has {bands} bands.*dataset\.bands="):
            check(tiff(np.zeros((4, 4, bands), dtype), photometric=1))


WHOLE = [
    tiff(_numbers((6, 7, 5)), extra=[0] * 4, photometric=1),
    tiff(_numbers((6, 7, 3)), ">", 8),
    tiff(_numbers((6, 7), "f8", 9), compression=5),
    tiff(_numbers((6, 7, 4)), extra=(2,), compression=32773),
    png16(_numbers((6, 7, 3))),
    png16(_numbers((6, 7, 2)), interlaced=True),
    b"P6 7 6 65535\n" + bytes(6 * 7 * 6),
    encoded(Image.fromarray(_numbers((16, 17))), "JPEG2000"),
    encoded(picture(), "AVIF"),
]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 60),
    st.sampled_from([(), (1, 2, 3), (5, 1, 1)]),
)
def test_a_damaged_deep_file_is_an_image_or_a_reason_in_one_line(content, changes, cut, bands):
    broken = bytearray(content)
    for position, value in changes:
        broken[position % len(broken)] = value
    try:
        outcome = _sound(check(bytes(broken[: len(broken) - cut // 2]), 1 << 16, bands))
    except UnusableImage as problem:
        outcome = str(problem)
    assert outcome
    assert "\n" not in outcome


def _sound(found: Checked) -> str:
    assert found.header.width * found.header.height <= 1 << 16
    return found.header.format


def test_a_tiff_that_would_unpack_to_gigabytes_is_refused_before(monkeypatch):
    monkeypatch.setattr(decoding, "read_numbers", lambda *_: pytest.fail("it was unpacked"))
    small = np.zeros((2, 2, 200), np.float64)
    with pytest.raises(UnusableImage, match=r"dataset\.max_pixels"):
        check(tiff(small, photometric=1, width=9000, height=9000))
    with pytest.raises(UnusableImage, match="the longest side"):
        check(tiff(np.zeros((2, 2), np.uint16), width=1, height=1 << 20))


def test_a_tiff_that_is_not_read_says_what_it_is():
    for content, reason in (
        (tiff(np.zeros((4, 4, 5), np.uint8), photometric=6), "5 bands of 8 bits"),
        (tiff(np.zeros((4, 4, 2), np.uint16), photometric=5), "2 bands of 16 bits"),
        (
            tiff(np.zeros((4, 4, 3), np.uint16)).replace(
                b"\x03\x01\x03\0\x01\0\0\0\x01\0", b"\x03\x01\x03\0\x01\0\0\0\x07\0"
            ),
            "JPEG",
        ),
    ):
        with pytest.raises(UnusableImage, match=f"a TIFF image of .*{reason}"):
            check(content)
