"""JSON and arrays as a stranger could have changed them: any value in any place, and sealed again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
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


ODD_ARRAYS = (
    np.array(b"x"), np.zeros(0, "S1"), np.zeros((2, 2)), np.array([b"\xff\xfe"] * 5), np.array(["a"] * 5), np.arange(5),
    np.full(5, -1), np.full(5, 2**62), np.full(5, np.nan), np.zeros(5, "S1"), np.zeros(5, "V7"), np.zeros(5, [("size", "<u4")]),
)  # fmt: skip


@st.composite
def changed_arrays(draw: st.DrawFn, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of which one to three are removed, replaced, exchanged, cut, doubled, or have other values."""
    arrays = dict(arrays)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(arrays)))
        array = arrays[name]
        action = draw(
            st.sampled_from(("remove", "replace", "exchange", "cut", "double", "type", "bytes", "bytes", "bytes"))
        )
        if action == "remove" and len(arrays) > 1:
            del arrays[name]
        elif action == "exchange":
            other = draw(st.sampled_from(sorted(arrays)))
            arrays[name], arrays[other] = arrays[other], array
        elif action == "cut" and array.ndim:
            arrays[name] = array[: draw(st.integers(0, len(array)))]
        elif action == "double":
            arrays[name] = np.concatenate([np.atleast_1d(array)] * 2)
        elif action == "type":
            arrays[name] = np.frombuffer(array.tobytes(), draw(st.sampled_from(("S1", "u1", "V1"))))
        elif action == "bytes" and array.nbytes:
            content = bytearray(array.tobytes())
            for place in draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
                content[place] = draw(st.integers(0, 255))
            arrays[name] = np.frombuffer(bytes(content), array.dtype).reshape(array.shape)
        else:
            arrays[name] = draw(st.sampled_from(ODD_ARRAYS))
    return arrays
