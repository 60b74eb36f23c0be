"""Which pre-trained network: each extracted once, its best probe on the same images, a winner only where it can be told."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import SMALL, bottleneck, command, heed_ctrl_c, invoke
from imagefiles import class_folders
from rich.cells import cell_len
from smallnetworks import flat_network, small_network

import bottleneck_features as bf
from bottleneck_features.models import downloads
from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.commandline import layout
from bottleneck_features.pipeline.evaluation.scores import accuracy_difference, mcnemar
from bottleneck_features.pipeline.reporting.networks import networks_legend, networks_verdict, winner_of
from bottleneck_features.pipeline.result_schema import require_result

LITE0 = "efficientnet-lite0"


@pytest.fixture(scope="module")
def home(extracted, tmp_path_factory) -> Path:
    """The features of EfficientNet-Lite0 and its compiled network, and no results."""
    home = tmp_path_factory.mktemp("networks-compared")
    for folder in ("features", "networks"):
        shutil.copytree(extracted / folder, home / folder)
    return Path(shutil.copy(extracted / "speeds.json", home)).parent


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """Networks in files: `same` has the weights of `small`, `flat` is tied to 32 pixels."""
    folder = tmp_path_factory.mktemp("files")
    small, flat = small_network(folder / "small.keras", 0), flat_network(folder / "flat.keras", 1)
    same = shutil.copy(small, folder / "same.keras")
    return {"small": str(small), "same": str(same), "flat": str(flat)}


def compare(home: Path, *backbones: str, words: tuple[str, ...] = SMALL, more: tuple[str, ...] = ()) -> dict[str, Any]:
    done = invoke("compare", *words, "--backbones", ",".join(backbones), *more, "--json", home=home)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def compared(home, files) -> dict[str, Any]:
    return compare(home, LITE0, files["small"], files["same"])


def test_each_network_has_a_row_on_the_same_images_with_what_it_costs(compared, files):
    require_result("compare-backbones", compared)
    rows = {row["name"]: row for row in compared["methods"]}
    assert list(rows) == [LITE0, "small", "same"]
    assert {row["n"]["test"] for row in rows.values()} == {120}
    assert all(row["family"] in ("logistic", "ridge", "knn") for row in rows.values())
    small, lite0 = rows["small"]["network"], rows[LITE0]["network"]
    assert small["megabytes"] == round(Path(files["small"]).stat().st_size / 1e6, 4)
    assert small["features"] == {"last": 16}
    assert small["images"] == 240
    assert small["speed_of"] == "this run"
    assert small["images_per_second"] > 0
    assert small["milliseconds_per_image"] == pytest.approx(1000 / small["images_per_second"])
    assert 0 < small["gflop_per_image"] < lite0["gflop_per_image"]
    assert small["notice"] == ""
    assert "Apache-2.0" in lite0["notice"]
    assert lite0["input_size"] == [32, 32]
    assert any("Apache-2.0" in note for note in compared["notes"])
    assert not any("Apache-2.0" in warning for warning in compared["warnings"])


def test_paired_differences_are_those_of_the_answers(compared):
    with np.load(Path(compared["folder"]) / "predictions.npz") as kept:
        labels = kept["labels"]
        answers = {row["name"]: kept[f"predicted/{row['name']}"] for row in compared["methods"]}
    assert len(compared["pairs"]) == 3
    for pair in compared["pairs"]:
        first, second = answers[pair["first"]], answers[pair["second"]]
        gap = accuracy_difference(labels, first, second)
        assert pair["difference"] == pytest.approx(np.mean(first == labels) - np.mean(second == labels))
        assert pair["difference_interval"] == pytest.approx([gap.low, gap.high])
        assert pair["p_value"] == pytest.approx(mcnemar(labels, first, second).p_value)
    smallest = min(pair["p_value"] for pair in compared["pairs"])
    assert min(pair["p_adjusted"] for pair in compared["pairs"]) == pytest.approx(min(1.0, 3 * smallest))


def test_a_network_that_is_ahead_is_named_and_equal_ones_are_not_told_apart(compared, home, files):
    assert compared["winner"] == compared["best"] == LITE0
    tied = compare(home, files["small"], files["same"])
    assert tied["winner"] == ""
    (pair,) = tied["pairs"]
    assert (pair["difference"], pair["p_value"]) == (0, 1)
    assert "cannot be told from these images" in " ".join(networks_verdict(tied))
    assert networks_legend(tied).startswith("= cannot be told")


def test_the_same_again_computes_nothing_and_is_no_further_look(compared, home, files):
    looks = (home / "test-looks.jsonl").read_text()
    again = compare(home, LITE0, files["small"], files["same"])
    assert (home / "test-looks.jsonl").read_text() == looks
    assert again["images"] == 0
    assert {row["network"]["speed_of"] for row in again["methods"]} <= {"earlier runs", "this run"}
    assert [row["accuracy"] for row in again["methods"]] == [row["accuracy"] for row in compared["methods"]]
    assert again["pairs"] == compared["pairs"]


def test_each_cache_is_the_one_that_features_makes_of_this_network(compared, home, files):
    own = ("--set", f"backbone.name={files['small']}", "--set", "backbone.layers=last")
    alone = json.loads(invoke("features", *SMALL, *own, "--json", home=home).stdout)
    network = next(row["network"] for row in compared["methods"] if row["name"] == "small")
    assert alone["images"] == 0
    assert (alone["cache"], alone["cache_key"]) == (network["cache"], network["cache_key"])


def test_without_test_images_all_are_cross_validated_on_the_same_folds(tmp_path, files):
    root = class_folders(tmp_path / "pictures", images=12)
    words = ("-e", "natural-images", "--set", f"dataset.path={root}", "--set", "input.size=32,32")
    result = compare(tmp_path, files["small"], files["same"], words=words, more=("--folds", "3", "--repeats", "2"))
    assert (result["scored_on"], result["folds"], result["repeats"]) == ("cross_validated", 3, 2)
    assert {row["models"] for row in result["methods"]} == {6}
    (pair,) = result["pairs"]
    first, second = (row["accuracy"]["cross_validated"] for row in result["methods"])
    assert pair["test"] == "corrected resampled t"
    assert pair["difference"] == pytest.approx(first - second)
    alone = compare(tmp_path, files["small"], files["same"], words=words, more=("--folds", "0"))
    assert (alone["scored_on"], alone["winner"], alone["images"]) == ("validation", "", 0)
    assert "was chosen on these images" in " ".join(networks_verdict(alone))


def test_a_network_may_have_a_size_of_its_own_and_is_shown_with_it(home, files):
    result = compare(home, f"{files['small']}@48x40", files["small"])
    assert [row["name"] for row in result["methods"]] == ["small@48x40", "small"]
    assert [row["network"]["input_size"] for row in result["methods"]] == [[48, 40], [32, 32]]


def test_random_weights_are_labelled_as_such(home, files):
    own = ("--set", f"backbone.name={files['same']}", "--set", "backbone.layers=last")
    result = compare(home, files["same"], files["small"], words=(*SMALL, *own, "--set", "backbone.weights=random"))
    first, second = result["methods"]
    assert (first["name"], first["network"]["weights"]) == ("same-RANDOM-WEIGHTS", "random")
    assert first["network"]["megabytes"] == round(4 * (3 * 9 * 8 + 8 + 8 * 9 * 16 + 16) / 1e6, 4)
    assert second["network"]["weights"] == "file"
    assert [one for one in result["warnings"] if "RANDOM" in one] == [
        "RANDOM WEIGHTS: same-RANDOM-WEIGHTS was not pre-trained; its figures are not about transfer learning."
    ]


@pytest.mark.parametrize(
    ("asked", "more", "expected"),
    [
        (f"resnet81,{LITE0}", (), "There is no backbone 'resnet81'. Nearest: 'resnet18'"),
        (f"nowhere.keras,{LITE0}", (), "There is no file 'nowhere.keras'"),
        (LITE0, (), f"--backbones takes two or more networks, such as resnet18,{LITE0},mine.keras@96. Received: '{LITE0}'"),
        (f"{LITE0},", (), "--backbones takes two or more networks"),
        (f"{LITE0},{LITE0}", (), f"--backbones names '{LITE0}' twice"),
        (f"{LITE0},{LITE0}@32", (), f"--backbones names '{LITE0}' twice"),
        (f"{LITE0},{LITE0}@7", (), f"from 8 to 2048 pixels a side, such as {LITE0}@96. Received: '{LITE0}@7'"),
        (f"{LITE0},resnet18", ("--seeds", "2"), "--seeds does not go with --backbones"),
        (f"{LITE0},resnet18", ("--label-curve", "1,all"), "--label-curve does not go with --backbones"),
        (f"{LITE0},resnet18", ("--set", "compare.methods=head,ridge"), "compare.methods names methods of one network"),
        ("resnet50,resnet18", ("--set", "backbone.layers=top_activation"), f"is for the experiment's own network, '{LITE0}'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_before_anything_is_computed(tmp_path, asked, more, expected):
    done = invoke("compare", *SMALL, "--backbones", asked, *more, home=tmp_path)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert not (tmp_path / "features").exists()


def test_weights_that_are_not_to_be_had_are_all_named_before_anything_is_computed(tmp_path, monkeypatch):
    def offline(*_: Any) -> Path:
        raise OSError("no network")

    monkeypatch.setattr(downloads, "fetch", offline)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    done = invoke("compare", *SMALL, "--backbones", f"resnet18,{LITE0},vgg16", home=tmp_path)
    assert done.exit_code == 1
    assert "resnet18-f37072fd.pth" in done.stderr
    assert "vgg16_weights" in done.stderr
    assert "Nothing was computed. Or leave resnet18, vgg16 out of --backbones." in done.stderr
    assert not (tmp_path / "features").exists()


def test_a_network_that_cannot_be_built_for_its_size_ends_it_before_anything_is_computed(tmp_path, files):
    done = invoke("compare", *SMALL, "--backbones", f"{files['small']},{files['flat']}@48", home=tmp_path)
    assert done.exit_code == 2
    assert "set input.size to that" in done.stderr
    assert not list(tmp_path.glob("features/*/*/*.h5"))


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_and_what_to_type_next_works(compared, home, files, monkeypatch, columns):
    monkeypatch.setattr(layout, "PIPE_WIDTH", columns)
    done = invoke("compare", *SMALL, "--backbones", f"{LITE0},{files['small']},{files['same']}", home=home)
    said = [line for line in done.stdout.splitlines() if not line.startswith(("files:", "next:"))]
    assert all(cell_len(line) <= columns for line in said)
    head = next(line for line in said if line.startswith("  network"))
    assert ["test, n = 120" in head, "against the first" in head, "images/s" in head] == [True] * 3
    assert ("GFLOP" in head) == (columns == 120)
    assert f"* {LITE0}" in done.stdout
    assert f"next:  bottleneck probe {' '.join(SMALL)}" in done.stdout


def test_the_page_and_the_advice_show_it_while_the_images_are_the_same(compared, home):
    assert invoke("train-head", *SMALL, "--set", "head.epochs=1", home=home).exit_code == 0
    file = home / "runs/digits/compare-backbones/result.json"
    content = json.loads(file.read_text())
    methods = ("--set", "compare.methods=head,ridge", "--set", "head.epochs=1")
    reported = json.loads(invoke("report", *SMALL, *methods, "--json", home=home).stdout)
    page = Path(reported["files"][0]).read_text(encoding="utf-8")
    assert "<h2>Which network</h2>" in page
    assert content["winner"] == LITE0
    assert "is ahead of every other network" in page
    assert "Apache-2.0" in page
    assert "networks.svg" in " ".join(reported["files"])
    assert reported["best_method"] != LITE0
    advised = json.loads(
        invoke("advise", *SMALL, "--set", "convnet.epochs=1", "--folds", "0", "--json", home=home).stdout
    )
    assert f"{LITE0} is ahead of every other network" in advised["networks"]
    repeat = next(line for line in page.splitlines() if "compare --backbones" in line and line.startswith("bottleneck"))
    assert "compare.methods" not in repeat
    file.write_text(json.dumps({**content, "images_key": "0" * 64}))
    reported = json.loads(invoke("report", *SMALL, "--json", home=home).stdout)
    assert "<h2>Which network</h2>" not in Path(reported["files"][0]).read_text(encoding="utf-8")
    assert any("it is of other images or labels" in one and "--backbones" in one for one in reported["warnings"])
    file.write_text(json.dumps(content))


def test_the_function_returns_what_the_command_prints(compared, home, files):
    asked = [LITE0, Path(files["small"]), files["same"]]
    found = bf.compare("digits", backbones=asked, dataset={"limit": 120}, size=32, home=home)
    assert found["pairs"] == compared["pairs"]
    assert found["images"] == 0
    assert found.table.method.tolist()[0] == LITE0
    assert found.table.chosen.tolist() == [True, False, False]
    assert {"images_per_second", "megabytes", "notice", "probe"} <= set(found.table.columns)
    assert found.verdict.startswith(f"{LITE0} is ahead of every other network: of ")
    assert list(found.figures) == ["networks"]
    assert "GFLOP" in found._repr_html_()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"backbones": LITE0}, "backbones takes a list of names"),
        ({"backbones": [LITE0, 3]}, r"backbones\[1\] takes"),
        ({"backbones": [LITE0, "resnet18"], "seeds": 2}, "seeds does not go with backbones"),
        (
            {"backbones": [LITE0, "resnet18"], "compare": {"methods": ["head", "ridge"]}},
            "compare.methods names methods",
        ),
        ({"backbones": [LITE0, "resnet81"]}, "Nearest: 'resnet18'"),
    ],
)
def test_the_function_refuses_what_the_command_does(tmp_path, given, expected):
    with pytest.raises(bf.BottleneckError, match=expected):
        bf.compare("digits", home=tmp_path, **given)


def _pair(first: str, second: str, p_adjusted: float) -> dict[str, Any]:
    return {"first": first, "second": second, "p_adjusted": p_adjusted}


@pytest.mark.parametrize(
    ("p_values", "split", "winner"),
    [
        ((0.01, 0.01), "test", "a"),
        ((0.01, 0.06), "test", ""),  # ahead of one, level with the other
        ((0.01, 0.01), "cross_validated", "a"),
        ((0.01, 0.01), "validation", ""),  # these images chose the probes
    ],
)
def test_a_winner_is_ahead_of_all_others_on_images_that_chose_nothing(p_values, split, winner):
    pairs = [_pair("a", "b", p_values[0]), _pair("c", "a", p_values[1]), _pair("b", "c", 1.0)]
    assert winner_of("a", pairs, split) == winner


def test_the_chart_names_networks_whose_speed_is_not_known(compared):
    rows = json.loads(json.dumps(compared["methods"]))
    rows[1]["network"]["images_per_second"] = None
    figure = plots.networks(rows, "test")
    assert figure
    figure.draw_without_rendering()
    (axes,) = figure.axes
    labels = [text.get_text().partition("\n")[0] for text in axes.texts]
    assert sorted(labels) == sorted([LITE0, "same"])
    assert axes.get_xlabel().endswith("speed not known: small")
    for row in rows:
        row["network"]["images_per_second"] = None
    assert plots.networks(rows, "test") is None


def test_a_process_of_its_own_ends_with_a_table(home, files):
    done = bottleneck("compare", *SMALL, "--backbones", f"{files['small']},{files['same']}", home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Which network is best cannot be told")
    assert "tensorflow" not in done.stderr.lower()
    assert "probes of network 2 of 2, same" in done.stderr


@pytest.mark.slow
def test_ctrl_c_keeps_the_networks_that_are_finished(tmp_path, files):
    words = ("compare", "-e", "digits", "--set", "input.size=96,96", "--set", "compute.batch_size=4")
    asked = ("--set", "features.shard_size=64", "--backbones", f"{files['small']},{LITE0}")
    with subprocess.Popen(
        command(*words, *asked, home=tmp_path), stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    ) as process:
        while process.poll() is None and len(list(tmp_path.glob(f"features/*{LITE0}*/*/*.h5"))) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "with --backbones every finished shard of features" in errors
    assert "network 2 of 2" in errors
    result = json.loads(bottleneck(*words, *asked, "--json", home=tmp_path).stdout)
    small, lite0 = (row["network"]["images"] for row in result["methods"])
    assert small == 0
    assert 0 < lite0 <= 1797 - 2 * 64
