from .errors import BottleneckError
from .features import CacheDamaged, CacheError, CacheIncomplete, CacheMissing, open_features
from .models import ModelError
from .pipeline.errors import PipelineError, RequestError
from .pipeline.experiment import Experiment
from .pipeline.experiment_file import load_experiment

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
