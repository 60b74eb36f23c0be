from .errors import BottleneckError
from .features import CacheDamaged, CacheError, CacheIncomplete, CacheMissing, open_features
from .models import ModelError
from .pipeline.api.loaded_model import LoadedModel, load_model
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
    "LoadedModel",
    "ModelError",
    "PipelineError",
    "RequestError",
    "load_experiment",
    "load_model",
    "open_features",
]
