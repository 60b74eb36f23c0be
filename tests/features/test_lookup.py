"""Rows are found by content in whatever caches of their recipe have them, and small caches are known that a new one takes in."""

import numpy as np
import pytest
import small_cache
from picture_caches import LAYERS, MACHINE, PICTURES, RECIPE, extract, features_of, flip, open_writer

from bottleneck_features.features import find_rows, small_caches

ALL = PICTURES["train"] + PICTURES["test"]


def found(folders, pictures, recipe=RECIPE, machine=MACHINE):
    """The rows that caches have of some pictures, by picture."""
    rows = {}
    for places, part in find_rows(folders, recipe, machine, small_cache.contents(pictures)):
        for number, place in enumerate(places.tolist()):
            assert pictures[place] not in rows
            rows[pictures[place]] = {layer: array[number] for layer, array in part.items()}
    return rows


def require_right(rows):
    for picture, own in rows.items():
        for layer, row in features_of([picture]).items():
            assert own[layer].dtype == LAYERS[layer].dtype
            np.testing.assert_array_equal(own[layer], row[0].astype(LAYERS[layer].dtype))


def test_rows_come_from_every_split_and_cache_each_once(tmp_path):
    extract(tmp_path / "a", PICTURES)
    extract(tmp_path / "b", {"images": ["picture 3", "another"]})
    wanted = ["another", "unknown", *ALL[::-1]]
    rows = found([tmp_path / "a", tmp_path / "b"], wanted)
    assert rows.keys() == {"another", *ALL}
    require_right(rows)


def test_finished_shards_of_a_cache_that_was_stopped_count(tmp_path):
    with open_writer(tmp_path / "a", PICTURES) as writer:
        shard = writer.pending[1]
        own = PICTURES[shard.split][shard.start : shard.stop]
        writer.write(shard, features_of(own))
    rows = found([tmp_path / "a"], ALL)
    assert rows.keys() == set(own)
    require_right(rows)


@pytest.mark.parametrize(("recipe", "machine"), [("b" * 64, MACHINE), ("", MACHINE), (RECIPE, "two")])
def test_rows_of_another_recipe_or_machine_are_not_found(recipe, machine, tmp_path):
    extract(tmp_path / "a", PICTURES)
    assert found([tmp_path / "a"], ALL, recipe, machine) == {}


def test_damaged_shards_are_passed_over_and_named(tmp_path, caplog):
    extract(tmp_path / "a", PICTURES)
    shard = sorted((tmp_path / "a" / "train").glob("*.h5"))[0]
    flip(shard)
    rows = found([tmp_path / "a"], ALL)
    assert 0 < len(rows) < len(ALL)
    require_right(rows)
    assert f"{shard} is damaged" in caplog.text
    extract(tmp_path / "b", PICTURES)
    assert found([tmp_path / "a", tmp_path / "b"], ALL).keys() == set(ALL)


def test_a_folder_that_is_no_cache_is_passed_over(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "manifest.json").write_text("{")
    assert found([tmp_path / "gone", tmp_path / "b"], ALL) == {}


def taken_in(folder, rows):
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    return {path.name: len(own) for path, own in small_caches(folders, RECIPE, MACHINE, "images", rows).items()}


def test_caches_no_larger_than_the_new_one_are_taken_in_and_then_larger_ones(tmp_path):
    for name, count in {"one": 1, "two": 2, "four": 4, "forty": 40}.items():
        extract(tmp_path / name, {"images": [f"{name} {i}" for i in range(count)]})
    extract(tmp_path / "data set", {"train": ["x"]})
    assert taken_in(tmp_path, 1) == {"one": 1, "two": 2, "four": 4}
    assert taken_in(tmp_path, 33) == {"one": 1, "two": 2, "four": 4, "forty": 40}


def test_what_was_stopped_is_taken_in_whatever_its_size_and_what_is_damaged_is_not(tmp_path):
    with open_writer(tmp_path / "stopped", {"images": ALL}) as writer:
        shard = writer.pending[0]
        writer.write(shard, features_of(ALL[shard.start : shard.stop]))
    extract(tmp_path / "damaged", {"images": ["y", "z"]})
    flip(next((tmp_path / "damaged" / "images").glob("*.h5")))
    extract(tmp_path / "elsewhere", {"images": ["y"]}, machine="two")
    assert taken_in(tmp_path, 5) == {"stopped": len(shard)}
