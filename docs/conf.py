"""The documentation as a site: Sphinx reads the pages where they lie, so that their links work on the forge too."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READ = ("docs", "examples", "benchmarks")  # the folders that have pages, besides the root
GALLERY = ROOT / "build" / "gallery" / "artifacts" / "runs"
REPORTS = {"report": "The report", "inspect": "What inspect says of the images"}
FIRST = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<meta http-equiv="refresh" content="0; url={page}">
<a href="{page}">{title}</a>
"""

project = "bottleneck-features"
author = copyright = "The project's contributors"
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "docs/**.md",
    "examples/*.ipynb",
]
exclude_patterns = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in READ]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]

myst_heading_anchors = 4
nb_execution_mode = "off"  # the outputs that are stored in a notebook are shown
nb_output_stderr = "remove"

default_role = "literal"  # what stands between single backticks in a docstring
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = project
html_show_sphinx = html_show_copyright = html_copy_source = html_show_sourcelink = False
html_show_search_summary = False  # summaries are fetched, which a page that was opened as a file may not


def setup(app):
    """Connect what Sphinx does not do by itself."""
    app.connect("source-read", link_reports)
    app.connect("build-finished", add_files)


def link_reports(app, page, source):
    """Put links in the places for the gallery's reports, where docs/gallery.py has made them."""
    if page == "docs/gallery":
        source[0] = re.sub(r"<!-- reports: (\S+) -->", _links, source[0])


def _links(place):
    links = (
        f'<a href="gallery/{place[1]}/{kind}/{kind}.html">{said}</a>'
        for kind, said in REPORTS.items()
        if (GALLERY / place[1] / kind / f"{kind}.html").is_file()
    )
    return f"<p>{' · '.join(links)}</p>"


def add_files(app, failure):
    """Copy the gallery and the pictures that raw HTML names, and lead from the site's folder to its first page."""
    if failure or app.builder.name != "html":
        return
    site = Path(app.outdir)
    shutil.copytree(ROOT / "docs" / "pictures", site / "docs" / "pictures", dirs_exist_ok=True)
    for kind in REPORTS:
        for page in GALLERY.glob(f"*/{kind}/{kind}.html"):
            target = site / "docs" / "gallery" / page.relative_to(GALLERY)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(page, target)
    (site / "index.html").write_text(FIRST.format(title=project, page=f"{root_doc}.html"), encoding="utf-8")
