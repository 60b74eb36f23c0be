"""One import name, whatever the user's own files are called, from a wheel, an sdist and a checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("features", "models", "pipeline")
TYPED = (
    ("bottleneck", "experiments"),
    ("python", "-m", "bottleneck_features", "experiments"),
    (
        "python",
        "-c",
        "from bottleneck_features import load_experiment, open_features; print(load_experiment('digits').name)",
    ),
)


def run(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("form", ["import {}", "from {} import errors"])
def test_a_room_is_not_imported_a_second_time_under_a_name_of_its_own(room, form):
    done = python(form.format(room), ROOT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: `{room}` is a part of bottleneck-features: import bottleneck_features.{room} instead."
    )


def test_the_face_is_light_and_names_what_is_there():
    heavy = ("tensorflow", "keras", "numpy", "h5py", "pydantic", "matplotlib")
    code = f"import sys, bottleneck_features as bf; print([name for name in {heavy} if name in sys.modules])"
    assert python(code, ROOT).stdout.strip() == "[]"
    code = (
        "import bottleneck_features as bf; found = {name: getattr(bf, name) for name in bf.__all__}; "
        "print(set(found) <= set(dir(bf)), issubclass(bf.CacheMissing, bf.BottleneckError), hasattr(bf, 'nonsense'))"
    )
    assert python(code, ROOT).stdout.split() == ["True", "True", "False"]


def test_a_checkout_without_links_says_what_to_do(tmp_path):
    (tmp_path / "bottleneck_features").mkdir()
    for file in (ROOT / "bottleneck_features").glob("*.py"):
        shutil.copy(file, tmp_path / "bottleneck_features")
    for room in ROOMS:  # what git writes where it may not make links
        (tmp_path / "bottleneck_features" / room).write_text(f"../{room}")
    done = python("import bottleneck_features", tmp_path)
    assert done.returncode == 1
    assert "git config core.symlinks true && git checkout" in done.stderr
    assert "install the wheel" in done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What is built of a copy of the checkout: a wheel, an sdist, and the wheel that is made of the sdist."""
    folder = tmp_path_factory.mktemp("built")
    for name in run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).stdout.splitlines():
        if (ROOT / name).is_file() or (ROOT / name).is_symlink():
            (folder / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "checkout" / name, follow_symlinks=False)
    for kind, options in (("direct", ["--wheel"]), ("by-sdist", [])):
        run(sys.executable, "-m", "build", *options, "--outdir", folder / kind, folder / "checkout")
    (direct,), (sdist,) = (folder / "direct").glob("*.whl"), (folder / "by-sdist").glob("*.tar.gz")
    (by_sdist,) = (folder / "by-sdist").glob("*.whl")
    return {"direct": direct, "sdist": sdist, "by sdist": by_sdist}


@pytest.mark.slow
def test_the_wheel_has_one_top_level_name_and_all_files_of_the_package(built):
    names = {kind: set(zipfile.ZipFile(built[kind]).namelist()) for kind in ("direct", "by sdist")}
    assert names["direct"] == names["by sdist"]
    tops = {name.split("/")[0] for name in names["direct"]}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bottleneck_features"}
    files = {f"bottleneck_features/{file.relative_to(ROOT)}" for room in ROOMS for file in (ROOT / room).rglob("*.*")}
    assert {file for file in files if "__pycache__" not in file} <= names["direct"]
    assert "bottleneck_features/py.typed" in names["direct"]
    with tarfile.open(built["sdist"]) as sdist:
        assert not [member.name for member in sdist if member.issym() or member.islnk()]


@pytest.fixture(scope="module")
def installed(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment with the wheel; what it depends on is taken from this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    scripts = folder / "bin"
    run(scripts / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", built["direct"])
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # the .pth files there are not followed
    return scripts


@pytest.fixture(scope="module")
def other_wheel(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another wheel in the same environment, which has a top-level `models` of its own."""
    folder = tmp_path_factory.mktemp("other")
    (folder / "models").mkdir()
    (folder / "models" / "__init__.py").write_text("MINE = True\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "other-models"\nversion = "1"\n[tool.setuptools]\npackages = ["models"]\n'
    )
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "dist", folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    run(installed / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    assert run(installed / "python", "-c", "import models; print(models.MINE)", cwd=folder / "dist").stdout == "True\n"
    return installed


def work_in(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    "own",
    [
        {},
        {"features.py": "1 / 0", "pipeline.py": "1 / 0", "models.py": "1 / 0"},
        {"models/weights.txt": "data", "features/a.npy": "data", "pipeline/b": "data"},
        {"models/__init__.py": "1 / 0", "features/__init__.py": "1 / 0", "pipeline/__init__.py": "1 / 0"},
    ],
    ids=["nothing", "modules", "data folders", "packages"],
)
@pytest.mark.parametrize("environment", ["installed", "other_wheel"])
def test_a_users_own_names_do_not_break_the_command(request, tmp_path, environment, own):
    scripts = request.getfixturevalue(environment)
    work_in(tmp_path, own)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for program, *words in TYPED:
        done = run(scripts / program, *words, cwd=tmp_path, env=clean)
        assert "digits" in done.stdout
    where = "import bottleneck_features as bf; print(bf.__file__)"
    assert str(scripts.parent) in run(scripts / "python", "-c", where, cwd=tmp_path, env=clean).stdout
