"""What commands print for people: a verdict first, short tables that fit, warnings once, and what to type next."""

import io
import json
import re
import shlex
import shutil
from html import unescape
from pathlib import Path

import pytest
from click.testing import Result
from commandline import SMALL, invoke
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import escape
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

import bottleneck_features as bf
from bottleneck_features.pipeline.commandline.layout import PIPE_WIDTH, prose, table
from bottleneck_features.pipeline.commandline.next_steps import (
    after_comparison,
    after_extraction,
    after_report,
    enough_minutes,
)
from bottleneck_features.pipeline.commandline.output import MOST_ROWS
from bottleneck_features.pipeline.results import GRAVEST, by_importance

FAST = (
    *SMALL, "--set", "head.epochs=2", "--set", "convnet.epochs=1",
    "--set", "compare.methods=head,logistic,ridge,best-probe,convnet-small",
)  # fmt: skip
RUNS = {
    "inspect": (),
    "features": (),
    "train-head": (),
    "probe": ("--folds", "0"),
    "compare": ("--folds", "0"),
    "advise": ("--folds", "0"),
    "report": (),
}
NEXT = re.compile(r"^next:  (.+)$", re.MULTILINE)
UNBROKEN = re.compile(r"^(next:  |report: |page: |files: |cache: |/)")


@pytest.fixture(scope="module")
def home(extracted, tmp_path_factory) -> Path:
    return Path(shutil.copytree(extracted / "features", tmp_path_factory.mktemp("printed") / "features")).parent


@pytest.fixture(scope="module")
def ran(home) -> dict[str, Result]:
    """Each command, run one after the other."""
    found = {command: invoke(command, *FAST, *words, home=home) for command, words in RUNS.items()}
    for done in found.values():
        assert done.exit_code == 0, done.output
    return found


@pytest.fixture(scope="module")
def printed(ran) -> dict[str, str]:
    """What each command printed, with the error stream."""
    return {command: done.output for command, done in ran.items()}


@pytest.fixture(scope="module")
def begun(ran, home, tmp_path_factory) -> dict[str, str]:
    """What each kind of result begins with in the terminal."""
    picture = tmp_path_factory.mktemp("pictures") / "one.png"
    Image.new("RGB", (32, 32)).save(picture)
    more = {
        "label-curve": ("compare", *FAST, "--label-curve", "1,all", "--seeds", "2"),
        "evaluate": ("evaluate", "digits", "digits", "--split", "test"),
        "predict": ("predict", "-e", "digits", str(picture), "--out", str(picture.with_suffix(".csv"))),
    }
    found = {kind: invoke(*words, home=home) for kind, words in more.items()}
    assert not [done.output for done in found.values() if done.exit_code]
    return {kind: done.stdout for kind, done in {**ran, **found}.items()} | {"predict": found["predict"].stderr}


@pytest.mark.parametrize("kind", [*RUNS, "label-curve", "evaluate", "predict"])
def test_the_terminal_and_the_card_begin_with_the_same_answer(begun, home, kind):
    found = bf.load_result(home / "runs/digits" / kind)
    answer = " ".join(found.verdict.split())
    assert " ".join(" ".join(_said(begun[kind])).split()).startswith(answer)
    first = re.match("<div[^>]*><div[^>]*>(.*?)</div>", found._repr_html_(), re.DOTALL)[1]
    assert " ".join(unescape(re.sub("<[^>]*>", "", first)).split()) == answer


@pytest.mark.parametrize("kind", ["inspect", "compare", "label-curve", "evaluate", "predict"])
def test_a_card_shows_few_rows_and_figures_that_are_needed(begun, home, kind):
    seen, _, folded = bf.load_result(home / "runs/digits" / kind)._repr_html_().partition("<details")
    assert 1 <= seen.count("<tr>") - 1 <= MOST_ROWS
    assert seen.count('<th scope="col"') <= 4
    assert "Files" in folded


def test_a_card_needs_no_table(ran, home, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "one.png")
    assert invoke("predict", "-e", "digits", str(tmp_path / "one.png"), home=home).exit_code == 0
    found = bf.load_result(home / "runs/digits/predict")
    assert escape(found.verdict) in found._repr_html_()
    with pytest.raises(AttributeError, match="wrote its table to stdout; with --out FILE"):
        assert found.table


def _said(output: str) -> list[str]:
    """The lines of an output that are no progress bars."""
    return [line for line in output.splitlines() if "\r" not in line and not re.search(r"\d+ of \d+|left$", line)]


@pytest.mark.parametrize("command", RUNS)
def test_piped_output_is_plain_and_no_wider_than_80_columns(printed, command):
    assert "\x1b" not in printed[command]
    for line in _said(printed[command]):
        assert cell_len(line) <= PIPE_WIDTH or UNBROKEN.match(line) or " " not in line.strip(), line


@pytest.mark.parametrize("command", RUNS)
def test_no_name_is_cut(printed, command):
    assert not re.search(r"\w…", printed[command])


@pytest.mark.parametrize("command", ["train-head", "probe", "compare", "report"])
def test_the_verdict_comes_first(ran, command):
    first = " ".join(ran[command].stdout.splitlines()[:4])
    assert " reaches " in first
    assert "always answering the most frequent class" in first


@pytest.mark.parametrize("command", ["train-head", "probe", "compare"])
def test_the_first_row_is_marked_and_there_are_at_most_eight(ran, command):
    _, *table = ran[command].stdout.split("\n\n")[1].split("\n* the verdict")[0].splitlines()
    names = [line for line in table if not line.startswith("   ")]
    assert names[0].startswith("* ")
    assert 1 <= len(names) <= MOST_ROWS
    assert not [line for line in names[1:] if line.startswith("*")]


def test_what_is_left_out_is_counted_and_all_shows_it(printed, home):
    assert re.search(r"… \d+ more probes, 6 more tests of differences: --all", printed["probe"])
    done = invoke("probe", *FAST, "--folds", "0", "--all", home=home)
    assert "All probes on validation images:" in done.output
    assert "exact McNemar" in done.output
    assert "--all" not in done.output.replace("next:", "")


@pytest.mark.parametrize("command", RUNS)
def test_warnings_are_said_once_and_a_licence_is_a_note(printed, home, command):
    words = " ".join(printed[command].split())
    if command != "inspect":
        assert words.count("note: Weights: EfficientNet-Lite0") == 1
    assert "! Weights" not in printed[command]
    result = json.loads((home / "runs" / "digits" / command / "result.json").read_text())
    assert not any(one.startswith("Weights") for one in result["warnings"])
    for warning in result["warnings"]:
        assert words.count(warning) == 1, warning


def test_every_command_says_what_to_type_next_and_it_works_as_it_is_printed(printed, home):
    for command, output in printed.items():
        lines = NEXT.findall(output)
        assert lines, command
    quick = [
        line
        for line in NEXT.findall("\n".join(printed.values()))
        if re.match(r"bottleneck (features|train-head)", line)
    ]
    for line in dict.fromkeys(quick):
        done = invoke_line(line)
        assert done.exit_code == 0, done.output
    exported = invoke_line(NEXT.findall(printed["compare"])[-1])
    assert exported.exit_code == 0, exported.output
    (shown,) = NEXT.findall(exported.output)
    program, card = shlex.split(shown)
    assert program == "cat"
    assert Path(card).is_file()


def invoke_line(line: str):
    """Run a line as it was printed, in this process."""
    words = shlex.split(line)
    assert words[0] == "bottleneck"
    place = words.index("--home")
    return invoke(*words[1:place], *words[place + 2 :], home=Path(words[place + 1]))


def test_predict_says_on_the_error_stream_what_to_type_next(printed, home, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "one.png")
    done = invoke("predict", "-e", "digits", str(tmp_path / "one.png"), home=home)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0].startswith("file,label")
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.lstrip().partition("next:  ")[2].startswith("bottleneck export -e digits ")


def test_the_commands_of_caches_follow_one_another(home):
    listed = invoke("cache", "ls", home=home)
    assert listed.stdout.startswith("1 cache in ")
    (verify,) = NEXT.findall(listed.stdout)
    verified = invoke_line(verify)
    assert verified.stdout.startswith("The cache is whole: ")
    exported = invoke_line(*NEXT.findall(verified.stdout))
    assert all(Path(line).is_file() for line in exported.stdout.splitlines())
    assert invoke_line(*NEXT.findall(exported.stderr)).exit_code == 0
    (name,) = (folder.name for folder in (home / "features").iterdir())
    removal = invoke("cache", "rm", name, home=home)
    assert NEXT.findall(removal.stdout) == [f"bottleneck cache rm {name} --yes --home {home}"]


def test_a_part_of_a_cache_is_followed_by_another_one():
    for part, following in (("1/3", "2/3"), ("3/3", "1/3")):
        (words,) = after_extraction({"shards_left": 4, "part": part}, ("-e", "digits"))
        assert words == ("bottleneck", "features", "-e", "digits", "--shard", following)


def test_a_network_that_is_best_is_trained_next_and_kept(tmp_path):
    row = {"name": "fine-tune", "layers": [], "accuracy": {"validation": 0.9, "test": 0.9}}
    other = {**row, "name": "convnet-small", "accuracy": {"validation": 0.5, "test": 0.5}}
    pair = {"first": "fine-tune", "second": "convnet-small"}
    result = {"command": "compare", "methods": [other, row], "pairs": [pair], "scored_on": "test"}
    (words,) = after_comparison(result, ("-e", "x"), (), tmp_path)
    assert words == ("bottleneck", "fine-tune", "-e", "x", "--method", "fine-tune")


@pytest.mark.parametrize(("kept", "following"), [("ridge", [("bottleneck", "export", "-e", "digits")]), ("knn", [])])
def test_a_model_is_exported_next_if_that_of_probe_can_be_whatever_is_best_on_the_page(
    ran, home, tmp_path, kept, following
):
    probed = Path(shutil.copytree(home / "runs" / "digits" / "probe", tmp_path / "probe"))
    file = probed / "result.json"
    content = json.loads(file.read_bytes())
    methods = [{**row, "kept": row["name"] == kept} for row in content["methods"]]
    file.write_text(json.dumps({**content, "methods": methods}))
    for best in ("knn@block5c_add", "head@block5c_add"):
        page = {"missing": {}, "best_method": best}
        assert after_report(page, ("-e", "digits"), probed) == following


def test_the_minutes_that_are_named_are_enough_for_all_that_was_left_out():
    assert enough_minutes(0.0, 56.7) == 2  # the report takes time too
    assert enough_minutes(10.0, 60.0, 30.0) == 12
    assert enough_minutes(1.0, None) == 12


def test_the_gravest_warnings_come_first_each_once():
    others = ("Balance: uneven", "There is no test split: cross-validated")
    grave = tuple(f"{kind}: this" for kind in GRAVEST)
    assert by_importance((*others, *reversed(grave), *others)) == (*grave, *others)


# Letters that are no digits, wide and right-to-left ones too: what is left of a table without its figures
NAMES = st.text(st.characters(categories=("L", "Po", "So"), exclude_characters=".%"), min_size=1, max_size=150)
FIGURES = st.builds("{:.1f} %".format, st.floats(0, 100))


def lines_of(columns, rows, total, needed=2) -> list[str]:
    """The lines of a table as they are printed."""
    console = Console(file=io.StringIO(), width=total)
    with console.capture() as captured:
        console.print(table(columns, rows, total, needed), crop=False)
    return [line.rstrip() for line in captured.get().splitlines()]


@given(st.lists(st.tuples(NAMES, *[FIGURES] * 4), min_size=1, max_size=5), st.sampled_from([80, 120]))
@example([("a name of several words, " * 6, *["1.0 %"] * 4)], 80)
@example([("猫" * 75, *["1.0 %"] * 4), ("שם" * 75, *["1.0 %"] * 4), ("<b>[red]x[/red]</b>", *["1.0 %"] * 4)], 80)
def test_a_table_is_never_wider_and_keeps_every_name_and_figure_whole(rows, total):
    head, *lines = lines_of(("method", "test", "validation", "training", "parameters"), rows, total)
    assert all(cell_len(line) <= total for line in (head, *lines))
    shown = re.findall(r"\d+\.\d %", " ".join(lines))
    assert shown == [cell for row in rows for cell in row[1 : len(head.split())]]
    letters = re.sub(r"\d+\.\d %|\s", "", "".join(lines))
    assert letters == re.sub(r"\s", "", "".join(name for name, *_ in rows))


def test_columns_that_do_not_fit_are_left_out_and_come_with_the_width():
    columns = ("class", "images", "recall", "precision", "most often taken for")
    rows = [("a class of a long name " * 5, "20", "90.0 % [69.9, 97.2]", "100.0 %", "another long name " * 5)]
    heads = [re.split(" {2,}", lines_of(columns, rows, total, 3)[0]) for total in (60, 80, 120)]
    assert heads == [["class", "images", "recall"], [*columns[:4]], [*columns]]


def test_names_stay_whole_where_they_are_not_long():
    name = "best-probe: logistic@block5c_add+top_activation"
    rows = [(name, "80.6 % [70.1, 91.0]", "79.9 % [70.0, 90.9]"), ("ridge", "9.1 % [1.0, 12.3]", "–")]
    assert lines_of(("method", "test", "validation"), rows, 80) == [
        f"{'method':<{len(name)}}  test",
        f"{name}  80.6 % [70.1, 91.0]",
        f"{'ridge':<{len(name)}}   9.1 % [1.0, 12.3]",
    ]


def test_figures_stand_to_the_right_and_names_of_digits_to_the_left():
    rows = [("7", "1,234", "0.5 s", "cat (3)"), ("10", "8", "12.0 s", "7 (12)")]
    assert lines_of(("class", "n", "time", "taken for"), rows, 80) == [
        "class      n    time  taken for",
        "7      1,234   0.5 s  cat (3)",
        "10         8  12.0 s  7 (12)",
    ]


def test_lines_end_between_figures_and_never_in_a_path():
    path = "/a/very/long/path/" + "x" * 90
    lines = prose(f"It is 96.8 % [94.5, 98.1] with p = 0.05, see {path}", 24)
    assert path in lines
    for line in lines:
        assert not re.search(r"\d$|\[\S+,$|=$", line.strip()) or line.strip().endswith(("x", "p = 0.05,"))
    assert " ".join(line.strip() for line in lines) == f"It is 96.8 % [94.5, 98.1] with p = 0.05, see {path}"
