"""Predictions of a killed run: whatever the moment, and whatever changed since, the table is that of the files as they are."""

import csv
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import command, invoke
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bottleneck_features.pipeline.datasets.sources.embedded import digits
from bottleneck_features.pipeline.use.picture_files import PictureFiles
from bottleneck_features.pipeline.use.prediction import Prediction
from bottleneck_features.pipeline.use.unfinished import forget, resumed

FILES = 6


def _by_content(files: PictureFiles) -> Iterator[Prediction]:
    """Predict of every file what is in it."""
    for path, problem in files:
        yield Prediction(path.name, () if problem else ((path.read_text(), 0.1 + 0.2),), 1 / 3, problem)


@given(
    stops=st.lists(st.tuples(st.integers(0, FILES), st.integers(0, 300)), max_size=3),
    changed=st.none() | st.integers(0, FILES - 1),
    other_work=st.booleans(),
)
def test_what_was_kept_is_used_only_as_far_as_it_holds(stops, changed, other_work):
    with tempfile.TemporaryDirectory() as folder:
        kept, files = Path(folder, "kept"), [(Path(folder, f"{number}"), "") for number in range(FILES)]
        for path, _ in files:
            path.write_text(path.name)
        files[2] = (files[2][0], "a named pipe")
        for predictions, lost in stops:
            stopped = resumed(kept, {"top": 3}, files, _by_content)
            list(itertools.islice(stopped, predictions))
            stopped.close()
            if kept.exists():
                os.truncate(kept, max(0, kept.stat().st_size - lost))
        if changed is not None:
            files[changed][0].write_text("changed since")
        work = {"top": 2 if other_work else 3}
        assert list(resumed(kept, work, files, _by_content)) == list(_by_content(files))
        forget(kept)
        assert sorted(path.name for path in Path(folder).iterdir()) == [path.name for path, _ in files]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One digit in 900 files, half of them another one."""
    folder = tmp_path_factory.mktemp("copies")
    for place, image in enumerate(digits().images("test", [0, 1])):
        Image.fromarray(image).save(folder / f"{place}.png")
    for number in range(2, 900):
        shutil.copyfile(folder / f"{number % 2}.png", folder / f"{number}.png")
    return folder


def test_a_killed_command_goes_on_after_the_last_file_it_classified(trained, copies, tmp_path):
    out = tmp_path / "out.csv"
    words = ("predict", "-e", "digits", str(copies), "--model", "train-head", "--out", str(out))
    kept = out.with_name(".out.csv.unfinished")
    with subprocess.Popen(command(*words, home=trained), stderr=subprocess.DEVNULL) as process:
        while not kept.exists() or kept.read_bytes().count(b"\n") < 100:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    before = kept.read_bytes().count(b"\n") - 1
    done = invoke(*words, home=trained)
    assert done.exit_code == 0, done.output
    assert f"{before:,} of them are from the earlier run that was stopped" in done.stderr
    rows = {int(Path(row["file"]).stem): row for row in csv.DictReader(out.open())}
    assert len(rows) == 900
    assert len({(number % 2, row["label"], row["probability"], row["distance"]) for number, row in rows.items()}) == 2
    assert not kept.exists()


def test_two_commands_never_write_the_same_table(trained, copies, tmp_path):
    out = tmp_path / "out.csv"
    with FileLock(tmp_path / ".out.csv.unfinished.lock"):
        done = invoke("predict", "-e", "digits", str(copies / "0.png"), "--out", str(out), home=trained)
    assert done.exit_code == 1
    assert "Another run is writing this now" in done.stderr
    assert "another --out" in done.stderr
