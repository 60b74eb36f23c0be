"""ConvNets of random weights in `.keras` files, which compile in a second."""

from pathlib import Path


def small_network(file: Path, seed: int) -> Path:
    """A network that takes images of any size; its layers `first` and `last` have 8 and 16 channels."""
    images, x = _layers(seed)
    return _saved(images, x, file)


def flat_network(file: Path, seed: int) -> Path:
    """A network that is tied to images of 32 pixels a side."""
    from keras import layers

    images, x = _layers(seed)
    return _saved(images, layers.Dense(4)(layers.Flatten()(x)), file)


def _layers(seed: int):
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    images = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="first")(layers.Rescaling(1 / 255)(images))
    return images, layers.Conv2D(16, 3, strides=2, activation="relu", name="last")(x)


def _saved(images, x, file: Path) -> Path:
    import keras

    keras.Model(images, x).save(file)
    return file
