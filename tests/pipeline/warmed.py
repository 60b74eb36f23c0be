"""A process that has imported everything: it runs every command it is told in a fork of itself, which spares the imports.

It reads one JSON object per line: `words` of a command, the `folder` to run in, and `strike`: None, or after how many changes
of files the command kills itself. It answers with the process' number, and at its end with its exit code and the number of
changes. Nothing is computed before the fork: TensorFlow has no threads until then.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

OTHERS = (
    "tensorflow",
    "keras",
    "onnx",
    "tf2onnx",
    "matplotlib.figure",
)  # of which none starts a thread, as OpenVINO does
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"}


def _import_all() -> None:
    package = importlib.import_module("bottleneck_features.pipeline")
    own = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    for name in ("bottleneck_features.__main__", *own, *OTHERS):
        try:
            importlib.import_module(name)
        except ImportError:  # an optional package
            continue


def _strike(folder: Path, at: int | None, told: int) -> None:
    """Count the changes of files below a folder, and die before the one with the number `at`."""
    root, seen = str(folder), 0

    def changed(event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            path, _, flags = arguments
            return isinstance(path, str | os.PathLike) and bool(flags & (os.O_WRONLY | os.O_RDWR)) and _below(path)
        return event in CHANGES and _below(arguments[0])

    def _below(path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.path.abspath(os.fspath(path)).startswith(root)  # noqa: PTH100

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if (event == "open" or event in CHANGES) and changed(event, arguments):
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
            os.pwrite(told, b"%8d" % seen, 0)

    sys.addaudithook(hook)


def _become(folder: Path, words: list[str], strike: int | None, told: int) -> None:
    os.chdir(folder)
    (folder / "temporary").mkdir(exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "temporary")
    for number, name in ((0, os.devnull), (1, "stdout"), (2, "stderr")):
        mode = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = os.open(name, mode, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    sys.argv = ["bottleneck", *words]
    _strike(folder, strike, told)


def _end_after_command() -> None:
    """Run the command and end without taking Python down module by module: all that is imported makes that take seconds."""
    from bottleneck_features.__main__ import main as command

    code: Any = 0
    try:
        command()
    except SystemExit as end:
        code = end.code or 0
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Fork for every line, and become the command in the fork."""
    _import_all()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        told = os.memfd_create("changes")
        process = os.fork()
        if process == 0:
            _become(Path(asked["folder"]), asked["words"], asked["strike"], told)
            break
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), int(os.pread(told, 8, 0) or 0)]), flush=True)
        os.close(told)
    else:
        return
    _end_after_command()


main()
