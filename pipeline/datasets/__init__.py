"""Data sets: named images with labels, given one batch at a time."""

from bottleneck_features.pipeline.datasets.dataset import Dataset
from bottleneck_features.pipeline.datasets.open import image_root, open_dataset

__all__ = ["Dataset", "image_root", "open_dataset"]
