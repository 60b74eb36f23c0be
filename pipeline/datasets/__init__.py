"""Data sets: named images with labels, given one batch at a time."""

from pipeline.datasets.base import Dataset
from pipeline.datasets.open import open_dataset

__all__ = ["Dataset", "open_dataset"]
