"""What the documentation tells a newcomer to type works: commands, Python, the notebooks.

Every block and every command inside text is run, but for what NOT_RUN and APART say, with the reason. Scripts of benchmarks/
are run by hand: tests/test_documented_commands.py looks whether they are there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from documented import FENCE, INLINE, PAGES, ROOT, blocks, commands, made_by, shell
from PIL import Image

pytestmark = pytest.mark.slow

OFFLINE = ("--set", "backbone.name=efficientnet-lite0", "--set", "backbone.layers=block5c_add,top_activation")
SHORT = ("--set", "input.size=64,64", "--set", "finetune.epochs=1", "--set", "convnet.epochs=1")
APART = {  # pages that are not run with the others
    "docs/tutorial.md": "has a test of its own",
    "docs/how-to/python.md": "has a test of its own",
    "docs/gallery.md": "`make docs` runs it",
    "docs/reference/commands.md": "examples for data that are not here; tests/test_documented_commands.py parses them",
}
OF_A_CACHE = "docs/reference/cache-format.md"  # its Python is run in the folder of a cache
CACHE = "artifacts/features/photo-patches-efficientnet-lite0-*"
NOT_RUN = {
    "…": "needs the user's own data or weights, or stands for several commands",
    r"-e cifar10\b": "downloads CIFAR-10 and ResNet50",
    "(predict|export) -e natural-images|^bottleneck evaluate (?!photographs)": "needs the user's model, or one that was measured",
    "-e emergency-vehicles": "downloads VGG16, or needs the user's table",
    r"-e csv|dataset\.source=|dataset\.corrections=": "needs the user's tables and archives",
    r"-e mine\.toml": "needs storage that several machines share, or a bucket",
    r"--backbone (?!efficientnet)": "downloads weights",
    r"shards/|mine\.onnx|\bNAME\b|A,B,C": "needs an archive, a network or names of the user's",
    "^bottleneck (bench --quick|export --format)": "the end of a command that stands elsewhere",
    "--seeds (5|10)": "takes many minutes; the same with fewer seeds is run",
    "--threshold": "needs a model of two classes",
    r"--backbones .*(resnet18|digits-case)": "downloads weights, or needs what a script of benchmarks/ makes",
    "--engine-on ray": "needs the extra `ray`; tests/pipeline/test_on_ray.py runs it",
    "--shard": "tests/pipeline/test_parts_cli.py runs it",
    "^bottleneck cache (verify|rm|export|import)|COMMAND|EXPERIMENT|DATA|MODEL|train.csv": "needs a name of the user's",
    "^bottleneck (?!experiments|doctor|settings)[a-z-]+$": "a command's bare name, which would run the experiment cifar10",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the pictures that the README speaks of, cut from the photographs of scikit-image."""
    folder = tmp_path_factory.mktemp("newcomer")
    data = pytest.importorskip("skimage.data")
    for name in ("astronaut", "coffee", "rocket"):
        photograph = getattr(data, name)()
        height, width = photograph.shape[:2]
        generator = np.random.default_rng(0)
        for number in range(16):
            top, left = generator.integers(0, (height - 128, width - 128))
            kind = folder / ("holiday" if number == 15 else f"pictures/{name}")
            kind.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photograph[top : top + 128, left : left + 128]).save(kind / f"{name}-{number}.png")
    shutil.copytree(folder / "pictures", folder / "pets")
    return folder


def run(words: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment.pop("BOTTLENECK_HOME", None)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stderr[-3000:]}"
    return done.stdout


def run_shell(body: str, folder: Path, done: set[str]) -> None:
    for _, words in shell(body):
        for made in made_by(words) if words[0] == "make" else (words,):
            line = " ".join(made)
            if made[0] != "bottleneck" or line in done or any(re.search(one, line) for one in NOT_RUN):
                continue
            done.add(line)
            own = (
                ("natural-images" in line and (*OFFLINE, *SHORT))
                or (re.search("-e folder|pictures/|pets/", line) and SHORT)
                or ()
            )
            given = () if made[1] in ("predict", "export", "settings") else own
            if made[1] == "run" and "--minutes" not in made:
                given = (*given, "--minutes", "0")
            run([sys.executable, "-m", "bottleneck_features", *made[1:], *given], folder)


def run_python(body: str, folder: Path) -> None:
    run([sys.executable, "-c", body.replace('bf.run("pets/")', 'bf.run("pets/", minutes=0)')], folder)


def test_every_reason_not_to_run_a_command_is_of_one_that_is_there():
    typed = [" ".join(one.words) for one in commands()] + [one.text for one in commands()]
    assert not [reason for reason in NOT_RUN if not any(re.search(reason, line) for line in typed)]
    assert set(APART) <= set(PAGES)


@pytest.mark.timeout(3600)
def test_a_newcomer_can_type_the_documentation_from_its_beginning_to_its_end(place):
    done: set[str] = set()
    for page in PAGES:
        if page in APART:
            continue
        text = (ROOT / page).read_text(encoding="utf-8")
        for language, body in FENCE.findall(text):
            if language == "python":
                run_python(body, next(place.glob(CACHE)) if page == OF_A_CACHE else place)
            elif language == "bash":
                run_shell(body, place, done)
        for line in INLINE.findall(FENCE.sub("", text)):
            run_shell(" ".join(line.split()), place, done)
    assert {"bottleneck compare -e photo-patches", "bottleneck doctor"} <= done
    assert len(done) > 20


@pytest.mark.timeout(1200)
def test_the_page_about_python_runs_from_its_beginning_to_its_end(place, tmp_path):
    shutil.copytree(place / "pictures", tmp_path / "pictures")
    bodies = blocks("docs/how-to/python.md", "python")
    assert len(bodies) > 8
    run_python("\n".join(bodies), tmp_path)
    assert (tmp_path / "labels.csv").is_file()


@pytest.mark.timeout(1200)
def test_the_tutorial_runs_from_photographs_to_an_onnx_file_in_use(tmp_path):
    for module in ("skimage", "onnxruntime", "tf2onnx"):
        pytest.importorskip(module)
    *earlier, last = re.findall(
        r"^```(bash|python)\n(.*?)^```", (ROOT / "docs/tutorial.md").read_text("utf-8"), re.M | re.S
    )
    done: set[str] = set()
    for language, body in earlier:
        run_python(body, tmp_path) if language == "python" else run_shell(body, tmp_path, done)
    assert len(done) == 5
    assert run([sys.executable, "-c", last[1]], tmp_path).startswith("gravel: ")


@pytest.mark.timeout(1800)
def test_the_stored_notebook_runs_from_nothing_and_gives_what_is_stored(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    stored = ROOT / "examples" / "from_photographs_to_a_classifier.ipynb"
    again = Path(shutil.copy(stored, tmp_path))
    run([sys.executable, str(ROOT / "docs" / "stored_notebook.py"), str(again)], tmp_path)
    before, now = (nbformat.read(file, 4).cells for file in (stored, again))
    assert [cell.source for cell in before] == [cell.source for cell in now]
    assert kinds(before) == kinds(now)
    accuracies = [
        float(re.search(r"([\d.]+)% \[.*images; most frequent class", printed(own))[1]) for own in (before, now)
    ]
    assert abs(accuracies[0] - accuracies[1]) < 5  # the engine computes in another precision on another processor


def kinds(cells) -> list[list[list[str]]]:
    return [[sorted(output.get("data", ["text"])) for output in cell.get("outputs", ())] for cell in cells]


def printed(cells) -> str:
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", ()))


@pytest.mark.timeout(1200)
def test_the_notebook_runs_from_nothing(tmp_path):
    pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "examples", folder)
    file = folder / "quick_experiments.ipynb"
    assert not any(cell.get("outputs") for cell in nbformat.read(file, 4).cells), "strip the outputs before committing"
    run([sys.executable, "-m", "jupyter", "execute", "--inplace", str(file)], folder)
    cells = nbformat.read(file, 4).cells
    said = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    assert float(re.search(r"([\d.]+)% \[.*of 340 test images", said)[1]) > 70
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))
