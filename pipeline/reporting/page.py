"""Fills in templates and writes pages: each is one HTML file that needs no other file and loads nothing."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bottleneck_features.pipeline.results import write_text
from bottleneck_features.plain import visible

SCRIPT = files("bottleneck_features.pipeline") / "templates" / "report.js"


def environment(autoescape: bool = True) -> Environment:
    """Return the template environment; a name that a template asks for and does not get is an error."""
    return Environment(
        loader=PackageLoader("bottleneck_features.pipeline"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _plain(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def data_uri(kind: str, content: bytes) -> str:
    """Return the content of a picture's file as a `data:` address; `kind` is such as `png`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def write_page(content: Mapping[str, Any], path: Path) -> Path:
    """Write the report's page; everything in `content` that is not `Markup` is escaped.

    Its content security policy allows pictures inside the page and the one script whose hash it names, and no request.

    Args:
        content: what the template `report.html` asks for.
        path: of the page.

    Returns:
        `path`.
    """
    script = SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment().get_template("report.html").render(script=script, digest=digest, **content)
    write_text(path, page)
    return path
