from .errors import BottleneckError
from .features import CacheDamaged, CacheError, CacheIncomplete, CacheMissing
from .models import ModelError
from .pipeline.api.caches import open_features
from .pipeline.api.commands import (
    advise,
    bench,
    compare,
    extract,
    fine_tune,
    inspect,
    label_curve,
    probe,
    report,
    run,
    train_head,
)
from .pipeline.api.experiments import load_experiment
from .pipeline.api.extractor import Extractor
from .pipeline.api.loaded_model import LoadedModel, load_model
from .pipeline.api.model_commands import evaluate, export, predict
from .pipeline.api.result import Result, load_result
from .pipeline.errors import NoCache, PipelineError, RequestError
from .pipeline.experiment import Experiment

__all__ = [
    "BottleneckError",
    "CacheDamaged",
    "CacheError",
    "CacheIncomplete",
    "CacheMissing",
    "Experiment",
    "Extractor",
    "LoadedModel",
    "ModelError",
    "NoCache",
    "PipelineError",
    "RequestError",
    "Result",
    "advise",
    "bench",
    "compare",
    "evaluate",
    "export",
    "extract",
    "fine_tune",
    "inspect",
    "label_curve",
    "load_experiment",
    "load_model",
    "load_result",
    "open_features",
    "predict",
    "probe",
    "report",
    "run",
    "train_head",
]
