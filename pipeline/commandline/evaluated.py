"""What `evaluate` prints below its answer: the figures, the worst classes, and where the files are."""

from collections.abc import Mapping
from typing import Any

from bottleneck_features.pipeline.commandline.output import (
    MOST_ROWS,
    echo,
    print_files,
    print_left_out,
    print_table,
    say,
)
from bottleneck_features.pipeline.tables import (
    EVALUATED_COLUMNS,
    evaluated_rows,
    interval_text,
    model_line,
    percent_text,
    reliability_text,
)

_BESIDE = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "average_precision": "average precision",
}


def print_evaluation(result: Mapping[str, Any], everything: bool) -> None:
    """Print how good a model is on labelled images, and a row for each class; `everything`: not only of the worst ones."""
    for line in figure_lines(result):
        say(line, rest="  ")
    rows = evaluated_rows(result["per_class"])
    shown = rows if everything else rows[:MOST_ROWS]
    echo("\nPer class, the lowest recall first:")
    print_table(EVALUATED_COLUMNS, shown, needed=3)
    print_left_out(classes=len(rows) - len(shown))
    say(f"model: {model_line(result['model'])}", rest="  ")
    print_files(result, everything)


def figure_lines(result: Mapping[str, Any]) -> list[str]:
    """Return all figures in a few lines."""
    own, calibration = result["figures"], result["calibration"]
    scores = []
    for name, words in _BESIDE.items():
        if own.get(name) is not None:
            ends = own["interval" if name == "accuracy" else f"{name}_interval"]
            scores.append(f"{words} {interval_text(own[name], *ends)}")
    worst = f"worst class ({result['classes'][own['worst_class']]!r}): recall {percent_text(own['worst_recall'])}"
    lines = [
        "; ".join([*scores, worst]),
        f"probabilities: log loss {calibration['log_loss']:.3f}; calibration: {reliability_text(calibration)}",
    ]
    if unlike := result["unlike"]:
        lines.append(
            f"unlike the training images: {unlike['images']:,} of {result['n']:,} ({percent_text(unlike['share'])}, where "
            f"about {percent_text(unlike['false_alarms'])} of images like them would be)"
        )
    if result["trained_on"]["images"] == 0:
        lines.append(
            "none of the images is a copy, byte for byte, of one that the model was trained on (near-duplicates may be)"
        )
    if result["threshold"] is not None:
        lines.append(f"{result['classes'][1]!r} is answered from a probability of {result['threshold']:.3g} on")
    return lines
