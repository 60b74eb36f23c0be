"""Reads files of tensors by torch's names: `.safetensors`, and checkpoints of both torch formats."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from models.errors import WeightsMismatch
from models.torch_pickle import read_old, read_zipped

SUFFIXES = (".pth", ".pt", ".safetensors")


def load_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a state dict; nothing in the file is run.

    Args:
        path: A `.safetensors` file, or what `torch.save` wrote of a state dict.

    Returns:
        The tensors by name, as C-contiguous arrays.

    Raises:
        WeightsMismatch: If the file is neither, is truncated, or holds anything but tensors.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return safetensors.numpy.load_file(path)
        return read_zipped(path) if zipfile.is_zipfile(path) else read_old(path)
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError, zipfile.BadZipFile,
        safetensors.SafetensorError,
    ) as error:  # fmt: skip
        raise WeightsMismatch(
            f"'{path}' is not a file of tensors (.safetensors, or a state dict saved by torch): {error}. "
            "Give a file saved by Keras, or fetch the checkpoint again."
        ) from error
