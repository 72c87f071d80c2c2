"""Images with boxes whose objects are drawn in a colour a class: where they are is seen in the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np

import precompute
from tests.helpers.small_datasets import save

NAMES = ["bar", "disc", "frame"]
COLORS = np.array([(250, 20, 20), (20, 250, 20), (20, 20, 250)], np.uint8)

Row = tuple[int, int, int, int, str]  # x_min, y_min, x_max, y_max in pixels, by edges; class


def draw_boxed(folder: Path, num: int = 12, *, suffix: str = ".png") -> dict[str, list[Row]]:
    """Write images, each with up to three objects of different classes that do not overlap.

    Returns:
        Name of the file without its suffix → boxes. Every fourth image has none.
    """
    truth = {}
    for i in range(num):
        rng = np.random.default_rng([7, i])
        height, width = 40 + 2 * (i % 3), 56 + i % 5
        image = rng.integers(60, 100, (height, width, 3), dtype=np.uint8)
        rows = []
        for place in range(i % 4):
            label = int((i + place) % 3)
            left = 2 + 18 * place + int(rng.integers(0, 4))
            top, box_width, box_height = (int(rng.integers(*pair)) for pair in ((0, 20), (3, 12), (3, 18)))
            row = (left, top, left + box_width, top + box_height, NAMES[label])
            image[row[1] : row[3], row[0] : row[2]] = COLORS[label]
            rows.append(row)
        save(folder / f"i{i:03d}{suffix}", image)
        truth[f"i{i:03d}"] = rows
    return truth


def seen_boxes(image: np.ndarray[Any, Any]) -> dict[str, tuple[int, int, int, int]]:
    """Return class → box of the pixels that have its colour."""
    found = {}
    for name, color in zip(NAMES, COLORS, strict=True):
        y, x = np.nonzero((image == color).all(axis=2))
        if len(x):
            found[name] = (int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1)
    return found


def stored_boxes(example: dict[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return class → box of an example of `precompute.read`."""
    assert len(set(example["class_names"])) == len(example["class_names"])
    return {name: tuple(box) for name, box in zip(example["class_names"], example["boxes"].tolist(), strict=True)}


def examples_of(out: Path) -> Iterator[dict[str, Any]]:
    from precompute.dataset.manifest import Manifest

    for split, listed in Manifest.load(out).splits.items():
        for row in listed.rows:
            yield from precompute.read(out, split=split, row=row.row)


def check_pixels_under_boxes(out: Path, *, exact: bool = True) -> int:
    """Compare each record's boxes with where the colours are in its pixels; returns how many were compared."""
    compared = 0
    for example in examples_of(out):
        seen, stored = seen_boxes(example["image"]), stored_boxes(example)
        assert seen.keys() == stored.keys(), example["key"]
        for name, box in stored.items():
            np.testing.assert_allclose(box, seen[name], atol=1e-3 if exact else 1.0, err_msg=example["key"])
            compared += 1
    return compared


def identity(height: int = 44, width: int = 60) -> A.Compose:
    """Pad or cut at the right and below alone: boxes keep their pixels."""
    pad = A.PadIfNeeded(height, width, border_mode=0, position="top_left")
    return A.Compose([pad, A.Crop(0, 0, width, height)])


def turning() -> A.Compose:
    """Pixels change places and none changes its colour."""
    pad = A.PadIfNeeded(60, 60, border_mode=0, position="top_left")
    return A.Compose([pad, A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.RandomRotate90(p=0.7), A.Transpose(p=0.3)])
