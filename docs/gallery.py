"""Runs the blocks of docs/gallery.md in build/gallery, unless this code has run them already, as `make docs` does first."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gallery.md"
HOME = ROOT / "build" / "gallery"
STAMP = HOME / "made-by"
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def digest() -> str:
    """Return what tells one state of the code and of the page from another."""
    code = sorted(path for room in ("pipeline", "features", "models") for path in (ROOT / room).rglob("*.*"))
    contents = (path.read_bytes() for path in [PAGE, *code] if "__pycache__" not in path.parts)
    return hashlib.sha256(b"\0".join(contents)).hexdigest()


def main() -> None:
    """Make the gallery's reports."""
    wanted = digest()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    own = {name: value for name, value in os.environ.items() if name != "BOTTLENECK_HOME"}
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for language, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        words = {"python": [sys.executable, "-c"], "bash": ["bash", "-ec"]}[language]
        subprocess.run([*words, body], cwd=HOME, env=own, check=True)
    STAMP.write_text(wanted)


if __name__ == "__main__":
    main()
