"""Checks what may import what: `python tests/import_contracts.py [CHECKOUT]`, run by `make lint`.

import-linter judges the imports that it finds; here it is also asked whether it has seen every module, for an empty package
breaks no rule.
"""

import os
import subprocess
import sys
from pathlib import Path

import grimp

PACKAGE = "bottleneck_features"
ROOMS = ("pipeline", "features", "models")


def unseen(checkout: Path) -> list[str]:
    """Return the Python files of the three folders, and of the package's own, that the import graph lacks."""
    sys.path.insert(0, str(checkout))
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    files = [file for room in ROOMS for file in (checkout / room).rglob("*.py")]
    names = [".".join((PACKAGE, *file.relative_to(checkout).with_suffix("").parts)) for file in files]
    names += [f"{PACKAGE}.{file.stem}" for file in (checkout / PACKAGE).glob("*.py")]
    return sorted({name.removesuffix(".__init__") for name in names} - graph.modules)


def main() -> int:
    """Return 0 where every contract is kept and every module was seen."""
    checkout = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    if missing := unseen(checkout):
        print(
            f"The import graph lacks {len(missing)} modules, such as {missing[0]}: are the links in {PACKAGE}/ there?"
        )
        return 1
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=checkout, env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
