"""The pictures of a result, drawn again from its content alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES, NETWORKS, row_label, row_title
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.result_schema import require_result
from bottleneck_features.pipeline.tables import SPLIT_TITLES

Drawn = dict[str, Figure]


def figures_of(content: Mapping[str, Any]) -> dict[str, Figure]:
    """Draw the pictures of a result.

    Args:
        content: what a command prints with `--json`, or the content of its `result.json`.

    Returns:
        Figures by name; those that the command itself writes have the names of its files. A command that has nothing to
        draw gives none. `inspect` gives no `image-sizes`: the size of each image is not in its result, but that picture
        lies in its folder. No figure is known to pyplot, so a notebook shows it once, where it is the value of a cell.

    Raises:
        RequestError: it is no result, or one that no command of this version can have written.

    Examples:
        >>> figures_of(json.loads(Path("artifacts/runs/digits/probe/result.json").read_text()))["depth"]
    """
    command = content.get("command") if isinstance(content, Mapping) else None
    if not isinstance(command, str):
        raise RequestError(
            f"This is no result of a command: it has no `command`. {_GIVE} Received: {type(content).__name__}"
        )
    if command not in _DRAWERS:
        return {}
    try:
        require_result(command, content)
    except ValueError as error:
        raise RequestError(f"The result of {command} cannot be drawn ({error}). {_GIVE}") from None
    return _DRAWERS[command](content)


_GIVE = "Give what --json prints, or the content of a result.json."


def _probe(content: Mapping[str, Any]) -> Drawn:
    methods = [Method.from_json(row) for row in content["table"]]
    alone = {method.layers[0] for method in methods if len(method.layers) == 1}
    layers = [name for name in content["experiment"]["backbone"]["layers"] if name in alone]
    select = content.get("select", "accuracy")
    drawn = {"paths": plots.paths(content["paths"], select)} if content.get("paths") else {}
    drawn["depth"] = plots.depth(methods, layers, content["backbone"], select)
    kept = next((row for row in content["methods"] if row.get("kept")), content["methods"][0])
    label = row_label(kept)
    if counts := content.get("confusion", {}).get(label):
        drawn["confusion"] = _confusion({row_title(kept): counts}, content)
    if calibration := content.get("calibration"):
        drawn["reliability"] = _reliability(calibration, row_title(kept), content)
    return drawn | _curves(content)


def _compare(content: Mapping[str, Any]) -> Drawn:
    split, select = content["scored_on"], content.get("select", "accuracy")
    methods = [Method.from_json(row) for row in content["methods"]]
    drawn = {
        "comparison": plots.comparison(methods, content["backbone"], select),
        "time": plots.accuracy_over_time(methods, split, select),
    }
    for label, curves in content["histories"].items():
        drawn[f"learning-curves-{label}"] = plots.learning_curves(label, curves)
    if content["confusion"]:
        drawn["confusion"] = _confusion(content["confusion"], content)
    for label, calibration in content["calibration"].items():
        drawn[f"reliability-{label}"] = _reliability(calibration, label, content)
    return drawn | _curves(content)


def _trained(content: Mapping[str, Any]) -> Drawn:
    (row,) = content["methods"]
    title, split = row_title(row), content["scored_on"]
    diagram = f"{title} on {row['n'][split]:,} {split} images; T fitted on validation"
    return {
        "learning-curves": plots.learning_curves(title, content["history"]),
        "confusion": _confusion({title: content["confusion"]}, content),
        "reliability": plots.reliability_diagram(content["calibration"], diagram),
        **_curves(content),
    }


def _evaluate(content: Mapping[str, Any]) -> Drawn:
    name, curves = content["model"]["name"], content["curves"]
    drawn = {"confusion": _confusion({name: content["confusion"]}, content)}
    if curves:
        drawn["curves"] = plots.two_class_curves({name: curves}, content["classes"][curves["positive"]])
    return drawn


def _label_curve(content: Mapping[str, Any]) -> Drawn:
    described = {name: content[name] for name in ("data", "backbone", "answer", "scored_on")}
    return {"label-curve": plots.label_curve_chart(content["points"], **described)}


def _networks(content: Mapping[str, Any]) -> Drawn:
    chart = plots.networks(content["methods"], content["scored_on"], content["select"])
    return {"networks": chart} if chart else {}


def _inspect(content: Mapping[str, Any]) -> Drawn:
    counts = {split: list(own.values()) for split, own in content["images"].items()}
    return {"class-balance": plots.class_balance(counts, list(next(iter(content["images"].values()))))}


def _bench(content: Mapping[str, Any]) -> Drawn:
    return {"bench": plots.benchmark(content["variants"])}


def _confusion(counts: Mapping[str, Any], content: Mapping[str, Any]) -> Figure:
    matrices = {name: np.array(own) for name, own in counts.items()}
    return plots.confusion_matrices(matrices, content["classes"])


def _reliability(calibration: Mapping[str, Any], name: str, content: Mapping[str, Any]) -> Figure:
    split = content["scored_on"]
    return plots.reliability_diagram(calibration, f"{name}, {SPLIT_TITLES.get(split, f'{split} images')}")


def _curves(content: Mapping[str, Any]) -> Drawn:
    curves = content.get("curves")
    if not curves:
        return {}
    positive = content["classes"][next(iter(curves.values()))["positive"]]
    return {"curves": plots.two_class_curves(curves, positive)}


_DRAWERS = {
    "probe": _probe,
    "compare": _compare,
    **dict.fromkeys(("train-head", *NETWORKS), _trained),
    "evaluate": _evaluate,
    "label-curve": _label_curve,
    COMPARE_BACKBONES: _networks,
    "inspect": _inspect,
    "bench": _bench,
}
