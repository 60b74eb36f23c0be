"""Predictions kept in a file one by one, so that a command that was killed continues where it stopped."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout
from pydantic import FiniteFloat, TypeAdapter

from bottleneck_features.foreign import parsed_json
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.use.picture_files import PictureFiles
from bottleneck_features.pipeline.use.prediction import Prediction

_PREDICTION = TypeAdapter(tuple[str, tuple[tuple[str, FiniteFloat], ...], FiniteFloat | None, str])


def resumed(
    path: Path, work: Mapping[str, Any], files: PictureFiles, predict: Callable[[PictureFiles], Iterable[Prediction]]
) -> Iterator[Prediction]:
    """Yield the prediction of every file in order: first those kept by a killed run of the same work, then new ones.

    New predictions are kept too. From the first file whose name, size or time of change differs, all are predicted again.

    Args:
        path: where they are kept; `forget` removes it.
        work: plain JSON that says by what is predicted. What was kept of other work is thrown away.
        files: from `listed`.
        predict: predicts files in their order.

    Raises:
        PipelineError: another process does the same now.
    """
    try:
        with FileLock(_lock(path), timeout=0), path.open("a+b") as kept:
            first = json.dumps(work, sort_keys=True).encode() + b"\n"
            done = 0
            for prediction in _found(kept, first, files):
                yield prediction
                done += 1
            for prediction, file in zip(predict(files[done:]), files[done:], strict=True):
                kept.write(json.dumps([_stamp(file), astuple(prediction)]).encode() + b"\n")
                kept.flush()
                yield prediction
    except Timeout:
        raise PipelineError(
            f"Another run is writing this now ('{path}'). Wait for it, or write to another --out."
        ) from None


def forget(path: Path) -> None:
    """Remove what `resumed` kept."""
    path.unlink(missing_ok=True)
    _lock(path).unlink(missing_ok=True)


def _lock(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _found(kept: BinaryIO, first: bytes, files: PictureFiles) -> Iterator[Prediction]:
    """Return the predictions in the file that still hold; whatever comes after them is cut off."""
    kept.seek(0)
    if kept.readline() != first:
        kept.truncate(0)
        kept.write(first)
        return
    end = kept.tell()
    for line, file in zip(kept, files, strict=False):
        if not line.endswith(b"\n"):
            break
        try:
            stamp, prediction = parsed_json(line)
            found = _PREDICTION.validate_python(prediction)
        except (ValueError, TypeError):  # damaged: this one and those after it are made anew
            break
        if stamp != _stamp(file):
            break
        end += len(line)
        yield Prediction(*found)
    kept.truncate(end)


def _stamp(file: tuple[Path, str]) -> list[Any]:
    path, problem = file
    try:
        status = path.stat()
    except OSError:
        return [os.fsencode(path).hex(), problem]
    return [os.fsencode(path).hex(), problem, status.st_size, status.st_mtime_ns]
