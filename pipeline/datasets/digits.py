"""scikit-learn's 1,797 handwritten digits, 8×8 pixels: the data that look least like ImageNet.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (the test
part, as `sklearn.datasets.load_digits` ships it).
"""

import numpy as np

from bottleneck_features.pipeline.datasets.base import ArrayDataset, Samples

TEST_IMAGES = 500
SPLIT_SEED = 0
BRIGHTEST = 16  # scikit-learn stores 17 grey levels, 0..16


def digits() -> ArrayDataset:
    """Return the digits, 1,297 for training and 500 for testing (stratified), as 8×8 RGB."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    grey = np.round(bunch.images * (255 / BRIGHTEST)).astype(np.uint8)
    images = np.repeat(grey[..., None], 3, axis=-1)
    ids = np.array([f"digit-{i:04d}" for i in range(len(images))])
    labels = bunch.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(images)), test_size=TEST_IMAGES, stratify=labels, random_state=SPLIT_SEED
    )
    parts = {"train": np.sort(train), "test": np.sort(test)}
    everything = Samples(ids, labels)
    return ArrayDataset(
        "scikit-learn digits",
        tuple(str(name) for name in bunch.target_names),
        {split: images[part] for split, part in parts.items()},
        {split: everything.take(part) for split, part in parts.items()},
    )
