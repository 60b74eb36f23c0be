"""Caches of pseudo-features that follow from a picture's content, of which others take rows."""

from __future__ import annotations

from functools import partial

import numpy as np
import small_cache

from bottleneck_features.features import ArraySpec, CacheWriter, PublishingWriter, SplitPlan

LAYERS = {"early": ArraySpec((2, 3), "float16"), "late": ArraySpec((5,), "float32")}
RECIPE, MACHINE = "a" * 64, "one"
PICTURES = {"train": [f"picture {i}" for i in range(40)], "test": [f"picture {i}" for i in range(40, 55)]}


def features_of(pictures: list[str]) -> dict[str, np.ndarray]:
    """Pseudo-features that follow from a picture's content."""
    return {
        layer: np.array(
            [np.random.default_rng([*p.encode(), len(layer)]).standard_normal(spec.shape, np.float32) for p in pictures]
        ).reshape(len(pictures), *spec.shape)
        for layer, spec in LAYERS.items()
    }


def open_writer(path, pictures, names=None, labels=None, url="", **changes):
    """A writer of some pictures, of a store if it has a URL."""
    ids = names or {split: [f"{split}/{i:03d}.png" for i in range(len(own))] for split, own in pictures.items()}
    splits = {split: SplitPlan(np.array(ids[split]), small_cache.contents(own)) for split, own in pictures.items()}
    arguments = {
        "recipe": RECIPE,
        "machine": MACHINE,
        "identity": {"pictures": pictures, "ids": ids, "labels": labels},
        **changes,
    }
    kind = partial(PublishingWriter, url) if url else CacheWriter
    return small_cache.writer(path, kind=kind, splits=splits, arrays=LAYERS, **arguments)


def extract(path, pictures, donors=(), compute=features_of, **changes):
    """Write a cache; return the pictures that had to be computed, in order, and where the others came from."""
    with open_writer(path, pictures, donors=donors, **changes) as writer:
        asked = fill(writer, writer.pending, pictures, compute)
    return asked, writer.reused


def fill(writer, shards, pictures, compute=features_of):
    """Write some shards and finish; return the pictures that had to be computed, in order."""
    asked = []
    for shard in shards:
        draft = writer.draft(shard)
        own = [pictures[shard.split][shard.start + i] for i in draft.missing]
        asked += own
        writer.write(shard, draft.filled(compute(own) if own else {}))
    writer.finish()
    return asked


def flip(file):
    """Change a bit of a file in place."""
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)


def same_bytes(one, other):
    """Both caches hold the same files."""
    assert small_cache.file_bytes(one) == small_cache.file_bytes(other)


def pictures_with(**changes):
    """The pictures of a cache, with other ones in some splits."""
    return {**PICTURES, **changes}
