"""Headline, marked row, open confusion matrix, table of classes and mistakes of a page are of one method."""

import re
import shutil
from pathlib import Path

import pytest
from commandline import SMALL, invoke

FAST = (
    *SMALL,
    "--set",
    "backbone.layers=block3b_add,block5c_add",
    "--set",
    "head.epochs=2",
    "--set",
    "convnet.epochs=1",
    "--set",
    "compare.methods=head,ridge,best-probe,convnet-small",
)
KINDS = {
    "train-head alone": [("train-head",)],
    "probe beside another head": [("train-head",), ("probe", "--folds", "0")],
    "probe and comparison": [("probe", "--folds", "0"), ("compare", "--folds", "0")],
    "folds beside the test split": [
        ("probe", "--folds", "2", "--repeats", "1"),
        ("compare", "--folds", "2", "--repeats", "1", "--set", "compare.methods=head,ridge,best-probe"),
    ],
}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory) -> Path:
    """An artifacts folder with the features of the two layers that are narrow."""
    home = tmp_path_factory.mktemp("narrow")
    done = invoke("features", *FAST, home=home)
    assert done.exit_code == 0, done.output
    return home


def _page(narrow: Path, home: Path, commands: list[tuple[str, ...]]) -> str:
    shutil.copytree(narrow / "features", home / "features")
    for command, *words in commands:
        done = invoke(command, *FAST, *words, home=home)
        assert done.exit_code == 0, done.output
    done = invoke("report", *FAST, home=home)
    assert done.exit_code == 0, done.output
    return (home / "runs" / "digits" / "report" / "report.html").read_text()


def _section(page: str, name: str) -> str:
    return page.partition(f'<section class="card" id="{name}">')[2].partition("</section>")[0]


def methods_of(page: str) -> dict[str, str]:
    """The label of the method that each part of a page is of, without the family that `best-probe` chose."""
    page = page.replace("<wbr>", "")
    name = r'<bdi>(?:<span title=")?([^<"]*)'
    confusion = _section(page, "confusion").partition("<details")[0]
    found = {
        "headline": re.search(rf"</strong> of {name}", page),
        "row": re.search(rf'<tr class="marked"><th scope="row">{name}', page),
        "confusion": re.search(r'aria-label="confusion matrix of ([^"]*)"', confusion),
        "calibration": re.search(r"<figcaption>([^<]*?): calibration: ", _section(page, "calibration")),
        "classes": re.search(rf"<b>{name}</bdi></b>: unweighted", _section(page, "classes")),
        "mistakes": re.search(rf"The mistakes of {name}</bdi> with the highest", _section(page, "mistakes")),
        "map": re.search(rf"a ring marks the mistakes of {name}", _section(page, "map")),
    }
    return {part: match[1].partition(": ")[0] if match else "nothing" for part, match in found.items()}


BY_DEFAULT = ("train-head alone", "folds beside the test split")


@pytest.mark.parametrize(
    "commands",
    [pytest.param(own, id=name, marks=() if name in BY_DEFAULT else pytest.mark.slow) for name, own in KINDS.items()],
)
def test_the_whole_page_is_of_the_method_of_its_headline(narrow, tmp_path, commands):
    page = _page(narrow, tmp_path, commands)
    found = methods_of(page)
    assert len(set(found.values())) == 1, found
    assert "Note: Weights: EfficientNet-Lite0" in page
    assert len(re.findall(r'title="[^"]*">[✓✗] ', page)) == 12
