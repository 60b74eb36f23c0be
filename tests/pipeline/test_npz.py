"""An .npz of arrays as a data set."""

import json
import tracemalloc
import zipfile

import numpy as np
import pytest
from commandline import invoke

from bottleneck_features.errors import BottleneckError
from bottleneck_features.features.npyfiles import SavedArray
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.datasets.sources.cifar10 import Cifar10
from bottleneck_features.pipeline.experiment_file import load_experiment

SIDE = 8


@pytest.fixture(scope="module")
def photographs(real_data):
    """The first 4,000 training images of CIFAR-10 and their labels."""
    with np.load(real_data / "cifar10-first4000-lossless.npz") as found:
        return found["x"], found["y"]


@pytest.fixture(scope="module")
def digits():
    """600 handwritten digits of scikit-learn, 8x8 grey uint8 0..255, and their labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.round(bunch.images[:600] * (255 / 16)).astype(np.uint8), bunch.target[:600]


def opened(path, home, *overrides: str):
    words = ("dataset.source=npz", f"dataset.path={path}", *(f"dataset.{word}" for word in overrides))
    return open_dataset(load_experiment("folder", words), home)


def saved(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def every(dataset, split="train"):
    return dataset.images(split, np.arange(len(dataset.splits[split])))


def by_id(dataset) -> dict[str, bytes]:
    return {
        str(name): image.tobytes()
        for split, samples in dataset.splits.items()
        for name, image in zip(samples.ids, every(dataset, split), strict=True)
    }


def test_images_of_cifar10_have_the_same_hashes_as_its_batches(real_data, tmp_path):
    batches, first = Cifar10(str(real_data / "cifar-10-batches-py")), np.arange(1000)
    x, y = batches.images("train", first), batches.splits["train"].labels[first]
    dataset = opened(saved(tmp_path, x=x, y=y), tmp_path / "home", "test_fraction=0")
    assert (every(dataset) == x).all()
    assert (dataset.contents("train", first) == batches.contents("train", first)).all()
    assert (dataset.splits["train"].labels == y).all()
    assert dataset.class_names == tuple(map(str, range(10)))
    assert dataset.image_shape == (32, 32, 3)


@pytest.mark.parametrize("form", ["compressed", "fortran", "grey channel", "0..1", "0..255 floats", "int64", "float16"])
def test_however_it_is_saved_the_pixels_are_the_same(form, digits, tmp_path):
    x, y = digits
    save = np.savez_compressed if form == "compressed" else np.savez
    image = {
        "compressed": lambda: x,
        "fortran": lambda: np.asfortranarray(x),
        "grey channel": lambda: x[..., None],
        "0..1": lambda: x / 255,
        "0..255 floats": lambda: x.astype(np.float32),
        "int64": lambda: x.astype(np.int64),
        "float16": lambda: (x / 255).astype(np.float16),
    }[form]()
    save(tmp_path / "other.npz", images=image, labels=y.astype(str))
    plain = opened(saved(tmp_path, x=x, y=y), tmp_path / "home")
    other = opened(tmp_path / "other.npz", tmp_path / "home")
    assert by_id(other) == by_id(plain)
    assert other.class_names == plain.class_names
    assert {split: other.fingerprint(split) for split in other.splits} == {
        split: plain.fingerprint(split) for split in plain.splits
    }
    assert (every(plain)[..., 0] == every(plain)[..., 2]).all()


def test_memory_does_not_grow_with_compressed_floats(photographs, tmp_path):
    x, y = photographs
    big = np.concatenate([x / np.float32(255)] * 4)  # 197 MB
    with zipfile.ZipFile(tmp_path / "data.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in (("x", big), ("y", np.tile(y, 4))):
            with archive.open(f"{name}.npy", "w") as member:
                np.save(member, array)
    del big
    tracemalloc.start()
    dataset = opened(tmp_path / "data.npz", tmp_path / "home", "test_fraction=0")
    found = dataset.images("train", np.array([15_999, 0, 7]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found == x[[3_999, 0, 7]]).all()
    assert peak < 80 << 20
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["scans"]


def test_what_was_found_is_remembered_until_the_file_changes(digits, tmp_path, monkeypatch):
    x, y = digits
    path = saved(tmp_path, x=x, y=y)
    first = opened(path, tmp_path / "home").fingerprint("train")
    read, rows = [], SavedArray.rows
    monkeypatch.setattr(SavedArray, "rows", lambda array, parts: read.append(array.name) or rows(array, parts))
    assert opened(path, tmp_path / "home").fingerprint("train") == first
    assert "x" not in read
    saved(tmp_path, x=255 - x, y=y)
    assert opened(path, tmp_path / "home").fingerprint("train") != first
    assert "x" in read


def test_a_file_that_changes_while_it_is_used_is_refused(digits, tmp_path):
    x, y = digits
    path = saved(tmp_path, x=x, y=y)
    dataset = opened(path, tmp_path / "home")
    saved(tmp_path, x=x[::-1], y=y)
    with pytest.raises(BottleneckError, match="no longer what it was"):
        every(dataset)
    path.unlink()
    with pytest.raises(BottleneckError, match="no longer what it was"):
        every(dataset)


def test_the_test_split_is_drawn_by_content(digits, tmp_path):
    x, y = digits
    names = np.array([f"digit {i}" for i in range(len(x))])
    one = opened(saved(tmp_path, x=x, y=y, ids=names), tmp_path / "home")
    assert one.drawn_test
    assert one.redrawable
    assert 90 < len(one.splits["test"]) < 150
    order = np.random.default_rng(0).permutation(len(x))
    path = saved(tmp_path, x=x[order], y=y[order], ids=names[order])
    other = opened(path, tmp_path / "home")
    assert set(other.splits["test"].ids) == set(one.splits["test"].ids)
    again = opened(path, tmp_path / "home", "split_seed=1")
    redrawn = other.redrawn(1)
    assert set(redrawn.splits["test"].ids) == set(again.splits["test"].ids) != set(one.splits["test"].ids)
    assert by_id(redrawn) == by_id(again)
    same = other.redrawn(0)
    assert list(same.splits["test"].ids) == list(other.splits["test"].ids)
    for split in redrawn.splits:  # those of the data set that is rearranged, which may remember them
        places = np.arange(len(redrawn.splits[split]))
        hashes = redrawn.perceptual_hashes(split, places)
        assert hashes.tobytes() == Dataset.perceptual_hashes(redrawn, split, places).tobytes()


def test_of_few_images_no_test_split_is_drawn(digits, tmp_path):
    x, y = digits
    path = saved(tmp_path, x=x[:499], y=y[:499])
    dataset = opened(path, tmp_path / "home")
    assert list(dataset.splits) == ["train"]
    assert any("no test images are held back of 499" in notice for notice in dataset.notices)
    assert "test" in opened(path, tmp_path / "home", "test_fraction=0.2").splits


def test_groups_stay_together(digits, tmp_path):
    x, y = digits
    groups = np.arange(600) // 4
    dataset = opened(saved(tmp_path, x=x, y=y, groups=groups), tmp_path / "home")
    assert not set(dataset.groups["train"]) & set(dataset.groups["test"])
    assert set(dataset.groups["train"]) | set(dataset.groups["test"]) == set(map(str, range(150)))


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("x_train y_train", "", "x_test y_test"), ("train_images train_labels", "val_images val_labels", "test_images test_labels"),
     ("x y", "", "X_test Y_test")],
)  # fmt: skip
def test_splits_are_those_of_the_names(train, validation, test, digits, tmp_path):
    x, y = digits
    parts = {"train": slice(0, 400), "validation": slice(400, 500), "test": slice(500, 600)}
    arrays = {}
    for split, names in {"train": train, "validation": validation, "test": test}.items():
        for name, array in zip(names.split(), (x, y[:, None]), strict=False):
            arrays[name] = array[parts[split]]
    dataset = opened(saved(tmp_path, **arrays), tmp_path / "home")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        split: part.stop - part.start for split, part in parts.items() if split != "validation" or validation
    }
    assert not dataset.drawn_test
    assert (every(dataset, "test")[..., 0] == x[500:]).all()
    assert dataset.splits["test"].ids[0] == "test-00000"
    with pytest.raises(BottleneckError, match="bring a test split of 100 images"):
        opened(tmp_path / "data.npz", tmp_path / "home", "test_fraction=0.2")


def test_corrections_and_small_classes(digits, tmp_path):
    x, y = digits
    labels = np.where(np.arange(600) == 7, "once", y.astype(str))
    fixes = tmp_path / "fixes.csv"
    fixes.write_text("id,label\nimage-00000,5\nimage-00001,drop\n")
    path = saved(tmp_path, x=x, y=labels)
    dataset = opened(path, tmp_path / "home", f"corrections={fixes}")
    found = {
        str(name): dataset.class_names[label]
        for samples in dataset.splits.values()
        for name, label in zip(samples.ids, samples.labels, strict=True)
    }
    assert found["image-00000"] == "5"
    assert "image-00001" not in found
    assert "image-00007" not in found
    assert len(found) == 598
    assert dataset.drawn_test
    assert any("1 labels corrected and 1 images dropped" in notice for notice in dataset.notices)
    assert any("'once'" in notice for notice in dataset.notices)
    assert by_id(dataset)["image-00002"] == np.repeat(x[2][..., None], 3, -1).tobytes()
    plain = opened(path, tmp_path / "home")
    assert set(dataset.splits["test"].ids) == set(plain.splits["test"].ids) - {"image-00001"}


def test_a_limit_draws_of_each_split(digits, tmp_path):
    x, y = digits
    dataset = opened(saved(tmp_path, x=x, y=y), tmp_path / "home", "limit=50")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 50, "test": 50}


def test_arrays_that_are_neither_are_named(digits, tmp_path):
    x, y = digits
    dataset = opened(saved(tmp_path, x_train=x, y_train=y, x_test=x[:9], mean=x.mean()), tmp_path / "home")
    assert any("passed over: 'mean'" in notice for notice in dataset.notices)
    assert any("'x_test' of data.npz has no labels" in notice for notice in dataset.notices)


def test_dark_bytes_are_a_notice(digits, tmp_path):
    x, y = digits
    dataset = opened(saved(tmp_path, x=x // 16, y=y), tmp_path / "home")
    assert any("the largest value of all images is 15, and white is 255" in notice for notice in dataset.notices)


IMAGES, LABELS = np.random.default_rng(0).integers(0, 256, (20, SIDE, SIDE), np.uint8), np.arange(20) % 2


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": IMAGES.reshape(20, -1).astype(np.float32), "y": LABELS}, ["features", "cache import", "reshape"]),
        ({"x": np.zeros((20, 7, 7, 64), np.float32), "y": LABELS}, ["(20, 7, 7, 64)", "cache import"]),
        ({"x": np.repeat(IMAGES[:, None], 3, 1), "y": LABELS}, ["channels come first", "transpose(0, 2, 3, 1)"]),
        ({"x": np.repeat(IMAGES[..., None], 4, -1), "y": LABELS}, ["x[..., :3]"]),
        ({"x": IMAGES > 9, "y": LABELS}, ["true and false", "* 255"]),
        ({"x": IMAGES // 255, "y": LABELS}, ["uint8, go from 0 to 1"]),
        ({"x": IMAGES.astype(np.float32) / 16, "y": LABELS}, ["what is black and what is white", "go from 0 to 15.9"]),
        ({"x": IMAGES / 127.5 - 1, "y": LABELS}, ["from -1 to 1"]),
        ({"x": IMAGES.astype(np.uint16) * 257, "y": LABELS}, ["to 65535"]),
        ({"x": np.where(IMAGES > 250, np.nan, IMAGES / 255), "y": LABELS}, ["NaN"]),
        ({"x": IMAGES.astype(complex), "y": LABELS}, ["Images are numbers", "complex128"]),
        ({"x": IMAGES.astype(object), "y": LABELS}, ["pickle"]),
        ({"x": IMAGES, "y": LABELS[:-1]}, ["one row of 'y'", "(19,)"]),
        ({"x": IMAGES, "y": LABELS + 0.5}, ["measured numbers"]),
        ({"x": IMAGES, "y": LABELS - 1}, ["label -1"]),
        ({"x": IMAGES, "y": np.zeros(20, int)}, ["Only one class"]),
        ({"x": IMAGES, "y": np.arange(20)}, ["No training image is usable"]),
        ({"x": IMAGES}, ["no labels", "'x' uint8", "np.savez"]),
        ({"y": LABELS}, ["no images"]),
        ({"pictures": IMAGES, "y": LABELS}, ["no images", "'pictures' uint8"]),
        ({"x": IMAGES, "images": IMAGES, "y": LABELS}, ["'x' and 'images' both say images"]),
        ({"x_test": IMAGES, "y_test": LABELS}, ["no images and no labels of the train split"]),
        ({"x": IMAGES, "y": LABELS, "x_train": IMAGES, "y_train": LABELS}, ["some arrays name their split"]),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :4], "y_test": LABELS}, ["must have one size"]),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES / 255, "y_test": LABELS},
            ["must have one range of values"],
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS + 1},
            ["no row of train has", "'2'"],
        ),
        ({"x": IMAGES, "y": LABELS, "ids": LABELS}, ["must differ", "'0'"]),
        ({"x": IMAGES, "y": LABELS, "ids": LABELS[:, None]}, ["`groups` and `ids`", "(20, 1)"]),
        ({"x": IMAGES, "y": LABELS, "groups": np.full(20, "")}, ["empty in row 0"]),
        ({"x": IMAGES, "y": LABELS, "groups": np.full(20, b"\xff")}, ["no valid text"]),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, ["no values"]),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS, "groups_train": LABELS},
            ["groups of some splits"],
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(arrays, expected, tmp_path):
    with pytest.raises(BottleneckError) as refusal:
        opened(saved(tmp_path, **arrays), tmp_path / "home")
    assert refusal.value.exit_code == 2
    for words in expected:
        assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("data.npz", b"", "is empty"),
        ("data.npz", b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
        ("data.npz", b"PK\x03\x04" + bytes(99), "damaged"),
        ("missing.npz", None, "must name an .npz file"),
        ("", None, "a folder"),
    ],
)
def test_a_file_that_is_no_npz_is_refused(name, content, expected, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BottleneckError, match=expected) as refusal:
        opened(tmp_path / name, tmp_path / "home")
    assert refusal.value.exit_code == 2
    assert "cache import" not in str(refusal.value)


def test_one_npy_says_no_labels(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    with pytest.raises(BottleneckError, match="is one array, .*says no labels"):
        opened(tmp_path / "x.npy", tmp_path / "home")


def test_a_truncated_file_is_refused(digits, tmp_path):
    x, y = digits
    path = saved(tmp_path, y=y, x=x)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BottleneckError, match="damaged"):
        opened(path, tmp_path / "home")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_is_noticed(save, digits, tmp_path):
    x, y = digits
    save(tmp_path / "data.npz", y=y, x=x)
    content = bytearray((tmp_path / "data.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(BottleneckError, match="damaged"):
        opened(tmp_path / "data.npz", tmp_path / "home")


@pytest.mark.parametrize("word", ["group=x", "image_column=x", "error_limit=0.5", "splits.train=a"])
def test_settings_of_files_are_refused(word, tmp_path):
    with pytest.raises(BottleneckError, match="not for npz"):
        opened(tmp_path / "data.npz", tmp_path / "home", word)


@pytest.mark.slow
def test_the_whole_path_through_the_command(photographs, tmp_path):
    x, y = photographs
    np.savez(tmp_path / "photographs.npz", x=x[:600], y=y[:600])
    words = ["-e", "folder", "--set", "dataset.source=npz", "--set", f"dataset.path={tmp_path / 'photographs.npz'}"]
    words += ["--set", "input.size=32,32", "--set", "head.epochs=2"]
    for command in ("inspect", "features", "train-head"):
        done = invoke(command, *words, home=tmp_path / "home")
        assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "home" / "runs" / "folder" / "train-head" / "result.json").read_text())
    counts = result["methods"][0]["n"]
    assert sum(counts.values()) == 600
    assert counts["test"] > 90
