"""What `bottleneck inspect` must find in images, and where it must be silent."""

import csv
import io
import json
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
from commandline import bottleneck, invoke
from imagefiles import class_folders, encoded, picture, write
from PIL import Image

from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, Samples
from bottleneck_features.pipeline.evaluation.details import detail_cosine, middle_frequencies
from bottleneck_features.pipeline.inspection.hints import Hint, hints
from bottleneck_features.pipeline.inspection.repeats import describe_all, find_repeats
from bottleneck_features.pipeline.inspection.shortcuts import find_shortcuts


def _inspected(home: Path, *words: str) -> dict:
    done = invoke("inspect", *words, "--json", home=home)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def _folder(home: Path, root: Path, *overrides: str) -> dict:
    sets = [word for override in (f"dataset.path={root}", *overrides) for word in ("--set", override)]
    return _inspected(home, "-e", "natural-images", *sets)


def _warned(result: dict) -> list[str]:
    return [shortcut["name"] for shortcut in result["shortcuts"] if shortcut["warns"]]


def _noise(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A picture with structure at every scale, whose colour says nothing."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    grain = random.normal(0, 20, (size[1], size[0], 3))
    smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def _two_classes(root: Path, images: int = 60) -> Path:
    for i in range(images):
        write(root / ("cat", "dog")[i % 2] / f"IMG {1000 + i}.jpg", encoded(_noise(i), quality=90))
    return root


@pytest.fixture(scope="module")
def numbered(tmp_path_factory) -> tuple[Path, dict]:
    """The published table rebuilt: 1,646 rows whose label equals (file number <= 990), in random order."""
    folder = tmp_path_factory.mktemp("numbered")
    order = np.random.default_rng(0).permutation(1646) + 1
    for number in order:
        write(folder / "images" / f"{number}.jpg", encoded(_noise(int(number), (16, 16)), quality=70))
    rows = [("image_names", "emergency_or_not"), *((f"{number}.jpg", int(number <= 990)) for number in order)]
    with (folder / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    options = ("-e", "emergency-vehicles", "--set", f"dataset.path={folder / 'train.csv'}")
    return folder, _inspected(folder / "home", *options)


def test_a_label_that_is_the_file_number_is_told_and_nothing_else_is(numbered):
    _, result = numbered
    assert _warned(result) == ["number in the file name"]
    (warning,) = result["warnings"]
    assert "number in the file name" in warning
    assert "of 1,646 images" in warning
    assert "60.1 %" in warning  # 990 of 1,646
    best = result["shortcuts"][0]
    assert best["score"]["accuracy"] > 0.99
    assert best["baseline"] == pytest.approx(990 / 1646)


def test_images_of_one_kind_in_two_classes_have_no_shortcut(tmp_path):
    result = _folder(tmp_path / "home", _two_classes(tmp_path / "pictures"), "dataset.test_fraction=0.2")
    assert _warned(result) == []
    assert result["warnings"] == []
    assert result["repeats"]["sets"] == 0
    page = Path(result["files"][-1]).read_text()
    assert "<b>No</b><span>problems found</span>" in page


def test_the_page_may_load_nothing_and_shows_what_turns_the_direction_of_writing(tmp_path):
    root = _two_classes(tmp_path / "pictures")
    (root / "dog").rename(root / "dog\u202egpj")
    page = Path(_folder(tmp_path / "home", root)["files"][-1]).read_text()
    assert "Content-Security-Policy\" content=\"default-src 'none'; img-src data:;" in page
    assert "dog\\u202egpj" in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("image size (width, height)", {"size": (44, 30)}),
        ("JPEG quantisation tables", {"quality": 91}),
        ("file format and mode", {"format": "PNG"}),
        ("words in the file name", {"stem": "scan"}),
    ],
)
def test_what_one_class_alone_has_is_named(tmp_path, name, options):
    root = _two_classes(tmp_path / "pictures")
    size, stem = options.pop("size", (40, 30)), options.pop("stem", "IMG")
    for i, path in enumerate(sorted((root / "dog").iterdir())):
        path.unlink()
        write(
            path.with_name(path.name.replace("IMG", stem)), encoded(_noise(500 + i, size), **{"quality": 90} | options)
        )
    result = _folder(tmp_path / "home", root)
    assert name in _warned(result)
    assert any(name in warning and "50.0 %" in warning for warning in result["warnings"])


def test_a_file_name_that_repeats_the_class_is_no_finding(tmp_path):
    root = tmp_path / "pictures"
    for i in range(80):
        name = ("cat", "dog")[i % 2]
        write(root / name / f"{name}_{i // 2}.jpg", encoded(_noise(i), quality=90))
    assert _warned(_folder(tmp_path / "home", root)) == []


def test_a_class_given_away_is_named_however_many_classes_there_are():
    labels = np.repeat(np.arange(20), 30)
    values = np.where(labels == 7, 1.0, 0.0)[:, None]
    (found,) = find_shortcuts([Hint("width", values)], labels, None, [f"class {i}" for i in range(20)])
    assert found.skill < 0.15
    assert found.given_away == ("class 7",)
    assert found.warns


def test_chance_is_not_called_a_shortcut_however_many_things_are_tried():
    random = np.random.default_rng(0)
    tried = [Hint(f"noise {i}", random.normal(size=(60, 1))) for i in range(60)]
    labels = np.arange(60) % 2
    assert not any(found.warns for found in find_shortcuts(tried, labels, None, ("a", "b")))


def test_what_tells_the_group_is_not_what_tells_the_label():
    """Twenty photographs of six crops each: their numbers tell the photograph, and through it the label of its crops."""
    groups = np.repeat(np.arange(20), 6)
    labels = np.random.default_rng(1).permutation(np.arange(20) % 2)[groups]
    hint = [Hint("number", groups[:, None].astype(float))]
    (alone,) = find_shortcuts(hint, labels, None, ("a", "b"))
    (together,) = find_shortcuts(hint, labels, groups.astype(str), ("a", "b"))
    assert alone.warns
    assert not together.warns


def test_classes_too_small_to_be_split_five_times_are_passed_over():
    assert find_shortcuts([Hint("width", np.zeros((8, 1)))], np.arange(8) % 2, None, ("a", "b")) == ()


def _leaky(root: Path) -> Path:
    for split, start in (("train", 0), ("test", 100)):
        for i in range(24):
            write(root / split / ("cat", "dog")[i % 2] / f"{i}.png", encoded(_noise(start + i, (64, 48)), "PNG"))
    copied = _noise(0, (64, 48))
    write(root / "test" / "cat" / "exact.png", encoded(copied, "PNG"))
    write(root / "test" / "dog" / "again.jpg", encoded(_noise(2, (64, 48)), quality=75))
    write(
        root / "train" / "dog" / "turned.png",
        encoded(_noise(1, (64, 48)).transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG"),
    )
    return root


def test_repeats_are_found_across_splits_and_within_with_conflicting_labels(tmp_path):
    result = _folder(tmp_path / "home", _leaky(tmp_path / "pictures"))
    pairs = {pair["second"]["id"]: pair for pair in result["repeats"]["pairs"]}
    pairs |= {pair["first"]["id"]: pair for pair in result["repeats"]["pairs"]}
    assert pairs["test/cat/exact.png"]["kind"] == "exact"
    assert pairs["test/dog/again.jpg"]["kind"] == "near"
    assert pairs["train/dog/turned.png"]["kind"] == "mirrored-exact"
    assert result["repeats"]["sets"] == 3
    assert result["repeats"]["across_splits"] == 2
    assert result["repeats"]["exact_across_splits"] == 1
    assert result["repeats"]["conflicting_labels"] == 1
    assert any("more than one label" in warning and "test/dog/again.jpg" in warning for warning in result["warnings"])
    (leak,) = [
        warning for warning in result["warnings"] if "2 sets of repeated images lie in more than one split" in warning
    ]
    assert "dataset.group" in leak


def test_a_picture_repeated_many_times_is_one_set():
    images = np.stack([np.asarray(_noise(i // 15, (32, 32))) for i in range(30)])
    samples = Samples(np.array([str(i) for i in range(30)]), np.arange(30) % 2)
    dataset = ArrayDataset("repeated", ("a", "b"), {"train": images}, {"train": samples})
    repeats = find_repeats(dataset, *describe_all(dataset))
    assert [len(own) for own in repeats.sets] == [15, 15]


def test_details_tell_a_copy_from_a_picture_of_the_same_layout():
    first, other = (np.asarray(_noise(seed, (64, 64))) for seed in (1, 2))
    copy = np.asarray(Image.open(io.BytesIO(encoded(Image.fromarray(first), quality=75))))
    details = middle_frequencies(first)
    assert detail_cosine(details, middle_frequencies(copy)) > 0.75
    assert detail_cosine(details, middle_frequencies(other)) < 0.5
    assert detail_cosine(middle_frequencies(np.zeros_like(first)), details) == 0


def test_groups_in_several_splits_are_named(tmp_path):
    root = _leaky(tmp_path / "pictures")
    result = _folder(tmp_path / "home", root, r"dataset.group=([^/]+)\.\w+$")
    assert result["groups"]["in_several_splits"] == 24
    assert "0" in result["groups"]["examples"]
    assert any("24 groups" in warning for warning in result["warnings"])


def test_a_column_that_looks_like_a_group_is_suggested_and_the_suggestion_works(tmp_path):
    names = [f"{i}.jpg" for i in range(48)]
    for i, name in enumerate(names):
        write(tmp_path / "images" / name, encoded(_noise(i), quality=90))
    rows = [f"{name},{'ab'[i % 2]},s{i // 6},note {i},v1\n" for i, name in enumerate(names)]
    write(tmp_path / "list.csv", ("file,label,sender,note,version\n" + "".join(rows)).encode())
    settings = ("dataset.source=csv", "dataset.image_column=file", "dataset.label_column=label")
    warnings = [w for w in _folder(tmp_path, tmp_path / "list.csv", *settings)["warnings"] if w.startswith("Groups:")]
    assert len(warnings) == 1
    assert "--set dataset.group=sender keeps them" in warnings[0]
    grouped = _folder(tmp_path, tmp_path / "list.csv", *settings, "dataset.group=sender")
    assert grouped["groups"]["number"] == 8
    assert not [w for w in grouped["warnings"] if w.startswith("Groups:")]


def test_the_page_is_self_contained_and_shows_every_class(tmp_path):
    root = class_folders(tmp_path / "pictures", classes=("<b>bold", "green", "red"))
    result = _folder(tmp_path / "home", root, "dataset.test_fraction=0")
    page = Path(result["files"][-1]).read_text()
    assert page.count("data:image/jpeg;base64,") >= 3
    assert page.count('<svg class="wide"') == page.count('<svg class="narrow"') == 1  # all pictures are of one size
    assert "<b>bold" not in page
    assert "://" not in page
    assert "bottleneck inspect -e natural-images" in page
    with Image.open(Path(result["folder"]) / "class-000.jpg") as sheet:
        assert sheet.size == (10 * 84 + 4, 84 + 4)


def test_sizes_modes_and_an_uneven_class_are_reported(tmp_path):
    root = class_folders(tmp_path / "pictures", images=3)
    for i in range(40):
        write(root / "red" / f"more {i}.png", encoded(picture(i, size=(20, 20)).convert("L"), "PNG"))
    result = _folder(tmp_path / "home", root, "dataset.test_fraction=0")
    assert result["images"]["train"] == {"blue": 3, "green": 3, "red": 43}
    assert result["pictures"]["sizes"] == {"20×20": 40, "40×30": 9}
    assert result["pictures"]["modes"] == {"L": 40, "RGB": 9}
    assert any("'red' has 43 images, 'blue' 3" in warning for warning in result["warnings"])


def test_digits_are_inspected_in_silence(tmp_path):
    result = _inspected(tmp_path, "-e", "digits")
    assert result["warnings"] == []
    assert result["pictures"]["sizes"] == {"8×8": 1797}
    assert "under 16 pixels" in result["repeats"]["near_ones"]


def test_the_text_begins_with_what_was_found_and_how_many_images_classes_and_splits_there_are(tmp_path):
    words = ("-e", "natural-images", "--set", f"dataset.path={class_folders(tmp_path / 'pictures', images=5)}")
    done = invoke("inspect", *words, home=tmp_path / "home")
    assert done.stdout.splitlines()[1] == "pictures (15 image files): 15 images of 3 classes; train 15"


def test_classes_too_small_to_train_on_are_named_before_anything_is_extracted(tmp_path):
    result = _folder(tmp_path / "home", class_folders(tmp_path / "pictures", images=2), "dataset.test_fraction=0.2")
    (warning,) = [warning for warning in result["warnings"] if warning.startswith("Classes:")]
    assert "of 'blue', 'green', 'red' there is only 1 training image, and 2 are needed" in warning


def test_the_row_is_a_hint_of_tables_only(numbered, tmp_path):
    assert "row of the table" in {shortcut["name"] for shortcut in numbered[1]["shortcuts"]}
    result = _folder(tmp_path / "home", _two_classes(tmp_path / "pictures"))
    assert "row of the table" not in {shortcut["name"] for shortcut in result["shortcuts"]}


def test_a_hint_that_is_the_same_for_all_is_left_out():
    images = np.full((10, 16, 16, 3), 9, np.uint8)
    samples = Samples(np.array([str(i) for i in range(10)]), np.arange(10) % 2)
    dataset = ArrayDataset("flat", ("a", "b"), {"train": images}, {"train": samples})
    assert hints(dataset, np.full((10, 3), 9.0)) == ()


def test_a_folder_that_is_not_there_is_refused_in_one_sentence(tmp_path):
    done = invoke("inspect", "-e", "natural-images", "--set", f"dataset.path={tmp_path / 'nowhere'}", home=tmp_path)
    assert done.exit_code == 2
    assert "nowhere" in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_image_size_gives_real_classes_away(real_data, tmp_path):
    result = _folder(tmp_path, real_data / "mini_natural_images")
    assert "image size (width, height)" in _warned(result)
    assert "file size in bytes" not in _warned(result)
    assert result["repeats"]["across_splits"] > 0


@pytest.mark.slow
def test_cifar10_has_no_shortcut_whether_read_as_arrays_or_as_files(real_data, tmp_path):
    with np.load(real_data / "cifar10-first4000-lossless.npz") as found:
        images, labels = found["x"][:2000], found["y"][:2000]
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        write(tmp_path / "cifar" / f"c{label}" / f"{i}.png", encoded(Image.fromarray(image), "PNG"))
    assert _warned(_folder(tmp_path, tmp_path / "cifar")) == []
    options = ("--set", f"dataset.path={real_data / 'cifar-10-batches-py'}", "--set", "dataset.limit=1000")
    assert _warned(_inspected(tmp_path, "-e", "cifar10", *options)) == []


@pytest.mark.slow
def test_ten_thousand_small_files_take_less_than_a_minute_and_500_mb(tmp_path):
    for i in range(10_000):
        write(tmp_path / "many" / f"class {i % 10}" / f"{i}.jpg", encoded(_noise(i, (64, 48)), quality=85))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = bottleneck(
        "inspect",
        "-e",
        "natural-images",
        "--set",
        f"dataset.path={tmp_path / 'many'}",
        "--json",
        home=tmp_path / "home",
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{sum(result['seconds'].values()):.1f} s, processor {spent:.1f} s, {result['peak_memory_mib']:.0f} MiB",
        file=sys.stderr,
    )
    assert sum(result["seconds"].values()) < 60
    assert result["peak_memory_mib"] < 500


@pytest.mark.parametrize(
    "sides", [(1, 40, 80, 90, 100, 1000, 4000), (90, 97, 110), (100, 100), (150, 450), (20, 60_000)]
)
def test_the_ticks_of_image_sizes_never_overlap_and_there_are_some(sides):
    sizes = np.array([(width, height) for width in sides for height in sides])
    figure = plots.image_sizes(sizes, np.zeros(len(sizes), int), ["cat"])
    figure.draw_without_rendering()
    for along, axis in enumerate((figure.axes[0].xaxis, figure.axes[0].yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        shown = [tick for tick in ticks if low <= tick.get_loc() <= high and tick.label1.get_text()]
        places = sorted(axis.axes.transData.transform([[tick.get_loc()] * 2 for tick in shown])[:, along])
        assert len(places) >= 2
        assert min(np.diff(places)) >= shown[0].label1.get_fontsize() * figure.dpi / 72
