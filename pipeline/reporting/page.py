"""Fills in templates and writes pages: each is one HTML file that needs no other file and loads nothing."""

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bottleneck_features.pipeline.results import write_text
from bottleneck_features.plain import visible

TEMPLATES = files("bottleneck_features.pipeline") / "templates"
SCRIPTS = ("tables.js", "galleries.js", "thresholds.js", "map.js")
_BREAKS = re.compile(r"(?<=[@+_/])(?=\w)")


def environment(autoescape: bool = True) -> Environment:
    """Return the template environment; a name that a template asks for and does not get is an error."""
    made = Environment(
        loader=PackageLoader("bottleneck_features.pipeline"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = breakable
    return made


def breakable(text: str) -> Markup:
    """Return text whose long names may go on in the next line, after `@`, `+`, `_` and `/`, and whose numbers keep their unit."""
    return Markup("<wbr>").join(_BREAKS.split(visible(text).replace(" %", "\u00a0%")))


def _plain(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def data_uri(kind: str, content: bytes) -> str:
    """Return the content of a picture's file as a `data:` address; `kind` is such as `png`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def write_page(template: str, content: Mapping[str, Any], path: Path) -> Path:
    """Write a page; everything in `content` that is not `Markup` is escaped.

    Its content security policy allows pictures inside the page and the one script whose hash it names, and no request.

    Args:
        template: which page, such as `report.html`.
        content: what the template asks for.
        path: of the page.

    Returns:
        `path`.
    """
    script = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment().get_template(template).render(script=script, digest=digest, **content)
    write_text(path, page)
    return path
