"""A cache can come from anyone: whatever its files say, nothing escapes from its folder and nothing but our errors is raised."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import small_cache
import strangers
from hypothesis import HealthCheck, given, settings

from bottleneck_features import features
from bottleneck_features.features import manifest as manifests
from bottleneck_features.features.identity import canonical_json

RECIPE = "a" * 64
LIMITS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A home with one cache in it, and beside the cache files that nobody may touch."""
    small_cache.make(tmp_path / "home/features/small-00000000", recipe=RECIPE)
    for canary in (
        "x.h5",
        "x",
        "home/x.h5",
        "home/features/x.h5",
        "home/features/x/00000.h5",
        "home/features/other/manifest.json",
    ):
        path = tmp_path / canary if canary != "x" else tmp_path / "x.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"the work of a week")
    return tmp_path


def _outside(place: Path) -> dict[str, str]:
    files = (file for file in sorted(place.rglob("*")) if file.is_file() and "small-00000000" not in file.parts)
    return {str(file.relative_to(place)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _grow(path: Path, donors: list[Path], **changes: Any) -> features.Reused:
    """Write a cache of the same contents with the rows of others, each checked against what it must be."""
    shutil.rmtree(path, ignore_errors=True)
    identity = {"of": path.name}
    with small_cache.writer(path, recipe=RECIPE, identity=identity, donors=donors, **changes) as writer:
        for shard in writer.pending:
            missing = (draft := writer.draft(shard)).missing
            own = small_cache.shard_arrays(shard, small_cache.LAYERS) if len(missing) else {}
            writer.write(shard, draft.filled({layer: array[missing] for layer, array in own.items()}))
        writer.finish()
    assert features.verify(path).ok
    return writer.reused


def _use(cache: Path, out: Path) -> None:
    """Do all that can be done with a cache; errors of ours are an answer, any other is a fault."""
    for action in (
        lambda: features.list_caches(cache.parent),
        lambda: features.superseded(cache.parent),
        lambda: _grow(out, [cache]),
        lambda: features.verify(cache),
        lambda: [split.x[:2] for split in features.open_features(cache).values()],
        lambda: features.export_features(cache, out, "taken"),
        lambda: features.removal(cache),
        lambda: features.repair(cache),
        lambda: features.remove_cache(cache),
    ):
        with contextlib.suppress(features.CacheError):
            action()


def _tried(place: Path, name: str, content: bytes) -> None:
    kept, trial = place / "home/features/small-00000000", place / "trial"
    shutil.rmtree(trial, ignore_errors=True)
    shutil.copytree(place / "home", trial / "home")
    for canary in place.glob("x.*"):
        shutil.copy(canary, trial)
    cache = trial / "home/features" / kept.name
    (cache / name).parent.mkdir(exist_ok=True)
    (cache / name).write_bytes(content)
    before = _outside(trial)
    _use(cache, trial / "out-of-small-00000000")
    after = {file: digest for file, digest in _outside(trial).items() if not file.startswith("out-of-")}
    assert after == before


@pytest.mark.parametrize("count", [40, pytest.param(600, marks=pytest.mark.slow)])
def test_whatever_a_manifest_says_nothing_outside_its_cache_is_touched(place, count):
    content = json.loads((place / "home/features/small-00000000/manifest.json").read_bytes())

    @settings(max_examples=count, **LIMITS)
    @given(strangers.changed(content))
    def tried(changed: dict) -> None:
        with contextlib.suppress(features.CacheError):
            changed["sha256"] = manifests.seal(changed)
        _tried(place, "manifest.json", json.dumps(changed).encode())

    tried()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5_000, b"1" * 6_000, b'{"version": "2", "format": 1}'],
    ids=["empty", "list", "object", "null", "no-utf8", "deep-list", "deep-object", "long-number", "types"],
)  # fmt: skip
def test_a_manifest_that_is_something_else_is_listed_as_unreadable(cache, content):
    (cache / "manifest.json").write_bytes(content)
    (found,) = features.list_caches(cache.parent)
    assert str(cache) in found.problem
    assert not features.verify(cache).ok


@pytest.mark.parametrize("name", ["../../x", "..", "/x", "a/b", "train\n", "quarantine", "", "x" * 200, "a\0b"])
def test_a_split_cannot_be_called_by_a_path(cache, name):
    content = json.loads((cache / "manifest.json").read_bytes())
    content["splits"][0]["name"] = name
    content["sha256"] = manifests.seal(content)
    (cache / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(features.CacheDamaged, match="splits"):
        features.open_features(cache)


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_whatever_a_journal_says_only_our_errors_are_raised(place, count):
    cache = place / "home/features/small-00000000"
    content = json.loads((cache / "manifest.json").read_bytes())
    content["complete"] = False
    for split in content["splits"]:
        split["shards"], split["bytes"] = [None] * len(split["shards"]), [None] * len(split["bytes"])
        split["layouts"], split["virtual"] = [], None
    content["sha256"] = manifests.seal(content)
    (cache / "manifest.json").write_text(json.dumps(content))
    header = {"plan": manifests.load(cache).plan_digest, "split": "train", "offsets": {"contents": 0, "ids": 64}}

    @settings(max_examples=count, **LIMITS)
    @given(strangers.changed(header))
    def tried(changed: dict) -> None:
        with contextlib.suppress(features.CacheError):
            text = canonical_json(changed).encode()
            row = bytes(range(52)) + b"\xff" * 52
            _tried(
                place, ".journal/a~1~2.records", hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n" + row
            )

    tried()


@pytest.mark.parametrize("count", [40, pytest.param(100, marks=pytest.mark.slow)])
def test_whatever_the_manifest_of_a_store_says_nothing_outside_the_folder_is_written(tmp_path, count):
    fsspec = pytest.importorskip("fsspec")
    cache = small_cache.make(tmp_path / "small-00000000")
    url = f"memory://{uuid.uuid4().hex}/small-00000000"
    assert features.share(url, cache)
    content = json.loads((cache / "manifest.json").read_bytes())
    store, path = fsspec.core.url_to_fs(url)
    (tmp_path / "place").mkdir()

    @settings(max_examples=count, **LIMITS)
    @given(strangers.changed(content))
    def tried(changed: dict) -> None:
        with contextlib.suppress(features.CacheError):
            changed["sha256"] = manifests.seal(changed)
        store.pipe_file(f"{path}/manifest.json", json.dumps(changed).encode())
        folder = tmp_path / "place" / "fetched"
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(features.CacheError):
            features.fetch(url, folder)
        assert {child.name for child in (tmp_path / "place").iterdir()} <= {"fetched"}

    tried()
    for name in ("../../escaped", "/escaped", ".."):
        hostile = json.loads(json.dumps(content))
        hostile["splits"][0]["name"] = name
        hostile["sha256"] = manifests.seal(hostile)
        store.pipe_file(f"{path}/manifest.json", json.dumps(hostile).encode())
        with pytest.raises(features.CacheDamaged, match="splits"):
            features.fetch(url, tmp_path / "place/one/two/three")
    assert not list(tmp_path.rglob("*escaped*"))


def _all_of_one_shard(content: dict) -> None:
    content["shard_size"], content["complete"] = 1 << 40, False
    for split in content["splits"]:
        split |= {"samples": 1 << 41, "virtual": None, "layouts": split["layouts"][:1]}
        split |= {"shards": [split["shards"][0], None], "bytes": [split["bytes"][0], None]}


def _offsets(value: int, *names: str) -> Callable[[dict], None]:
    def change(content: dict) -> None:
        for split in content["splits"]:
            for layout in split["layouts"]:
                layout["offsets"] |= dict.fromkeys(names, value)

    return change


def _no_place_of_features(content: dict) -> None:
    for split in content["splits"]:
        for layout in split["layouts"]:
            del layout["offsets"]["features/early"]


@pytest.mark.parametrize(
    "change",
    [
        _all_of_one_shard,
        _offsets(1 << 62, "ids"),
        _offsets(1 << 62, "features/late"),
        _offsets(3, "features/early"),
        _no_place_of_features,
    ],
    ids=["huge", "ids-far", "features-far", "features-elsewhere", "features-nowhere"],
)
def test_a_cache_that_lies_of_its_shards_gives_no_rows(tmp_path, change):
    strange = small_cache.make(tmp_path / "strange", recipe=RECIPE)
    assert _grow(tmp_path / "grown", [strange]).rows == {"strange": sum(small_cache.SAMPLES.values())}
    content = json.loads((strange / "manifest.json").read_bytes())
    change(content)
    content["sha256"] = manifests.seal(content)
    (strange / "manifest.json").write_text(json.dumps(content))
    assert _grow(tmp_path / "grown", [strange]).rows == {}
    features.superseded(tmp_path)


def test_no_cache_has_more_samples_than_can_be_counted(cache):
    content = json.loads((cache / "manifest.json").read_bytes())
    content["shard_size"] = 1 << 62
    empty = {"samples": 1 << 62, "virtual": None, "layouts": [], "shards": [None], "bytes": [None]}
    content["splits"] = [{**content["splits"][0], **empty, "name": name} for name in ("a", "b")]
    content["sha256"] = manifests.seal(content)
    (cache / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(features.CacheDamaged, match="no cache has so many samples"):
        manifests.load(cache)


def test_a_row_that_is_not_finite_is_named_by_the_shard_it_was_to_be_copied_from(tmp_path):
    strange = small_cache.make(tmp_path / "strange", recipe=RECIPE)
    shard = strange / "train/00001.h5"
    with h5py.File(shard, "r+") as file:
        file["features/late"][3] = float("nan")
    content = json.loads((strange / "manifest.json").read_bytes())
    content["splits"][0]["shards"][1] = hashlib.sha256(shard.read_bytes()).hexdigest()
    content["sha256"] = manifests.seal(content)
    (strange / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(features.CacheDamaged, match=r"strange/train/00001\.h5 has values that are not finite"):
        _grow(tmp_path / "grown", [strange], shard_size=7)
    assert [problem.file for problem in features.verify(strange).problems] == ["train/00001.h5"]


@pytest.mark.parametrize("compression", ["none", "blosc2"])
def test_a_shard_whose_values_lie_in_another_file_is_never_believed(tmp_path, compression):
    pytest.importorskip("hdf5plugin")
    cache = small_cache.make(tmp_path / "small-00000000", compression=compression, recipe=RECIPE)
    secret = tmp_path / "secret.h5"
    with h5py.File(cache / "train/00000.h5") as shard, h5py.File(secret, "w") as other:
        for name in ("ids", "contents", "machine", "features"):
            shard.copy(name, other)
    with h5py.File(cache / "train/00000.h5", "w") as shard:
        for name in ("ids", "contents", "machine", "features"):
            shard[name] = h5py.ExternalLink(str(secret), name)
    content = json.loads((cache / "manifest.json").read_bytes())
    image = (cache / "train/00000.h5").read_bytes()
    content["splits"][0]["shards"][0] = hashlib.sha256(image).hexdigest()
    content["splits"][0]["bytes"][0] = len(image)
    content["sha256"] = manifests.seal(content)
    (cache / "manifest.json").write_text(json.dumps(content))
    problem = features.verify(cache).problems[0]
    assert problem.file == "train/00000.h5"
    assert "no dataset of this file" in problem.reason
    with pytest.raises(features.CacheDamaged):
        _ = features.open_features(cache)["train"].features["early"][:2]
    taken = _grow(tmp_path / "grown", [cache], compression=compression).rows
    assert taken == {cache.name: sum(small_cache.SAMPLES.values()) - 10}
