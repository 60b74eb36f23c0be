"""JSON as a stranger could have changed it: any value in any place, and sealed again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

ODD = st.one_of(
    st.sampled_from(
        [
            None, True, -1, 0, 1, 2**31, 2**63, 10**25, -(2**70), 0.5, float("nan"), float("inf"), "", "x", "..", "../../x",
            "/etc/x", "a/b", "a\0b", "train\n", "quarantine", "\x1b]0;x\x07", "\u202e", "00" * 32, [], {}, [[]], [None], {"x": 1},
        ]
    ),
    st.integers(),
    st.text(max_size=8),
    st.lists(st.integers(0, 300), max_size=3),
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


@st.composite
def changed(draw: st.DrawFn, content: dict[str, Any]) -> dict[str, Any]:
    """The content with one to three places replaced, removed, doubled or renamed."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(content))
        if not places:
            break
        *above, last = draw(st.sampled_from(places))
        owner: Any = content
        for key in above:
            owner = owner[key]
        action = draw(st.sampled_from(("replace", "replace", "replace", "remove", "double", "rename")))
        if action == "remove":
            del owner[last]
        elif action == "double" and isinstance(owner, list):
            owner.insert(last, copy.deepcopy(owner[last]))
        elif action == "rename" and isinstance(owner, dict):
            owner[draw(st.text(max_size=6))] = owner.pop(last)
        else:
            owner[last] = copy.deepcopy(draw(ODD))
    return content
