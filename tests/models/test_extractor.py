"""The extractor gives what the Keras model gives, for every engine, layer, pooling, kernel and view."""

from functools import partial

import numpy as np
import pytest

from bottleneck_features import models
from bottleneck_features.models.building import require_agreement
from bottleneck_features.models.engines import cpu_has_bfloat16
from bottleneck_features.models.errors import EngineMismatch, EngineUnavailable, InvalidSetting
from bottleneck_features.models.keras_costs import gflop_per_image

LAYERS = ("relu1", "bn2", "conv3")
LITE0_LAYERS = ("block3b_add", "block5c_add", "top_activation")
ENGINES = ("tensorflow", "openvino")


def build(backbone, layers=LAYERS, engine="tensorflow", precision="float32", batch_size=8, **settings):
    return models.build_extractor(
        backbone, layers, engine=engine, precision=precision, batch_size=batch_size, **settings
    )


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-5 * np.abs(theirs).max())


def cosine(a, b):
    return ((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)).mean()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_with_resizing_before_batch_norm_gives_what_predict_gives(engine, model_file, photographs):
    import keras

    images = photographs[:8, :48, :48]
    theirs = keras.models.load_model(model_file).predict(images.astype("float32"), verbose=0)
    backbone = models.load_backbone(str(model_file), size=(48, 48))
    ours = build(backbone, ["conv3"], engine, pooling="none")(images)["conv3"]
    assert_same(ours, theirs)


@pytest.mark.parametrize("engine", ENGINES)
def test_several_layers_in_one_pass_equal_single_layer_passes(engine, small, photographs):
    together = build(small, engine=engine)(photographs[:8, :48, :48])
    assert list(together) == list(LAYERS)
    for layer in LAYERS[1:2]:
        assert_same(together[layer], build(small, [layer], engine)(photographs[:8, :48, :48])[layer])


@pytest.mark.parametrize("engine", ENGINES)
def test_each_layer_has_its_own_pooling(engine, small, photographs):
    import keras

    images = photographs[:8, :48, :48]
    model = keras.Model(small.model.inputs, [small.model.get_layer(layer).output for layer in LAYERS])
    low, middle, top = (np.asarray(y) for y in model([images.astype("float32")], training=False))
    extractor = build(small, engine=engine, pooling=("max", "none", "avg"))
    ours = extractor(images)
    assert_same(ours[LAYERS[0]], low.max((1, 2)))
    assert_same(ours[LAYERS[1]], middle)
    assert_same(ours[LAYERS[2]], top.mean((1, 2)))
    assert extractor.output_shapes == {layer: array.shape[1:] for layer, array in ours.items()}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """A user's file that gives 25 tokens of 6 channels, as a transformer does."""
    import keras

    images = keras.Input((20, 20, 3))
    x = keras.layers.Conv2D(6, 4, 4, name="patches")(keras.layers.Rescaling(1 / 255)(images))
    x = keras.layers.Reshape((-1, 6), name="sequence")(x)
    x = keras.layers.LayerNormalization(name="tokens")(x)
    path = tmp_path_factory.mktemp("tokens") / "tokens.keras"
    keras.Model(images, x).save(path)
    return models.load_backbone(str(path), size=(20, 20))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_tokens_are_pooled_as_maps_are(engine, pooling, tokens, photographs):
    images = photographs[:4, :20, :20]
    every = build(tokens, ["tokens"], engine, pooling="none")(images)["tokens"]
    assert every.shape == (4, 5, 5, 6)
    ours = build(tokens, ["tokens"], engine, pooling=pooling)(images)["tokens"]
    np.testing.assert_allclose(ours, every.mean(axis=(1, 2)) if pooling == "avg" else every.max(axis=(1, 2)), atol=1e-5)


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_a_network_of_tokens_can_be_fine_tuned_on_pooled_ones(pooling, tokens, photographs):
    images = photographs[:4, :20, :20]
    model = models.classifier(tokens, "tokens", 3, (20, 20, 3), pooling=pooling)
    assert model.output_shape == (None, 3)
    features = build(tokens, ["tokens"], pooling=pooling)(images)["tokens"]
    scores = np.log(model.predict(images, verbose=0))
    kernel, bias = model.get_layer("classes").get_weights()
    theirs = features @ kernel + bias
    np.testing.assert_allclose(scores - scores[:, :1], theirs - theirs[:, :1], atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_views_stand_on_the_second_axis_and_are_mirror_images(engine, small, photographs):
    images = photographs[:3, :48, :48]
    both = build(small, LAYERS[-1:], engine, views=("identity", "hflip"))
    plain = build(small, LAYERS[-1:], engine)
    features = both(images)[LAYERS[-1]]
    assert features.shape == (3, 2, 24)
    assert both.output_shapes[LAYERS[-1]] == (2, 24)
    assert both.gflop_per_image == pytest.approx(2 * plain.gflop_per_image)
    assert_same(features[:, 0], plain(images)[LAYERS[-1]])
    assert_same(features[:, 1], plain(images[:, :, ::-1])[LAYERS[-1]])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("resize", "antialias", "side"),
    [
        ("bilinear", False, 24),
        ("bilinear", False, 64),
        ("bilinear", True, 64),
        ("nearest", False, 24),
        ("bicubic", False, 24),
        ("area", False, 64),
        ("lanczos3", True, 64),
    ],
)
def test_resizing_in_the_graph_is_that_of_tf_image(engine, resize, antialias, side, model_file, photographs):
    import tensorflow as tf

    images = photographs[:4, :side, : side - 4]
    backbone = models.load_backbone(str(model_file), size=(48, 48))
    extractor = build(
        backbone,
        ["rescaling"],
        engine,
        4 and "float32",
        4,
        pooling="none",
        input_shape=images.shape[1:3],
        resize=resize,
        antialias=antialias,
    )
    resized = tf.image.resize(tf.cast(images, tf.float32), (48, 48), resize, antialias=antialias)
    expected = tf.image.resize(resized, (40, 40)) / 255
    np.testing.assert_allclose(extractor(images)["rescaling"], expected, atol=2e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_short_batch_and_a_repeated_one_have_the_same_bits(engine, small, photographs):
    extractor = build(small, engine=engine)
    whole, again, short = (
        extractor(photographs[:8, :48, :48]),
        extractor(photographs[:8, :48, :48]),
        extractor(photographs[:3, :48, :48]),
    )
    rebuilt = build(small, engine=engine)(photographs[:8, :48, :48])
    for layer in LAYERS:
        assert len(short[layer]) == 3
        assert np.array_equal(whole[layer], again[layer])
        assert np.array_equal(whole[layer], rebuilt[layer])
        assert np.array_equal(whole[layer][:3], short[layer])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stream_of_batches_comes_back_in_order(engine, small, photographs):
    extractor = build(small, LAYERS[:1], engine, batch_size=4)
    batches = [photographs[i : i + 4, :48, :48] for i in (0, 4, 8, 4, 0, 10)]
    for batch, features in zip(batches, extractor.map(batches), strict=True):
        assert np.array_equal(features[LAYERS[0]], extractor(batch)[LAYERS[0]])


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU has no bfloat16")
@pytest.mark.parametrize("engine", ENGINES)
def test_bfloat16_stays_close_to_float32(engine, lite0, photographs):
    precise = build(lite0, LITE0_LAYERS)(photographs[:8])
    extractor = build(lite0, LITE0_LAYERS, engine, "bfloat16")
    rough = extractor(photographs[:8])
    for layer in LITE0_LAYERS:
        assert cosine(precise[layer], rough[layer]) > 0.995
        assert extractor.check[layer]["cosine"] < 1 - 1e-6, "it computed in float32"


def test_int8_stays_close_to_float32(small, photographs):
    pytest.importorskip("nncf")
    images = photographs[:8, :48, :48]
    precise = build(small)(images)
    extractor = build(small, engine="openvino", precision="int8", calibration=photographs[:, :48, :48])
    rough = extractor(images)
    for layer in LAYERS:
        assert cosine(precise[layer], rough[layer]) > 0.99
    assert extractor.check["conv3"]["relative_error"] > 1e-4, "it computed in float32"


def test_int8_without_calibration_images_is_refused(small):
    pytest.importorskip("nncf")
    with pytest.raises(EngineUnavailable, match="calibration images"):
        build(small, LAYERS[:1], "openvino", "int8")


def test_every_extractor_is_checked_against_float32_keras(small):
    check = build(small, engine="openvino").check
    assert list(check) == list(LAYERS)
    for figures in check.values():
        assert figures["cosine"] > 0.9999
        assert 0 < figures["relative_error"] < 1e-4


def test_the_work_for_an_image_is_the_published_one():
    model = models.load_backbone("efficientnet-lite0", "random", (224, 224)).model
    assert gflop_per_image(model) / 2 == pytest.approx(0.385, abs=0.01)  # published: 0.385e9 multiply-adds


def test_an_overflow_stops_the_run_with_the_layer():
    reference = {"deep": np.ones((2, 4), np.float32)}
    with pytest.raises(EngineMismatch, match="NaN or infinity in layer 'deep'"):
        require_agreement({"deep": np.array([[1, 2, np.inf, 3]] * 2)}, reference, "The engine", 0.9)


def test_a_wrong_engine_stops_the_run_with_the_layer():
    reference = {"deep": np.array([[1.0, 0, 0, 1]])}
    with pytest.raises(EngineMismatch, match="disagrees with float32 Keras in layer 'deep'"):
        require_agreement({"deep": np.array([[0, 1.0, 1, 0]])}, reference, "The engine", 0.9)


def test_a_network_that_overflows_in_float16_is_caught_at_start_up(tmp_path):
    import keras

    from bottleneck_features.models.engines.tensorflow import TensorFlowEngine
    from bottleneck_features.models.folding import inference_copy
    from bottleneck_features.models.recipe import Recipe
    from bottleneck_features.models.tracing import truncated

    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(2, 3, kernel_initializer=keras.initializers.Constant(100.0), name="large")(images)
    model = truncated(keras.Model(images, x), ("large",))
    recipe = Recipe(("large",), ("avg",), (8, 8), (8, 8))
    white = np.full((2, 8, 8, 3), 255, np.uint8)
    copies = (partial(inference_copy, model, precision) for precision in ("float32", "float16"))
    precise, half = (TensorFlowEngine(copied, recipe, 2).submit(white)() for copied in copies)
    with pytest.raises(EngineMismatch, match="layer 'large'"):
        require_agreement({"large": half[0]}, {"large": precise[0]}, "float16", 0.9)


def test_an_engine_that_gives_only_zeros_is_caught():
    reference = {"deep": np.ones((2, 4))}
    with pytest.raises(EngineMismatch, match=r"cosine 0\.0000"):
        require_agreement({"deep": np.zeros((2, 4))}, reference, "The engine", 0.8)


@pytest.mark.parametrize("name", ["mobilenetv2", pytest.param("convnexttiny", marks=pytest.mark.slow)])
def test_networks_with_operations_for_layers_run_folded(name, photographs):
    backbone = models.load_backbone(name, "random", (64, 64))
    last = backbone.layer_names[-1]
    check = build(backbone, [last], calibration=photographs).check[last]
    assert check["relative_error"] < 1e-3


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"pooling": "mean"}, "features.pooling must be one of 'auto', 'avg', 'max', 'none', 'cls'"),
        ({"pooling": ["avg", "max"]}, "one entry, or one per layer"),
        ({"views": ["vflip"]}, "input.views must be one of"),
        ({"resize": "linear"}, "input.resize must be one of"),
        ({"engine": "jax"}, "compute.engine must be one of 'auto', 'tensorflow', 'openvino'"),
        ({"precision": "fp8"}, "compute.precision must be one of"),
    ],
)
def test_a_wrong_setting_lists_the_valid_ones(settings, says, small):
    with pytest.raises(InvalidSetting, match=says):
        models.build_extractor(small, LAYERS, **settings)


def test_a_batch_of_the_wrong_kind_is_refused(small, photographs):
    extractor = build(small, LAYERS[:1])
    fits = photographs[:, :48, :48]
    for wrong in (fits[:9], fits[:4, :32], fits[:4].astype("float32"), fits[:0]):
        with pytest.raises(InvalidSetting, match="A batch must be uint8"):
            extractor(wrong)
