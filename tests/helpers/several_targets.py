"""Sources with a label, two masks and a number each, whose pixels tell all of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np

from precompute.table.sources import Source
from tests.helpers.small_datasets import save

CLASSES = ["cat", "dog", "eel"]
NUM = 12
HEIGHT, WIDTH, SIDE = 24, 28, 16
MOVING = A.Compose([A.RandomCrop(SIDE, SIDE), A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)])
STILL = A.Compose([A.NoOp()])
CENTER = A.Compose([A.CenterCrop(SIDE, SIDE)])
OPTIONS: dict[str, Any] = {
    "pipeline": {"train": MOVING, "validation": CENTER},
    "variants": 2,
    "image_format": "png",
    "jobs": 1,
    "backend": "sequential",
    "validation_split": 0.25,
    "quiet": True,
}
OF_FOLDERS: dict[str, Any] = {
    "target": "label,mask",
    "masks": {"fine": "fine", "coarse": "masks_coarse"},
    "mask_map": {"fine": {255: 1}},
    "class_names": {"coarse": ["sky", "sea", "land", "ice"]},
}


def draw(folder: Path, num: int = NUM) -> list[dict[str, Any]]:
    """Write images/CLASS/N.png, fine/ and masks_coarse/; return paths, label and age of each source.

    Red is the coarse mask times 60, green the fine one times 100, blue tells the class.
    """
    sources = []
    for i in range(num):
        rng, label = np.random.default_rng([8, i]), i % len(CLASSES)
        fine, coarse = (rng.integers(0, high, (HEIGHT, WIDTH), np.uint8) for high in (2, 4))
        pixels = np.stack([60 * coarse, 100 * fine, np.full_like(fine, 40 * label + 10)], axis=-1)
        place = f"{CLASSES[label]}/{i}.png"
        paths = {name: folder / name / place for name in ("images", "fine", "masks_coarse")}
        for name, content in {"images": pixels, "fine": 255 * fine, "masks_coarse": coarse}.items():
            save(paths[name], content)
        sources.append({**paths, "label": CLASSES[label], "age": i / 2})
    return sources


def write_table(folder: Path, drawn: list[dict[str, Any]]) -> Path:
    """Write table.csv, with the columns image, class, mask, fine and age."""
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "class", "mask", "fine", "age"])
        writer.writerows([one["images"], one["label"], one["masks_coarse"], one["fine"], one["age"]] for one in drawn)
    return folder / "table.csv"


def lists_of(drawn: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the arguments of a build from lists."""
    return {
        "images": [one["images"] for one in drawn],
        "labels": [one["label"] for one in drawn],
        "masks": {"fine": [one["fine"] for one in drawn], "coarse": [one["masks_coarse"] for one in drawn]},
        "values": {"age": [one["age"] for one in drawn]},
    }


def objects_of(drawn: list[dict[str, Any]]) -> list[Source]:
    """Return the same as objects."""
    return [
        Source(
            key=str(i),
            image=one["images"],
            label=one["label"],
            mask={"fine": one["fine"], "coarse": one["masks_coarse"]},
            values={"age": one["age"]},
        )
        for i, one in enumerate(drawn)
    ]


def check(image: Any, values: Mapping[str, Any]) -> None:
    """Compare the targets of one example with its pixels."""
    if "label" in values:
        assert (image[..., 2] == 40 * int(values["label"]) + 10).all()
    for name, channel, factor in (("fine", 1, 100), ("coarse", 0, 60), ("mask", 0, 60)):
        if name in values:
            np.testing.assert_array_equal(image[..., channel], factor * np.asarray(values[name]))
