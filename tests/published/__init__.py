"""Tiny networks with drawn weights, in the layout their publishers ship, and what the reference implementations give for them."""

from published.kinds import KINDS, Published, write_folder
from published.references import Reference, centred_error, input_images, normalised, read_reference

__all__ = [
    "KINDS",
    "Published",
    "Reference",
    "centred_error",
    "input_images",
    "normalised",
    "read_reference",
    "write_folder",
]
