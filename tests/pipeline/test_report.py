"""The report of an experiment: what belongs on it, what it keeps out, and that nothing in it is more than text."""

import base64
import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from commandline import SMALL, invoke
from hostile_data import FOLDER, NAMES, Made, make

from bottleneck_features import pipeline
from bottleneck_features.features import open_features
from bottleneck_features.pipeline.evaluation.predictions import Predictions, load_predictions, save_predictions
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.plots.methods import DARK, ON_BLUES
from bottleneck_features.pipeline.reporting.figures import TWO_TONE
from bottleneck_features.pipeline.reporting.gallery import nearest_by_cosine
from bottleneck_features.pipeline.reporting.method_tables import class_table
from bottleneck_features.pipeline.reporting.sources import curve_sizes, predictions_of
from bottleneck_features.plain import visible

SCRIPTED = re.compile(r"^on[a-z]+$")


class Elements(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data.replace("\xa0", " ")

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    return make(tmp_path_factory.mktemp("hostile"))


@contextmanager
def changed(path: Path, **entries: object) -> Iterator[None]:
    """Other entries in a result.json, for a while."""
    kept = path.read_text()
    path.write_text(json.dumps({**json.loads(kept), **entries}))
    try:
        yield
    finally:
        path.write_text(kept)


def test_without_settings_the_report_is_of_those_that_were_scored_last(made):
    done = invoke("report", "-e", "emergency-vehicles", "--json", home=made.home)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["cache_key"] == made.compared["cache_key"]


def test_hostile_names_of_classes_and_files_appear_as_text(made):
    page = Elements(made.page)
    for name in NAMES[:3]:
        assert visible(name) in page.text
    assert any(attributes.get("title") == NAMES[3] for _, attributes in page.elements)
    assert NAMES[3][:59] + "…" in page.text
    assert "\\u202egnp.exe \"'&<i>.png" in page.text
    assert FOLDER in page.text
    assert "\u202e" not in made.page
    assert len(page.named("script")) == 3
    assert not [one for _, attributes in page.elements for one in attributes if SCRIPTED.match(one)]
    assert all(one["src"].startswith("data:image/webp;base64,") for one in page.named("img"))


def test_the_page_asks_for_nothing_and_allows_its_own_script_only(made):
    page = Elements(made.page)
    for _, attributes in page.elements:
        for key in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert re.match(r"data:|#|\.\./inspect/inspect\.html$", attributes.get(key) or "#"), attributes
    assert not re.findall(r"url\((?!#|\")", made.page.replace("url('data:", ""))
    (policy,) = [one["content"] for one in page.named("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    script = made.page.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert f"script-src 'sha256-{digest}';" in policy
    assert len(made.page) < 5e6


def test_every_picture_says_what_it_shows(made):
    page = Elements(made.page)
    drawings = [one for one in page.named("svg") if one.get("role") == "img"]
    assert len(drawings) >= 6
    assert all(one["aria-label"] for one in drawings)
    assert all(one["alt"] for one in page.named("img"))
    assert any(one["aria-label"].startswith("Top-1 accuracy: head@block3b_add ") for one in drawings)


def test_question_and_answer_come_first_and_every_command_can_be_repeated(made):
    page = Elements(made.page).text
    assert (
        page.index("Does a classifier on the frozen features")
        < page.index(made.reported["verdict"])
        < page.index(made.reported["caveats"])
        < page.index("Methods on the same images")
    )
    for command in ("features", "compare", "inspect"):
        assert f"bottleneck {command} -e emergency-vehicles --" in page


def test_the_mistakes_shown_are_the_surest_ones(made):
    kept = load_predictions(made.compared, made.runs / "compare")
    assert kept is not None
    best = "head@block3b_add"
    wrong = kept.predicted[best] != kept.labels
    surest = np.sort(kept.confidence[best][wrong])[::-1]
    shown = [float(one) for one in re.findall(r"</b> \((\d+\.\d) %\), true", made.page)]
    assert shown == [round(100 * float(one), 1) for one in surest[: len(shown)]]
    assert len(shown) == int(wrong.sum()) > 12
    text = Elements(made.page).text
    assert f"The mistakes of {best} with the highest confidence" in text
    assert f"a ring marks the mistakes of {best}" in text
    assert made.page.count('aria-label="nearest training images"') == 12


def test_the_training_images_beside_a_mistake_are_its_nearest(made):
    cache = open_features(next((made.home / "features").iterdir()))
    queries, known = Subset("test", np.array([3, 0, 7])), Subset("train", np.arange(1, 28, 2))
    places, cosines = nearest_by_cosine(cache, "block3b_add", queries, known, 3)
    rows = {part.split: cache[part.split].x[part.indices].astype(np.float64) for part in (queries, known)}
    units = {split: own / np.linalg.norm(own, axis=1, keepdims=True) for split, own in rows.items()}
    expected = units["test"] @ units["train"].T
    np.testing.assert_array_equal(places, known.indices[np.argsort(-expected, axis=1)[:, :3]])
    np.testing.assert_allclose(cosines, -np.sort(-expected, axis=1)[:, :3], atol=1e-5)
    assert len(nearest_by_cosine(cache, "block3b_add", queries, Subset("train", np.arange(2)), 4)[0][0]) == 2


def test_what_would_add_to_the_page_is_named_with_its_command(made):
    assert list(made.reported["shown"]) == ["compare", "inspect"]
    missing = " ".join(made.reported["missing"])
    for command in ("probe", "compare --label-curve", "advise"):
        assert f"bottleneck {command} " in missing
    assert "inspect" not in missing


def test_the_label_curve_that_is_named_asks_for_no_more_images_than_the_smallest_class_has(made, tmp_path):
    (named,) = [command for command in made.reported["missing"] if "--label-curve" in command]
    assert "--label-curve 1,5,all -e" in named
    home = shutil.copytree(made.home, tmp_path / "home")  # the other tests are of a page without a curve
    drawn = invoke(*shlex.split(named)[1:], "--seeds", "1", "--json", home=home)
    assert drawn.exit_code == 0, drawn.stderr
    assert {point["per_class"] for point in json.loads(drawn.stdout)["points"]} == {1, 5, "all"}


@pytest.mark.parametrize(
    ("smallest", "sizes"), [(0, "all"), (4, "1,all"), (5, "1,5,all"), (49, "1,5,10,all"), (9999, "1,5,10,50,all")]
)
def test_the_sizes_of_a_label_curve_are_those_that_fit(smallest, sizes):
    assert curve_sizes(smallest) == sizes


def test_a_result_of_other_features_is_kept_out_and_the_page_says_so(made):
    other = dict(made.compared["experiment"], input={**made.compared["experiment"]["input"], "size": [64, 64]})
    with changed(made.runs / "inspect" / "result.json", cache_key="0" * 64, experiment=other):
        done = invoke("report", *made.options, home=made.home)
        page = made.page
    assert done.exit_code == 0, done.output
    assert "not on the page yet: problems of the data\n" in done.stdout
    assert "next:  bottleneck inspect -e emergency-vehicles" in done.stdout
    assert "The result of inspect is not shown: it was made from other features (cache key 00000000, not " in page
    assert "with input.size=64,64. To make it again: bottleneck inspect -e emergency-vehicles" in page


def test_images_that_were_inspected_and_are_others_now_are_not_reported(made):
    with changed(made.runs / "inspect" / "result.json", images={"train": {"a": 7}}):
        found = made.sources()
    assert list(found.results) == ["compare"]
    assert "it saw 7 train images, and there are 28 train, 20 test now" in found.remarks[0]


def test_a_result_with_other_settings_is_shown_with_a_remark(made):
    head = {**made.compared["experiment"]["head"], "epochs": 9}
    found = made.sources(head=head, seed=3)
    assert list(found.results) == ["compare", "inspect"]
    assert "The result of compare was made with seed=0 and head.epochs=2, unlike this report" in found.remarks[0]
    assert found.commands["compare"].endswith(" --set seed=0 --set head.epochs=2")
    assert len(found.remarks) == 1


def test_a_result_that_cannot_be_read_or_is_of_another_version_is_named(made):
    path = made.runs / "inspect" / "result.json"
    kept = path.read_text()
    for content, reason in ((kept[:100], "its result.json cannot be read"), ("{}", "it lacks images, repeats, ")):
        path.write_text(content)
        (remark,) = made.sources().remarks
        assert f"The result of inspect is not shown: {reason}" in remark
    path.write_text(kept)
    assert not made.sources().remarks


def test_predictions_of_another_run_are_not_taken_for_this_one(made):
    path = made.runs / "compare" / "predictions.npz"
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + b"x")
    sources = made.sources()
    for _ in range(2):  # asking changes nothing
        found, (remark,) = predictions_of(sources, made.runs, made.study().dataset)
        assert found is None
        assert (
            "The predictions of compare for single images are not shown: its predictions.npz is missing, or " in remark
        )
    assert not sources.remarks
    path.write_bytes(kept)
    assert predictions_of(made.sources(), made.runs, made.study().dataset)[0] is not None


def test_without_a_scored_method_or_a_cache_the_next_command_is_named(tmp_path):
    done = invoke("report", *SMALL, "--set", "backbone.layers=block3b_add", home=tmp_path)
    assert done.exit_code == 2
    assert "Type first: bottleneck features -e digits" in done.stderr
    assert invoke("features", *SMALL, "--set", "backbone.layers=block3b_add", home=tmp_path).exit_code == 0
    done = invoke("report", *SMALL, "--set", "backbone.layers=block3b_add", home=tmp_path)
    assert done.exit_code == 2
    assert "There is nothing to report of 'digits' yet" in done.stderr
    assert "Type first: bottleneck compare -e digits" in done.stderr


def test_a_class_is_measured_by_precision_recall_and_their_mean():
    labels, predicted = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1, 0, 0])
    table = class_table("head", labels, predicted, ("a", "b", "c", "never scored"))
    assert [row.name for row in table.rows] == ["c", "b", "a"]
    assert (table.rows[0].precision, table.rows[0].recall, table.rows[0].f1) == (None, 0, 0)
    assert (table.rows[1].number, table.rows[1].n, table.rows[1].precision) == (1, 2, 0.5)
    last = table.rows[2]
    assert (last.n, last.precision, last.recall, last.f1) == (4, 0.6, 0.75, pytest.approx(2 / 3))
    assert last.interval == pytest.approx((0.301, 0.954), abs=5e-4)
    assert (last.taken_for, last.taken) == ("b", 1)
    assert table.macro_f1 == pytest.approx((0 + 0.5 + 2 / 3) / 3)
    grouped = class_table("head", labels, predicted, ("a", "b", "c"), np.array([0, 0, 0, 1, 2, 2, 3]))
    assert grouped.rows[2].interval == pytest.approx((0.009, 0.999), abs=1e-3)  # two groups say next to nothing


def test_what_turns_writing_around_is_written_out_and_nothing_else():
    assert visible("a\u202eb\x07") == "a\\u202eb\\u0007"
    assert visible({"שלום": ["é\n", 1, None]}) == {"שלום": ["é\n", 1, None]}


def test_predictions_come_back_as_they_were_kept(tmp_path):
    ids = np.array(["a", "é\u202e"])
    kept = Predictions("test", ids, np.array([0, 1]), {"x": np.array([1, 1])}, {"x": np.array([0.5, 0.9])})
    said = {"predictions": save_predictions(kept, tmp_path)}
    found = load_predictions(said, tmp_path)
    assert found is not None
    assert (found.split, found.ids.tolist(), found.labels.tolist()) == ("test", ids.tolist(), [0, 1])
    assert found.confidence["x"] == pytest.approx([0.5, 0.9])
    assert found.positions(np.array([1]), np.array(["z", "é\u202e", "a"])).tolist() == [1]
    assert load_predictions({}, tmp_path) is None


def test_text_on_the_page_and_in_the_matrices_has_enough_contrast():
    blues = mpl.colormaps["Blues"]
    assert not set(ON_BLUES) & {colour for colour, _ in TWO_TONE}, (
        "text on the blues must not follow the page's colours"
    )
    for rate in np.linspace(0, 1, 101):
        assert contrast(blues(rate), mpl.colors.to_rgb(ON_BLUES[int(rate > DARK)])) >= 4.5
    templates = Path(pipeline.__file__).parent / "templates"
    style = (templates / "look.css").read_text() + (templates / "report.css").read_text()
    light, dark = ("".join(re.findall(way, style)) for way in (r"(?m)^:root {([^}]*)}", r"dark\) {\s*:root {([^}]*)}"))
    pairs = [(ink, paper) for ink in ("ink", "muted", "accent", "wrong") for paper in ("paper", "soft", "ground")]
    for scheme in (light, light + dark):
        colours = dict(re.findall(r"--([\w-]+): (#\w+)", scheme))
        for ink, paper in (*pairs, ("accent-ink", "accent")):
            assert contrast(mpl.colors.to_rgb(colours[ink]), mpl.colors.to_rgb(colours[paper])) >= 4.5, (ink, paper)


def contrast(first: Sequence[float], second: Sequence[float]) -> float:
    """The contrast ratio of two colours; source: Web Content Accessibility Guidelines 2.2."""
    linear = [[c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in own[:3]] for own in (first, second)]
    low, high = sorted(np.dot(own, (0.2126, 0.7152, 0.0722)) for own in linear)
    return (high + 0.05) / (low + 0.05)
