"""Data that grow and are corrected: what changed is computed, nothing else, and the bytes are those of a fresh run."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from imagefiles import encoded
from PIL import Image

from bottleneck_features import features
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.experiment import (
    BackboneSettings,
    ComputeSettings,
    Experiment,
    FeatureSettings,
    InputSettings,
)
from bottleneck_features.pipeline.stages.features import extract_features

ANCHORS = 8  # images that are never changed, so that both classes stay in train
CLASSES, GROUPS = ("cat", "dog"), ("a", "b", "c")
SHARD = 4


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """A small ConvNet with random weights, as a file."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="early")(inputs)
    x = keras.layers.Conv2D(16, 2, activation="relu", name="late")(x)
    path = tmp_path_factory.mktemp("network") / "tiny.keras"
    keras.Model(inputs, x).save(path)
    return path


class Pictures:
    """Pictures in a folder, named by a table with labels, splits and groups."""

    def __init__(self, root: Path, network: Path) -> None:
        self.root = root
        self.rows: dict[str, dict[str, str]] = {}
        self.contents: dict[str, int] = {}
        self.corrections: dict[str, str] = {}
        self.experiment = Experiment(
            name="grown",
            dataset=DatasetSettings(
                source="csv", path=str(root / "table.csv"), image_column="image", label_column="label",
                image_root=str(root / "pictures"), split_column="split", group="group",
            ),
            input=InputSettings(size=(8, 8)),
            backbone=BackboneSettings(name=str(network), layers=("early", "late")),
            features=FeatureSettings(shard_size=SHARD),
            compute=ComputeSettings(batch_size=4, precision="float32"),
        )  # fmt: skip
        (root / "pictures").mkdir()
        for i in range(ANCHORS):
            split = "test" if i % 4 == 3 else "train"
            self.put(f"anchor-{i}.png", i, CLASSES[i // 4], split, GROUPS[i % 3])

    def put(self, name: str, content: int, label: str, split: str, group: str) -> None:
        self.rows[name] = {"image": name, "label": label, "split": split, "group": group}
        self.draw(name, content)

    def draw(self, name: str, content: int) -> None:
        self.contents[name] = content
        pixels = np.random.default_rng(content).integers(0, 256, (8, 8, 3), np.uint8)
        (self.root / "pictures" / name).write_bytes(encoded(Image.fromarray(pixels), "PNG"))

    def remove(self, name: str) -> None:
        del self.rows[name], self.contents[name]
        self.corrections.pop(name, None)
        (self.root / "pictures" / name).unlink()

    def rename(self, name: str, new: str) -> None:
        self.rows[new] = {**self.rows.pop(name), "image": new}
        self.contents[new] = self.contents.pop(name)
        self.corrections.pop(name, None)
        (self.root / "pictures" / name).rename(self.root / "pictures" / new)

    def write_table(self) -> None:
        self._write("table.csv", ("image", "label", "split", "group"), [row.values() for row in self.rows.values()])
        if self.corrections:
            self._write("fixes.csv", ("id", "label"), self.corrections.items())
        corrections = str(self.root / "fixes.csv") if self.corrections else ""
        self.experiment = replace(self.experiment, dataset=replace(self.experiment.dataset, corrections=corrections))

    def _write(self, name, columns, rows) -> None:
        with (self.root / name).open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])

    def used(self) -> set[int]:
        """The contents that are in the data set."""
        return {content for name, content in self.contents.items() if self.corrections.get(name) != "drop"}


def kept(cache: Path) -> tuple[dict[str, bytes], dict]:
    """All HDF5 files of a cache, and its manifest without dates and what changes no number."""
    manifest = json.loads((cache / "manifest.json").read_bytes())
    files = {str(file.relative_to(cache)): file.read_bytes() for file in cache.rglob("*.h5")}
    return files, {name: value for name, value in manifest.items() if name not in ("created", "provenance", "sha256")}


class GrowingCache(RuleBasedStateMachine):
    """Whatever is done to the data, stage one computes the contents not seen before, and no others."""

    network: Path

    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        (self.place / "data").mkdir()
        self.data = Pictures(self.place / "data", self.network)
        self.seen: dict[str, set[int]] = {}
        self.next_content = 100
        self.next_name = 0

    def teardown(self) -> None:
        if hasattr(self, "place"):
            shutil.rmtree(self.place)

    def _new_name(self, stem: str) -> str:
        self.next_name += 1
        return f"{stem}-{self.next_name}.png"

    def _movable(self) -> list[str]:
        return [name for name in self.data.rows if not name.startswith("anchor")]

    def _some(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(self._movable()))

    @rule(
        label=st.sampled_from(CLASSES),
        split=st.sampled_from(("train", "test")),
        stem=st.sampled_from("abz"),
        many=st.integers(1, 6),
    )
    def add(self, label: str, split: str, stem: str, many: int) -> None:
        for _ in range(many):
            self.next_content += 1
            self.data.put(self._new_name(stem), self.next_content, label, split, "a")

    @precondition(lambda self: self._movable())
    @rule(data=st.data(), stem=st.sampled_from("abz"), split=st.sampled_from(("train", "test")))
    def duplicate(self, data: st.DataObject, stem: str, split: str) -> None:
        self.data.put(self._new_name(stem), self.data.contents[self._some(data)], "cat", split, "b")

    @precondition(lambda self: self._movable())
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        self.data.remove(self._some(data))

    @precondition(lambda self: self._movable())
    @rule(data=st.data(), stem=st.sampled_from(("a", "z", "a-much-longer-name-than-the-others")))
    def rename(self, data: st.DataObject, stem: str) -> None:
        self.data.rename(self._some(data), self._new_name(stem))

    @precondition(lambda self: self._movable())
    @rule(data=st.data())
    def edit_picture(self, data: st.DataObject) -> None:
        self.next_content += 1
        self.data.draw(self._some(data), self.next_content)

    @precondition(lambda self: self._movable())
    @rule(data=st.data(), column=st.sampled_from(("label", "group", "split")), choice=st.integers(0, 1))
    def change_table(self, data: st.DataObject, column: str, choice: int) -> None:
        values = {"label": CLASSES, "group": GROUPS, "split": ("train", "test")}[column]
        self.data.rows[self._some(data)][column] = values[choice]

    @precondition(lambda self: self._movable())
    @rule(data=st.data(), answer=st.sampled_from((*CLASSES, "drop")))
    def correct(self, data: st.DataObject, answer: str) -> None:
        self.data.corrections[self._some(data)] = answer

    @rule(pooling=st.sampled_from(("avg", "max")))
    def change_recipe(self, pooling: str) -> None:
        settings = replace(self.data.experiment.features, pooling=(pooling,))
        self.data.experiment = replace(self.data.experiment, features=settings)

    @rule(batches=st.integers(0, 4))
    def stop_in_the_middle(self, batches: int) -> None:
        """Stop a run as Ctrl-C does, after some batches; what its finished shards hold counts as seen."""
        self.data.write_table()
        with pytest.MonkeyPatch.context() as patch:
            _interrupt_after(patch, batches)
            try:
                extract_features(self.data.experiment, self.place / "home")
            except KeyboardInterrupt:
                self._note_what_is_there()

    def _note_what_is_there(self) -> None:
        by_hash = {}
        for name, content in self.data.contents.items():
            file = (self.data.root / "pictures" / name).read_bytes()
            by_hash[hashlib.sha256(file).digest()] = content
        for folder in (self.place / "home/features").iterdir():
            donor = features.donors.Donor(folder, features.manifest.load(folder))
            found = {by_hash.get(bytes(row)) for head in donor.heads() for row in head.contents}
            self._seen(donor.manifest.identity["features.pooling"][0]).update(found - {None})

    def _seen(self, pooling: str) -> set[int]:
        return self.seen.setdefault(pooling, set())

    @invariant()
    def only_new_contents_are_computed(self) -> None:
        if not hasattr(self, "data"):
            return
        self.data.write_table()
        seen, used = self._seen(self.data.experiment.features.pooling[0]), self.data.used()
        done = extract_features(self.data.experiment, self.place / "home")
        assert done.details["images"] == len(used - seen), (used - seen, done.details)
        seen |= used
        fresh = extract_features(self.data.experiment, Path(tempfile.mkdtemp(dir=self.place)), reuse=False)
        assert Path(done.details["cache"]).name == Path(fresh.details["cache"]).name
        assert kept(Path(done.details["cache"])) == kept(Path(fresh.details["cache"]))


def _interrupt_after(patch: pytest.MonkeyPatch, batches: int) -> None:
    from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset

    read, left = ImageDataset.images, iter(range(batches))

    def images(self, split, indices):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return read(self, split, indices)

    patch.setattr(ImageDataset, "images", images)


def _machine(network: Path, examples: int, steps: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    machine = type("Machine", (GrowingCache,), {"network": network})
    limits = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=limits)


def test_a_cache_grows_with_its_data(network):
    _machine(network, 2, 8)


@pytest.mark.slow
def test_a_cache_grows_with_its_data_through_many_changes(network):
    _machine(network, 25, 25)
