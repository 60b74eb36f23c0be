"""Files that cannot be images, each with a part of the reason it must be refused for."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from deepfiles import tiff
from imagefiles import encoded, picture
from PIL import Image

FORMATS = {"jpg": "JPEG", "png": "PNG", "bmp": "BMP", "gif": "GIF", "tif": "TIFF", "webp": "WEBP"}
WHOLE = {ending: encoded(picture(size=(90, 70)), format) for ending, format in FORMATS.items()}
SEED = np.random.default_rng(0)


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _header(width: int, height: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)


def _bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IHHI", 58, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
    return b"BM" + header + bytes(4)


def _tiff(values: np.ndarray) -> bytes:
    return encoded(Image.fromarray(values), "TIFF")


def _damaged(content: bytes, position: int) -> bytes:
    return (
        content[:position] + bytes(byte ^ 0xFF for byte in content[position : position + 8]) + content[position + 8 :]
    )


UNKNOWN = "not an image that is read"
TEXT = "a text file"
BOMB = "more than dataset.max_pixels"
CONTENTS: dict[str, tuple[bytes, str]] = {
    **{f"cut at {share} %.{end}": (data[: len(data) * share // 100], "") for end, data in WHOLE.items() for share in (3, 40, 85)},
    **{f"four bytes.{end}": (data[:4], "") for end, data in WHOLE.items()},
    **{f"header damaged.{end}": (_damaged(data, 0), "") for end, data in WHOLE.items()},
    "empty.jpg": (b"", "an empty file"),
    "one byte.png": (b"\x89", UNKNOWN),
    "text.jpg": (b"a cat, a dog", TEXT),
    "no image at all.doc": (b"remember the milk", TEXT),
    "error page.jpg": (b"<!DOCTYPE html><html>404</html>", "an HTML page"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    "archive.zip": (b"PK\x03\x04" + bytes(60), "a ZIP archive"),
    "document.pdf": (b"%PDF-1.7\n1 0 obj", "a PDF document"),
    "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file", "a PostScript document"),
    "program.png": (b"\x7fELF" + bytes(100), "a program"),
    "icon.jpg": (encoded(picture(), "ICO"), "an icon"),
    "other format.jpg": (encoded(picture(), "SGI"), "an SGI image"),
    "phone.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "pillow-heif"),
    "scan.jpg": (bytes(128) + b"DICM" + bytes(64), "a DICOM file"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    "noise.jpg": (SEED.bytes(5000), UNKNOWN),
    "zeros.png": (bytes(5000), UNKNOWN),
    "start and end.jpg": (b"\xff\xd8\xff\xd9", ""),
    "no pixels.png": (_png(_header(8, 8), (b"IEND", b"")), ""),
    "no width.png": (_png(_header(0, 8), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")), ""),
    "wrong checksum.png": (WHOLE["png"][:-17] + bytes(1) + WHOLE["png"][-16:], "broken"),
    "bomb.png": (_png(_header(60000, 60000), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")), BOMB),
    "bomb.gif": (b"GIF89a" + struct.pack("<HHBBB", 60000, 60000, 0, 0, 0) + WHOLE["gif"][13:], BOMB),
    "bomb.bmp": (_bmp(60000, 60000), BOMB),
    "just too large.png": (_png(_header(10000, 9000), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")), BOMB),
    "not a number.tif": (_tiff(np.full((3, 3), np.nan, np.float32)), "all its values are missing"),
    "five bands.tif": (tiff(np.zeros((3, 3, 5), np.uint8), photometric=1), "it has 5 bands"),
    "bomb.tif": (tiff(np.zeros((3, 3, 5), np.uint16), width=9000, height=9000), BOMB),
    "too many tags.tif": (b"II*\0\x08\0\0\0\xff\xff" + bytes(99), "whose tags cannot be read"),
    "thin.bmp": (_bmp(1, 1 << 20), "the longest side"),
}  # fmt: skip


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "inside.jpg").write_bytes(WHOLE["jpg"])


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


OBJECTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe.jpg": (_pipe, "a named pipe, not a file"),
    "folder.jpg": (_folder, "a folder with the name of an image"),
    "nowhere.jpg": (lambda path: path.symlink_to("none.jpg"), "a symbolic link to nothing"),
    "leaving.jpg": (lambda path: path.symlink_to("/etc/hostname"), TEXT),
    "device.jpg": (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
    "to a pipe.jpg": (lambda path: path.symlink_to("pipe.jpg"), "a named pipe, not a file"),
    "loop.jpg": (_loop, ""),
}


def make(folder: Path) -> dict[str, str]:
    """Write all of them into a folder.

    Returns:
        By name, a part of the reason to be refused for.
    """
    for name, (content, _) in CONTENTS.items():
        (folder / name).write_bytes(content)
    for name, (build, _) in OBJECTS.items():
        build(folder / name)
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(WHOLE["jpg"])
    reasons = {name: reason for name, (_, reason) in (*CONTENTS.items(), *OBJECTS.items())}
    return {**reasons, "caf\\xe9.jpg": "its name is not UTF-8"}
