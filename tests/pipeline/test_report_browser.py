"""Pages in a real browser: no complaint, no request, nothing clipped or in the way, and what people do with them."""

import csv
import json
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import PROGRAM, Browser, chromium
from commandline import invoke
from hostile_data import NAMES, make
from page_data import twenty_classes, two_classes

from bottleneck_features.pipeline.evaluation.predictions import load_predictions
from bottleneck_features.plain import visible

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
]
WIDTHS = (360, 390, 768, 1280, 1920)
AUDIT = (Path(__file__).parents[1] / "page_audit.js").read_text(encoding="utf-8")
SHOWN = "[...document.querySelectorAll('#{} ol > li')].filter(li => !li.hidden)"
LARGEST = 5e6  # bytes of a page
TWO_LAYERS = "backbone.layers=conv4_block2_out,conv5_block2_out"
EXPERIMENTS = {
    "photo-patches": ("head.epochs=20", "convnet.epochs=5"),
    "digits": ("head.epochs=20", "convnet.epochs=5", "compare.methods=head,best-probe,convnet-small"),
    "natural-images": (
        "dataset.path={}/mini_natural_images", "backbone.name={}/weights/resnet18_pqf.keras", TWO_LAYERS,
        "compare.methods=head,logistic,best-probe", "input.size=112,112",
    ),
    "cifar10": (
        "dataset.path={}/cifar-10-batches-py", "backbone.name={}/weights/resnet18_pqf.keras", TWO_LAYERS,
        "dataset.limit=10000", "input.size=32,32", "convnet.epochs=1", "compare.methods=head,best-probe,convnet-small",
    ),
}  # fmt: skip
QUICK = (
    "--set", "input.size=64,64", "--set", "backbone.layers=block3b_add", "--set", "convnet.epochs=2",
    "--set", "compare.methods=logistic,convnet-small",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_pages_of_an_experiment_are_whole_at_every_width(experiment, browser, tmp_path, request):
    settings = EXPERIMENTS[experiment]
    own = any("{}" in one for one in settings)
    data = request.getfixturevalue("real_data") if own else ""
    options = ("-e", experiment, *(word for one in settings for word in ("--set", one.format(data))))
    for command in ("inspect", "features", "compare") if own else ("inspect", "features", "compare", "probe"):
        done = invoke(command, *options, home=tmp_path)
        assert done.exit_code == 0, done.output
    start, used = time.monotonic(), time.process_time()
    done = invoke("report", *options, "--json", home=tmp_path)
    took, used = time.monotonic() - start, time.process_time() - used
    page = Path(json.loads(done.stdout)["files"][0])
    print(f"{experiment}: {page.stat().st_size / 1e6:.2f} MB, {took:.1f} s, {used:.1f} s of processor time")
    assert used < 60  # 30 seconds on each of two cores
    for one in pages(tmp_path):
        look_at(browser, one)
    browser.visit(page, 1280, False)
    use_the_map(browser)


def test_pages_of_twenty_unequal_classes_with_long_names_are_whole(browser, tmp_path):
    data = str(twenty_classes(tmp_path / "pictures"))
    for command in ("inspect", "features", "compare"):
        done = invoke(command, data, *QUICK, home=tmp_path / "home")
        assert done.exit_code == 0, done.output
    for page in pages(tmp_path / "home"):
        look_at(browser, page)


def test_hostile_names_do_nothing_in_a_browser(browser, tmp_path):
    made = make(tmp_path)
    page = Path(made.reported["files"][0])
    look_at(browser, page)
    browser.visit(page, 1280, False)
    assert browser.evaluate("document.querySelectorAll('main img[onerror], main [onclick], body script').length") == 3
    shown = browser.evaluate("document.getElementById('legend').textContent")
    assert all(visible(name)[:79] in shown for name in NAMES)
    use_the_map(browser)


@pytest.fixture(scope="module")
def told_apart(tmp_path_factory) -> tuple[Path, set[str]]:
    root = tmp_path_factory.mktemp("tasks")
    data, copied = two_classes(root / "pictures")
    for command in ("inspect", "features", "probe", "compare"):
        words = ("--set", "compare.methods=best-probe,convnet-small") if command == "compare" else ()
        done = invoke(command, str(data), *QUICK, *words, home=root / "home")
        assert done.exit_code == 0, done.output
    return root / "home", copied


def test_find_the_worst_class_and_look_at_its_mistakes(browser, told_apart):
    page = report_of(told_apart[0])
    browser.visit(page, 1280, False)
    browser.evaluate(
        "[...document.querySelectorAll('#classes-table th button')].find(b => b.textContent === 'F1').click()"
    )
    worst = browser.evaluate("document.querySelector('#classes-table tbody th').textContent.trim()")
    assert browser.evaluate("document.querySelector('#classes-table th[aria-sort]').ariaSort") == "ascending"
    kept = load_predictions(json.loads(beside(page).read_text()), beside(page).parent)
    assert kept is not None
    wrong = kept.predicted["best-probe"] != kept.labels
    names = ["eight", "three"]
    cell = f'#confusion button[data-picks][data-true="{names.index(worst)}"]'
    browser.evaluate(f"document.querySelector('{cell}').click()")
    shown = browser.evaluate(f"{SHOWN.format('mistakes')}.map(li => li.querySelector('.id').textContent)")
    expected = kept.ids[wrong & (kept.labels == names.index(worst))].tolist()
    assert set(shown) <= set(expected)
    assert len(shown) == min(8, len(expected)) > 0
    said = browser.evaluate("document.querySelector('[data-said=mistakes]').textContent")
    assert said.startswith(f"{len(shown)} of {len(expected)} shown")
    assert browser.evaluate(f"document.querySelector('{cell}').getAttribute('aria-pressed')") == "true"


def test_choose_a_threshold_for_95_per_cent_recall(browser, told_apart, tmp_path):
    home = told_apart[0]
    browser.visit(report_of(home), 390, False)
    browser.evaluate(
        "[...document.querySelectorAll('button[data-reaches]')].find(b => b.dataset.reaches === '0.95').click()"
    )
    read = "document.getElementById('{}').textContent"
    found, right = (browser.evaluate(read.format(f"{name}-beside")) for name in ("found", "right"))
    assert float(browser.evaluate(read.format("found-value")).rstrip(" %")) >= 95
    typed = browser.evaluate("document.getElementById('threshold-command').closest('code').textContent")
    words = shlex.split(typed.replace("PICTURES", str(home.parent / "pictures" / "test")))
    assert words[:2] == ["bottleneck", "predict"]
    done = invoke(*words[1:], "--out", str(tmp_path / "answers.csv"), home=home)
    assert done.exit_code == 0, done.output
    with (tmp_path / "answers.csv").open(encoding="utf-8") as file:
        answers = [(Path(row["file"]).parent.name, row["label"]) for row in csv.DictReader(file)]
    positive = browser.evaluate("document.querySelector('#thresholds p b').textContent")
    hits = answers.count((positive, positive))
    assert found.endswith(f", {hits} of {sum(true == positive for true, _ in answers)}")
    assert right.endswith(f", {hits} of {sum(label == positive for _, label in answers)}")
    browser.evaluate("document.getElementById('threshold').focus()")
    browser.press("ArrowRight")
    assert browser.evaluate(read.format("found-beside")) != found


def test_find_which_images_repeat_across_splits(browser, told_apart):
    home, copied = told_apart
    report = report_of(home)
    ids = f"{SHOWN}.map(li => li.textContent)"
    browser.visit(report, 1280, False)
    shown = browser.evaluate(ids.format("data"))
    assert {name for name in copied if any(name in one for one in shown)} == copied
    browser.evaluate(choose("repeats", "labels", "differ"))
    assert len(browser.evaluate(ids.format("data"))) == 1
    link = browser.evaluate("document.querySelector('#data a').getAttribute('href')")
    browser.visit((report.parent / link).resolve(), 1280, True)
    browser.evaluate(choose("repeats", "splits", "across"))
    shown = browser.evaluate(ids.format("repeats"))
    assert {name for name in copied if any(name in one for one in shown)} == copied
    assert all("train:" in one and "test:" in one for one in shown)


def choose(gallery: str, name: str, value: str) -> str:
    """Return a script that chooses in a box of a gallery as a person would."""
    box = f'document.querySelector(\'select[data-chooses="{gallery}"][name="{name}"]\')'
    return f"{box}.value = '{value}'; {box}.dispatchEvent(new Event('change'))"


def pages(home: Path) -> Iterator[Path]:
    """Give every page of a home."""
    found = sorted((home / "runs").glob("*/*/*.html"))
    assert {page.name for page in found} == {"inspect.html", "report.html"}
    yield from found


def report_of(home: Path) -> Path:
    """Return the only report of a home."""
    (page,) = (home / "runs").glob("*/report/report.html")
    return page


def beside(page: Path) -> Path:
    """Return the result.json of the comparison that a report is of."""
    return page.parents[1] / "compare" / "result.json"


def look_at(browser: Browser, page: Path) -> None:
    """Open a page at every width, light and dark: nothing is asked for, complained of, clipped, or hard to read."""
    axe = Path(pytest.importorskip("axe_playwright_python").__file__).parent / "axe.min.js"
    assert page.stat().st_size < LARGEST
    for width in WIDTHS:
        for dark in (False, True):
            browser.visit(page, width, dark)
            assert browser.requests() == [page.as_uri()]
            assert not browser.complaints()
            assert browser.evaluate(AUDIT) == [], (page.name, width, dark)
            if width in (390, 1280):
                assert barriers(browser, axe) == [], (page.name, width, dark)
            if folder := os.environ.get("BOTTLENECK_SCREENSHOTS"):
                name = f"{page.parents[1].name}-{page.stem}-{width}-{'dark' if dark else 'light'}.png"
                browser.screenshot(Path(folder) / name)


def barriers(browser: Browser, axe: Path) -> list[str]:
    """Return what keeps people from using the page, as axe-core finds it: the serious and the critical."""
    browser.evaluate(f"{axe.read_text(encoding='utf-8')};0")
    found = browser.evaluate("axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)")
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
    ]


def use_the_map(browser: Browser) -> None:
    said = "document.getElementById('said').textContent"
    drawn = (
        "(() => { const c = document.getElementById('canvas'); const p = c.getContext('2d').getImageData(0, 0, c.width,"
        " c.height).data; let n = 0; for (let i = 3; i < p.length; i += 4) n += p[i] > 0; return n })()"
    )
    assert browser.evaluate(drawn) > 100
    browser.evaluate("document.getElementById('canvas').focus()")
    first = browser.evaluate(said)
    assert ": " in first
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        browser.press(key)
    assert browser.evaluate("!document.getElementById('tip').hidden")
    browser.press("ArrowLeft")
    browser.press("ArrowLeft")
    assert browser.evaluate(said) != first
    spots = browser.evaluate("(() => { const b = document.getElementById('canvas'); b.scrollIntoView();"
                             " const r = b.getBoundingClientRect(); return [r.left, r.top, r.width, r.height] })()")  # fmt: skip
    browser.evaluate("document.activeElement.blur()")
    left, top, width, height = spots
    hit = False
    for across in range(1, 40):
        for down in (0.3, 0.5, 0.7):
            browser.move(left + width * across / 40, top + height * down)
            hit = hit or browser.evaluate("!document.getElementById('tip').hidden")
    assert hit
    browser.evaluate("document.querySelector('#choices button').click()")
    assert browser.evaluate("document.querySelector('#choices button').getAttribute('aria-pressed')") == "true"
    browser.evaluate("document.querySelector('#legend button').click()")
    assert browser.evaluate("document.querySelector('#legend button').getAttribute('aria-pressed')") == "true"
    assert not browser.complaints()
