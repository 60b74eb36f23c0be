"""`open_features(path).extractor()`: features of new images exactly as a cache has them, or why that cannot be."""

import json
import pickle
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from imagefiles import class_folders
from PIL import Image
from sklearn.base import clone
from smallnetworks import small_network

import bottleneck_features as bf
from bottleneck_features import models
from bottleneck_features.features import identity_key, list_caches
from bottleneck_features.features.manifest import seal
from bottleneck_features.models import engines
from bottleneck_features.models.rows import mean_over_views
from bottleneck_features.models.sources.registered import lite0_path
from bottleneck_features.pipeline.api.caches import Cache
from bottleneck_features.pipeline.datasets.sources.embedded import digits
from bottleneck_features.pipeline.methods.layer_rows import side_by_side

SIZE = ("--set", "input.size=32,32")


def extract(home: Path, *words: str) -> Cache:
    done = invoke("features", *words, "--json", home=home)
    assert done.exit_code == 0, done.output
    return bf.open_features(json.loads(done.stdout)["cache"])


def rows_of(cache: Cache) -> dict[str, np.ndarray]:
    """The rows of a cache by id, as an extractor gives them."""
    views, found = len(cache.identity["input.views"]), {}
    for split in cache.values():
        rows = side_by_side([split.features[layer][:] for layer in cache.layers], views)
        found |= dict(zip(split.ids.tolist(), mean_over_views(rows.astype(np.float32), views), strict=True))
    return found


def require_same(cache: Cache, files: dict[str, Path]) -> None:
    """Compute the rows of a cache's images anew, nothing taken from it."""
    expected = rows_of(cache)
    assert expected.keys() == files.keys()
    extractor = cache.extractor()
    computed = clone(extractor).set_params(cache=None).transform(list(files.values()))
    assert computed.dtype == np.float32
    np.testing.assert_array_equal(computed, np.stack([expected[name] for name in files]))
    np.testing.assert_array_equal(extractor.transform(list(files.values())), computed)
    assert len(list_caches(cache.path.parent)) == 1
    names = extractor.get_feature_names_out()
    assert (len(names), names[-1]) == (
        computed.shape[1],
        f"{cache.layers[-1]}_{cache[next(iter(cache))].x.shape[-1] - 1}",
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return class_folders(tmp_path_factory.mktemp("pictures"), images=10)


def by_id(folder: Path, pattern: str = "*.jpg") -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob(pattern))}


RECIPES = {
    "two layers": (),
    "mirrored": ("input.views=identity,hflip", "backbone.layers=top_activation"),
    "float32": ("features.dtype=float32", "compute.precision=float32", "backbone.layers=top_activation"),
    "maps": ("features.pooling=none,max",),
    "a common size": ("dataset.common_size=20,24", "backbone.layers=top_activation"),
    "bands": ("dataset.bands=3,2,1", "input.resize=nearest", "backbone.layers=top_activation"),
    "tensorflow": ("compute.engine=tensorflow", "compute.precision=float32", "compute.batch_size=7"),
}


RARE = ("maps", "bands", "float32")


@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=pytest.mark.slow) if name in RARE else name for name in RECIPES]
)
def test_files_have_the_rows_of_a_folders_cache(recipe, pictures, tmp_path):
    settings = (word for one in RECIPES[recipe] for word in ("--set", one))
    require_same(extract(tmp_path, str(pictures), *SIZE, *settings), by_id(pictures))


def test_files_of_16_bits_have_the_range_of_the_data(tmp_path):
    for i in range(24):
        folder = tmp_path / "deep" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 3000, (30, 40)).astype(np.uint16)).save(
            folder / f"{i}.png"
        )
    cache = extract(tmp_path / "home", str(tmp_path / "deep"), *SIZE)
    require_same(cache, by_id(tmp_path / "deep", "*.png"))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    """The digits of a small experiment as PNG files, by their ids."""
    folder, data, found = tmp_path_factory.mktemp("digits"), digits(), {}
    for split, samples in data.splits.items():
        pixels = data.images(split, np.arange(len(samples)))
        for name, image in zip(samples.ids, pixels, strict=True):
            found[str(name)] = folder / f"{str(name).replace('/', '-')}.png"
            Image.fromarray(image).save(found[str(name)])
    return found


@pytest.mark.parametrize("precision", ["auto", "int8"])
def test_files_and_arrays_have_the_rows_of_an_arrays_cache(precision, written, tmp_path):
    words = ("-e", "digits", "--set", "dataset.limit=60", *SIZE, "--set", f"compute.precision={precision}")
    if precision == "int8":  # of a small network, which is quantised in no time
        words += ("--set", f"backbone.name={small_network(tmp_path / 'small.keras', 0)}")
    cache = extract(tmp_path / "home", *words)
    files = {name: written[name] for split in cache.values() for name in split.ids.tolist()}
    require_same(cache, files)
    pixels = np.stack([np.asarray(Image.open(file)) for file in files.values()])
    np.testing.assert_array_equal(
        cache.extractor().transform(pixels), np.stack([rows_of(cache)[name] for name in files])
    )
    larger = cache.extractor().transform([Image.open(files[name]).resize((64, 64)) for name in list(files)[:2]])
    assert larger.shape == (2, next(iter(rows_of(cache).values())).size)
    if precision == "int8":
        moved = Path(shutil.copytree(cache.path, tmp_path / "moved" / "features" / cache.path.name))
        with pytest.raises(
            bf.RequestError, match="calibrated on are not in .*moved/calibrations. Give the artifacts folder"
        ):
            bf.open_features(moved).extractor()


@pytest.fixture(scope="module")
def home(tmp_path_factory, pictures) -> Path:
    home = tmp_path_factory.mktemp("home")
    extract(home, str(pictures), *SIZE)
    return home


@pytest.fixture
def cache(home, tmp_path) -> Cache:
    shutil.copytree(home, tmp_path / "copy", copy_function=shutil.copy2)
    (info,) = list_caches(tmp_path / "copy" / "features")
    return bf.open_features(info.path)


def test_what_is_new_is_kept_beside_it(cache, tmp_path):
    new = class_folders(tmp_path / "new", images=1, classes=("black",))
    extractor = cache.extractor()
    x = extractor.transform(sorted(new.rglob("*.jpg")))
    (other,) = (info.path for info in list_caches(cache.path.parent) if info.path != cache.path)
    np.testing.assert_array_equal(
        x, np.concatenate([bf.open_features(other)["images"].features[layer][:] for layer in cache.layers], axis=1)
    )
    np.testing.assert_array_equal(bf.open_features(other).extractor().transform(sorted(new.rglob("*.jpg"))), x)


def test_copies_and_pickles_are_the_same(cache, pictures):
    files = list(by_id(pictures).values())[:3]
    expected = cache.extractor().transform(files)
    again = pickle.loads(pickle.dumps(cache))
    assert (type(again), again.path) == (type(cache), cache.path)
    extractor = cache.extractor()
    for copy in (clone(extractor), pickle.loads(pickle.dumps(extractor)), again.extractor()):
        np.testing.assert_array_equal(copy.transform(files), expected)


def changed(cache: Cache, **entries: object) -> Cache:
    """Write other entries into a manifest, sealed again."""
    manifest = cache.path / "manifest.json"
    content = json.loads(manifest.read_bytes())
    content |= {name: {**content[name], **entry} for name, entry in entries.items()}
    content["key"] = identity_key(content["identity"])
    manifest.write_text(json.dumps({**content, "sha256": seal(content)}))
    return bf.open_features(cache.path)


def test_features_that_were_imported_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", features=np.random.default_rng(0).normal(size=(20, 4)), labels=np.arange(20) % 2)
    assert invoke("cache", "import", "mine", f"train={tmp_path / 'x.npz'}", home=tmp_path).exit_code == 0
    (info,) = list_caches(tmp_path / "features")
    with pytest.raises(bf.RequestError, match="does not say how its features were made.*imported"):
        bf.open_features(info.path).extractor()


def test_other_weights_are_refused_with_both_hashes(pictures, tmp_path):
    weights = tmp_path / "own.pth"
    shutil.copy(lite0_path(), weights)
    cache = extract(tmp_path, str(pictures), *SIZE, "--set", f"backbone.weights={weights}")
    with weights.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(
        bf.RequestError, match=r"(?s)cannot be made here.*backbone.weights: file:\w{64} then, file:\w{64} now"
    ):
        cache.extractor()
    weights.unlink()
    with pytest.raises(models.InvalidSetting, match=r"no weights file.*own.pth"):
        cache.extractor()


def test_another_decoder_is_refused(cache):
    older = changed(cache, identity={"input.decoding": "Pillow, uint8, 1"})
    with pytest.raises(bf.RequestError, match="input.decoding: Pillow, uint8, 1 then, Pillow, uint8, draft"):
        older.extractor()


def test_a_precision_that_this_machine_lacks_is_refused(cache, monkeypatch):
    if cache.identity["compute.precision"] != "bfloat16":
        pytest.skip("this processor does not multiply in bfloat16")
    monkeypatch.setattr(engines, "cpu_has_bfloat16", lambda: False)
    with pytest.raises(bf.RequestError, match="made by openvino in bfloat16, which this machine cannot do"):
        cache.extractor()


def test_another_kind_of_machine_is_said(cache):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.extractor()
    other = changed(cache, provenance={"hardware": {"processor": "Z80\x1b[2J"}})
    with pytest.warns(UserWarning, match=r"the low bits of new features may differ: processor Z80\\u001b\[2J there"):
        other.extractor()


LIGHT = """
import sys
import bottleneck_features as bf
cache = bf.open_features(sys.argv[1])
assert cache["train"].x[:2].shape[0] == 2
print(*({"sklearn", "tensorflow", "keras", "PIL", "pandas", "scipy"} & set(sys.modules)))
"""


def test_opening_a_cache_imports_nothing_heavy(home):
    (info,) = list_caches(home / "features")
    done = subprocess.run([sys.executable, "-c", LIGHT, str(info.path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
