"""Draws the top of the demo's report, light and dark: `make report-pictures`, after `make demo`; needs Chromium."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browser import PROGRAM, chromium  # noqa: E402 - it is a folder of scripts, as tests/ is

PAGE = ROOT / "artifacts" / "runs" / "photo-patches" / "report" / "report.html"
WIDTH = 1100  # pixels; the window is 900 high


def main() -> None:
    """Write docs/pictures/report-light.png and report-dark.png."""
    if PROGRAM is None:
        sys.exit("There is no Chromium on the PATH.")
    if not PAGE.is_file():
        sys.exit(f"There is no {PAGE.relative_to(ROOT)}. Type: make demo")
    with chromium() as browser:
        for scheme in ("light", "dark"):
            browser.visit(PAGE, WIDTH, scheme == "dark")
            browser.screenshot(ROOT / "docs" / "pictures" / f"report-{scheme}.png", whole=False)


if __name__ == "__main__":
    main()
