"""A small ConvNet of handwritten digits, kept as a backbone, and other digits to compare it on.

python benchmarks/network_of_digits.py FOLDER, then
bottleneck compare FOLDER/other-digits.npz --backbones efficientnet-lite0@96,FOLDER/digit-network.keras@32 and
bottleneck compare -e photo-patches --backbones efficientnet-lite0,FOLDER/digit-network.keras@32
"""

from pathlib import Path

import click
import numpy as np
from arguments import NEW

from bottleneck_features.pipeline.datasets.sources.embedded import BRIGHTEST
from bottleneck_features.quiet import import_tensorflow

SIDE, EPOCHS, BATCH, SEED = 32, 40, 32, 0
SHIFT = 0.1  # of the side, at random in training


@click.command(help=__doc__)
@click.argument("folder", type=NEW)
def main(folder: Path) -> None:
    """Train on the first half of scikit-learn's digits, and keep the second half as images with labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = np.round(bunch.images * (255 / BRIGHTEST)).astype(np.uint8)
    images, labels = np.repeat(grey[..., None], 3, axis=-1), bunch.target
    half = len(images) // 2
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "other-digits.npz", x=images[half:], y=labels[half:])
    accuracy = _train(images[:half], labels[:half], folder / "digit-network.keras")
    print(
        f"{half} digits to train on, {accuracy:.1%} of them right in the last epoch; {len(images) - half} others in {folder}"
    )


def _train(images: np.ndarray, labels: np.ndarray, file: Path) -> float:
    """Train a ConvNet whose last layer is the pooled map, and write it without its classifier."""
    import_tensorflow()
    import keras
    from keras import layers

    keras.utils.set_random_seed(SEED)
    inputs = keras.Input((SIDE, SIDE, 3), name="images")
    x = layers.Rescaling(1 / 255)(inputs)
    for block, channels in enumerate((32, 64, 128), 1):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"block{block}_conv1")(x)
        x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"block{block}_conv2")(x)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
    network = keras.Model(inputs, layers.GlobalAveragePooling2D(name="features")(x), name="digit_network")
    shift = layers.RandomTranslation(SHIFT, SHIFT, fill_mode="constant")
    answers = layers.Dense(10, activation="softmax")(layers.Dropout(0.3)(network(shift(inputs))))
    classifier = keras.Model(inputs, answers)
    classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    enlarged = keras.ops.convert_to_numpy(keras.ops.image.resize(images.astype("float32"), (SIDE, SIDE)))
    fitted = classifier.fit(enlarged, labels, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    network.save(file)
    return float(fitted.history["accuracy"][-1])


if __name__ == "__main__":
    main()
