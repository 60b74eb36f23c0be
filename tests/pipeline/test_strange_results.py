"""A result.json can come from anyone: whatever it says, the report shows it or says why not, and nothing else is touched."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import strangers
from commandline import invoke
from hostile_data import Made, make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from smallnetworks import small_network

from bottleneck_features.errors import BottleneckError
from bottleneck_features.pipeline.evaluation.predictions import PREDICTIONS_FILE, load_predictions
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.reporting.sources import last_settings, predictions_of
from bottleneck_features.pipeline.result_schema import RECORDS
from bottleneck_features.pipeline.stages.report import report
from bottleneck_features.plain import visible

LIMITS = {"deadline": None, "suppress_health_check": list(HealthCheck)}
COMMANDS = {
    "probe": ("--folds", "0", "--seeds", "2"),
    "train-head": (),
    "compare": ("--label-curve", "1,all", "--seeds", "2"),
    "advise": ("--folds", "0"),
    "fine-tune": ("--set", "finetune.epochs=1"),
}
SHOWN = ("compare", "probe", "train-head", "label-curve", "inspect", "advise", "fine-tune", "compare-backbones")


@dataclass(frozen=True)
class Place:
    """A study, and the results that commands have really written for it, by command."""

    made: Made
    study: Study
    results: dict[str, str]

    def lay(self, **texts: str | bytes) -> None:
        """Leave these results in the folder, and no others."""
        for name in self.results:
            (self.made.runs / name / "result.json").unlink(missing_ok=True)
        for name, text in texts.items():
            (self.made.runs / name / "result.json").write_bytes(text if isinstance(text, bytes) else text.encode())

    def page(self) -> tuple[str, str]:
        """Write the report; its page and the remarks."""
        result = report(self.study.for_command("report"))
        return Path(result.details["files"][0]).read_text(encoding="utf-8"), "\n".join(result.warnings)

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file but those of the report, with what would change if it was written."""
        reported = self.made.runs / "report"
        files = (file for file in self.made.home.parent.rglob("*") if file.is_file() and reported not in file.parents)
        return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in files}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    made = make(tmp_path_factory.mktemp("strange"))
    for command, words in COMMANDS.items():
        done = invoke(command, *made.options, *words, home=made.home)
        assert done.exit_code == 0, done.output
    networks = [str(small_network(made.home.parent / f"{name}.keras", seed)) for seed, name in enumerate("ab")]
    words = made.options[: made.options.index("compare.methods=head,convnet-small") - 1]
    done = invoke("compare", *words, "--backbones", ",".join(networks), "--folds", "0", home=made.home)
    assert done.exit_code == 0, done.output
    results = {name: (made.runs / name / "result.json").read_text(encoding="utf-8") for name in SHOWN}
    (made.runs / "x").mkdir()
    (made.runs / "x" / "report.html").write_text("the work of a week")
    return Place(made, made.study(), results)


def _harmless(page: str) -> None:
    assert page == visible(page)
    assert page.count("<script") == page.count("</script>") <= 3


def _page_or_refusal(place: Place) -> str:
    try:
        return place.page()[0]
    except BottleneckError as error:
        return str(error)


def _beside(place: Place, name: str) -> dict[str, str]:
    """A result that makes a report of one that scores nothing."""
    return {} if name in ("compare", "probe") else {"probe": place.results["probe"]}


def _mutations(place: Place, name: str, count: int) -> None:
    @settings(max_examples=count, **LIMITS)
    @given(strangers.changed(json.loads(place.results[name])))
    def tried(changed: dict) -> None:
        place.lay(**{**_beside(place, name), name: json.dumps(changed)})
        before = place.files()
        _harmless(_page_or_refusal(place))
        assert place.files() == before

    tried()


def test_real_results_fit_their_records(place):
    place.lay(**place.results)
    page, remarks = place.page()
    assert "is not shown" not in remarks
    assert '<section class="card" id="mistakes">' in page
    _harmless(page)


@pytest.mark.parametrize("name", SHOWN)
def test_whatever_a_result_says_the_report_shows_it_or_says_why_not(place, name):
    _mutations(place, name, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_whatever_a_hundred_results_say_the_report_shows_them_or_says_why_not(place, name):
    _mutations(place, name, 100)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Expecting value"),
        (b"[]", "it is no JSON object"),
        (b"\xff\xfe{", "codec can't decode"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "it is nested too deeply"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "4300 digits"),
        (b'{"a": NaN}', "NaN is no finite number"),
        (b'{"a": 1e999}', "1e999 is no finite number"),
    ],
    ids=["empty", "list", "no-utf8", "deep-list", "deep-object", "long-number", "nan", "infinite"],
)
def test_a_file_that_is_no_result_is_named_and_the_others_are_taken(place, content, why):
    place.lay(probe=place.results["probe"], inspect=content, advise=place.results["advise"])
    sources = place.made.sources()
    (remark,) = sources.remarks
    assert remark.startswith("The result of inspect is not shown: its result.json cannot be read (")
    assert why in remark
    assert set(sources.results) == {"probe", "advise"}


def test_the_page_shows_the_others_beside_a_file_that_is_no_result(place):
    place.lay(probe=place.results["probe"], inspect=b"[" * 100_000, advise=place.results["advise"])
    page, remarks = place.page()
    assert "The result of inspect is not shown: its result.json cannot be read (" in remarks
    assert '<section class="card" id="advice">' in page


def test_a_folder_in_the_place_of_a_result_is_named(place):
    place.lay(probe=place.results["probe"])
    folder = place.made.runs / "inspect" / "result.json"
    folder.mkdir()
    try:
        (remark,) = place.made.sources().remarks
        assert remark.startswith("The result of inspect is not shown: its result.json cannot be read (")
        assert not last_settings(place.made.runs, json.loads(place.results["probe"])["experiment"])
    finally:
        folder.rmdir()


IMPOSSIBLE = [
    ("train-head", "command", "../../x", "command: it is the result of '../../x'"),
    ("train-head", "confusion", [[1, 2], [3]], "confusion: the confusion matrix is not square"),
    ("train-head", "classes", ["a"], "it: the confusion matrix has not as many rows as there are classes"),
    ("train-head", "history", {"loss": [1.0]}, "history: the learning curves lack accuracy, val_accuracy, val_loss"),
    ("compare", "pairs", [], "pairs: List should have at least 1 item"),
    ("compare", "scored_on", "train", "scored_on: Input should be 'validation', 'test'"),
    ("inspect", "images", {"train": {"a": -1}}, "images.train.a: Input should be greater than or equal to 0"),
    ("label-curve", "points", [], "points: List should have at least 1 item"),
    ("advise", "reasons", "\x1b[31mno", "reasons: Input should be a valid list"),
    ("inspect", "seconds", {"\x1b": -1.0}, "seconds.\\u001b: Input should be greater than or equal to 0"),
]


@pytest.mark.parametrize(("name", "key", "value", "why"), IMPOSSIBLE)
def test_the_first_place_that_cannot_be_right_is_named(place, name, key, value, why):
    changed = {**json.loads(place.results[name]), key: value}
    place.lay(**{"probe": place.results["probe"], name: json.dumps(changed)})
    (remark,) = place.made.sources().remarks
    assert remark.startswith(f"The result of {name} is not shown: its result.json cannot be read ({why}")


def test_a_page_that_names_them_all_is_harmless(place):
    laid = {name: json.dumps({**json.loads(place.results[name]), key: value}) for name, key, value, _ in IMPOSSIBLE}
    place.lay(probe=place.results["probe"], **laid)
    page, remarks = place.page()
    for name in laid:
        assert f"The result of {name} is not shown" in remarks
    _harmless(page)


def test_what_a_later_version_adds_is_let_through(place):
    changed = json.loads(place.results["train-head"])
    changed["methods"][0]["weighted_kappa"] = {"test": 0.5}
    place.lay(**{"train-head": json.dumps({**changed, "later": {"a": [1, None]}})})
    assert "is not shown" not in place.page()[1]


@pytest.mark.parametrize("record", {record.__name__: record for record in RECORDS.values()}.values())
def test_every_record_describes_itself(record):
    described = record.model_json_schema()
    assert set(described["required"]) <= set(described["properties"])


def _kept(place: Place) -> dict[str, np.ndarray]:
    with np.load(place.made.runs / "compare" / PREDICTIONS_FILE) as columns:
        return dict(columns)


def _lay_predictions(place: Place, arrays: dict[str, np.ndarray]) -> dict:
    content = io.BytesIO()
    np.savez(content, **arrays)
    (place.made.runs / "compare" / PREDICTIONS_FILE).write_bytes(content.getvalue())
    result = json.loads(place.results["compare"])
    result["predictions"]["sha256"] = hashlib.sha256(content.getvalue()).hexdigest()
    place.lay(compare=json.dumps(result))
    return result


def _with(name: str, change) -> object:
    return lambda arrays: {**arrays, name: change(arrays[name])}


WRONG = {
    "ids-of-bytes": _with("ids", lambda ids: np.array([b"x"] * len(ids))),
    "ids-pickled": _with("ids", lambda ids: ids.astype(object)),
    "ids-twice": _with("ids", lambda ids: np.repeat(ids[:1], len(ids))),
    "ids-of-others": _with("ids", lambda ids: np.char.add(ids, "x")),
    "labels-square": _with("labels", lambda labels: np.stack([labels, labels])),
    "labels-of-others": _with("labels", lambda labels: (labels + 1) % 4),
    "split-of-others": _with("split", lambda _: np.array("../x")),
    "split-pickled": _with("split", lambda _: np.array({"a": 1}, object)),
    "classes-beyond": _with("predicted/head@block3b_add", lambda own: own + 100),
    "classes-below": _with("predicted/head@block3b_add", lambda own: own - 100),
    "classes-fractional": _with("predicted/head@block3b_add", lambda own: own + 0.5),
    "fewer-classes": _with("predicted/head@block3b_add", lambda own: own[1:]),
    "confidence-nan": _with("confidence/head@block3b_add", lambda own: own * np.nan),
    "confidence-above": _with("confidence/head@block3b_add", lambda own: own + 2),
    "confidence-text": _with("confidence/head@block3b_add", lambda own: own.astype(str)),
    "no-confidence": lambda arrays: {
        name: own for name, own in arrays.items() if name != "confidence/head@block3b_add"
    },
    "no-best-method": lambda arrays: {name: own for name, own in arrays.items() if "head@block3b_add" not in name},
    "nothing": lambda arrays: {},
}


@pytest.fixture
def predictions(place):
    file = place.made.runs / "compare" / PREDICTIONS_FILE
    content = file.read_bytes()
    yield _kept(place)
    file.unlink()
    file.write_bytes(content)


@pytest.mark.parametrize("wrong", WRONG)
def test_predictions_that_cannot_be_right_are_as_good_as_missing(place, predictions, wrong):
    _lay_predictions(place, WRONG[wrong](predictions))
    found, remarks = predictions_of(place.made.sources(), place.made.runs, place.study.dataset)
    assert found is None
    assert "its predictions.npz is missing, or damaged, or belongs to another result" in remarks[0]


@settings(max_examples=100, **LIMITS)
@given(st.data())
def test_damaged_bytes_of_predictions_are_as_good_as_missing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bytes")
    content = io.BytesIO()
    np.savez_compressed(content, **{"split": np.array("test"), "ids": np.array(["a", "b"]), "labels": np.array([0, 1]),
                                    "predicted/x": np.array([0, 1]), "confidence/x": np.array([0.5, 1.0])})  # fmt: skip
    damaged = bytearray(content.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    (folder / PREDICTIONS_FILE).write_bytes(damaged)
    load_predictions({"predictions": {"sha256": hashlib.sha256(damaged).hexdigest()}}, folder)
