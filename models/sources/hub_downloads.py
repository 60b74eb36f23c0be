"""Networks of the hubs: KerasHub's presets (on Kaggle) and Hugging Face's, fetched by the hubs' own utilities."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bottleneck_features.errors import first_line
from bottleneck_features.models.errors import EngineUnavailable, InvalidSetting, WeightsUnavailable

HF, KAGGLE = "hf://", "kaggle://"
INSTALL = "pip install 'bottleneck-features[hub]'"
NEEDED = ("*.json", "*.safetensors", "*.h5", "README.md")
FILES = "config.json, model.safetensors, preprocessor_config.json"


@functools.cache
def presets() -> Mapping[str, str]:
    """Return the handles of KerasHub's presets by name, read from its files without importing it; none without KerasHub."""
    spec = importlib.util.find_spec("keras_hub")
    found: dict[str, str] = {}
    for place in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(place).glob("src/models/*/*_presets.py")):
            for name, known in _literals(path):
                if isinstance(known, dict) and "kaggle_handle" in known:
                    found[str(name)] = str(known["kaggle_handle"])
    return found


def _literals(path: Path) -> list[tuple[object, object]]:
    """Return the entries of all dictionaries that a module assigns as literals."""
    entries: list[tuple[object, object]] = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            with contextlib.suppress(ValueError):
                entries += ast.literal_eval(node.value).items()
    return entries


def is_remote(name: str) -> bool:
    """Return whether a name is one of a hub's."""
    return name.startswith((HF, KAGGLE)) or name in presets()


def own_name(name: str) -> str:
    """Return a hub's name as one word."""
    if name.startswith(HF):
        return name.removeprefix(HF).replace("/", "_")
    parts = name.removeprefix(KAGGLE).split("/")
    return parts[3] if name.startswith(KAGGLE) and len(parts) > 3 else parts[-1]


def downloaded(name: str) -> Path:
    """Return the folder with the files of a hub's network, which are downloaded unless they are here.

    Raises:
        InvalidSetting: if the name is not of the hub's form.
        EngineUnavailable: if the hub's package is not installed.
        WeightsUnavailable: if the files are not here and the network does not give them.
    """
    try:
        return _of_hugging_face(name.removeprefix(HF)) if name.startswith(HF) else _of_kaggle(presets().get(name, name))
    except ImportError as error:
        raise EngineUnavailable(f"'{name}' needs {error.name}, which is not installed: {INSTALL}") from error


def _of_hugging_face(repository: str) -> Path:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    where = f"https://huggingface.co/{repository}"
    try:
        with contextlib.suppress(LocalEntryNotFoundError), contextlib.redirect_stdout(sys.stderr):
            return Path(
                huggingface_hub.snapshot_download(repository, allow_patterns=list(NEEDED), local_files_only=True)
            )
        with contextlib.redirect_stdout(sys.stderr):
            return Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(NEEDED)))
    except HFValidationError as error:
        raise InvalidSetting(
            f"A name on Hugging Face is hf://organisation/model. Received: '{HF}{repository}'."
        ) from error
    except GatedRepoError as error:
        raise WeightsUnavailable(
            f"{where} is given only to those who accept its licence: do so on that page, then `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsUnavailable(f"There is nothing at {where}, or it is private: `hf auth login`.") from error
    except Exception as error:  # requests', httpx' and the hub's own, by version
        raise _unavailable(f"{HF}{repository}", where, error) from error


def _of_kaggle(handle: str) -> Path:
    import kagglehub

    path = handle.removeprefix(KAGGLE)
    if len(path.split("/")) not in (4, 5):
        raise InvalidSetting(
            f"A name on Kaggle is kaggle://organisation/model/keras/variant or …/variant/version. Received: '{handle}'."
        )
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return Path(kagglehub.model_download(path))
    except Exception as error:  # requests' and kagglehub's own, by version
        raise _unavailable(handle, f"https://www.kaggle.com/models/{'/'.join(path.split('/')[:4])}", error) from error


def _unavailable(name: str, where: str, error: Exception) -> WeightsUnavailable:
    files = FILES if name.startswith(HF) else "config.json, model.weights.h5, preprocessor.json, image_converter.json"
    return WeightsUnavailable(
        f"The files of '{name}' are not on this machine and could not be downloaded ({first_line(error)}).\n"
        f"  files: {files} (all .json and weight files there are)\n"
        f"  from:  {where}\n"
        "Put them into a folder and name it: --set backbone.name=FOLDER"
    )
