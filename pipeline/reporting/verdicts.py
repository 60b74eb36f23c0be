"""What each command has found, in a sentence or two: the first lines in the terminal, and of a result in a notebook."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.figures import Figures, figures_of_row
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES, NOT_ENOUGH
from bottleneck_features.pipeline.reporting.answer import verdict
from bottleneck_features.pipeline.reporting.networks import networks_verdict
from bottleneck_features.pipeline.tables import interval_text, mean_text, no_better_than, percent_text

Content = Mapping[str, Any]


def verdict_of(content: Content) -> str:
    """Return what a result has found.

    Args:
        content: the object that `--json` prints.
    """
    if found := _VERDICTS.get(content["command"]):
        return found(content)
    return " ".join(verdict(content, content["backbone"]))


def extracted(content: Content) -> str:
    """Return how many features were computed and how fast, and which were there already."""
    sentences = []
    if content["images"]:
        sentences.append(
            f"{content['images']:,} images at {content['images_per_second']:,.1f} images/s "
            f"({content['engine']}, {content['precision']}), peak memory {content['peak_memory_mib']:,.0f} MiB"
        )
    elif not content["images_reused"]:
        return "All features are already in the cache: nothing to do."
    if content["images_reused"]:
        own = Path(content["cache"]).name
        sources = enumerated(
            f"{count:,} from {'equal images of this cache' if name == own else name}"
            for name, count in content["reused_from"].items()
        )
        sentences.append(f"{content['images_reused']:,} images were not computed again: {sources}")
    return "\n".join(sentences)


def inspected(content: Content) -> str:
    """Return how many problems there are, in how many images."""
    number, splits = len(content["warnings"]), content["images"].values()
    several = "1 problem was" if number == 1 else f"{number:,} problems were" if number else "No problem was"
    images, classes = sum(sum(own.values()) for own in splits), len({name for own in splits for name in own})
    return f"{several} found in {images:,} images of {classes:,} classes."


def predicted(content: Content) -> str:
    """Return how many files were classified, and as what most of them."""
    broken = content["files_found"] - content["classified"]
    most = max(content["labels"].items(), key=lambda one: one[1], default=None)
    often = f", most often as {most[0]!r} ({most[1]:,})" if most else ""
    unlike = "" if content["unlike"] is None else f", {content['unlike']:,} of them unlike anything seen in training"
    return f"{content['files_found']:,} files: {content['classified']:,} classified{often}{unlike}; {broken:,} could not be used"


def exported(content: Content) -> str:
    """Return how far each format is from the pipeline."""
    checked, formats = content["checked_images"], ", ".join(row["format"] for row in content["exported"])
    return (
        f"{formats}: probabilities of {checked['n']} {checked['split']} images differ from the pipeline in float32 by at most "
        f"{max(row['largest_difference'] for row in content['exported']):.1e} (limit {checked['limit']:g})."
    )


def timed(content: Content) -> str:
    """Return which variant of stage one was the fastest."""
    best = max(content["variants"], key=lambda variant: variant["ratio"])
    return f"The fastest: {best['name']}, {best['ratio']:.2f} times the walk-through's script."


def curved(content: Content) -> str:
    """Return at which sizes frozen features are ahead, and the figures at the largest one."""
    last = [point for point in content["points"] if point["per_class"] == content["points"][-1]["per_class"]]
    scratch = next(point for point in last if not point["layers"])
    transfer = max((point for point in last if point["layers"]), key=lambda point: point["mean"])
    figures = ", ".join(f"{point['method']} {mean_text(point)}" for point in (transfer, scratch))
    images = f"{content['n_scored']:,} {content['scored_on']} images, mean of {scratch['seeds']:,} seeds"
    return (
        f"{content['answer'][:1].upper()}{content['answer'][1:]}. With {scratch['per_class']} images per class: {figures} "
        f"(top-1 accuracy on {images})."
    )


def measured(content: Content) -> str:
    """Return how good a model is: on images that it was not trained on, where that is known."""
    seen, without = content["trained_on"]["images"], content["trained_on"]["figures_without"]
    if seen == content["n"]:
        return (
            f"The model was trained on all these {seen:,} images, or chosen by them: the figures do not say how good it is on "
            f"others. {_reached(content, content['figures'], f'on these {seen:,} images')}"
        )
    if without:
        others = f"on the {without['n']:,} images that the model was not trained on"
        return (
            f"{_reached(content, without, others)} The figures "
            f"below are of all {content['n']:,} images, {seen:,} of which it was trained on: too optimistic."
        )
    kind = "test images" if set(content["images"]) == {"test"} else "images"
    return _reached(content, content["figures"], f"on {content['n']:,} {kind} of {content['data']}")


def _reached(content: Content, figures: Mapping[str, Any], images: str) -> str:
    present = [one for one in content["per_class"] if one["n"]]
    accuracy = f"accuracy {interval_text(figures['accuracy'], *figures['interval'])} {images}"
    if len(present) == 1:
        return (
            f"A{accuracy[1:]}, all of class {present[0]['name']!r}: how often other classes are taken for it is not "
            "measured."
        )
    baseline = no_better_than(_as_figures(figures), content["select"], len(present))
    if baseline:
        return f"Not shown to be better than {baseline}: {accuracy}."
    majority = f"always answering the most frequent class gets {percent_text(figures['majority'])}"
    if content["select"] == "accuracy":
        return f"A{accuracy[1:]}; {majority}."
    value = interval_text(figures["balanced_accuracy"], *figures["balanced_accuracy_interval"])
    return (
        f"Balanced accuracy {value} {images}, of unequal classes; guessing gets {percent_text(1 / len(present))}. Accuracy: "
        f"{percent_text(figures['accuracy'])}; {majority}."
    )


def _as_figures(figures: Mapping[str, Any]) -> Figures:
    row = {name: {"all": value} for name, value in figures.items()}
    found = figures_of_row(row, "all")
    assert found
    return found


def _recommended(content: Content) -> str:
    recommended, reason = content["recommendation"], content["reasons"][0]
    if recommended == NOT_ENOUGH:
        return f"Not enough evidence to recommend a method. {reason}"
    return f"Recommended: {recommended}. {reason}"


def _answered(content: Content) -> str:
    return str(content["verdict"])


def _networks(content: Content) -> str:
    return " ".join(networks_verdict(content))


_VERDICTS: Mapping[str, Callable[[Content], str]] = {
    "run": _answered,
    "report": _answered,
    COMPARE_BACKBONES: _networks,
    "features": extracted,
    "inspect": inspected,
    "label-curve": curved,
    "advise": _recommended,
    "predict": predicted,
    "evaluate": measured,
    "export": exported,
    "bench": timed,
}
