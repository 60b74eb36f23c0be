"""Pillow's process-wide settings while images are decoded."""

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from PIL import Image

from bottleneck_features.pipeline.datasets.pixels.libtiff_messages import LibtiffHandlers

# What Pillow has to say of a broken file is in the reason the file is refused for; as `warnings` keeps its filters.
_WARNING_FILTERS = (
    ("ignore", None, UserWarning, re.compile(r"PIL\."), 0),
    ("error", None, Image.DecompressionBombWarning, None, 0),
)


class _PillowSettings:
    """Pillow's process-wide settings, changed while at least one thread decodes and put back by the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoding = 0
        self._level = logging.NOTSET
        self._limits: tuple[int | None, int | None] = (None, None)
        self._filters: list[Any] = []
        self._libtiff = LibtiffHandlers()

    @contextmanager
    def changed(self, max_pixels: int) -> Iterator[None]:
        """Raise Pillow's limit to `max_pixels`, let nothing be printed, and make a decompression bomb an error.

        Changing the filters of warnings makes Python forget which ones it has shown: whoever decodes many images keeps this
        open around all of them.
        """
        with self._lock:
            if not self._decoding:
                self._begin()
            self._decoding += 1
            if Image.MAX_IMAGE_PIXELS is not None:  # it takes no argument; lower limits are held to by `opened`
                Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)
                self._limits = (self._limits[0], Image.MAX_IMAGE_PIXELS)
        try:
            yield
        finally:
            with self._lock:
                self._decoding -= 1
                if not self._decoding:
                    self._end()

    def _begin(self) -> None:
        logger = logging.getLogger("PIL")
        self._level, self._limits = logger.level, (Image.MAX_IMAGE_PIXELS, Image.MAX_IMAGE_PIXELS)
        logger.setLevel(logging.CRITICAL)
        self._filters = [one for one in _WARNING_FILTERS if one not in warnings.filters]
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
        self._libtiff.begin()

    def _end(self) -> None:
        self._libtiff.end()
        logging.getLogger("PIL").setLevel(self._level)
        before, ours = self._limits
        if ours == Image.MAX_IMAGE_PIXELS:  # else somebody has set it meanwhile
            Image.MAX_IMAGE_PIXELS = before
        for added in self._filters:  # `warnings.catch_warnings` would undo what other threads did meanwhile
            with suppress(ValueError):
                warnings.filters.remove(added)  # type: ignore[attr-defined]


decoding_settings = _PillowSettings().changed
