"""Takes the pages that the forge shows from the repository's root into the site, their links mended."""

from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = tuple(f"examples/{path.name}" for path in sorted((ROOT / "examples").glob("*.ipynb")))
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def on_config(config):
    """Leave out the script that the offline plugin would load from the network (it serves search in pages opened as files)."""
    config.extra["polyfills"] = []
    return config


def on_files(files, config):
    """Add the root's pages, which know those in docs/ by another path."""
    for name, target in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](").replace('="docs/', '="')
        files.append(File.generated(config, target, content=_to_pages(text, "")))
    for name in NOTEBOOKS:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links out of docs/ to the pages that are taken in."""
    return _to_pages(markdown, "../")


def _to_pages(text, prefix):
    for name, target in {**PAGES, **dict(zip(NOTEBOOKS, NOTEBOOKS, strict=True))}.items():
        text = text.replace(f"]({prefix}{name}", f"]({target}")
    return text
