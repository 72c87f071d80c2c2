"""Images that are there twice with different answers: a model cannot learn both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from precompute.run.grid import Grid, Learnt

__all__ = ["find_conflicts"]

MOST_EXAMPLES = 5


def find_conflicts(grid: Grid, learnt: Mapping[str, Learnt]) -> dict[str, Any]:
    """Return how many sources share an image file's content with one that has another label, mask or boxes.

    Args:
        grid: Of the generation.
        learnt: Split → what was learnt of its sources.

    Returns:
        `num_sources` and `examples`, pairs of keys; empty when there are none.
    """
    first: dict[str, tuple[str, Any]] = {}
    pairs = []
    for key, image, answer in sorted(_repeated(grid, learnt), key=lambda entry: entry[0]):
        other, other_answer = first.setdefault(image, (key, answer))
        if answer != other_answer:
            pairs.append([other, key])
    keys = {key for pair in pairs for key in pair}
    return {"num_sources": len(keys), "examples": pairs[:MOST_EXAMPLES]} if pairs else {}


def _repeated(grid: Grid, learnt: Mapping[str, Learnt]) -> Iterator[tuple[str, str, Any]]:
    """Yield key, sha256 and label or mask of the sources whose image may be there twice."""
    # The first 8 of 32 bytes tell which ones have to be looked at: few, where nothing is wrong.
    starts = {split: np.frombuffer(of.sha256.content, "<u8")[::4] for split, of in learnt.items()}
    values, counts = np.unique(np.concatenate(list(starts.values())), return_counts=True)
    for split, of in learnt.items():
        places = grid.places[split]
        for i in np.flatnonzero(np.isin(starts[split], values[counts > 1])).tolist():
            image, position = of.sha256[i], int(places.positions[i])
            if image is not None:
                known = None if places.sources.has_mask_files else places.sources.boxes_of(position)
                answer: Any = known
                answer = places.sources.label(position) if answer is None else answer
                yield places.sources.keys[position], image, of.mask_sha256[i] if answer is None else answer
