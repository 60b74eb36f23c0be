"""What ran: the versions of the packages, the machine, and the memory of this process."""

import hashlib
import json
import os
import platform
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("bottleneck-features", "tensorflow", "keras", "numpy", "h5py", "openvino", "scikit-learn")
DECIDING = ("tensorflow", "keras", "numpy", "pillow")  # what decodes, or makes what the engine computes
VECTOR_FLAGS = ("avx", "amx", "fma", "f16c", "sve", "asimd", "bf16", "i8mm")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of those of some packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Return what the machine is: processor, cores, memory in GiB and the GPUs TensorFlow has seen, if it was loaded."""
    return {
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _gpu_names(),
        "system": platform.platform(),
    }


def machine_kind(engine: str) -> str:
    """Return what decides the low bits of features besides their recipe, as 16 hexadecimal digits.

    Machines of one kind have the same processor, with the same instructions for vectors and matrices, and the same versions
    of what decodes and computes; with TensorFlow also the same GPUs. How many cores they have changes no bit.

    Args:
        engine: `"openvino"` or `"tensorflow"`.
    """
    packages = (*DECIDING, engine)
    kind = {
        "processor": [_processor(), *sorted(_vector_instructions())],
        "gpus": _gpu_names() if engine == "tensorflow" else [],
        "packages": {name: found for name, found in versions(packages).items() if name != "python"},
    }
    return hashlib.sha256(json.dumps(kind, sort_keys=True).encode()).hexdigest()[:16]


def _vector_instructions() -> set[str]:
    flags = {word for line in _cpuinfo("flags") + _cpuinfo("Features") for word in line.split()}
    return {flag for flag in flags if flag.startswith(VECTOR_FLAGS)}


def _gpu_names() -> list[str]:
    tensorflow = sys.modules.get("tensorflow")
    if not tensorflow:
        return []
    details = tensorflow.config.experimental.get_device_details
    return [details(gpu).get("device_name", gpu.name) for gpu in tensorflow.config.list_physical_devices("GPU")]


def _processor() -> str:
    names = _cpuinfo("model name")
    return names[0] if names else platform.processor() or platform.machine()


def _cpuinfo(name: str) -> list[str]:
    """Return what Linux says of each of its processors under a name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name]


def peak_memory_mib() -> float:
    """Return the largest resident memory this process had so far, in MiB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):  # what getrusage says counts the parent too, where it had more
                return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
