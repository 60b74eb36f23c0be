"""Which engine runs a backbone."""

from __future__ import annotations

from bottleneck_features.models.engines import ENGINES, gpus, resolve_engine
from bottleneck_features.models.errors import EngineUnavailable
from bottleneck_features.models.sources import only_engine


def backbone_engine(name: str, engine: str = "auto", precision: str = "auto") -> tuple[str, str]:
    """Say what `"auto"` means for a backbone on this machine.

    Args:
        name: a backbone, see `find_source`; it need not be there.
        engine: as for `resolve_engine`; a file that only OpenVINO runs makes it `"openvino"`, on the CPU.
        precision: as for `resolve_engine`.

    Returns:
        The engine and the precision.

    Raises:
        EngineUnavailable: if the backbone has another engine; or see `resolve_engine`.
        InvalidSetting: see `resolve_engine`.
    """
    only = only_engine(name)
    if only and engine not in ("auto", only) and engine in ENGINES:
        raise EngineUnavailable(
            f"'{name}' runs in OpenVINO only: set compute.engine to 'auto' or 'openvino'. Received: compute.engine='{engine}'."
        )
    return resolve_engine(only if only and engine == "auto" else engine, precision)


def engine_note(name: str) -> str:
    """Return what a result says where a backbone leaves this machine's GPUs alone; empty where it does not."""
    if not only_engine(name) or not gpus():
        return ""
    return f"'{name}' runs in OpenVINO, on the CPU: the GPU of this machine takes no part in its features."
