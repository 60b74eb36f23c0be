import numpy as np
from PIL import Image

from pipeline import plots
from pipeline.evaluation import Score
from pipeline.report import table_rows, write_report
from pipeline.results import Method
from pipeline.training import History

HOSTILE = ["<script>alert(1)</script>", "$\\frac{1}{0}$ & \"quotes\" 'too'", "\u202eright to left", "x" * 300]


def _method(name: str, layers: tuple[str, ...], accuracy: float) -> Method:
    scores = {
        split: Score(accuracy, accuracy - 0.05, accuracy + 0.05, 100) for split in ("train", "validation", "test")
    }
    return Method(name, layers, 10, scores, {"extract": None, "train": 150.0})


def _result(tmp_path) -> dict:
    methods = [_method("linear", (HOSTILE[0],), 0.9), _method("convnet-small", (), 0.5)]
    pictures = [
        plots.comparison(methods, HOSTILE[1], tmp_path / "comparison.png"),
        plots.confusion_matrices({HOSTILE[1]: np.eye(4, dtype=int)}, HOSTILE, tmp_path / "confusion.png"),
    ]
    return {
        "experiment": {"name": "mine", "seed": 0, "backbone": {"name": "/tmp/<b>.keras"}},
        "data": HOSTILE[0],
        "backbone": HOSTILE[0],
        "warnings": [HOSTILE[0]],
        "methods": [method.as_json() for method in methods],
        "pairs": [
            {
                "first": "linear",
                "second": "convnet-small",
                "only_first_right": 45,
                "only_second_right": 5,
                "p_value": 1e-9,
                "difference": 0.4,
                "difference_interval": [0.28, 0.52],
            }
        ],
        "scored_on": "test",
        "files": [str(picture) for picture in pictures],
        "images_per_second": None,
        "cache_key": "0" * 64,
        "peak_memory_mib": 1.0,
        "versions": {},
        "hardware": {},
    }


def test_names_from_user_data_appear_as_text(tmp_path):
    page = write_report(_result(tmp_path), ("-e", "mine; rm -rf /"), tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "'mine; rm -rf /'" in page.replace("&#39;", "'")


def test_without_a_test_split_the_answer_says_that_validation_images_flatter(tmp_path):
    page = write_report({**_result(tmp_path), "scored_on": "validation"}, (), tmp_path / "report.html").read_text()
    assert "on 100 validation images" in page
    assert "There is no test split" in page


def test_the_answer_names_the_gap_and_whether_it_may_be_chance(tmp_path):
    page = write_report(_result(tmp_path), (), tmp_path / "report.html").read_text()
    assert "40.0 points ahead of" in page
    assert "a real difference" in page
    assert "+40.0 points [+28.0, +52.0]" in page.replace("&#43;", "+")


def test_a_split_that_was_not_scored_is_a_dash_and_an_unknown_time_is_said():
    method = Method(
        "earlier", ("a", "b"), 1234, {"validation": Score(0.5, 0.4, 0.6, 10)}, {"extract": None, "train": 1.25}
    )
    row = table_rows([method.as_json()])[0]
    assert row == ("earlier (a, b)", "–", "50.0 % [40.0, 60.0]", "–", "1,234", "unknown", "1.2 s")


def test_every_picture_is_a_readable_png(tmp_path):
    history = History({name: [0.5, 0.7] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}, 2)
    paths = [
        plots.learning_curves({HOSTILE[1]: history}, tmp_path / "learning-curves.png"),
        plots.confusion_matrices({"a": np.eye(50, dtype=int)}, [str(i) for i in range(50)], tmp_path / "confusion.png"),
    ]
    for path in paths:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert picture.width > 300
