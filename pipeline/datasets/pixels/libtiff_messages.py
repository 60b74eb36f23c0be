"""What libtiff, inside Pillow, says of a TIFF while it decodes: kept for the reason, not printed without the file's name.

The handlers are libtiff's own, process-wide; what they are told belongs to the thread that decodes. Where Pillow's library
does not show libtiff's functions, as on Windows, nothing is changed.
"""

import ctypes
import threading
from functools import lru_cache

from PIL import Image

_MOST_BYTES = 160
_heard = threading.local()


class LibtiffHandlers:
    """Libtiff's handlers of errors and of warnings, exchanged for ours and put back."""

    def __init__(self) -> None:
        self._before: tuple[int | None, int | None] | None = None

    def begin(self) -> None:
        """Let errors be heard and warnings be dropped."""
        if library := _library():
            handler = ctypes.cast(_listen, ctypes.c_void_p)
            self._before = (library.TIFFSetErrorHandler(handler), library.TIFFSetWarningHandler(None))

    def end(self) -> None:
        """Put back what was there before."""
        if self._before and (library := _library()):
            errors, warnings = self._before
            library.TIFFSetErrorHandler(errors)
            library.TIFFSetWarningHandler(warnings)
            self._before = None


def forget() -> None:
    """Forget what libtiff said in this thread."""
    _heard.first = ""


def first_said() -> str:
    """Return the first error that libtiff told this thread since `forget`; empty where there is none."""
    return getattr(_heard, "first", "")


@ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
def _listen(_module: bytes | None, form: bytes | None, arguments: int | None) -> None:
    if first_said() or form is None:
        return
    text = ctypes.create_string_buffer(_MOST_BYTES)
    ctypes.CDLL(None).vsnprintf(text, ctypes.c_size_t(_MOST_BYTES), form, ctypes.c_void_p(arguments))
    _heard.first = " ".join(text.value.decode("ascii", "backslashreplace").split())


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """Return Pillow's own library, by which the functions of the libtiff are found that it is linked to."""
    try:
        library = ctypes.CDLL(Image.core.__file__)
        for function in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
    except (AttributeError, OSError):
        return None
    return library
