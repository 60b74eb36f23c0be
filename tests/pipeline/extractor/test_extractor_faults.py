"""What an extractor does when it is killed, when files are damaged, and when settings or images are wrong."""

import os
import signal
import time

import numpy as np
import pytest
from commandline import invoke
from extracting import LAYERS, WIDTH, caches, kept, small, started
from imagefiles import encoded, picture, write
from PIL import Image

import bottleneck_features as bf
from bottleneck_features import models
from bottleneck_features.features import list_caches, open_features, remove_cache, verify
from bottleneck_features.pipeline.extraction import kept_rows


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    home, out = tmp_path / "home", tmp_path / "x.npy"
    process, deadline = started(home, out), time.monotonic() + 200
    while not sum(info.done_images for info in list_caches(home / "features")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    (first,) = (path.stat().st_ino for path in home.glob("features/extractor-*/images/*.h5"))
    assert started(home, out).wait(200) == 0
    (folder,) = kept(home)
    assert not verify(folder).problems
    assert first in {path.stat().st_ino for path in folder.rglob("*.h5")}
    x = np.load(out)
    assert x.shape == (1797, WIDTH)
    assert len(open_features(folder)["images"]) == len(np.unique(x, axis=0))


@pytest.mark.slow
def test_two_processes_at_once_compute_each_image_once(tmp_path):
    home, outs = tmp_path / "home", [tmp_path / "a.npy", tmp_path / "b.npy"]
    assert [process.wait(280) for process in [started(home, out) for out in outs]] == [0, 0]
    np.testing.assert_array_equal(*map(np.load, outs))
    (folder,) = kept(home)
    assert not verify(folder).problems


@pytest.mark.parametrize("harm", ["flipped", "cut", "removed"])
def test_damaged_rows_are_computed_again(harm, home, paths, expected, caplog):
    (folder,) = caches(home)
    shard = max(folder.rglob("*.h5"), key=lambda path: path.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "removed":
        shard.unlink()
    else:
        shard.write_bytes(content if harm == "flipped" else content[:-100])
    np.testing.assert_array_equal(small(home).transform(paths), expected)
    assert harm == "removed" or f"{shard.name} is damaged" in caplog.text
    assert len(kept(home)) == 1


@pytest.mark.parametrize("harm", ["flipped", "cut", "removed", "manifest", "no manifest"])
def test_damaged_rows_of_its_own_are_computed_again(harm, empty, paths, expected, caplog):
    small(empty).transform(paths)
    (folder,) = kept(empty)
    file = folder / "manifest.json" if "manifest" in harm else next((folder / "images").glob("*.h5"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if harm in ("removed", "no manifest"):
        file.unlink()
    else:
        file.write_bytes(content[:-1] if harm == "cut" else content)
    np.testing.assert_array_equal(small(empty).transform(paths), expected)
    if harm != "no manifest":
        assert "again" in caplog.text
    caplog.clear()
    np.testing.assert_array_equal(small(empty).transform(paths), expected)
    assert not caplog.records
    assert [len(open_features(found)["images"]) for found in kept(empty)] == [len(paths)]
    assert not verify(kept(empty)[0]).problems


def test_a_damaged_shard_costs_only_its_own_rows(empty, paths, expected, monkeypatch):
    monkeypatch.setattr(kept_rows, "affordable_shard", lambda network: 16)
    small(empty).transform(paths)
    file = next((kept(empty)[0] / "images").glob("*.h5"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    for _ in range(2):
        np.testing.assert_array_equal(small(empty).transform(paths), expected)
    assert sum(len(open_features(found)["images"]) for found in kept(empty)) == len(paths)


def test_caches_of_two_kinds_of_machines_lie_side_by_side(empty, paths, expected, monkeypatch):
    for kind in ("one", "another"):
        monkeypatch.setattr(kept_rows, "machine_kind", lambda engine, kind=kind: kind)
        np.testing.assert_array_equal(small(empty).transform(paths), expected)
    assert [len(open_features(found)["images"]) for found in kept(empty)] == [len(paths)] * 2


def test_rows_of_another_kind_of_machine_are_not_used(home, paths, expected, monkeypatch):
    monkeypatch.setattr(kept_rows, "machine_kind", lambda engine: "another")
    np.testing.assert_array_equal(small(home).transform(paths), expected)
    assert len(open_features(kept(home)[0])["images"]) == len(paths)


def test_its_caches_are_listed_verified_and_removed_as_all_are(empty, paths, expected):
    small(empty).transform(paths)
    (folder,) = kept(empty)
    assert folder.name in invoke("cache", "ls", home=empty).output
    assert invoke("cache", "verify", folder.name, home=empty).exit_code == 0
    assert invoke("cache", "rm", folder.name, "--yes", home=empty).exit_code == 0
    assert kept(empty) == []
    np.testing.assert_array_equal(small(empty).transform(paths), expected)
    remove_cache(kept(empty)[0])


WRONG = {
    "no backbone": ({"backbone": None}, bf.RequestError, "backbone is the name .* of a .keras file. Received: None"),
    "number": ({"backbone": 3}, bf.RequestError, "backbone is the name .* of a .keras file. Received: 3"),
    "backbone": (
        {"backbone": "resnet5"},
        models.UnknownBackbone,
        "There is no backbone 'resnet5'. Nearest: 'resnet50'",
    ),
    "layer": ({"layers": ["top"]}, models.UnknownLayer, "has no layer 'top'. Nearest"),
    "size": ({"size": (32, 32, 3)}, bf.RequestError, "input.size"),
    "size of text": ({"size": "32"}, bf.RequestError, "input.size.*Received: '32'"),
    "pooling": ({"pooling": "mean"}, bf.RequestError, "features.pooling: unknown value. Valid: 'auto', 'avg'"),
    "poolings": ({"pooling": ["avg"] * 3}, bf.RequestError, "3 poolings for 2 layers"),
    "view": ({"views": ["left"]}, bf.RequestError, "input.views: unknown value"),
    "dtype": ({"dtype": "float64"}, bf.RequestError, "features.dtype: unknown value"),
    "engine": ({"engine": "torch"}, bf.RequestError, "compute.engine: unknown value"),
    "int8": ({"precision": "int8"}, bf.RequestError, r"int8 is calibrated on training images.*extractor\(\)"),
    "batch": ({"batch_size": 0}, bf.RequestError, "compute.batch_size"),
    "cache": ({"cache": "yes"}, bf.RequestError, "cache is 'home'.*Received: 'yes'"),
    "weights": ({"weights": "nowhere.h5"}, models.InvalidSetting, "no weights file 'nowhere.h5'"),
    "range": ({"value_range": (1, 0)}, bf.RequestError, "value_range takes the lowest and the highest"),
    "kernel": ({"resize": "lanczos3", "antialias": False}, bf.RequestError, "input.antialias=false goes with"),
}


@pytest.mark.parametrize("what", list(WRONG))
def test_wrong_settings_are_refused_when_they_are_used(what, empty, paths):
    settings, kind, message = WRONG[what]
    with pytest.raises(kind, match=f"(?s){message}"):
        small(empty, **settings).fit_transform(paths)


def test_numbers_of_numpy_and_paths_are_taken_as_settings(home, paths, expected):
    x = small(home, size=np.array([32, 32]), batch_size=np.int64(32), layers=np.array(LAYERS)).transform(paths)
    np.testing.assert_array_equal(x, expected)


def test_images_that_cannot_be_used_are_all_named(home, paths, tmp_path):
    bad = write(tmp_path / "bad.jpg", b"no image")
    with pytest.raises(bf.PipelineError, match="(?s)1 of 3 images cannot be used.*bad.jpg'"):
        small(home).transform([paths[0], bad, paths[1]])
    assert kept(home) == []


def test_deep_files_need_a_range(empty, tmp_path):
    file = tmp_path / "x.png"
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)).save(file)
    with pytest.raises(bf.PipelineError, match=r"16-bit .* is unknown: give value_range=\(LOW, HIGH\)\n"):
        small(empty, layers="top_activation").transform([file])
    x = small(empty, layers="top_activation", value_range=(0, 1199)).transform([file])
    assert np.isfinite(x).all()


def test_deep_arrays_go_by_the_range_that_is_set(empty):
    deep = (np.arange(1200, dtype=np.uint16).reshape(1, 30, 40) * 3) % 255
    eight = small(empty).transform(np.rint(deep / 4095 * 255).astype(np.uint8))
    np.testing.assert_array_equal(small(empty, value_range=(0, 4095)).transform(deep), eight)
    assert (small(empty).transform(deep) != eight).any()
    with pytest.raises(bf.RequestError, match=r"go from 0 to 4032.* or value_range=\(LOW, HIGH\)"):
        small(empty).transform(deep * 16)


def test_what_images_may_be_besides_is_said(empty):
    with pytest.warns(UserWarning, match="is taken as 3 grey images"):
        small(empty).transform(np.full((3, 30, 40), 200, np.uint8))
    with pytest.warns(UserWarning, match="largest value of these images, uint8, is 1"):
        small(empty).transform(np.eye(30, dtype=np.uint8)[None])


def test_a_home_that_cannot_be_written_is_refused(tmp_path, paths):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(bf.RequestError, match="The home '.*file' cannot be created.*cache=None"):
        small(tmp_path / "file").transform(paths)


def test_a_home_that_can_only_be_read_serves_what_it_has(home, paths, expected, tmp_path, monkeypatch):
    new = write(tmp_path / "new.jpg", encoded(picture(77)))
    for folder in (home, *home.rglob("*/")):
        folder.chmod(0o555)
    monkeypatch.setattr(os, "access", lambda path, mode, **_: False)  # as root is never told
    extractor, before = small(home), sorted(home.rglob("*"))
    assert len(extractor.get_feature_names_out()) == WIDTH
    np.testing.assert_array_equal(extractor.transform(paths), expected)
    with pytest.raises(bf.RequestError, match=f"The home '{home}' cannot be written to.*cache=None"):
        extractor.transform([new])
    assert small(home, cache=None).transform([new]).shape == (1, WIDTH)
    assert sorted(home.rglob("*")) == before
