"""An Extractor of networks of every kind: their numbers, and what is said of them."""

import warnings

import keras
import numpy as np
import pytest
from published import input_images, read_reference, write_folder

import bottleneck_features as bf

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
SAID = "nothing before it rescales images"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    keras.utils.set_random_seed(0)
    images = keras.Input((32, 32, 3))
    path = tmp_path_factory.mktemp("network") / "raw.keras"
    keras.Model(images, keras.layers.Conv2D(8, 3, name="end")(images)).save(path)
    return str(path)


def test_a_network_that_gets_raw_numbers_is_told_each_time(raw, tmp_path):
    for _ in range(2):  # of rows that are kept too
        with pytest.warns(UserWarning, match=SAID):
            bf.Extractor(raw, home=tmp_path).transform(IMAGES)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        bf.Extractor(raw, preprocessing="none", home=tmp_path).transform(IMAGES)


def test_a_preprocessing_is_a_word_or_its_numbers(raw, tmp_path):
    table = {"mean": (0.485, 0.456, 0.406), "std": np.array([0.229, 0.224, 0.225])}
    word = bf.Extractor(raw, preprocessing="torch", home=tmp_path).transform(IMAGES)
    np.testing.assert_array_equal(bf.Extractor(raw, preprocessing=table, home=tmp_path).transform(IMAGES), word)
    with pytest.raises(bf.RequestError, match="backbone.preprocessing: unknown value. Valid: 'auto', 'tf'"):
        bf.Extractor(raw, preprocessing="imagenet", home=tmp_path).transform(IMAGES)


def test_numbers_of_every_range_give_the_same_features(raw, tmp_path):
    own = bf.Extractor(raw, preprocessing="torch", home=tmp_path)
    expected = own.transform(IMAGES)
    for given in (IMAGES.astype(np.float32), IMAGES.astype(np.float32) / 255, IMAGES.astype(np.float64) / 255):
        np.testing.assert_array_equal(own.transform(given), expected)


def test_a_published_folder_gives_its_class_token(tmp_path):
    pytest.importorskip("keras_hub")
    folder = write_folder("dinov2-registers", tmp_path)
    extractor = bf.Extractor(folder, size=28, home=tmp_path / "home", precision="float32", dtype="float32")
    np.testing.assert_allclose(
        extractor.transform(input_images(28)),
        read_reference("dinov2-registers").outputs[28]["cls"],
        rtol=1e-3,
        atol=1e-4,
    )
