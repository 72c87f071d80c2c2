"""Images of one colour each, and tables that list them: which source a record is of is seen in its pixels."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np

from tests.helpers.small_datasets import save

WIDTH = 24


def color_of(i: int) -> tuple[int, int, int]:
    return (10 + 20 * i, 250 - 20 * i, 40 + 7 * i)


def draw_colored(folder: Path, num: int = 8, *, masks: bool = False, suffix: str = ".png") -> list[str]:
    """Write images whose left half has the colour of their number, and the right half is black.

    Args:
        folder: Where.
        num: Images.
        masks: Write masks too, ``m/<name>.png``: 1 where the colour is.
        suffix: Of the images.

    Returns:
        Their paths below the folder.
    """
    paths = []
    for i in range(num):
        pixels = np.zeros((16, WIDTH, 3), np.uint8)
        pixels[:, : WIDTH // 2] = color_of(i)
        paths.append(f"pics/n{i:03d}{suffix}")
        save(folder / paths[-1], pixels)
        if masks:
            save(folder / f"m/n{i:03d}.png", (pixels[..., 2] > 0).astype(np.uint8))
    return paths


def number_of(image: np.ndarray[Any, Any]) -> int:
    """Return which image a record's pixels are of, and see that they are that one's, turned or not."""
    turned = bool((image[0, 0] == 0).all())
    first = image[:, ::-1] if turned else image
    i = (int(first[0, 0, 0]) - 10) // 20
    assert (first[:, : WIDTH // 2] == color_of(i)).all() and not first[:, WIDTH // 2 :].any()
    return i


def write_table(path: Path, columns: dict[str, Sequence[Any]]) -> Path:
    """Write columns as the kind of table that the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table(dict(columns)), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(columns), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def unmoved() -> A.Compose:
    return A.Compose([A.NoOp()])


def turned() -> A.Compose:
    return A.Compose([A.HorizontalFlip(p=1)])
