import csv
import io
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from imagefiles import COLOURS, class_folders, encoded, picture, write
from packing import opened, parquet_of_folder

from bottleneck_features.pipeline.datasets.sources import parquet
from bottleneck_features.pipeline.errors import PipelineError, RequestError

NAMES = tuple(COLOURS)
_open = partial(opened, source="parquet")
NO_TEST, HOLD_OUT = "dataset.test_fraction=0", "dataset.test_fraction=0.2"


def _quarantined(home: Path) -> list[dict[str, str]]:
    with (home / "runs" / "natural-images" / "quarantine.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _table(path: Path, **columns: list) -> Path:
    """Twelve pictures in a plain binary column, and other columns."""
    pictures = [encoded(picture(i, COLOURS[NAMES[i % 3]])) for i in range(12)]
    named = {"picture": pictures, "kind": [NAMES[i % 3] for i in range(12)], **columns}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(named), path, row_group_size=5)
    return path


@pytest.fixture
def root(tmp_path) -> Path:
    return class_folders(tmp_path / "pictures")


def test_hugging_faces_layout_needs_no_setting(tmp_path):
    for split in ("train", "validation", "test"):
        folder = class_folders(tmp_path / "split" / split, 4)
        parquet_of_folder(folder, tmp_path / "data" / f"{split}-00000-of-00001.parquet", row_group_size=5)
    dataset = _open(tmp_path / "data", tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 12, "validation": 12, "test": 12,
    }  # fmt: skip
    assert dataset.class_names == NAMES
    assert dataset.splits["test"].ids[11] == "test-00000-of-00001/000000011"
    images = dataset.images("test", np.arange(12)[::-1])
    for label, image in zip(dataset.splits["test"].labels[::-1], images, strict=True):
        nearest = min(NAMES, key=lambda name, image=image: np.abs(image.mean((0, 1)) - COLOURS[name]).sum())
        assert nearest == NAMES[label]


def test_a_packed_folder_with_its_paths_as_ids_is_the_same_data_set(root, tmp_path):
    packed = _open(parquet_of_folder(root, tmp_path / "x.parquet"), tmp_path, "dataset.id_column=image.path", HOLD_OUT)
    folder = _open(root, tmp_path, HOLD_OUT, source="folder")
    for split in ("train", "test"):
        assert packed.fingerprint(split) == folder.fingerprint(split)
        everything = np.arange(len(folder.splits[split]))
        np.testing.assert_array_equal(packed.images(split, everything), folder.images(split, everything))


def test_columns_may_have_any_name_and_type(tmp_path):
    path = _table(
        tmp_path / "x.parquet",
        part=["train", "val", "Test"] * 4,
        photo=[f"{i // 2}" for i in range(12)],
        number=[float(i % 3) for i in range(12)],
        key=list(range(100, 112)),
    )
    dataset = _open(
        path, tmp_path, "dataset.image_column=picture", "dataset.label_column=kind", "dataset.group=photo",
        "dataset.id_column=key", "dataset.test_fraction=0.5",
    )  # fmt: skip
    assert dataset.class_names == NAMES
    assert set(dataset.groups["train"]) & set(dataset.groups["test"]) == set()
    assert set(dataset.splits["train"].ids) | set(dataset.splits["test"].ids) == {str(i) for i in range(100, 112)}
    numbered = _open(path, tmp_path, "dataset.label_column=number", NO_TEST)
    assert numbered.class_names == ("0", "1", "2")


def test_a_split_column_decides_the_splits(tmp_path):
    part = ["train"] * 6 + ["valid"] * 3 + ["testing"] * 3
    path = _table(tmp_path / "test.parquet", part=part)
    dataset = _open(path, tmp_path, "dataset.label_column=kind", "dataset.split_column=part")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 6, "validation": 3, "test": 3,
    }  # fmt: skip


def test_rows_that_cannot_be_used_are_quarantined_with_their_reason(tmp_path):
    good = encoded(picture())
    images = [{"bytes": good, "path": None} for _ in range(12)]
    images[0] = {"bytes": None, "path": "cat.jpg"}
    images[1] = None
    images[2] = {"bytes": good[:300], "path": None}
    images[3] = {"bytes": b"", "path": None}
    table = {
        "image": pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "label": ["a", "b", "a", "b", None, "  ", *"ababab"],
        "photo": ["p"] * 6 + [None] + list("pqrst"),
        "part": ["train"] * 7 + ["tomorrow"] + ["train"] * 4,
        "key": [*"abcdefghi", None, "k", "k"],
    }
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    words = ("dataset.group=photo", "dataset.split_column=part", "dataset.id_column=key", "dataset.error_limit=1")
    with pytest.raises(RequestError, match="Only one class has usable|at least 2 usable|No training image"):
        _open(tmp_path / "x.parquet", tmp_path, *words)
    found = {row["path"]: row["reason"] for row in _quarantined(tmp_path)}
    assert found["a"] == "the row names a file (cat.jpg) and does not hold its bytes"
    assert found["b"] == "the row holds no image"
    assert "Truncated" in found["c"]
    assert found["d"] == "the row holds no image"
    assert found["e"] == found["f"] == "it has no label"
    assert found["g"] == "its group is missing"
    assert found["h"].startswith("its split is none of train")
    assert found["h"].endswith("'tomorrow'")
    assert found["x/000000009"] == "its id is missing"
    assert found["k"] == "its id is that of an earlier image"
    assert len(found) == 10


def test_labels_that_hugging_face_hides_are_missing(root, tmp_path):
    path = parquet_of_folder(root, tmp_path / "x.parquet")
    table = pq.read_table(path)
    hidden = pa.array([-1, 7, *table["label"].to_pylist()[2:]])
    pq.write_table(table.set_column(1, "label", hidden), path)
    dataset = _open(path, tmp_path, "dataset.error_limit=0.5", NO_TEST)
    assert len(dataset.splits["train"]) == 28
    assert [row["reason"] for row in _quarantined(tmp_path)] == [
        "its label is 7, and its file names 3 classes, from 0 on", "it has no label",
    ]  # fmt: skip
    assert any("1 images have no label" in notice and "predict" in notice for notice in dataset.notices)


def test_a_file_that_changes_after_the_scan_stops_the_run(root, tmp_path):
    path = parquet_of_folder(root, tmp_path / "x.parquet")
    for change in (
        lambda: write(path, path.read_bytes()[:9000]),
        lambda: parquet_of_folder(root / "red", path),
        path.unlink,
    ):
        parquet_of_folder(root, path)
        dataset = _open(path, tmp_path, NO_TEST)
        change()
        with pytest.raises(PipelineError, match="is no longer what it was at the start"):
            dataset.images("train", np.arange(len(dataset.splits["train"])))


@pytest.mark.parametrize("limit", [1, 10_000, 1 << 30])
def test_row_groups_are_held_up_to_a_number_of_bytes_and_rows_in_any_order_are_right(
    root, tmp_path, monkeypatch, limit
):
    monkeypatch.setattr(parquet, "ROW_GROUP_BYTES", limit)
    path = parquet_of_folder(root, tmp_path / "x.parquet", row_group_size=3)
    with pq.ParquetFile(path) as file:
        groups = [file.read_row_group(i, columns=["image"]).nbytes for i in range(10)]
    dataset = _open(path, tmp_path, NO_TEST)
    everything = np.arange(30)
    shuffled = np.random.default_rng(0).permutation(30)
    np.testing.assert_array_equal(dataset.images("train", shuffled), dataset.images("train", everything)[shuffled])
    held = [rows.nbytes for rows in dataset._reader._held.values()]
    assert len(held) >= 1
    assert len(held) == 1 or sum(held) <= limit
    assert len(held) == 10 or sum(held) + 2 * max(groups) > limit


def test_a_row_group_that_does_not_fit_into_memory_is_refused(root, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "LARGEST_GROUP", 20_000)
    with pytest.raises(RequestError, match=r"Row group 0 of 'x.parquet' holds .* row_group_size=1000"):
        _open(parquet_of_folder(root, tmp_path / "x.parquet"), tmp_path)


def test_a_damaged_file_stops_the_run_and_is_named(root, tmp_path):
    path = parquet_of_folder(root, tmp_path / "x.parquet")
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)
    with pytest.raises(
        PipelineError, match=r"'x\.parquet' cannot be read as Parquet: .*what is missing with it is not known"
    ):
        _open(path, tmp_path)


def test_text_that_is_not_utf_8_stops_the_run_and_its_file_is_named(tmp_path):
    kinds = pa.array([b"red", b"blue", b"\xff\xfe"] * 4).view(pa.string())
    path = _table(tmp_path / "x.parquet", kind=kinds)
    with pytest.raises(PipelineError, match=r"'x\.parquet' cannot be read as Parquet: .*utf-8") as refused:
        _open(path, tmp_path, "dataset.label_column=kind")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("dataset.label_column=kin",), r"there is no column 'kin'\. Columns: picture, kind, other\. Nearest: kind"),
        (
            ("dataset.label_column=kind", "dataset.image_column=other"),
            "column 'other' of 'x.parquet' holds int64; it must hold the bytes",
        ),
        (("dataset.label_column=kind", "dataset.id_column=path.x"), "dataset.id_column: there is no column 'path.x'"),
        (("dataset.label_column=kind.name",), r"dataset.label_column: there is no column 'kind\.name'.*Nearest: kind"),
        (
            ("dataset.label_column=kind", "dataset.image_column=picture.bytes"),
            r"dataset.image_column: there is no column 'picture\.bytes'.*Nearest: picture",
        ),
        (
            (),
            r"dataset\.label_column is missing: no column can be meant\. Columns: picture \(binary\), kind \(string\), other",
        ),
    ],
)
def test_a_wrong_column_is_refused_with_those_there_are(tmp_path, overrides, message):
    with pytest.raises(RequestError, match=message):
        _open(_table(tmp_path / "x.parquet", other=list(range(12))), tmp_path, *overrides)


def test_the_field_of_an_image_is_refused_with_its_column(root, tmp_path):
    path = parquet_of_folder(root, tmp_path / "x.parquet")
    with pytest.raises(RequestError, match=r"there is no column 'image\.bytes'.*Nearest: image\.$") as refused:
        _open(path, tmp_path, "dataset.image_column=image.bytes")
    assert "\n" not in str(refused.value)


def test_columns_whose_names_have_dots_are_read(root, tmp_path):
    path = parquet_of_folder(root, tmp_path / "x.parquet")
    table = pq.read_table(path)
    columns = {
        "image.bytes": table["image"].combine_chunks().field("bytes"),
        "meta.label": [NAMES[i] for i in table["label"].to_pylist()],
        "meta.key": [f"key {i}" for i in range(30)],
        "meta.part": ["train", "test"] * 15,
    }
    pq.write_table(pa.table(columns), path, row_group_size=7)
    dataset = _open(
        path, tmp_path, "dataset.image_column=image.bytes", "dataset.label_column=meta.label",
        "dataset.id_column=meta.key", "dataset.split_column=meta.part",
    )  # fmt: skip
    assert dataset.class_names == tuple(sorted(NAMES))
    assert dataset.splits["test"].ids.tolist() == [f"key {i}" for i in range(1, 30, 2)]
    folder = _open(root, tmp_path, NO_TEST, source="folder")
    np.testing.assert_array_equal(dataset.images("test", np.arange(15)), folder.images("train", np.arange(1, 30, 2)))


def test_files_that_are_no_parquet_or_lack_a_column_are_named(tmp_path):
    with pytest.raises(PipelineError, match=r"'x\.parquet' cannot be read as Parquet"):
        _open(write(tmp_path / "x.parquet", b"PAR1 a cat PAR1"), tmp_path)
    _table(tmp_path / "d" / "a.parquet")
    stream = io.BytesIO()
    pq.write_table(pa.table({"picture": [b"x"]}), stream)
    write(tmp_path / "d" / "b.parquet", stream.getvalue())
    with pytest.raises(RequestError, match=r"'b\.parquet' has no column 'kind'"):
        _open(tmp_path / "d", tmp_path, "dataset.label_column=kind")


def test_several_columns_of_images_need_a_choice(tmp_path):
    path = _table(tmp_path / "x.parquet", thumbnail=[b"x"] * 12)
    with pytest.raises(
        RequestError, match=r"dataset\.image_column is missing: several columns hold the bytes of images"
    ):
        _open(path, tmp_path, "dataset.label_column=kind")


def test_without_pyarrow_the_message_says_what_to_install(root, tmp_path, monkeypatch):
    path = parquet_of_folder(root, tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(RequestError, match=r"needs pyarrow: pip install 'bottleneck-features\[parquet\]'"):
        _open(path, tmp_path)


def test_columns_that_look_like_groups_are_found(tmp_path):
    path = _table(
        tmp_path / "x.parquet",
        sender=[f"s{i // 4}" for i in range(12)],
        version=["v1"] * 12,
        number=list(range(12)),
        note=[None, *map(str, range(11))],
        damaged=pa.array([b"\xff"] * 6 + [b"a"] * 6).view(pa.string()),
        tags=[["a"]] * 12,
    )
    assert _open(path, tmp_path, "dataset.label_column=kind", NO_TEST).group_candidates == ("sender",)
    assert _open(path, tmp_path, "dataset.label_column=kind", "dataset.group=sender", NO_TEST).group_candidates == ()


def test_a_value_that_a_dictionary_has_once_is_in_memory_once_however_often_it_is_repeated(tmp_path):
    pictures = [encoded(picture(i, COLOURS[NAMES[i % 3]])) for i in range(12)]
    values = pa.DictionaryArray.from_arrays(
        [*range(12), *[12] * 300], pa.array([*pictures, bytes(1 << 22)], pa.binary())
    )
    table = pa.table({"image": values, "label": [*NAMES] * 4 + ["red"] * 300})
    pq.write_table(
        table, tmp_path / "x.parquet", compression="zstd", store_schema=False, dictionary_pagesize_limit=1 << 30
    )
    dataset = _open(tmp_path / "x.parquet", tmp_path, "dataset.error_limit=1", NO_TEST)
    dataset.images("train", np.arange(12))
    (held,) = dataset._reader._held.values()
    assert len(held.contents) == 312
    assert held.nbytes == sum(map(len, pictures)) + (1 << 22)


def test_true_in_a_column_called_is_valid_is_the_validation_split(tmp_path):
    path = _table(tmp_path / "x.parquet", is_valid=[i >= 9 for i in range(12)])
    dataset = _open(path, tmp_path, "dataset.label_column=kind", "dataset.split_column=is_valid")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 9, "validation": 3}
