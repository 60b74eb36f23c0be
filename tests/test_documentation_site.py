"""The documentation as a site: built without a warning, it is read and searched as files, and asks no other host."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import PROGRAM, Browser, chromium
from documented import NOTEBOOKS, PAGES, ROOT

pytestmark = pytest.mark.slow
OTHER_HOST = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"?(?:https?:)?//")
WIDTHS = (390, 768, 1280)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    words = [
        "sphinx",
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
        "--conf-dir",
        "docs",
        "-b",
        "html",
        ".",
        str(folder),
    ]
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser():
    if PROGRAM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with chromium() as opened:
        yield opened


def pages(site: Path) -> list[Path]:
    return [site / Path(page).with_suffix(".html") for page in (*PAGES, "CHANGELOG.md", *NOTEBOOKS)]


def requested(browser: Browser) -> list[str]:
    return [url for url in browser.requests() if not url.startswith("file:")]


def test_every_page_is_there_and_names_no_other_host(site):
    assert not [page for page in pages(site) if not page.is_file()]
    assert not [page for page in pages(site) if OTHER_HOST.search(page.read_text(encoding="utf-8"))]
    assert (site / "docs" / "pictures" / "report-dark.png").is_file()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_fit_and_complain_of_nothing(site, browser, dark):
    for page in pages(site):
        for width in WIDTHS:
            browser.visit(page, width, dark)
            wider = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert (wider, requested(browser), browser.complaints()) == (0, [], []), f"{page} at {width} pixels"


def test_the_search_finds_pages_that_were_opened_as_files(site, browser):
    browser.visit(site / "search.html", 1280, dark=False, query="?q=near-duplicates")
    found = browser.evaluate(
        "new Promise(done => { const look = () => { const links = document.querySelectorAll('#search-results li a');"
        "links.length ? done([...links].map(link => link.href)) : setTimeout(look, 100) }; look() })"
    )
    assert any("results.html" in link for link in found)
    assert (requested(browser), browser.complaints()) == ([], [])
