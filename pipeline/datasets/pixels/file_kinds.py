"""The endings of image files; what a file is that is no image, by its first bytes, and what to do with it."""

import codecs
import re

READ = "JPEG, PNG, TIFF, WebP, GIF, BMP, AVIF, JPEG 2000, PPM, PGM or PBM"
ENDINGS = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm",
        ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".avif", ".heic", ".heif", ".hif",
    )
)  # fmt: skip
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_LOOKED_AT = 1 << 12  # bytes
_BROKEN = "a {} image that cannot be read: it is damaged, truncated, or of a kind that Pillow does not read"
_CONVERT = "{}, which is not read: convert it to PNG or TIFF"
_RAW = "{}, which is not read: develop it to TIFF or JPEG"
_UNPACK = "{}, not an image: unpack it"
_DATA = "{}, not an image: write its images as PNG or TIFF files"
_VIDEO = "{}, not an image: write its frames as JPEG or PNG files"
_DICOM = "a DICOM file: convert it to 16-bit PNG or TIFF, for instance by pydicom (pip install pydicom)"

# The first that fits counts: where the bytes are, the bytes, what the file is.
_BY_BYTES = (
    (0, b"\x89HDF\r\n\x1a\n", _DATA.format("an HDF5 file (or a MATLAB .mat of version 7.3)")),
    (0, b"MATLAB 5.0", _DATA.format("a MATLAB .mat file")),
    (0, b"MATLAB 7.3", _DATA.format("a MATLAB .mat file")),
    (0, b"\x93NUMPY", _DATA.format("a NumPy array (.npy)")),
    (128, b"DICM", _DICOM),
    (0, b"8BPS", _CONVERT.format("a Photoshop file (PSD)")),
    (0, b"SIMPLE  =", _CONVERT.format("a FITS file")),
    (0, b"\x76\x2f\x31\x01", _CONVERT.format("an OpenEXR image")),
    (0, b"#?RADIANCE", _CONVERT.format("a Radiance HDR image")),
    (0, b"\xff\x0a", _CONVERT.format("a JPEG XL image")),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", _CONVERT.format("a JPEG XL image")),
    (0, b"II\xbc\x01", _CONVERT.format("a JPEG XR image")),
    (0, b"DDS ", _CONVERT.format("a DDS texture")),
    (0, b"qoif", _CONVERT.format("a QOI image")),
    (0, b"P7\n", _CONVERT.format("a PAM image")),
    (0, b"PF\n", _CONVERT.format("a PFM image of colours")),
    (0, b"\0\0\1\0", _CONVERT.format("an icon (ICO)")),
    (0, b"icns", _CONVERT.format("an icon (ICNS)")),
    (0, b"\x01\xda\x00", _CONVERT.format("an SGI image")),
    (0, b"\x01\xda\x01", _CONVERT.format("an SGI image")),
    (0, b"\n\5\1", _CONVERT.format("a PCX image")),
    (0, b"n+1\0", _DATA.format("a NIfTI volume")),
    (344, b"n+1\0", _DATA.format("a NIfTI volume")),
    (0, b"gimp xcf", _CONVERT.format("a GIMP file (XCF)")),
    (0, b"AT&TFORM", _CONVERT.format("a DjVu document")),
    (0, b"IIRO", _RAW.format("a raw camera file (ORF)")),
    (0, b"IIRS", _RAW.format("a raw camera file (ORF)")),
    (0, b"IIU\0", _RAW.format("a raw camera file (RW2)")),
    (0, b"FUJIFILMCCD-RAW", _RAW.format("a raw camera file (RAF)")),
    (0, b"FOVb", _RAW.format("a raw camera file (X3F)")),
    (4, b"ftypcrx", _RAW.format("a raw camera file (CR3)")),
    (0, b"%PDF", "a PDF document, not an image: write its pages as PNG files"),
    (0, b"%!PS", "a PostScript document, not an image: convert it to PNG"),
    (0, b"PK\3\4", _UNPACK.format("a ZIP archive (also .npz, .docx, .xlsx and .pth are)")),
    (0, b"PK\5\6", _UNPACK.format("an empty ZIP archive")),
    (0, b"\x1f\x8b", _UNPACK.format("a gzip archive (also .nii.gz and .tar.gz are)")),
    (0, b"BZh", _UNPACK.format("a bzip2 archive")),
    (0, b"\xfd7zXZ\0", _UNPACK.format("an xz archive")),
    (0, b"\x28\xb5\x2f\xfd", _UNPACK.format("a Zstandard archive")),
    (0, b"7z\xbc\xaf\x27\x1c", _UNPACK.format("a 7-Zip archive")),
    (0, b"Rar!\x1a\x07", _UNPACK.format("a RAR archive")),
    (257, b"ustar", _UNPACK.format("a tar archive")),
    (0, b"PAR1", _DATA.format("a Parquet file")),
    (0, b"SQLite format 3\0", _DATA.format("an SQLite database")),
    (0, b"\x7fELF", "a program, not an image"),
    (0, b"MZ", "a program of Windows, not an image"),
    (0, b"ID3", "an audio file (MP3), not an image"),
    (0, b"OggS", "an Ogg audio or video file, not an image"),
    (0, b"fLaC", "an audio file (FLAC), not an image"),
    (8, b"WAVE", "an audio file (WAV), not an image"),
    (8, b"AVI ", _VIDEO.format("a video (AVI)")),
    (0, b"\x1aE\xdf\xa3", _VIDEO.format("a video (Matroska or WebM)")),
    (0, b"FLV\x01", _VIDEO.format("a video (FLV)")),
    (0, b"\0\0\1\xba", _VIDEO.format("a video (MPEG)")),
    (0, b"\0\0\1\xb3", _VIDEO.format("a video (MPEG)")),
    (0, b"0&\xb2u\x8ef\xcf\x11", _VIDEO.format("a video (WMV)")),
    (4, b"ftypqt", _VIDEO.format("a video (MOV)")),
    (4, b"moov", _VIDEO.format("a video (MOV)")),
    (0, b"\xd0\xcf\x11\xe0", "an Office document of the old kind, not an image"),
    (0, b"\x80\x02", _DATA.format("a Python pickle")),
    (0, b"\x80\x04\x95", _DATA.format("a Python pickle")),
    (0, b"\xff\xd8\xff", _BROKEN.format("JPEG")),
    (0, b"\x89PNG\r\n\x1a\n", _BROKEN.format("PNG")),
    (0, b"GIF8", _BROKEN.format("GIF")),
    (8, b"WEBP", _BROKEN.format("WebP")),
    (0, b"BM", _BROKEN.format("BMP")),
    (0, b"II*\0", _BROKEN.format("TIFF")),
    (0, b"MM\0*", _BROKEN.format("TIFF")),
    (0, b"II+\0", _BROKEN.format("TIFF")),
    (0, b"MM\0+", _BROKEN.format("TIFF")),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", _BROKEN.format("JPEG 2000")),
    (0, b"\xff\x4f\xff\x51", _BROKEN.format("JPEG 2000")),
    (4, b"ftypavi", _BROKEN.format("AVIF")),
    (4, b"ftyp", _VIDEO.format("a video (MP4)")),
)  # fmt: skip
_COMMENTS = r"(?><!--.*?-->\s*)*+"  # atomic, so that no text makes it search for long
_BY_TEXT = (
    (r"version https://git-lfs\.github\.com/", "a Git LFS pointer instead of the file: run `git lfs pull` in its repository"),
    (rf"\s*{_COMMENTS}<(!doctype html|html|head|body)", "an HTML page (a failed download?), not an image: fetch the file again"),
    (rf"\s*(<\?xml[^>]*>\s*)?{_COMMENTS}(<!doctype svg[^>]*>\s*)?<svg", "an SVG drawing, which is not read: convert it to PNG"),
    (r"\s*<(\?xml|!DOCTYPE|[a-z][\w:.-]*[\s/>])", "an XML file, not an image"),
    (r"\s*(\{\s*(\"|\})|\[\s*(\{|\[|\]|\"|-?\d))", "a JSON file, not an image"),
    (r"NRRD\d{4}", _DATA.format("an NRRD volume")),
    (r"# .NETCDF|CDF[\x01\x02]", _DATA.format("a NetCDF file")),
)  # fmt: skip


def is_heif(content: bytes) -> bool:
    """Return whether bytes are those of a HEIC or HEIF image."""
    return content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS


def what_it_is(content: bytes) -> str:
    """Return what bytes that no reader takes are, and what to do, in one line; never that they are no image they claim to be.

    Args:
        content: the file's bytes.
    """
    if is_heif(content):
        return "a HEIC (HEIF) image: pip install pillow-heif and it is read, or convert it to JPEG"
    for offset, magic, kind in _BY_BYTES:
        if content.startswith(magic, offset):
            return kind
    if content.endswith(b"TRUEVISION-XFILE.\0"):
        return _CONVERT.format("a TGA image")
    text = _text(content[:_LOOKED_AT])
    if text is None:
        return f"not an image that is read ({READ}), and not known by its first bytes"
    for pattern, kind in _BY_TEXT:
        if re.match(pattern, text, re.IGNORECASE | re.DOTALL):
            return kind
    return "a text file, not an image"


def _text(start: bytes) -> str | None:
    """Return bytes as text; None where they are none."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return start.decode("utf-16", "replace")
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError:
        return None
    return text if text and not re.search(r"[\0-\x08\x0e-\x1a\x1c-\x1f]", text) else None
