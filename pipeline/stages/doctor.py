"""Checks the machine and the installation: what works here, and which optional packages are missing."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

import psutil

from bottleneck_features import models
from bottleneck_features.errors import first_line
from bottleneck_features.pipeline.extraction.cache import cache_root
from bottleneck_features.pipeline.machine import hardware, versions

OK, MISSING, LOW, BROKEN = "ok", "missing", "low", "BROKEN"
LEAST_FREE_GIB, LEAST_MEMORY_GIB = 2.0, 2.0
FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "bf16",
    "i8mm",
)
EXTRAS = {
    "demo": (("scikit-image",), "make demo: photo-patches"),
    "int8": (("nncf",), "compute.precision=int8"),
    "export": (("tf2onnx", "onnx", "onnxruntime", "ai-edge-litert"), "bottleneck export as onnx or litert"),
    "parquet": (("pyarrow",), "dataset.source=parquet, cache export --format parquet, tables of Arrow in Python"),
    "frame": (("pandas",), "tables of pandas in Python"),
    "ray": (("ray",), "features --engine-on ray"),
    "store": (("fsspec", "s3fs"), "features.store=s3://…, images in an object store"),
    "hub": (("keras-hub",), "backbones of KerasHub, Hugging Face and timm: hf://…, folders with config.json"),
    "heif": (("pillow-heif",), "images in HEIC and HEIF"),
    "blosc": (("hdf5plugin",), "features.compression=blosc2"),
    "tensorboard": (("tensorboard",), "following fine-tune in TensorBoard"),
}
SIDE, TRIED = 16, 8  # pixels and images of the tiny network's trial


@dataclass(frozen=True)
class Check:
    """One line.

    Attributes:
        area: what it belongs to, such as `engine`.
        item: what was looked at.
        state: `ok`; `missing`, where something optional is not there; `low`, where there is little of it; `BROKEN`.
        detail: what was found, or what to do.
    """

    area: str
    item: str
    state: str
    detail: str


def doctor(home: Path) -> tuple[Check, ...]:
    """Look at everything; nothing is downloaded and nothing but a temporary file is written.

    Args:
        home: the artifacts folder.

    Returns:
        The checks; those of engines ran a tiny network on each engine in each precision.
    """
    return (*_versions(), *_machine(), *_engines(), *_folders(home), *extras(EXTRAS))


def _versions() -> Iterator[Check]:
    for name, found in versions().items():
        yield Check("version", name, OK, found)


def _machine() -> Iterator[Check]:
    found = hardware()
    yield Check("machine", "processor", OK, f"{found['processor']}, {found['cores']} cores, {platform.machine()}")
    yield Check("machine", "features", OK, ", ".join(_flags()) or "not known on this system")
    memory = psutil.virtual_memory()
    free, total = memory.available / 2**30, memory.total / 2**30
    enough = OK if free >= LEAST_MEMORY_GIB else LOW
    yield Check("machine", "memory", enough, f"{free:.1f} GiB free of {total:.1f}; stage one takes about 2")
    gpus = ", ".join(found["gpus"])
    yield Check("machine", "GPUs", OK if gpus else MISSING, gpus or "none that TensorFlow sees; see docs/how-to/gpu.md")


def _flags() -> list[str]:
    info = Path("/proc/cpuinfo")
    words = set(info.read_text().split()) if info.exists() else set()
    return [flag for flag in FLAGS if flag in words]


def _engines() -> Iterator[Check]:
    """Every engine in every precision on a tiny network; a machine on which none works is broken."""
    from bottleneck_features.models.engines import ENGINES, PRECISIONS

    tried = [_tried(engine, precision) for engine, precision in product(ENGINES, PRECISIONS)]
    yield from tried
    if not any(one.state == OK for one in tried):
        yield Check("engine", "any", BROKEN, "no engine works: install the package again")
        return
    yield Check("engine", "auto", OK, " in ".join(models.resolve_engine()))


def _tried(engine: str, precision: str) -> Check:
    item = f"{engine} {precision}"
    try:
        error = _run(engine, precision)
    except models.EngineUnavailable as reason:
        return Check("engine", item, MISSING, str(reason))
    except Exception as reason:  # a driver or a library that does not fit may raise anything
        return Check("engine", item, BROKEN, f"a tiny network fails: {first_line(reason, 200)}")
    return Check("engine", item, OK, f"a tiny network runs; {100 * error:.2g} % error relative to float32")


def _run(engine: str, precision: str) -> float:
    """Run a tiny random network; return its relative error."""
    import keras
    import numpy as np

    from bottleneck_features.models.backbones import Backbone

    models.resolve_engine(engine, precision)  # refuses before anything is built
    keras.utils.set_random_seed(0)
    convolution = keras.layers.Conv2D(8, 3, activation="relu", name="last")
    network = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Rescaling(1 / 255), convolution])
    functional = keras.Model(network.inputs[0], network.outputs[0])
    weights = models.WeightsIdentity("random", "", None, "")
    backbone = Backbone("tiny", functional, "", weights, (SIDE, SIDE))
    images = np.random.default_rng(0).integers(0, 256, (TRIED, SIDE, SIDE, 3), np.uint8)
    extractor = models.build_extractor(
        backbone, ("last",), engine=engine, precision=precision, batch_size=TRIED, calibration=images
    )
    return extractor.check["last"]["relative_error"]


def _folders(home: Path) -> Iterator[Check]:
    yield writable(home)
    usage = shutil.disk_usage(_existing(home))
    free = usage.free / 2**30
    yield Check("folder", "free space", OK if free >= LEAST_FREE_GIB else LOW, f"{free:.1f} GiB on the disk of {home}")
    caches = [path for path in cache_root(home).glob("*") if path.is_dir()]
    yield Check("folder", "caches", OK, f"{len(caches):,} in {cache_root(home)}; bottleneck cache ls")
    weights = models.keras_home() / "models"
    files = [path for path in weights.glob("*") if path.is_file()]
    yield Check("folder", "Keras weights", OK, f"{len(files):,} files in {weights}")


def _existing(path: Path) -> Path:
    return next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())


def writable(home: Path) -> Check:
    """Check whether an artifacts folder, or the folder it would be created in, can be written to."""
    try:
        with tempfile.TemporaryFile(dir=_existing(home)) as file:
            file.write(os.urandom(1 << 16))
    except OSError as error:
        return Check(
            "folder", "artifacts", BROKEN, f"'{home}' cannot be written to ({error.strerror}): give another --home"
        )
    return Check("folder", "artifacts", OK, f"{home}{'' if home.is_dir() else ' (not created yet)'}")


def extras(table: Mapping[str, tuple[tuple[str, ...], str]]) -> Iterator[Check]:
    """Look for optional packages.

    Args:
        table: by extra the packages, and what they are for.
    """
    for extra, (packages, purpose) in table.items():
        lacking = [name for name in packages if not _version(name)]
        if lacking:
            advice = f"{', '.join(lacking)} for {purpose}: pip install 'bottleneck-features[{extra}]'"
            yield Check("extra", extra, MISSING, advice)
            continue
        yield Check("extra", extra, OK, ", ".join(f"{name} {_version(name)}" for name in packages))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def as_json(checks: tuple[Check, ...]) -> dict[str, Any]:
    """Return the object that `--json` prints."""
    rows = [{"area": one.area, "item": one.item, "state": one.state, "detail": one.detail} for one in checks]
    return {"command": "doctor", "works": not broken(checks), "checks": rows}


def broken(checks: tuple[Check, ...]) -> list[Check]:
    """Return what must be repaired before anything works; an engine is not essential while another one works."""
    found = [one for one in checks if one.state == BROKEN]
    return [one for one in found if one.area != "engine" or one.item == "any"]
