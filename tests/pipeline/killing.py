"""Commands that are really killed, and what is looked at afterwards."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from PIL import Image

import bottleneck_features
from bottleneck_features.features import verify
from bottleneck_features.models.formats import FORMATS

SCRIPT = Path(__file__).with_name("warmed.py")
MODELS = {form.file: form for name, form in FORMATS.items() if name != "keras"}
TELLS_TIME = re.compile("seconds|images_per_second|memory|created|since|resumed|sha256")
SHOWS_TIME = re.compile(r"(html|svg|png|md|onnx|xml|bin|pb|tflite|variables\S*)$")
LIBRARIES = (
    "temporary/__autograph_generated_file",
    "temporary/.ses",
)  # TensorFlow's and ONNX Runtime's, in the system's temporary folder; removed when it is not killed
TO_DO = ("images", "images_reused", "reused_from", "check")
SPEEDS = "home/speeds.json"  # of runs that ended: where the killed ones left nothing to compute, no speed is known
OURS = ("stdout", "stderr", "temporary")  # what the harness makes
TEMPORARY = re.compile(r"\.tmp$|\.tmp/|unfinished|^temporary/")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (-9: killed), after how long and how many changes of files, and what it said."""

    code: int
    seconds: float
    changes: int
    error: str


class Warmed:
    """A process that runs commands in forks of itself; made by `warmed`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self,
        folder: Path,
        words: tuple[str, ...],
        *,
        after: float | None = None,
        number: signal.Signals = signal.SIGKILL,
        strike: int | None = None,
    ) -> Ended:
        """Run a command in a folder; send it a signal after so many seconds, or let it kill itself at a change of files."""
        asked = {"words": words, "folder": str(folder), "strike": strike}
        _pipe(self._process.stdin).write(json.dumps(asked) + "\n")
        _pipe(self._process.stdin).flush()
        child, start = int(_pipe(self._process.stdout).readline()), time.perf_counter()
        if after is not None:
            time.sleep(after)
            with _gone():
                os.kill(child, number)
        code, changes = json.loads(_pipe(self._process.stdout).readline())
        return Ended(code, time.perf_counter() - start, changes, (folder / "stderr").read_text(errors="replace"))


@contextmanager
def warmed() -> Iterator[Warmed]:
    """Start a process that has imported everything."""
    code = str(Path(bottleneck_features.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": code, "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            assert _pipe(process.stdout).readline() == "ready\n"
            yield Warmed(process)
        finally:
            _pipe(process.stdin).close()
            process.wait(60)


@dataclass
class Tally:
    """What came of the kills of one command."""

    command: str
    kills: int = 0
    left_temporary: int = 0
    reruns: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.command:<14}{self.kills:>6}{self.left_temporary:>16}{self.reruns:>8}{len(self.wrong):>7}"


HEADER = f"{'command':<14}{'kills':>6}{'left temporary':>16}{'reruns':>8}{'wrong':>7}"


@dataclass(frozen=True)
class Undisturbed:
    """What a command leaves that nothing happens to.

    Attributes:
        start: the folder it begins with.
        whole: the folder after it.
        words: the command.
        seconds: its time.
        changes: of files.
        steady: the files that are the same, byte for byte, in two runs, but for JSON, which may tell the time in seconds.
    """

    start: Path
    whole: Path
    words: tuple[str, ...]
    seconds: float
    changes: int
    steady: frozenset[str]


def undisturbed(process: Warmed, start: Path, words: tuple[str, ...], folder: Path) -> Undisturbed:
    """Run a command twice from the same beginning."""
    runs = []
    for name in ("first", "whole"):
        shutil.copytree(start, folder / name)
        runs.append(process.run(folder / name, words))
        assert runs[-1].code == 0, runs[-1].error
    first, whole = files(folder / "first"), files(folder / "whole")
    assert set(first) == set(whole)
    steady = frozenset(
        name for name in whole if not name.endswith(".json") and first[name].read_bytes() == whole[name].read_bytes()
    )
    shutil.rmtree(folder / "first")
    return Undisturbed(start, folder / "whole", words, runs[1].seconds, runs[1].changes, steady)


def files(folder: Path) -> dict[str, Path]:
    """Return the files that a command left, by their names; those that only lock are left out."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if not path.is_dir()}
    return {
        name: path
        for name, path in found.items()
        if name not in OURS and not name.endswith("lock") and not name.startswith(LIBRARIES)
    }


def kills(process: Warmed, told: Undisturbed, folder: Path, *, count: int, seed: int, per_round: int = 5) -> Tally:
    """Kill a command at moments spread over its time, some of them at changes of files, and run it again after some kills."""
    chance, tally = random.Random(seed), Tally(told.words[0] if told.words[0] != "cache" else " ".join(told.words[:2]))
    moments = [(place + chance.random()) / count for place in range(count)]
    chance.shuffle(moments)
    for number, moment in enumerate(moments):
        home = folder / f"round-{number // per_round}"
        if not home.exists():
            shutil.copytree(told.start, home)
        at_change = number % 3 == 2
        after, strike = (None, int(moment * told.changes)) if at_change else (moment * told.seconds, None)
        ended = process.run(home, told.words, after=after, strike=strike)
        if ended.code == 0:  # it went on from where it had been killed, and was done before
            shutil.rmtree(home)
            shutil.copytree(told.start, home)
            ended = process.run(home, told.words, after=after, strike=strike)
        tally.kills += ended.code == -signal.SIGKILL
        tally.left_temporary += any(TEMPORARY.search(name) for name in files(home))
        tally.wrong += [f"killed at {moment:.2f} ({ended.code}): {found}" for found in damage(home, told)]
        if number % per_round == per_round - 1 or number == count - 1:
            again = process.run(home, told.words)
            tally.reruns += 1
            tally.wrong += [f"after round {number // per_round}: {found}" for found in differences(home, told, again)]
            shutil.rmtree(home)
    return tally


def damage(home: Path, told: Undisturbed) -> list[str]:
    """Return what is wrong with the files under a final name, and with the caches."""
    wrong = []
    for name, path in files(home).items():
        if TEMPORARY.search(name) or Path(name).name.startswith("."):
            continue
        same = told.whole / name
        if same.is_file() and same.stat().st_size == path.stat().st_size and same.read_bytes() == path.read_bytes():
            continue
        try:
            _read(path)
        except Exception as error:  # each reader has errors of its own
            wrong.append(f"{name}: {type(error).__name__} {str(error)[:200]}")
    for manifest in home.glob("**/manifest.json"):
        wrong += [f"{manifest.parent.name}: {problem}" for problem in verify(manifest.parent).problems]
    return wrong


def differences(home: Path, told: Undisturbed, again: Ended) -> list[str]:
    """Return in what a command that was killed and run again differs from an undisturbed one."""
    if again.code != 0:
        return [f"exit code {again.code}: {again.error[-500:]}"]
    here, there = files(home), files(told.whole)
    wrong = [f"left over: {name}" for name in here.keys() - there.keys()]
    wrong += [f"missing: {name}" for name in there.keys() - here.keys() - {SPEEDS}]
    wrong += damage(home, told)
    for name in (here.keys() & there.keys()) - {SPEEDS}:
        if here[name].read_bytes() != there[name].read_bytes():
            found = "bytes" if name in told.steady else _first_difference(here[name], there[name])
            wrong += [f"differs: {name}: {found}"] if found else []
    return wrong


def _read(path: Path) -> None:
    """Read a file whole, by what it is."""
    if path.parent.name == "model-savedmodel" or path.name in MODELS:
        form = MODELS[path.parent.name if path.parent.name in MODELS else path.name]
        form.load(path if path.name in MODELS else path.parent)
        return
    content = path.read_bytes()
    if path.suffix == ".json":
        json.loads(content)
    elif path.suffix in (".npz", ".npy"):
        _arrays(path)
    elif path.suffix == ".h5":
        with h5py.File(path) as file:
            file.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)
    elif path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
    elif path.suffix == ".png":
        Image.open(path).load()
    elif path.suffix == ".csv":
        with path.open(newline="") as lines:
            assert len({len(row) for row in csv.reader(lines)}) == 1
    elif path.suffix in (".html", ".svg"):
        assert content.rstrip().endswith(b"</%s>" % path.suffix[1:].encode())
    else:
        assert content, "empty"


def _first_difference(here: Path, there: Path) -> str:
    """Return what two files say differently that tell the time; of those that only show it nothing is compared."""
    if here.suffix == ".json":
        one, other = json.loads(here.read_bytes()), json.loads(there.read_bytes())
        if one.get("command") == "features":  # what it had to do is not what an undisturbed run has to do
            one, other = ({**content, **dict.fromkeys(TO_DO)} for content in (one, other))
        return _apart(one, other)
    if here.suffix == ".npz":
        one, other = _arrays(here), _arrays(there)
        if one.keys() != other.keys():
            return "names of arrays"
        return next((name for name in one if not _equal(one[name], other[name])), "")
    if here.suffix == ".keras":
        with zipfile.ZipFile(here) as one, zipfile.ZipFile(there) as other:
            return "" if one.read("model.weights.h5") == other.read("model.weights.h5") else "weights"
    return "" if SHOWS_TIME.search(str(here)) else "bytes"


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype.kind == "U" and one.ndim == 0 and str(one).startswith("{"):
        return not _apart(json.loads(str(one)), json.loads(str(other)))
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _apart(one: Any, other: Any, place: str = "") -> str:
    """Return the first place at which two JSON values differ, those left out that tell the time."""
    if TELLS_TIME.search(place.rsplit("/", 1)[-1]):
        return ""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return next((found for name in one if (found := _apart(one[name], other[name], f"{place}/{name}"))), "")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next((found for number, pair in pairs if (found := _apart(*pair, f"{place}/{number}"))), "")
    return "" if one == other else f"{place}: {one!r:.100} instead of {other!r:.100}"


def _arrays(path: Path) -> dict[str, np.ndarray]:
    loaded = np.load(path)
    return {name: loaded[name] for name in loaded.files} if isinstance(loaded, Mapping) else {"": loaded}


@contextmanager
def _gone() -> Iterator[None]:
    """Pass over a process that has just ended."""
    try:
        yield
    except ProcessLookupError:
        return


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
