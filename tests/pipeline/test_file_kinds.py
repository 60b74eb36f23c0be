"""What is no image is called what it is, with what to do; and nothing is denied to be what it is."""

import gzip
import io
import json
import pickle
import tarfile
import time
import zipfile

import numpy as np
import pytest
from imagefiles import check, encoded, picture

from bottleneck_features.pipeline.datasets.pixels.decoding import UnusableImage
from bottleneck_features.pipeline.datasets.pixels.file_kinds import what_it_is


def _made(write) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def _zip(stream: io.BytesIO) -> None:
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "a")


def _tar(stream: io.BytesIO) -> None:
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))


_DIRECTORY = b"\2\0" + b"\0\1\3\0\1\0\0\0\x08\0\0\0" + b"\1\1\3\0\1\0\0\0\x08\0\0\0" + bytes(4)  # 8x8 pixels
KINDS = {
    "HEIC.*pillow-heif": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
    "DICOM.*pydicom": bytes(128) + b"DICM" + bytes(64),
    "HTML": b"\n<!-- saved --><!DOCTYPE html>\n<html>",
    "HTML page": b"\xef\xbb\xbf<html lang='en'>",
    "Git LFS.*git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n",
    r"NumPy.*\.npy": _made(lambda stream: np.save(stream, np.zeros(3))),
    "ZIP": _made(_zip),
    "tar archive": _made(_tar),
    "gzip": gzip.compress(b"a"),
    "an XML file": b"<?xml version='1.0'?>\n<annotation><size/></annotation>\n",
    "XML": b"<annotation>\n<size/></annotation>",
    "SVG": b'<?xml version="1.0"?>\n<!-- made by -->\n<svg xmlns="x"/>',
    "JSON": json.dumps({"images": []}).encode(),
    "a JSON file": b"[1, 2, 3]",
    "PDF": b"%PDF-1.7\n",
    "MATLAB": b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(100),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(60),
    "Photoshop": b"8BPS\0\1" + bytes(60),
    "video.*MP4": b"\0\0\0\x20ftypisom" + bytes(60),
    "video.*MOV": b"\0\0\0\x14ftypqt  " + bytes(60),
    "video.*AVI": b"RIFF\0\0\0\0AVI LIST" + bytes(60),
    "video.*WebM": b"\x1aE\xdf\xa3" + bytes(60),
    "raw camera.*CR3": b"\0\0\0\x18ftypcrx " + bytes(60),
    "pickle": pickle.dumps({"a": 1}),
    "text file": b"remember the milk\n",
    "a text": "größer".encode("utf-16"),
    "JPEG image that cannot be read": b"\xff\xd8\xff" + bytes(9),
    "PNG image that cannot": b"\x89PNG\r\n\x1a\n",
    "TIFF image whose tags": b"II*\0" + bytes(3),
    "raw camera file.*CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(4) + _DIRECTORY,
    "not known by its first bytes": b"\x01\x02\x03\xfe" * 20,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_no_image_is_called_what_it_is(kind):
    with pytest.raises(UnusableImage, match=kind) as refused:
        check(KINDS[kind])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "JPEG2000", "AVIF", "TIFF"])
def test_what_an_image_format_begins_with_is_never_denied(format):
    content = encoded(picture(), format)
    name = {"JPEG2000": "JPEG 2000", "WEBP": "WebP"}.get(format, format)
    assert what_it_is(content).startswith(f"a {name} image that cannot be read")


@pytest.mark.parametrize("format", ["TGA", "PCX", "SGI", "ICO", "ICNS", "DDS"])
def test_an_image_format_that_is_not_read_is_named(format):
    with pytest.raises(UnusableImage, match=f"{format}.*convert it"):
        check(encoded(picture(size=(64, 64)), format))


@pytest.mark.parametrize("part", [b"<!---->", b"<", b"<!--", b" ", b"{", b"<?xml >", b"[", b"<!-- -->\n"])
def test_no_text_makes_the_search_long(part):
    begun = time.perf_counter()
    what_it_is(part * 5000)
    assert time.perf_counter() - begun < 0.5
