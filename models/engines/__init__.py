"""The engines that run the traced function, and the choice among them."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from bottleneck_features.models.errors import EngineUnavailable, require_choice
from bottleneck_features.quiet import import_tensorflow

ENGINES = ("tensorflow", "openvino")
PRECISIONS = ("float32", "bfloat16", "float16", "int8")
TRAINING_PRECISIONS = PRECISIONS[:3]
DEVICES = Path("/dev")
GPU_DEVICES = ("nvidia[0-9]*", "nvidiactl", "nvgpu*", "nvhost-gpu", "dxg", "kfd")  # NVIDIA, Jetson, WSL, AMD


class Engine(Protocol):
    """One compiled function that runs on whole batches."""

    depth: int
    """Batches worth having in flight."""

    def submit(self, images: Any) -> Callable[[], list[np.ndarray]]:
        """Start on a full batch of uint8 images; what it returns waits for the outputs, one array per layer."""
        ...

    def place(self, images: np.ndarray) -> Any:
        """Put a full batch where the device reads it without a copy; `submit` takes what it returns."""
        ...


def resolve_engine(engine: str = "auto", precision: str = "auto") -> tuple[str, str]:
    """Say what `"auto"` means on this machine.

    Args:
        engine: `"auto"` (TensorFlow on a GPU, else OpenVINO where it is installed), `"tensorflow"` or `"openvino"`.
        precision: `"auto"` (bfloat16 where the hardware has it, else float16 on a GPU and float32 on a CPU),
            `"float32"`, `"bfloat16"`, `"float16"` or `"int8"`.

    Returns:
        The engine and the precision.

    Raises:
        InvalidSetting: if a value is not among these.
        EngineUnavailable: if the engine is not installed, or lacks the precision here.
    """
    require_choice("compute.engine", engine, ("auto", *ENGINES))
    require_choice("compute.precision", precision, ("auto", *PRECISIONS))
    installed = has_openvino()
    if engine == "openvino" and not installed:
        raise EngineUnavailable("OpenVINO is not installed: pip install openvino, or set compute.engine to 'auto'.")
    gpu = gpus() > 0 and engine != "openvino"  # asked for any engine: results name the GPUs that TensorFlow has seen
    if engine == "auto":
        engine = "openvino" if installed and not gpu and precision != "float16" else "tensorflow"
    if precision == "auto":
        precision = _auto_precision(gpu)
    _require_precision(engine, precision, gpu)
    return engine, precision


def training_precision(precision: str = "auto") -> str:
    """Return what a network computes in while it is trained.

    Args:
        precision: `"auto"` (as in `resolve_engine`), `"float32"`, `"bfloat16"` or `"float16"`.

    Returns:
        The precision.

    Raises:
        InvalidSetting: if the value is not among these.
        EngineUnavailable: if it is float16 and there is no GPU.
    """
    require_choice("finetune.precision", precision, ("auto", *TRAINING_PRECISIONS))
    gpu = gpus() > 0
    _require_gpu_for_float16("finetune.precision", precision, gpu)
    return _auto_precision(gpu) if precision == "auto" else precision


def _auto_precision(gpu: bool) -> str:
    if gpu:
        return "bfloat16" if _gpu_has_bfloat16() else "float16"
    return "bfloat16" if cpu_has_bfloat16() else "float32"


def _require_precision(engine: str, precision: str, gpu: bool) -> None:
    if precision == "int8" and engine != "openvino":
        raise EngineUnavailable("int8 needs the OpenVINO engine: --set compute.engine=openvino")
    if precision == "int8" and importlib.util.find_spec("nncf") is None:
        raise EngineUnavailable("int8 needs NNCF: pip install 'bottleneck-features[int8]'")
    if precision == "float16" and engine == "openvino":
        raise EngineUnavailable(
            "The OpenVINO engine computes on the CPU, and float16 is for GPUs: set compute.precision to 'auto', 'float32', "
            "'bfloat16' or 'int8'."
        )
    _require_gpu_for_float16("compute.precision", precision, gpu)
    if precision == "bfloat16" and engine == "openvino" and not cpu_has_bfloat16():
        raise EngineUnavailable(
            "This CPU does not compute in bfloat16: set compute.precision to 'auto', 'float32' or 'int8'."
        )


def _require_gpu_for_float16(option: str, precision: str, gpu: bool) -> None:
    if precision == "float16" and not gpu:
        raise EngineUnavailable(
            f"float16 is for GPUs, and there is none here: set {option} to 'auto', 'float32' or 'bfloat16'."
        )


def cpu_has_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 in hardware (AVX-512 BF16, AMX, or the Arm extension)."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.machine() == "arm64" and has_openvino() and _openvino_bf16()
    words = set(info.read_text().split())
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def import_openvino() -> ModuleType:
    """Import OpenVINO so that neither its converter nor NNCF, imported after it, reports its use to its makers.

    Raises:
        ImportError: if it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # without it both use their stubs
    import openvino

    return openvino


def has_openvino() -> bool:
    """Return whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def _openvino_bf16() -> bool:
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def gpus() -> int:
    """Return how many GPUs TensorFlow sees here; it is imported only to be asked, where there may be one."""
    if not may_have_gpu():
        return 0
    import_tensorflow()
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def may_have_gpu() -> bool:
    """Return whether there is a device that TensorFlow may count as a GPU, or a plug-in of it that may add one."""
    if importlib.util.find_spec("tensorflow-plugins") is not None:
        return True
    return any(device for pattern in GPU_DEVICES for device in DEVICES.glob(pattern))


def _gpu_has_bfloat16() -> bool:
    """Return whether every GPU is an NVIDIA from Ampere (compute capability 8.0) on."""
    import tensorflow as tf

    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
