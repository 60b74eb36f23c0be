"""Reads files of tensors by torch's names: `.safetensors`, and checkpoints of both torch formats."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import safetensors.numpy

from bottleneck_features.models.errors import WeightsMismatch, first_line
from bottleneck_features.models.torch_pickle import read_old, read_zipped

SUFFIXES = (".pth", ".pt", ".safetensors")


def load_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a state dict; nothing in the file is run.

    Args:
        path: A `.safetensors` file, or what `torch.save` wrote of a state dict.

    Returns:
        The tensors by name, as C-contiguous arrays.

    Raises:
        WeightsMismatch: If the file is neither, is truncated or damaged, or holds anything but tensors.
        OSError: If it cannot be opened.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            if path.suffix == ".safetensors":
                return safetensors.numpy.load_file(path)
            return read_zipped(file) if zipfile.is_zipfile(file) else read_old(file)
        except Exception as error:  # what pickle, zipfile and NumPy make of damaged bytes is of many kinds
            raise WeightsMismatch(
                f"'{path}' is not a file of tensors (.safetensors, or a state dict saved by torch): {first_line(error)}. "
                "Give a file saved by Keras, or fetch the checkpoint again."
            ) from error
