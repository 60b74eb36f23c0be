"""JSON of unknown origin: it is read, or a ValueError says why not."""

import pytest

from bottleneck_features.foreign import DEEPEST, parsed_json


@pytest.mark.parametrize(
    "text", [b"", b"\xff", "[" * 100_000, "1" * 5_000, "NaN", "[-Infinity]", "1e999", "[" * 101 + "]" * 101]
)
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        parsed_json(text)


def test_what_is_json_is_read():
    assert parsed_json(b'{"a": [1, 0.5, null, "\\u00e9"]}') == {"a": [1, 0.5, None, "é"]}
    deep = parsed_json("[" * DEEPEST + "]" * DEEPEST)
    assert deep == parsed_json(b"[" * DEEPEST + b"]" * DEEPEST)
