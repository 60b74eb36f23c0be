"""Cards show what they are given, harmlessly, in the ink and on the paper of the page that they stand in."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import small_cache
from browser import PROGRAM, chromium

from bottleneck_features import load_experiment, open_features
from bottleneck_features.cards import LONGEST_CELL, Table, card
from bottleneck_features.features import Targets
from bottleneck_features.pipeline.setting_list import every_setting

EVIL = '</td><script>alert("1")</script><img src=x onerror=alert(1)>\x1b[31m\u202e'


class Cells(HTMLParser):
    """The tags of a card, and the texts in it in their order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.texts, self.joins = set(), [], False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        self.joins = tag in ("wbr", "b")
        assert {name for name, _ in attrs} <= {"style", "scope", "tabindex", "role", "aria-label"}
        assert not re.search(r"url|rgb\(|#|background|(?<!border-)color:", dict(attrs).get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        self.joins = tag == "b"

    def handle_data(self, data: str) -> None:
        if self.joins and self.texts:
            data = self.texts.pop() + data
        self.texts.append(data)
        self.joins = False


@pytest.fixture(scope="module")
def cards(tmp_path_factory) -> dict[str, str]:
    path = small_cache.make(
        tmp_path_factory.mktemp("cache") / "evil",
        targets=Targets(
            (EVIL, "one", "two"),
            {split: [i % 3 for i in range(n)] for split, n in small_cache.SAMPLES.items()},
            {"train": [f"g{i // 4}" for i in range(53)]},
        ),
        provenance={"backbone": EVIL, "warnings": [f"RANDOM WEIGHTS: {EVIL}"]},
    )
    cache = open_features(path)
    experiment = replace(load_experiment("digits", ("head.epochs=3",)), description=EVIL)
    table = Table(("a", "n"), [(EVIL, 1234567), ("b", 0.5)], EVIL)
    return {
        "any": card("Title", answer=EVIL, notes=[EVIL], rows=[(EVIL, EVIL)], tables=[table], folded=[table]),
        "features": cache._repr_html_(),
        "split": cache["train"]._repr_html_(),
        "experiment": experiment._repr_html_(),
    }


@pytest.mark.parametrize("name", ["any", "features", "split", "experiment"])
def test_nothing_that_others_chose_is_markup_and_nothing_is_asked_for(cards, name):
    read = Cells(cards[name])
    assert read.tags <= {"div", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "b", "wbr"}
    assert any("</td><script>" in text and "\\u001b[31m\\u202e" in text for text in read.texts)


def test_numbers_have_commas_and_long_texts_an_end():
    texts = Cells(card("x" * 1000, tables=[Table(("n",), [(1234567,), (0.5,)])])).texts
    assert texts == [f"{'x' * (LONGEST_CELL - 1)}…", "n", "1,234,567", "0.5"]


def test_the_answer_comes_first_with_its_figures_bold():
    text = "ridge reaches 93.7 % [90.3, 95.9] on 300 test images; <b>guessing</b> gets 10.3 %."
    html = card("probe · x", answer=text, notes=["! Leak"])
    assert Cells(html).texts == [text, "probe · x", "! Leak"]
    assert re.findall("<b [^>]*>(.*?)</b>", html) == ["93.7 % [90.3, 95.9]"]


def test_figures_stand_below_one_another_and_names_of_digits_to_the_left():
    rows = [("0", "100.0 % [98.4, 100.0]", "1,234"), ("1", "9.1 % [1.0, 12.3]", "8")]
    html = card("a", tables=[Table(("class", "recall", "n"), rows)])
    assert "\u2007\u20079.1 % [1.0, 12.3]" in html
    assert re.findall(r"text-align:(\w+)", html) == ["left", "left", "right"] * 3


def test_a_card_of_nothing_but_its_title_and_a_table_without_rows_are_cards():
    assert Cells(card("a")).texts == ["a"]
    assert Cells(card("a", tables=[Table(("b", "c"), [])])).texts == ["a", "b", "c"]


def test_the_card_of_a_cache_says_what_is_in_it(cards):
    texts = Cells(cards["features"]).texts
    assert texts[0] == "Features evil"
    assert texts[1].startswith("RANDOM WEIGHTS")
    for row in (["train", "53", "3"], ["test", "17", "3"], ["early", "2 × 3 × 4", "float16", "3.4 kB"]):
        assert row in [texts[i : i + len(row)] for i in range(len(texts))]


def test_the_card_of_a_split_counts_its_classes_and_groups(cards):
    texts = Cells(cards["split"]).texts
    for row in (
        ["Split train", "samples", "53", "groups", "14"],
        ["3 classes", "class", "samples"],
        ["one", "18", "two", "17"],
    ):
        assert row in [texts[i : i + len(row)] for i in range(len(texts))]


def test_the_card_of_an_experiment_shows_every_setting_once_and_those_that_differ_first(cards):
    texts = Cells(cards["experiment"]).texts
    settings = {one.name for one in every_setting()} - {"name", "description"}
    assert sorted(text for text in texts if text in settings) == sorted(settings)
    (title,) = (number for number, text in enumerate(texts) if text.endswith("other settings have their defaults"))
    at = texts.index("head.epochs")
    assert texts[at : at + 3] == ["head.epochs", "3", "10"]
    assert at < title < texts.index("head.dropout")


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
def test_a_card_has_the_pages_ink_on_the_pages_paper_and_stays_in_it(cards, tmp_path):
    page = tmp_path / "cards.html"
    look = ":root{color-scheme:light dark}body{background:light-dark(#fff,#111);color:light-dark(#222,#ddd)}"
    head = (
        f'<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{look}</style>'
    )
    page.write_text(head + "<br>".join(cards.values()))
    with chromium() as browser:
        for width, dark in ((1280, False), (1280, True), (390, True)):
            ink = "rgb(221, 221, 221)" if dark else "rgb(34, 34, 34)"
            browser.visit(page, width, dark)
            assert browser.complaints() == []
            assert browser.requests() == [page.as_uri()]
            every = "[...document.querySelectorAll('body *')].map(one => getComputedStyle(one)"
            assert browser.evaluate(f"[...new Set({every}.color))]") == [ink]
            assert browser.evaluate(f"[...new Set({every}.backgroundColor))]") == ["rgba(0, 0, 0, 0)"]
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            line = browser.evaluate("getComputedStyle(document.querySelector('body > div')).borderTopColor")
            assert line != ink, line
