"""Images that are there twice with different answers: a model cannot learn both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from precompute.run.receipts import Column
from precompute.sources.source import Sources

__all__ = ["find_conflicts"]

MOST_EXAMPLES = 5


def find_conflicts(columns: Mapping[str, Sequence[Column]], sources: Sources) -> dict[str, Any]:
    """Return how many sources share an image file's content with one that has another label or mask.

    Args:
        columns: Split → what was learnt of its blocks.
        sources: All of them.

    Returns:
        `num_sources` and `examples`, pairs of keys; empty when there are none.
    """
    answers: dict[str, Any] = {key: sources.label(i) for i, key in enumerate(sources.keys)}
    images: dict[str, str] = {}
    for column in (column for of_split in columns.values() for column in of_split):
        images |= column.sha256
        answers |= column.mask_sha256
    first: dict[str, str] = {}
    pairs = []
    for key in sorted(images):
        other = first.setdefault(images[key], key)
        if answers[key] != answers[other]:
            pairs.append([other, key])
    keys = {key for pair in pairs for key in pair}
    return {"num_sources": len(keys), "examples": pairs[:MOST_EXAMPLES]} if pairs else {}
