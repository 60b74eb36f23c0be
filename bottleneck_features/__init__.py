"""What is a pre-trained network worth on your images: bottleneck features, extracted once and compared honestly.

    import bottleneck_features as bf

    train = bf.open_features("artifacts/features/…")["train"]
    train.x, train.y, train.ids

Importing this package loads neither TensorFlow nor any other heavy library; what a name needs is imported when it is used.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck_features.errors import BottleneckError

if TYPE_CHECKING:
    from bottleneck_features.features import CacheDamaged, CacheError, CacheIncomplete, CacheMissing, open_features
    from bottleneck_features.models import ModelError
    from bottleneck_features.pipeline.errors import PipelineError, RequestError
    from bottleneck_features.pipeline.experiment import Experiment
    from bottleneck_features.pipeline.experiment_file import load_experiment

__all__ = [
    "BottleneckError",
    "CacheDamaged",
    "CacheError",
    "CacheIncomplete",
    "CacheMissing",
    "Experiment",
    "ModelError",
    "PipelineError",
    "RequestError",
    "load_experiment",
    "open_features",
]

_MODULE_OF = {
    "CacheDamaged": "features",
    "CacheError": "features",
    "CacheIncomplete": "features",
    "CacheMissing": "features",
    "Experiment": "pipeline.experiment",
    "ModelError": "models",
    "PipelineError": "pipeline.errors",
    "RequestError": "pipeline.errors",
    "load_experiment": "pipeline.experiment_file",
    "open_features": "features",
}

if (Path(__file__).parent / "pipeline").is_file():
    raise ImportError(
        "This checkout of bottleneck-features has files where it should have symbolic links. On Windows turn on the "
        "developer mode, then type: git config core.symlinks true && git checkout -- bottleneck_features. "
        "Or install the wheel, which needs no links."
    )


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'bottleneck_features' has no attribute '{name}'")
    return getattr(importlib.import_module(f"bottleneck_features.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
