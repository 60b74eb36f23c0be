"""How often a head calls images of other data sets unlike anything seen.

BOTTLENECK_REAL_DATA=… python benchmarks/novelty_rates.py HOME EXPERIMENT     (artifacts in which `probe -e EXPERIMENT` ran)
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from arguments import FOLDER, real_data
from PIL import Image

from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.datasets.dataset import stratified_sample
from bottleneck_features.pipeline.evaluation.scores import score_counts
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.use.inference import inference
from bottleneck_features.pipeline.use.picture_files import decoded, listed
from bottleneck_features.pipeline.use.saved_model import SavedModel, open_model

IMAGES = 200
RATES = (0.01, 0.05)  # of false alarms
KNOWN = ("airplane", "automobile", "cat", "dog")  # CIFAR-10's classes that mini natural images has too


def _resized(images: np.ndarray, model: SavedModel) -> np.ndarray:
    height, width = model.resizing.size
    pictures = [Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(picture) for picture in pictures])


def _of(dataset: Dataset, model: SavedModel, chosen: np.ndarray) -> Iterator[np.ndarray]:
    size = model.experiment.compute.batch_size
    for start in range(0, len(chosen), size):
        yield _resized(dataset.images("test", chosen[start : start + size]), model)


@click.command(help=__doc__)
@click.argument("home", type=FOLDER)
@click.argument("experiment")
@real_data
def main(home: Path, experiment: str, data: Path) -> None:
    """Print the share that is flagged at each rate of false alarms, with its interval, of each data set."""
    model = open_model(home, experiment)
    assert model.head is not None
    run, novelty = inference(model), model.head.novelty
    print(f"compared with {novelty.counts()}")

    def say(name: str, batches: Iterator[np.ndarray]) -> None:
        p_values = novelty.p_values(np.concatenate([predicted.distances for predicted in run(batches)]))
        print(f"{name}: {len(p_values):,} images")
        for rate in RATES:
            found = score_counts(int((p_values <= rate).sum()), len(p_values))
            print(
                f"  at {100 * rate:g} %: {100 * found.accuracy:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"
            )

    for name, folder in (
        ("mini natural images, test", "mini_natural_images/test"),
        ("emergency", "emergency_small/images"),
    ):
        files = list(listed([data / folder]))
        say(
            name, (batch.images for batch in decoded(files, model.resizing, 10**8, model.experiment.compute.batch_size))
        )
    options = (f"dataset.path={data / 'cifar-10-batches-py'}",)
    cifar = open_dataset(load_experiment("cifar10", options), home)
    chosen = stratified_sample(cifar.splits["test"].labels, 2 * IMAGES)
    known = np.isin(np.array(cifar.class_names)[cifar.splits["test"].labels[chosen]], KNOWN)
    say(f"CIFAR-10, {', '.join(KNOWN)}", _of(cifar, model, chosen[known]))
    say("CIFAR-10, the other six classes", _of(cifar, model, chosen[~known]))
    for name in ("digits", "photo-patches"):
        dataset = open_dataset(load_experiment(name), home)
        say(name, _of(dataset, model, stratified_sample(dataset.splits["test"].labels, IMAGES)))


if __name__ == "__main__":
    main()
