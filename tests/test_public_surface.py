"""The public names of the package and their signatures: a change of them is a decision, and is written down here."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bottleneck_features as bf

SURFACE = Path(__file__).with_name("public_surface.txt")
HEAVY = {"tensorflow", "keras", "sklearn", "scipy", "pandas", "matplotlib", "openvino", "h5py", "pydantic", "numpy"}


def surface() -> str:
    """Return a line for every public name: its signature, or what it is; of a class also its public members."""
    return "".join(f"{line}\n" for name in sorted(bf.__all__) for line in _lines(name, getattr(bf, name)))


def _lines(name: str, value: Any) -> list[str]:
    if not inspect.isclass(value):
        return [f"{name}{_arguments(value)}"]
    bases = ", ".join(base.__name__ for base in value.__bases__)
    if issubclass(value, Exception):
        return [f"{name}: {bases}"]
    members = [member for member in dir(value) if not member.startswith("_")]
    return [f"{name}{_arguments(value)}: {bases}", *(f"  .{one}{_of_member(value, one)}" for one in sorted(members))]


def _of_member(owner: type, member: str) -> str:
    found = inspect.getattr_static(owner, member)
    return _arguments(found) if inspect.isfunction(found) else ""


def _arguments(value: Callable[..., Any]) -> str:
    """Return the parameters with their defaults: annotations are written differently by each version of Python."""
    signature = inspect.signature(value)
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


def test_the_public_surface_is_what_was_decided():
    assert surface() == SURFACE.read_text(encoding="utf-8"), f"to accept the change: python {Path(__file__).name}"


def test_every_public_name_is_described():
    for name in bf.__all__:
        assert (getattr(bf, name).__doc__ or "").strip(), name


def test_what_is_no_name_says_so():
    with pytest.raises(AttributeError, match="extracted"):
        _ = bf.extracted


def test_importing_the_package_and_naming_its_parts_imports_nothing_heavy():
    code = "import sys, bottleneck_features as bf; dir(bf); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


if __name__ == "__main__":
    SURFACE.write_text(surface(), encoding="utf-8")
