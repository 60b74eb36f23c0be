"""`input.fit`: what becomes of files, what `auto` stands for, and that no feature made by one is taken for another."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from imagefiles import encoded, picture, write
from PIL import Image
from published import write_folder

import bottleneck_features as bf
from bottleneck_features.features import differences, identity_key, list_caches, open_features
from bottleneck_features.pipeline.dataset_settings import FILE_SOURCES, DatasetSettings
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.datasets.pixel_memory import LOOKS, PIXELS
from bottleneck_features.pipeline.datasets.pixels import decoding
from bottleneck_features.pipeline.datasets.pixels.decoding import load_bytes, load_image
from bottleneck_features.pipeline.datasets.pixels.resizing import _FILTERS, Resizing, resized
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import BackboneSettings, Experiment, InputSettings
from bottleneck_features.pipeline.experiment_file import as_made, load_experiment
from bottleneck_features.pipeline.extraction.identity import experiment_identity, network_settings
from bottleneck_features.pipeline.input_fit import graph_fit, resolved_fit, with_resolved_fit

WIDE, TALL = (83, 53), (53, 83)  # width, height
SIZE = (32, 24)


def _photograph(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Smooth colours, each place another one."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def _resized_then_cut(image: Image.Image, resizing: Resizing) -> np.ndarray:
    rows, columns = resizing.axes(image.size[::-1])
    whole = np.asarray(image.resize((columns.resized, rows.resized), _FILTERS[resizing.kernel]))
    out = np.zeros((*resizing.size, 3), np.uint8)
    out[rows.filled, columns.filled] = whole[rows.seen, columns.seen]
    return out


@pytest.mark.parametrize("kernel", list(_FILTERS))
@pytest.mark.parametrize("size", [WIDE, TALL, (29, 37), (11, 211)])
@pytest.mark.parametrize(("fit", "share"), [("crop", 0.875), ("crop", 0.4), ("crop", 1.0), ("pad", 1.0)])
def test_a_file_is_what_resizing_all_of_it_and_cutting_gives(fit, share, size, kernel):
    image = _photograph(size)
    resizing = Resizing(SIZE, kernel, fit=fit, crop_share=share)
    found = load_bytes(encoded(image, "PNG"), resizing).astype(int)
    same = np.abs(found - _resized_then_cut(image, resizing)) <= (0 if fit == "pad" else 1)
    assert same.all() or (kernel in ("nearest", "area") and same.mean() > 0.95)  # which jump where two pixels meet


@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic"])
def test_a_crop_without_antialiasing_begins_where_the_crop_does(kernel):
    ramp = np.repeat(np.arange(0, 240, 3, dtype=np.uint8)[None, :, None], 50, 0).repeat(3, 2)  # 80 wide
    crop = Resizing((10, 10), kernel, antialias=False, fit="crop")
    found = resized(ramp, crop)[5, :, 0].astype(float)
    centres = 15 + 5 * (np.arange(10) + 0.5)  # of the middle 50 of 80 columns
    np.testing.assert_allclose(found, 3 * (centres - 0.5), atol=2)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("turn", [1, 6])
def test_a_large_jpeg_is_shrunk_first_and_fitted_the_same(fit, turn, monkeypatch):
    upright, exif = _photograph((1600, 900)), Image.Exif()
    exif[0x0112] = turn
    stored = upright.transpose(Image.Transpose.ROTATE_90) if turn == 6 else upright
    content, decoded = encoded(stored, quality=95, exif=exif), []

    def sized(image, *arguments, flat=decoding._flat):
        decoded.append(sorted(image.size))
        return flat(image, *arguments)

    monkeypatch.setattr(decoding, "_flat", sized)
    resizing = Resizing((96, 64), fit=fit, crop_share=0.875)
    found = load_bytes(content, resizing).astype(int)
    least = min(axis.resized for axis in resizing.axes((900, 1600)))
    assert decoded == [[900 // 4, 1600 // 4] if fit == "crop" else [113, 200]]
    assert decoded[0][0] >= 2 * least
    whole = load_image(upright, resizing).astype(int)
    assert np.abs(found - whole).max() <= 6
    assert np.abs(found - whole).mean() < 1
    if fit == "pad":
        assert not found[:30].any()
        assert not found[-30:].any()
        assert found[35:60].any(axis=2).mean() > 0.95


def _experiment(source: str = "folder", **settings: object) -> Experiment:
    return Experiment(
        "fits", DatasetSettings(source, "x" if source not in ("digits", "photo-patches") else ""),
        BackboneSettings("efficientnet-lite0", ("top_activation",)), input=InputSettings(**settings),
    )  # fmt: skip


@pytest.mark.parametrize("source", ["cifar10", "photo-patches", "digits", *FILE_SOURCES, "npz"])
def test_auto_is_what_a_networks_files_state_for_files_and_stretch_for_arrays(source, tmp_path):
    experiment = _experiment(source)
    of_files = source in FILE_SOURCES
    assert resolved_fit(experiment) == ("stretch", 1.0)
    published = BackboneSettings(str(write_folder("dinov2", tmp_path)))
    assert resolved_fit(replace(experiment, backbone=published)) == (("crop", 0.875) if of_files else ("stretch", 1.0))
    assert graph_fit(experiment) == ("stretch", 1.0)
    asked = _experiment(source, fit="crop", crop_share=0.5)
    assert resolved_fit(asked) == ("crop", 0.5)
    assert graph_fit(asked) == (("stretch", 1.0) if of_files else ("crop", 0.5))
    assert with_resolved_fit(with_resolved_fit(experiment)) == with_resolved_fit(experiment)


@pytest.mark.parametrize("name", ["cifar10", "emergency-vehicles", "natural-images"])
def test_the_published_experiments_stretch(name):
    assert load_experiment(name).input.fit == "stretch"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("input.fit=squash",), "input.fit: unknown value. Valid: 'auto', 'stretch', 'crop' or 'pad'. Received: 'squash'"),
        (("input.crop_share=1.2",), "input.crop_share: .*less than or equal to 1"),
        (("input.crop_share=-1",), "input.crop_share: .*greater than or equal to 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_to_type(overrides, message):
    with pytest.raises(RequestError, match=message):
        load_experiment("folder", overrides)


def test_stretching_keeps_the_keys_of_before_and_the_others_have_keys_of_their_own():
    stretched = network_settings(_experiment(fit="stretch"))
    assert set(stretched) == {
        *(f"input.{name}" for name in ("size", "resize", "antialias", "views")),
        *(f"backbone.{name}" for name in ("name", "layers")), "features.pooling", "features.dtype",
    }  # fmt: skip
    others = [{"fit": "pad"}, {"fit": "crop", "crop_share": 0.875}, {"fit": "crop", "crop_share": 1.0}]
    keys = {identity_key(network_settings(_experiment(**one))) for one in ({"fit": "stretch"}, *others)}
    assert len(keys) == 4
    assert network_settings(_experiment()) == stretched
    (found,) = differences(network_settings(_experiment(fit="crop", crop_share=0.875)), stretched)
    assert str(found) == "input.fit: 'crop 0.875' asked for, 'stretch' in the cache"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Wide pictures of two classes, whose sides are of one colour and whose middle is of another."""
    root = tmp_path_factory.mktemp("pictures")
    for number, colour in enumerate(((30, 40, 220), (220, 40, 30))):
        for i in range(12):
            image = picture(50 * number + i, (60, 200, 60), (96, 32))
            image.paste(picture(i, colour, (32, 32)), (32, 0))
            write(root / "ab"[number] / f"{i}.jpg", encoded(image))
    return root


SMALL = ("--set", "input.size=32,32", "--set", "backbone.layers=top_activation", "--set", "dataset.test_fraction=0.25")


def _features(pictures: Path, home: Path, *words: str) -> dict:
    done = invoke("features", str(pictures), *SMALL, *words, "--json", home=home)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def cropped(pictures, tmp_path_factory) -> Path:
    """A home with the features of the middle of the pictures, and a head on them."""
    home = tmp_path_factory.mktemp("home")
    _features(pictures, home, "--set", "input.fit=crop")
    done = invoke("train-head", str(pictures), "--set", "head.epochs=3", home=home)
    assert done.exit_code == 0, done.output
    return home


def test_the_same_pictures_fitted_otherwise_share_no_row_and_the_message_says_which_setting_differs(
    pictures, cropped, tmp_path, caplog
):
    home = Path(shutil.copytree(cropped, tmp_path / "home", copy_function=shutil.copy2))
    first = json.loads((home / f"runs/{pictures.name}/features/result.json").read_text())
    assert (first["experiment"]["input"]["fit"], first["experiment"]["input"]["crop_share"]) == ("crop", 0.875)
    (cache,) = (open_features(info.path) for info in list_caches(home / "features"))
    assert cache.identity["input.fit"] == "crop 0.875"
    missing = invoke("train-head", str(pictures), "--set", "input.fit=stretch", home=home)
    assert missing.exit_code == 2
    assert "input.fit: 'stretch' asked for, 'crop 0.875' in the cache" in missing.output
    stretched = _features(pictures, home)  # as it was set the last time
    assert (stretched["images"], stretched["images_reused"]) == (24, 0)
    assert "input.fit: 'stretch' asked for, 'crop 0.875' in the cache" in caplog.text
    other = open_features(stretched["cache"])
    assert "input.fit" not in other.identity
    assert not np.isclose(other["train"].x[:], cache["train"].x[:]).all(axis=1).any()


@pytest.mark.slow
def test_no_two_fits_share_a_row(pictures, tmp_path):
    found = []
    for words in (("crop", "1.0"), ("crop", "0.875"), ("pad", "0"), ("stretch", "0")):
        settings = zip(("--set", "--set"), (f"input.fit={words[0]}", f"input.crop_share={words[1]}"), strict=True)
        result = _features(pictures, tmp_path, *(word for pair in settings for word in pair))
        assert (result["images"], result["images_reused"]) == (24, 0)
        found.append(open_features(result["cache"])["train"].x[:])
    assert not any(np.isclose(one, other).all(axis=1).any() for i, one in enumerate(found) for other in found[:i])


def test_a_model_takes_files_as_its_training_did_and_refuses_another_fit(pictures, cropped):
    (cache,) = (open_features(info.path) for info in list_caches(cropped / "features"))
    files = [str(pictures / name) for name in cache["test"].ids]
    model = bf.load_model(cropped / f"runs/{pictures.name}/train-head/head.npz", home=cropped)
    expected = model.predict_proba(files)
    images = [Image.open(file).convert("RGB") for file in files]
    cut = [image.crop((34, 2, 62, 30)) for image in images]  # the middle 28 of 32 rows
    np.testing.assert_allclose(model.predict_proba(images), expected, atol=1e-5)
    middles = np.stack([np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR)) for image in cut])
    np.testing.assert_allclose(model.predict_proba(middles), expected, atol=0.05)
    rows = bf.open_features(cache.path).extractor().transform(files)
    np.testing.assert_array_equal(rows, cache["test"].x[:].astype(np.float32))
    name = pictures.name
    refused = invoke("predict", "-e", name, files[0], "--set", "input.fit=stretch", home=cropped)
    assert refused.exit_code == 2
    assert "input.fit: crop 0.875 then, stretch now" in refused.output
    measured = invoke("evaluate", "-e", name, str(pictures), "--json", home=cropped)
    assert measured.exit_code == 0, measured.output


@pytest.mark.slow
def test_an_extractor_crops_files_and_takes_what_features_computed(pictures, cropped):
    (cache,) = (open_features(info.path) for info in list_caches(cropped / "features"))
    files = [str(pictures / name) for name in cache["test"].ids]
    arrays = np.stack([np.asarray(Image.open(file)) for file in files])
    settings = {"layers": ["top_activation"], "size": 32, "home": cropped, "cache": None}
    own = bf.Extractor("efficientnet-lite0", **{**settings, "cache": "home"}, input_fit="crop").transform(files)
    np.testing.assert_array_equal(own, cache["test"].x[:].astype(np.float32))
    assert len(list_caches(cropped / "features")) == 1
    in_graph = bf.Extractor("efficientnet-lite0", **settings, input_fit="crop", crop_share=0.875).transform(arrays)
    assert _cosine(in_graph, own) > 0.99  # rounding apart
    stretched = bf.Extractor("efficientnet-lite0", **settings, crop_share=0.875).transform(arrays)
    assert _cosine(stretched, own) < 0.9


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    product = (first * second).sum(axis=1)
    return float((product / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)).mean())


def test_settings_of_before_mean_stretching():
    now = json.loads(json.dumps({"input": {"size": [224, 224]}, "backbone": {}}))
    assert as_made(now)["input"] == {"size": [224, 224], "fit": "stretch", "crop_share": 0.0}
    assert now["input"] == {"size": [224, 224]}
    assert as_made({"input": {"fit": "pad", "crop_share": 0.0}})["input"]["fit"] == "pad"


def test_repeats_are_looked_for_in_whole_pictures_and_sheets_show_them_whole(pictures, tmp_path, monkeypatch):
    large = tmp_path / "large"
    for i, name in enumerate(("a", "b", "a", "b")):
        image = _photograph((480, 160), 1 if i < 2 else i)
        image.paste((255 * (i % 2), 0, 0), (0, 0, 150, 160))  # differs beside the middle
        write(large / name / f"{i}.jpg", encoded(image, quality=100, subsampling=0))
    size = {"size": (48, 48)}
    crop = _open(large, tmp_path / "crop", fit="crop", **size)
    whole = _open(large, tmp_path / "whole", fit="stretch", **size)
    places = np.arange(4)
    images = crop.images("train", places)
    np.testing.assert_array_equal(images[0], images[2 if crop.splits["train"].ids[2].startswith("b/1") else 1])
    assert len(np.unique(whole.perceptual_hashes("train", places)["digest"])) == 4
    np.testing.assert_allclose(
        crop.perceptual_hashes("train", places)["frequencies"], whole.perceptual_hashes("train", places)["frequencies"],
        atol=0.02,
    )  # fmt: skip
    np.testing.assert_allclose(crop.whole_images("train", places), whole.images("train", places), atol=8)
    assert list((tmp_path / "crop").rglob(f"*{LOOKS}"))
    assert list((tmp_path / "crop").rglob(f"*{PIXELS}"))
    assert not list((tmp_path / "whole").rglob(f"*{LOOKS}"))
    monkeypatch.setattr(decoding, "_decoded", None)  # nothing is decoded any more
    thumbnail = crop.origin("train", 0).pixels((16, 48))
    np.testing.assert_allclose(thumbnail, whole.origin("train", 0).pixels((16, 48)), atol=12)
    assert thumbnail[8, 4, 1] < 60  # the side that the crop leaves out


def test_inspect_says_how_much_of_the_pictures_a_crop_shows(pictures, tmp_path):
    shown = {}
    for fit in ("crop", "pad"):
        settings = ("--set", f"input.fit={fit}", "--set", "input.size=64,64", "--json")
        done = invoke("inspect", str(pictures), *settings, home=tmp_path)
        assert done.exit_code == 0, done.output
        shown[fit] = json.loads(done.stdout)
    seen = shown["crop"]["pictures"]["seen"]
    assert seen["least"] == seen["median"] == seen["most"] == round((64 / 73) * (64 / 219), 3)
    assert any(
        "half of the pictures of 'a' the network sees 26 % of the area or less" in text
        for text in shown["crop"]["warnings"]
    )
    assert shown["crop"]["experiment"]["input"]["crop_share"] == 0.875
    assert "seen" not in shown["pad"]["pictures"]
    assert not any(text.startswith("Crop") for text in shown["pad"]["warnings"])


def _open(folder: Path, home: Path, **settings: object):
    experiment = _experiment(**settings)
    data = replace(experiment.dataset, path=str(folder), test_fraction=0.0)
    return open_dataset(replace(experiment, dataset=data), home)


def test_calibration_images_are_those_that_are_cropped(pictures, tmp_path):
    cropped, stretched = (_open(pictures, tmp_path, size=SIZE, fit=fit) for fit in ("crop", "stretch"))
    places = np.arange(3)
    assert not np.array_equal(cropped.images("train", places), stretched.images("train", places))
    for dataset, fit in ((cropped, "crop"), (stretched, "stretch")):
        identity = experiment_identity(_experiment(size=SIZE, fit=fit), dataset, dataset.images("train", places))
        assert ("input.fit" in identity) == (fit == "crop")
