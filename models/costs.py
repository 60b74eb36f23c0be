"""What the layers of a network cost, each with all that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def cumulative(parents: Mapping[str, Sequence[str]], own: Mapping[str, float]) -> dict[str, float]:
    """Add up what nodes of a graph cost.

    Args:
        parents: by node those that it takes something from; a node after all of these.
        own: by node what it costs by itself.

    Returns:
        By node what it and all that it needs cost; each of these once.
    """
    needed: dict[str, frozenset[str]] = {}
    for node, before in parents.items():
        needed[node] = frozenset({node}).union(*(needed.get(one, frozenset()) for one in before))
    return {node: sum(own.get(one, 0.0) for one in nodes) for node, nodes in needed.items()}
