"""Writes docs/reference/settings.md from the fields of the settings, as `make reference-pages` does."""

from itertools import groupby
from pathlib import Path

from bottleneck_features.pipeline.setting_kinds import value_text
from bottleneck_features.pipeline.setting_list import Setting, every_setting, section_meanings

PAGE = Path(__file__).parent / "reference" / "settings.md"
BEGINNING = """# Settings

Every key of an experiment's file, written by `make reference-pages` from the code that reads it. `bottleneck settings` shows
the same with the values in force (`bottleneck settings head`, `bottleneck settings dataset -e folder`, `--json`).
A file of your own has a key below its section:

```toml
name = "mine"

[dataset]
source = "folder"
path = "pictures"

[backbone]
name = "efficientnet-lite0"
layers = ["block5c_add", "top_activation"]

[head]
epochs = 50
```

`--set head.epochs=50` overrides it for one command, and may be repeated. Lists are typed as `a,b`. The ready-made experiments
are such files, in `pipeline/experiments`.
"""


def page() -> str:
    """Return the page as Markdown."""
    meanings = section_meanings()
    parts = [BEGINNING]
    for section, settings in groupby(every_setting(), lambda one: one.section):
        title = f"`[{section}]`" if section else "At the top of the file"
        rows = "\n".join(map(_row, settings))
        about = f"{meanings[section]}\n\n" if section else ""
        parts.append(f"## {title}\n{about}| key | type | default | meaning |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def _row(one: Setting) -> str:
    default = "required" if one.required else _literal(value_text(one.default))
    sources = f" For {', '.join(one.sources)}." if one.sources else ""
    return f"| `{one.key}` | {one.type} | {default} | {one.meaning}{sources} |"


def _literal(value: str) -> str:
    return value if value.startswith("(") else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
