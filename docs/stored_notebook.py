"""Run the tutorial's notebook in an empty folder and store its outputs in it, without progress bars: `make stored-notebook`."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "from_photographs_to_a_classifier.ipynb"


def executed(notebook: Path) -> nbformat.NotebookNode:
    """Return a notebook with its outputs, but for what went to the error stream and what changes with every run."""
    os.environ.pop("BOTTLENECK_HOME", None)
    found = nbformat.read(notebook, 4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(found, timeout=1800, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
        found = nbformat.reads(nbformat.writes(found).replace(f"{Path(folder).resolve()}/", ""), 4)
    for cell in found.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined([output for output in cell.outputs if output.get("name") != "stderr"])
    return found


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Return outputs with what was printed in pieces, as time had it, in one."""
    whole: list[nbformat.NotebookNode] = []
    for output in outputs:
        if whole and output.output_type == whole[-1].output_type == "stream":
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else NOTEBOOK
    made = executed(target)
    spare = target.with_suffix(".new")
    nbformat.write(made, spare)
    shutil.move(spare, target)
