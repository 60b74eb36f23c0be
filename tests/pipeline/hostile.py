"""Files that cannot be images, each with a part of the reason it must be refused for."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
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


NOT_AN_IMAGE = "not a JPEG, PNG, WebP, BMP, GIF or TIFF image"
BOMB = "more than dataset.max_pixels"
CONTENTS: dict[str, tuple[bytes, str]] = {
    **{f"cut at {share} %.{end}": (data[: len(data) * share // 100], "") for end, data in WHOLE.items() for share in (3, 40, 85)},
    **{f"four bytes.{end}": (data[:4], "") for end, data in WHOLE.items()},
    **{f"header damaged.{end}": (_damaged(data, 0), NOT_AN_IMAGE) for end, data in WHOLE.items()},
    "empty.jpg": (b"", "an empty file"),
    "one byte.png": (b"\x89", NOT_AN_IMAGE),
    "text.jpg": (b"a cat, a dog", NOT_AN_IMAGE),
    "no image at all.doc": (b"remember the milk", NOT_AN_IMAGE),
    "error page.jpg": (b"<!DOCTYPE html><html>404</html>", NOT_AN_IMAGE),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", NOT_AN_IMAGE),
    "archive.zip": (b"PK\x03\x04" + bytes(60), NOT_AN_IMAGE),
    "document.pdf": (b"%PDF-1.7\n1 0 obj", NOT_AN_IMAGE),
    "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file", NOT_AN_IMAGE),
    "program.png": (b"\x7fELF" + bytes(100), NOT_AN_IMAGE),
    "icon.jpg": (encoded(picture(), "ICO"), NOT_AN_IMAGE),
    "other format.jpg": (encoded(picture(), "PPM"), NOT_AN_IMAGE),
    "noise.jpg": (SEED.bytes(5000), NOT_AN_IMAGE),
    "zeros.png": (bytes(5000), NOT_AN_IMAGE),
    "start and end.jpg": (b"\xff\xd8\xff\xd9", ""),
    "no pixels.png": (_png(_header(8, 8), (b"IEND", b"")), ""),
    "no width.png": (_png(_header(0, 8), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")), ""),
    "wrong checksum.png": (WHOLE["png"][:-17] + bytes(1) + WHOLE["png"][-16:], "broken"),
    "bomb.png": (_png(_header(60000, 60000), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")), BOMB),
    "bomb.gif": (b"GIF89a" + struct.pack("<HHBBB", 60000, 60000, 0, 0, 0) + WHOLE["gif"][13:], BOMB),
    "bomb.bmp": (_bmp(60000, 60000), BOMB),
    "just too large.png": (_png(_header(10000, 9000), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")), BOMB),
    "not a number.tif": (_tiff(np.full((3, 3), np.nan, np.float32)), "what is taken is 0..1 or 0..255"),
    "out of range.tif": (_tiff(np.full((3, 3), 1e6, np.float32)), "what is taken is 0..1 or 0..255"),
    "negative.tif": (_tiff(np.full((3, 3), -5, np.int32)), "what is taken is 0..65535"),
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
    "leaving.jpg": (lambda path: path.symlink_to("/etc/hostname"), NOT_AN_IMAGE),
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
