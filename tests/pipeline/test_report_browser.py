"""Reports in a real browser: no complaint, no request, no overflow, and a map that answers to pointer and keyboard."""

import json
import os
import time
from pathlib import Path

import pytest
from browser import PROGRAM, Browser, chromium
from commandline import invoke
from hostile_data import NAMES, make

from bottleneck_features.plain import visible

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
]
PHONE, DESKTOP = 390, 1280
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


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_report_opens_without_a_complaint_or_a_request(experiment, browser, tmp_path, request):
    settings = EXPERIMENTS[experiment]
    own = any("{}" in one for one in settings)
    data = request.getfixturevalue("real_data") if own else ""
    options = ("-e", experiment, *(word for one in settings for word in ("--set", one.format(data))))
    for command in ("features", "compare") if own else ("features", "compare", "probe"):
        done = invoke(command, *options, home=tmp_path)
        assert done.exit_code == 0, done.output
    start, used = time.monotonic(), time.process_time()
    done = invoke("report", *options, "--json", home=tmp_path)
    took, used = time.monotonic() - start, time.process_time() - used
    page = Path(json.loads(done.stdout)["files"][0])
    print(f"{experiment}: {page.stat().st_size / 1e6:.2f} MB, {took:.1f} s, {used:.1f} s of processor time")
    assert page.stat().st_size < 5e6
    assert used < 60  # 30 seconds on each of two cores
    check(browser, page)


def test_hostile_names_do_nothing_in_a_browser(browser, tmp_path):
    made = make(tmp_path)
    check(browser, Path(made.reported["files"][0]))
    assert browser.evaluate("document.querySelectorAll('main img[onerror], main [onclick], main script').length") == 1
    shown = browser.evaluate("document.getElementById('legend').textContent")
    assert all(visible(name)[:79] in shown for name in NAMES)


def check(browser: Browser, page: Path) -> None:
    """Open a report on a phone and a desktop, light and dark, and use its map."""
    for width in (PHONE, DESKTOP):
        for dark in (False, True):
            browser.visit(page, width, dark)
            assert browser.requests() == [page.as_uri()]
            assert not browser.complaints()
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            if folder := os.environ.get("BOTTLENECK_SCREENSHOTS"):
                name = f"{page.parent.parent.name}-{width}-{'dark' if dark else 'light'}.png"
                browser.screenshot(Path(folder) / name)
    use_the_map(browser)


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
