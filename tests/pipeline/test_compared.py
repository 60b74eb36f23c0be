"""Every method that compare can set against the others, on the same small extraction."""

import json
import shutil

import pytest
from commandline import SMALL, invoke, small_disk

from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.datasets.sources.embedded import digits
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.method_names import PROBES, row_label
from bottleneck_features.pipeline.method_row import Method, Score
from bottleneck_features.pipeline.methods.pixels import pixels_on_disk

QUICK = (
    "--set",
    "head.epochs=2",
    "--set",
    "convnet.epochs=1",
    "--set",
    "finetune.epochs=1",
    "--set",
    "finetune.crop_area=1",
)
ALL = (
    "head",
    "head@block5c_add",
    "logistic@block3b_add+block5c_add",
    "best-probe",
    "fine-tune",
    "from-pretrained",
    "from-scratch",
    "convnet-small",
    "convnet-strong",
)


@pytest.fixture(scope="module")
def compared(extracted, tmp_path_factory) -> dict:
    home = tmp_path_factory.mktemp("compared")
    shutil.copytree(extracted, home, dirs_exist_ok=True)
    done = invoke("compare", *SMALL, *QUICK, "--set", f"compare.methods={','.join(ALL)}", "--json", home=home)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_every_method_is_trained_on_the_same_samples_and_scored_once(compared):
    tested = [method for method in compared["methods"] if method["accuracy"]["test"] is not None]
    assert [row_label(method) for method in tested] == ["head@top_activation", *ALL[1:]]
    assert {method["n"]["validation"] for method in tested} == {24}
    assert {method["n"]["test"] for method in tested} == {120}
    assert len(compared["pairs"]) == len(ALL) * (len(ALL) - 1) // 2


@pytest.mark.slow
def test_the_best_probe_names_what_was_chosen_and_counts_what_the_choice_cost(compared):
    rows = {row_label(row): row for row in compared["methods"]}
    assert rows["best-probe"]["family"] in PROBES
    assert rows["best-probe"]["seconds"]["train"] > rows["head@top_activation"]["seconds"]["train"]


@pytest.mark.slow
def test_time_counts_the_extraction_for_what_needs_the_cache_only(compared):
    needs = {
        method["name"] if method["layers"] else row_label(method): method["seconds"]["extract"] > 0
        for method in compared["methods"]
    }
    assert {name for name, counted in needs.items() if counted} == {"head", "logistic", "best-probe", "fine-tune"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("head", "at least 2"),
        ("head,head@top_activation", "named twice"),
        ("head,finetune", "Nearest: fine-tune"),
        ("linear,ridge", "'linear' is called 'head' now"),
        ("head,earlier", "'head@LAYER' now, LAYER being one of block3b_add, block5c_add, top_activation"),
        ("probe,head", "'probe' is called 'best-probe' now"),
        ("head,logistic@block3c", "Nearest: block5c_add, block3b_add"),
        ("head,fine-tune@block3b_add", "fine-tune takes no layer"),
    ],
)
def test_wrong_methods_are_one_clear_line(tmp_path, value, expected):
    done = invoke("compare", *SMALL, "--set", f"compare.methods={value}", home=tmp_path)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert "compare" in done.stderr


def test_a_layer_to_train_from_that_does_not_exist_names_the_nearest(extracted, tmp_path):
    shutil.copytree(extracted, tmp_path, dirs_exist_ok=True)
    done = invoke(
        "fine-tune", *SMALL, "--set", "finetune.from_layer=block5d", "--set", "finetune.epochs=1", home=tmp_path
    )
    assert done.exit_code == 2
    assert "block5" in done.stderr


def test_the_chart_of_time_takes_a_method_whose_extraction_is_not_known():
    score = Score(0.5, 0.4, 0.6, 100)
    methods = [Method("head", ("$x$",), 1, {"test": score}, {"extract": None, "train": 0.0}),
               Method("convnet-small", (), 1, {"test": score}, {"extract": 0.0, "train": 9.0})]  # fmt: skip
    figure = plots.accuracy_over_time(methods, "test")
    figure.draw_without_rendering()
    named = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(named) == ["convnet-small\n50.0%", "head@$x$\n50.0%, extraction not counted"]


def test_a_disk_that_cannot_hold_the_decoded_images_says_how_much_they_take(tmp_path):
    refused = pytest.raises(PipelineError, match=r"GiB.*dataset\.limit")
    with small_disk(tmp_path / "small", "64k") as home, refused, pixels_on_disk(digits(), home):
        pass
