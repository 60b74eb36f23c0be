"""What folders say, on a disk and in an archive alike: every layout is written as files and as a tar of the same paths."""

import re
import shlex
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import encoded, picture, write
from packing import tar_of

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.datasets.layout.convention import UNLABELLED
from bottleneck_features.pipeline.datasets.layout.placing import placed
from bottleneck_features.pipeline.datasets.layout.recognition import convention_of
from bottleneck_features.pipeline.datasets.layout.refusals import Location
from bottleneck_features.pipeline.datasets.layout.split_names import splits_said
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment

LITE = (
    "backbone.name=efficientnet-lite0",
    "backbone.layers=top_activation",
    "input.size=32,32",
    "dataset.test_fraction=0",
)
JPEG = encoded(picture(size=(8, 8)))
SOURCES = ("folder", "tar")
ROOT = Location("'root'", Path("/root"))


def _images(*folders: str, count: int = 3) -> list[str]:
    return [f"{folder}/{i}.jpg".lstrip("/") for folder in folders for i in range(count)]


def _split(folder: str, *classes: str, count: int = 3) -> list[str]:
    return _images(*(f"{folder}/{name}" for name in classes or ("cat", "dog")), count=count)


def _open(source: str, folder: Path, paths: list[str], *overrides: str) -> Dataset:
    where = folder / source
    if source == "tar":
        where = tar_of(folder / "x.tar", [(path, JPEG) for path in paths])
    else:
        for path in paths:
            write(where / path, JPEG)
    words = (f"dataset.source={source}", f"dataset.path={where}", *LITE, *(f"dataset.{word}" for word in overrides))
    return open_dataset(load_experiment("natural-images", words), folder / "home")


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    return {
        split: {name: int((samples.labels == i).sum()) for i, name in enumerate(dataset.class_names)}
        for split, samples in dataset.splits.items()
    }


TWO = {"cat": 3, "dog": 3}
UNDERSTOOD = {
    "training_set": ([*_split("training_set"), *_split("test_set")], (), {"train": TWO, "test": TWO}, ""),
    "seg": (
        [*_split("seg_train"), *_split("seg_test"), *_images("seg_pred", count=5)],
        (),
        {"train": TWO, "test": TWO},
        "'seg_pred' is called as unlabelled images are, so its 5 images have no label",
    ),
    "seg within seg": (
        [*_split("seg_train/seg_train"), *_split("seg_test/seg_test"), *_images("seg_pred/seg_pred")],
        (),
        {"train": TWO, "test": TWO},
        "'seg_pred/seg_pred' is called",
    ),
    "words and numbers": (
        [*_split("train2017"), *_split("val2017"), *_images("unlabeled2017")],
        (),
        {"train": TWO, "validation": TWO},
        "'unlabeled2017' is called as unlabelled images are, so its 3 images have no label",
    ),
    "spaces": ([*_split("Train Set"), *_split("Test Set")], (), {"train": TWO, "test": TWO}, ""),
    "short": ([*_split("tr"), *_split("va"), *_split("te")], (), {"train": TWO, "validation": TWO, "test": TWO}, ""),
    "humps": ([*_split("trainSet"), *_split("TestSet")], (), {"train": TWO, "test": TWO}, ""),
    "glued": ([*_split("trainset"), *_split("testset")], (), {"train": TWO, "test": TWO}, ""),
    "only train": (_split("train"), (), {"train": TWO}, ""),
    "flat test": ([*_split("train"), *_images("test", count=13)], (), {"train": TWO}, "its 13 images have no label"),
    "flat test of images": ([*_split("train"), *_images("test/images")], (), {"train": TWO}, "'test/images' has no class"),
    "images in splits": ([*_split("train/images"), *_split("val/images")], (), {"train": TWO, "validation": TWO}, ""),
    "a class called train": (_images("bus", "car", "train"), (), {"train": {"bus": 3, "car": 3, "train": 3}}, ""),
    "a class called test": (_images("bus", "test"), (), {"train": {"bus": 3, "test": 3}}, "'test' is taken as a class"),
    "languages": (_images("en", "te", "tr"), (), {"train": {"en": 3, "te": 3, "tr": 3}}, ""),
    "valid and invalid": (_images("invalid", "valid"), (), {"train": {"invalid": 3, "valid": 3}}, ""),
    "unlabeled beside classes": (_images("cat", "dog", "unlabeled"), (), {"train": TWO}, r"'unlabeled' \(3 images\) says"),
    "annotations beside classes": (
        _images("cat", "dog", "masks"),
        (),
        {"train": {**TWO, "masks": 3}},
        "'masks' is taken as a class, as the folders beside it are",
    ),
    "one folder in each class": (_images("cat/images", "dog/images"), (), {"train": TWO}, ""),
    "a class with folders": (_images("cat", "dog", "cat/more"), (), {"train": {"cat": 6, "dog": 3}}, ""),
    "hierarchy": (
        [*_split("animals", "cat", "dog"), *_split("things", "car", "bus")],
        (),
        {"train": {"animals": 6, "things": 6}},
        r"'animals', 'things' are taken as classes, .* dataset\.class_level=2.*dataset\.group",
    ),
    "hierarchy by level": (
        [*_split("animals", "cat", "dog"), *_split("things", "car", "bus")],
        ("class_level=2",),
        {"train": {"bus": 3, "car": 3, "cat": 3, "dog": 3}},
        "",
    ),
    "hierarchy in a split": (
        [*_split("train/animals", "cat", "dog"), *_split("train/things", "car", "bus"), *_split("test/things", "car")],
        ("class_level=2",),
        {"train": {"bus": 3, "car": 3, "cat": 3, "dog": 3}, "test": {"bus": 0, "car": 3, "cat": 0, "dog": 0}},
        "",
    ),
    "folds by level": (
        [*_split("fold1"), *_split("fold2")],
        ("class_level=2",),
        {"train": {"cat": 6, "dog": 6}},
        "folders of the same name are one class: 'cat', 'dog'; 'cat' is 'fold1/cat', 'fold2/cat'",
    ),
    "folds as classes": ([*_split("fold1"), *_split("fold2")], ("class_level=1",), {"train": {"fold1": 6, "fold2": 6}}, ""),
    "splits as classes": ([*_images("train", "test")], ("class_level=1",), {"train": {"test": 3, "train": 3}}, ""),
    "folds as splits": (
        [*_split("fold1"), *_split("fold2"), *_split("fold3")],
        ("splits.train=fold1", "splits.test=fold3"),
        {"train": TWO, "test": TWO},
        r"are passed over: 'fold2' \(6 files\)",
    ),
    "splits asked for, one flat": (
        [*_split("learn"), *_images("exam"), *_images("other")],
        ("splits.train=learn", "splits.test=./exam/"),
        {"train": TWO},
        "'exam' has no class folders, so its 3 images",
    ),
    "a nested split": (
        [*_split("a/b/learn"), *_split("a/exam")],
        ("splits.train=a/b/learn", "splits.validation=a/exam"),
        {"train": TWO, "validation": TWO},
        "",
    ),
    "composed and decomposed": (
        [*_split("train", "café", "müll"), *_split("test", *(unicodedata.normalize("NFD", n) for n in ("café", "müll")))],
        (),
        {"train": {"café": 3, "müll": 3}, "test": {"café": 3, "müll": 3}},
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("layout", UNDERSTOOD)
def test_a_layout_is_understood_and_what_must_be_known_is_said(tmp_path, layout, source):
    paths, overrides, counts, said = UNDERSTOOD[layout]
    dataset = _open(source, tmp_path, paths, *overrides)
    assert _counts(dataset) == counts
    notices = " ".join(dataset.notices)
    assert re.search(said, notices) if said else not notices


REFUSED = {
    "splits and others": (
        [*_split("train"), *_split("test"), *_images("extra")],
        (),
        r"'extra' \(3 images\).* dataset\.splits\.train=train dataset\.splits\.test=test; .*dataset\.class_level=1",
    ),
    "train and another with its classes": (
        [*_split("train"), *_split("holdout")],
        (),
        r"'holdout' has the same classes: .* give dataset\.splits\.train=train dataset\.splits\.test=holdout\.",
    ),
    "a split twice": (
        [*_split("train"), *_split("val"), *_split("valid")],
        (),
        r"say the same split, validation: 'val' .*'valid' .*dataset\.splits\.train=train dataset\.splits\.validation=val;",
    ),
    "flat splits": (
        _images("train2017", "val2017"),
        (),
        r"no class folders in them: 'train2017' \(3 images\), 'val2017' .*dataset\.source=csv.*'train2017/<class>/…'",
    ),
    "yolo": (_images("train/images", "val/images"), (), "no class folders in them: 'train' .*'val'"),
    "flat train": ([*_images("train"), *_split("test")], (), "no class folders in them: 'train'"),
    "without train": ([*_split("val"), *_split("test")], (), r"no train folder beside them.*dataset\.splits\.train=val"),
    "test beside flat classes": (
        [*_split("test"), *_images("cat", "dog")],
        (),
        r"'test' \(6 images\), but no train folder .*'cat' .*'dog' .*splits\.train=train dataset\.splits\.test=test;",
    ),
    "test beside classes": (
        [*_split("test"), *_split("learn", "cat", "dog", "car")],
        (),
        r"'test' \(6 images\), but no train folder .*dataset\.splits\.train=learn dataset\.splits\.test=test",
    ),
    "folds": (
        [*_split("fold1"), *_split("fold2"), *_split("fold3")],
        (),
        r"'fold1' .*'fold3' .*'cat', 'dog'.*dataset\.class_level=2.*dataset\.splits\.train=fold1 .*dataset\.class_level=1\.",
    ),
    "domains with images": (
        [*_split("amazon/images"), *_split("webcam/images")],
        (),
        r"'amazon/images' .*dataset\.class_level=3",
    ),
    "folds in a split": (
        [*_split("train/a"), *_split("train/b"), *_split("test/a")],
        (),
        r"'train/a' .*dataset\.class_level=2 .*group='\[\^/\]\+/\[\^/\]\+'",
    ),
    "splits in classes": (
        [*_split("cat", "train", "test"), *_split("dog", "train", "test")],
        (),
        r"'cat' .*hold splits, 'test', 'train'.*'test/cat/…'.*dataset\.class_level=1",
    ),
    "classes beside examples": (
        [*_split("Dataset", *"0123"), *_images("Examples")],
        (),
        r"'Dataset' holds 4 folders of images.*'Examples' .*dataset\.(path=/.*/Dataset|splits\.train=Dataset); .*class_level=1",
    ),
    "pictures and masks": (_images("images", "masks"), (), r"'images' .*'masks' .* called as pictures and their masks"),
    "masks in classes": (
        [*_split("cat", "images", "masks"), *_split("dog", "images", "masks")],
        (),
        "as pictures and their masks are called",
    ),
    "no folders": (_images("", count=4), (), "holds 4 images, but no folder of a class with images in it"),
    "no such split": (
        [*_split("learn"), *_split("exam")],
        ("splits.train=lern",),
        r"dataset\.splits\.train=lern: .*no folder 'lern' .*Folders with images: 'exam', 'learn', .*Nearest: 'learn'",
    ),
    "splits in one another": (
        [*_split("train"), *_split("test")],
        ("splits.train=.", "splits.test=test"),
        "lie in one another",
    ),
    "a flat split asked for": (
        [*_images("learn"), *_split("exam")],
        ("splits.train=learn",),
        r"dataset\.splits\.train: 'learn' holds 3 images, but no class folders.*'learn/<class>/…'",
    ),
    "a level too deep": (_images("cat", "dog"), ("class_level=3",), r"class_level=3: no image lies 3 .*deepest lies 1 below"),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("layout", REFUSED)
def test_a_layout_in_doubt_is_refused_with_what_was_found_and_what_to_type(tmp_path, layout, source):
    paths, overrides, message = REFUSED[layout]
    with pytest.raises(RequestError, match=message) as refused:
        _open(source, tmp_path, paths, *overrides)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("train", ["Train Set", "train;x"])
def test_the_settings_of_a_refusal_can_be_typed_as_they_stand(tmp_path, source, train):
    paths = [*_split(train), *_split(train.lower().replace("train", "val")), *_images("extra")]
    with pytest.raises(RequestError) as refused:
        _open(source, tmp_path, paths)
    typed = str(refused.value).partition("give ")[2].partition("; ")[0] if ";" not in train else ""
    words = [word.removeprefix("dataset.") for word in shlex.split(typed)] or [f"splits.train={train}"]
    assert _counts(_open(source, tmp_path, paths, *words))["train"] == TWO


WORDS = {
    "train": ("train", "training"), "validation": ("val", "valid", "validation", "dev"), "test": ("test", "testing"),
    UNLABELLED: ("pred", "predict", "unlabelled", "unlabeled"),
}  # fmt: skip
affixes = st.sampled_from(["", "seg", "set", "asl alphabet", "café", "images", "müll 7", "2017"])
separators = st.sampled_from(["_", " ", "-", ".", "__"])
cases = st.sampled_from([str.lower, str.upper, str.title])


@given(st.data())
def test_names_that_differ_in_the_word_for_a_split_alone_are_splits(data):
    affix, before = data.draw(affixes), data.draw(st.booleans())
    expected = {}
    for split in data.draw(st.lists(st.sampled_from(list(WORDS)), min_size=2, unique=True)):
        word, form = data.draw(st.sampled_from(WORDS[split])), data.draw(st.sampled_from(["NFC", "NFD"]))
        parts = [part for part in ((affix, word) if before else (word, affix)) if part]
        name = data.draw(separators).join(parts)
        expected[unicodedata.normalize(form, data.draw(cases)(name))] = split
    assert splits_said(list(expected)) == expected


@given(
    st.sampled_from(["Trainer", "contest", "street", "valley", "attest", "restrained", "vase", "tester", "Trainee"]),
    affixes,
)
def test_a_word_for_a_split_within_another_word_says_nothing(word, affix):
    assert splits_said([f"{word} {affix}", f"{affix}_{word}", word]) == {}


@given(st.sampled_from(["train", "val", "test"]), st.sampled_from(["blue", "station", "tube"]))
def test_a_word_for_a_split_beside_others_says_nothing_alone(word, other):
    assert splits_said([f"{word}_{other}", other, "red"]) == {}


names = st.sampled_from(
    ["train", "val", "test", "pred", "seg_train", "seg_test", "a", "b", "cat", "dog", "images", "fold1", "tr", "te"]
)
trees = st.lists(st.tuples(st.lists(names, max_size=4), st.integers(1, 3)), min_size=1, max_size=8)


def _paths_of(tree: list[tuple[list[str], int]]) -> list[str]:
    return sorted({f"{'/'.join(folders)}/{i}.jpg".lstrip("/") for folders, count in tree for i in range(count)})


@given(st.data())
def test_a_folder_and_its_archive_are_read_alike(data):
    paths = data.draw(trees.map(_paths_of))
    level = data.draw(st.integers(0, 2))
    answers = []
    for where in (ROOT, Location("'root'")):
        try:
            answers.append(convention_of(paths, DatasetSettings("folder", class_level=level), where))
        except RequestError:
            answers.append(None)
    if len({path.partition("/")[0] for path in paths}) > 1:  # else an archive is read below the folder that all share
        assert answers[0] == answers[1]


@given(trees, st.integers(0, 3), st.sampled_from([ROOT, Location("'x.tar'")]))
def test_no_image_vanishes_whatever_the_folders_are(tree, level, where):
    paths = _paths_of(tree)
    _nothing_vanishes(paths, DatasetSettings("folder", class_level=level), where)


@given(trees, st.data())
def test_no_image_vanishes_whatever_splits_are_asked_for(tree, data):
    paths = _paths_of(tree)
    folders = st.sampled_from(sorted({"/".join(folders[:2]) for folders, _ in tree}))
    splits = {"train": data.draw(folders) or ".", "test": data.draw(folders | st.just(""))}
    _nothing_vanishes(paths, DatasetSettings("folder", splits=splits), ROOT)


def _nothing_vanishes(paths: list[str], settings: DatasetSettings, where: Location) -> None:
    try:
        convention = convention_of(paths, settings, where)
    except RequestError:
        return  # what a refusal says is tested above
    found = placed(paths, convention)
    others = [problem.path for problem in (*found.unlabelled, *found.misplaced, *found.left_out)]
    assert sorted([*(path for path, _ in found.labelled), *others]) == paths
    assert sum(found.passed_over.values()) == len(found.left_out)
    if found.unlabelled or found.left_out:
        assert convention.notices or found.passed_over
