"""Which split the name of a folder says, and which names beside it say the others."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection

from bottleneck_features.pipeline.datasets.layout.convention import SPLIT_SYNONYMS, UNLABELLED

_WORDS = {
    **SPLIT_SYNONYMS,
    "trainval": "train",
    **dict.fromkeys(("pred", "predict", "unlabelled", "unlabeled"), UNLABELLED),
}
_SHORT = {"tr": "train", "va": "validation", "te": "test", "ts": "test"}  # parts of many names, and codes of languages
_GLUED = re.compile(rf"({'|'.join(_WORDS)})(set|data|images?|imgs?|folder|dir|split)")
_SEPARATORS = re.compile(r"[\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def splits_said(names: Collection[str]) -> dict[str, str]:
    """Return which of the folders that lie side by side are called as splits are, and which one each says.

    A word for a split alone (`train`, `Validation`, `test2017`) says so by itself; with others (`seg_train`) it does where a
    folder beside it differs in that word only (`seg_test`), and `tr` where all are such short forms.

    Args:
        names: of the folders.

    Returns:
        `train`, `validation`, `test` or `UNLABELLED` by name.
    """
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        if found := _said(name):
            split, rest = found
            groups[rest][name] = split
    said = [group for rest, group in groups.items() if not rest or len(set(group.values())) > 1]
    if said:
        return {name: split for group in said for name, split in group.items()}
    short = {name: _SHORT.get(name.casefold(), "") for name in names}
    together = all(short.values()) and "train" in short.values() and len(set(short.values())) > 1
    return short if together else {}


def _said(name: str) -> tuple[str, str] | None:
    """Return the split that the one such word in a name says, and the name's other words; None without such a word."""
    words = [word for part in _SEPARATORS.split(_with_humps_parted(name)) for word in _unglued(part)]
    splits = [word for word in words if word in _WORDS]
    if len(splits) != 1:
        return None
    words.remove(splits[0])
    return _WORDS[splits[0]], " ".join(words)


def _with_humps_parted(name: str) -> str:
    return _HUMP.sub(" ", unicodedata.normalize("NFC", name)).casefold()


def _unglued(word: str) -> tuple[str, ...]:
    glued = _GLUED.fullmatch(word)
    return glued.groups() if glued else (word,) if word else ()
