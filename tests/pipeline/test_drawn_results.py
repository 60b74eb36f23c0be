"""The pictures of a result are drawn again from its content, as a notebook shows them."""

import json
from pathlib import Path

import pytest
from commandline import SMALL, invoke
from matplotlib import pyplot

from bottleneck_features.pipeline.api.figures import figures_of
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.plots import png_bytes
from bottleneck_features.pipeline.plots.style import new_figure

QUICK = ("--set", "head.epochs=2", "--set", "convnet.epochs=1")
WRITTEN = {
    "probe": ("probe",),
    "train-head": ("train-head",),
    "label-curve": ("compare", "--label-curve", "2,all", "--seeds", "1"),
    "inspect": ("inspect",),
    "compare": ("compare", "--set", "compare.methods=head,logistic"),
}


@pytest.fixture(scope="module")
def results(extracted: Path) -> dict[str, Path]:
    """The files of the results of every command that draws and takes seconds."""
    for command, words in WRITTEN.items():
        done = invoke(*words, *SMALL, *QUICK, home=extracted)
        assert done.exit_code == 0, (command, done.output)
    files = {command: extracted / "runs" / "digits" / command / "result.json" for command in WRITTEN}
    done = invoke("evaluate", "digits", "-e", "digits", "--split", "test", home=extracted)
    assert done.exit_code == 0, done.output
    return {**files, "evaluate": extracted / "runs" / "digits" / "evaluate" / "result.json"}


@pytest.mark.parametrize("command", [*WRITTEN, "evaluate"])
def test_what_is_drawn_from_the_content_alone_is_the_picture_that_the_command_wrote(results, command):
    figures = figures_of(json.loads(results[command].read_text()))
    written = {file.stem: file.read_bytes() for file in results[command].parent.glob("*.png")}
    assert set(written) <= set(figures)
    assert written or command == "compare"  # its pictures are the report's
    for name, content in written.items():
        assert png_bytes(figures[name]) == content, name


def test_a_comparison_has_a_picture_of_every_part_of_it(results):
    content = json.loads(results["compare"].read_text())
    figures = figures_of(content)
    labels = set(content["calibration"])
    assert len(labels) == 2
    assert set(figures) == {
        "comparison",
        "time",
        *(f"learning-curves-{label}" for label in content["histories"]),
        "confusion",
        *(f"reliability-{label}" for label in labels),
    }
    assert len({png_bytes(figure) for figure in figures.values()}) == len(figures)


def test_no_figure_is_one_of_pyplots(results):
    before = pyplot.get_fignums()
    assert figures_of(json.loads(results["probe"].read_text()))
    assert pyplot.get_fignums() == before


def test_what_nothing_can_be_drawn_of_gives_no_figure():
    assert figures_of({"command": "export"}) == {}


@pytest.mark.parametrize(
    ("command", "changes", "why"),
    [
        ("probe", {"paths": [{"family": "ridge", "layers": ["a"], "l2": [1.0], "criterion": [], "chosen": 1.0}]},
         "paths.0: 'ridge' has not one value for each of its settings"),
        ("train-head", {"confusion": [[1, 2], [3]]}, "confusion: the confusion matrix is not square"),
        ("evaluate", {"classes": ["a"]}, "it: the confusion matrix has not as many rows as there are classes"),
        ("inspect", {"images": {}}, "images: Dictionary should have at least 1 item"),
    ],
)  # fmt: skip
def test_a_result_that_no_command_can_have_written_is_refused_with_the_place(results, command, changes, why):
    with pytest.raises(RequestError) as refused:
        figures_of({**json.loads(results[command].read_text()), **changes})
    assert f"The result of {command} cannot be drawn ({why}" in str(refused.value)
    assert "Give what --json prints" in str(refused.value)


@pytest.mark.parametrize("content", [{}, {"command": 3}, [], "result.json"], ids=str)
def test_what_is_no_result_is_refused(content):
    with pytest.raises(RequestError, match=f"no `command`.*Received: {type(content).__name__}"):
        figures_of(content)


def test_names_that_others_chose_are_harmless_wherever_a_figure_is_drawn():
    figure, axes = new_figure((2, 2))
    axes.set_xticks([0], ["a\x1b[31mb"])
    axes.set_title("a\u202eb")
    figure.draw_without_rendering()
    assert axes.get_title() == "a\\u202eb"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a\\u001b[31mb"]


CELLS = (
    "from bottleneck_features.pipeline.plots import class_balance\nfigure = class_balance({'train': [3, 4]}, ['a', 'b'])",
    "figure",
    "%matplotlib inline\nfigure",
    "from matplotlib import pyplot\nfigure",
    "assert not pyplot.get_fignums()",
)


def test_a_notebook_shows_a_figure_once_whether_it_uses_pyplot_or_not():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, timeout=200).execute()
    shown = [[output for output in cell.outputs if output.output_type != "stream"] for cell in notebook.cells]
    assert [len(outputs) for outputs in shown] == [0, 1, 1, 1, 0], shown
    for (output,) in shown[1:4]:
        assert output.data["image/png"]
    assert shown[1][0].metadata["image/png"]["width"] == round(8.5 * 96)
