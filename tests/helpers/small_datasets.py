"""Small data sets that tests draw for themselves, and what they compare datasets by."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
from PIL import Image

SIZE = 16


def draw_pairs(folder: Path, num: int = 12, *, seed: int = 0) -> Path:
    """Write images/ and masks/ (ids 0, 1, 2) of slightly different sizes."""
    for i in range(num):
        rng = np.random.default_rng([seed, i])
        height, width = 20 + i % 3, 18 + i % 5
        image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((height, width), np.uint8)
        mask[4:10, 3:9] = 1
        mask[10 : 12 + i % 6, 8:14] = 2
        save(folder / "images" / f"s{i:03d}.png", image)
        save(folder / "masks" / f"s{i:03d}.png", mask)
    return folder


def draw_classes(folder: Path, per_class: int = 6, names: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Write a folder a class."""
    for index, name in enumerate(names):
        for i in range(per_class):
            rng = np.random.default_rng([index, i])
            save(folder / name / f"{name}{i:03d}.png", rng.integers(0, 255, (20, 22, 3), dtype=np.uint8))
    return folder


def save(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def pipeline(size: int = SIZE) -> A.Compose:
    """A light pipeline with draws of several kinds."""
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Rotate(limit=25, p=0.5),
            A.RandomBrightnessContrast(p=0.5),
            A.Resize(size, size),
        ]
    )


def options(**changes: Any) -> dict[str, Any]:
    """Options for a quick build in this process."""
    return {
        "pipeline": pipeline(),
        "variants": 3,
        "image_format": "png",
        "jobs": 1,
        "backend": "sequential",
        "validation_split": 0.25,
        "quiet": True,
        **changes,
    }


def shard_hashes(out: Path) -> dict[str, str]:
    """Return name → sha256 of every shard on disk."""
    shards = sorted((out / "data").rglob("*.tfrecord-*"))
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}


def rows_of(out: Path, split: str = "train") -> list[tuple[int, int, int | None]]:
    """Return (row, seed, variant) of each listed row."""
    from precompute.dataset.manifest import Manifest

    return [(row.row, row.seed, row.variant) for row in Manifest.load(out).splits[split].rows]


def rows_seen(out: Path) -> list[list[tuple[int, int, int | None]]] | None:
    """Return what a reader sees, split by split, or None where there is no dataset; what it sees must be whole."""
    import precompute
    from precompute.dataset.manifest import Manifest

    if not (out / "manifest.json").exists():
        return None
    assert precompute.verify(out, jobs=1).problems == []
    return [rows_of(out, split) for split in Manifest.load(out).splits]
