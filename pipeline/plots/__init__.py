"""The pictures, drawn from rows of results: each function draws one, `save_figure` writes it."""

from bottleneck_features.pipeline.plots.bench import benchmark
from bottleneck_features.pipeline.plots.calibration import reliability_diagram
from bottleneck_features.pipeline.plots.comparison import accuracy_over_time, comparison
from bottleneck_features.pipeline.plots.inspection import class_balance, image_sizes
from bottleneck_features.pipeline.plots.label_curve import label_curve_chart
from bottleneck_features.pipeline.plots.methods import confusion_matrices, learning_curves
from bottleneck_features.pipeline.plots.networks import networks
from bottleneck_features.pipeline.plots.probe import depth, paths
from bottleneck_features.pipeline.plots.style import LONGEST, NARROW, WIDE, png_bytes, save_figure, shortened, svg_bytes
from bottleneck_features.pipeline.plots.thresholds import threshold_chart
from bottleneck_features.pipeline.plots.two_classes import two_class_curves

__all__ = [
    "LONGEST",
    "NARROW",
    "WIDE",
    "accuracy_over_time",
    "benchmark",
    "class_balance",
    "comparison",
    "confusion_matrices",
    "depth",
    "image_sizes",
    "label_curve_chart",
    "learning_curves",
    "networks",
    "paths",
    "png_bytes",
    "reliability_diagram",
    "save_figure",
    "shortened",
    "svg_bytes",
    "threshold_chart",
    "two_class_curves",
]
