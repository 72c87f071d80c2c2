"""Masks that number their objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.small_datasets import save


def grid_of(ids: list[int], *, cells: int = 16, size: int = 4) -> np.ndarray[Any, Any]:
    """A mask of ids, each a square of its own, gaps of background between them."""
    mask = np.zeros((cells * size, cells * size), np.uint16)
    for place, id_ in enumerate(ids):
        row, column = divmod(place, cells)
        mask[row * size : (row + 1) * size - 1, column * size : (column + 1) * size - 1] = id_
    return mask


def numbered(counts: list[int]) -> list[np.ndarray[Any, Any]]:
    """Masks of which each numbers its objects from 1, in no order of place."""
    rng = np.random.default_rng(len(counts))
    return [grid_of((rng.permutation(count) + 1).tolist()) for count in counts]


def draw_numbered(folder: Path, counts: list[int]) -> Path:
    for i, mask in enumerate(numbered(counts)):
        save(folder / "images" / f"s{i:02d}.png", np.full((*mask.shape, 3), i, np.uint8))
        save(folder / "masks" / f"s{i:02d}.png", mask)
    return folder
