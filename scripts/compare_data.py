"""Draws small data sets of every kind of source and target, each with what a build of it is given.

A kind is a function that writes its sources below a folder and returns a `Drawn`. Nothing here imports precompute or a
test: the sources of a comparison stay the same whatever becomes of either.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NUM_IMAGES = 24  # of which train has two blocks
NAMES = ("bar", "disc", "frame")
COLORS = np.array([(250, 20, 20), (20, 250, 20), (20, 20, 250)], np.uint8)
POINTS = ("nose", "left_eye", "right_eye", "left_hand", "right_hand")

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, by edges

PIPELINES = """import albumentations as A

train = A.Compose(
    [
        A.HorizontalFlip(p=0.5),
        A.Rotate(limit=20, p=0.5),
        A.RandomBrightnessContrast(p=0.5),
        A.Resize(24, 32),
    ]
)
validation = A.Compose([A.Resize(24, 32)])
"""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A data set.

    Attributes:
        images: Files of the images; the first of them may be damaged and put back.
        source: What a build is given on the command line; None where it is given lists or sources from Python.
        options: Options of a build by their names in Python. With a source their values are written out as words of the
            command line.
        make_given: Without a source: returns what `precompute.build` is given beside the options.
    """

    images: list[Path]
    source: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    make_given: Callable[[], dict[str, Any]] | None = None


def save(path: Path, pixels: NDArray[Any]) -> Path:
    """Write an image file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write(path: Path, content: str) -> Path:
    """Write a text file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def write_table(path: Path, heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> Path:
    """Write a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(heads), *map(list, rows)])
    return path


def write_pipelines(folder: Path, text: str = PIPELINES) -> Path:
    """Write a file of pipelines; outside of what a build searches for images."""
    return write(folder / "pipelines.py", text)


def size_of(i: int) -> tuple[int, int]:
    """Return height and width of the i-th image."""
    return 36 + 2 * (i % 3), 48 + i % 4


def photo(i: int, channels: int = 3) -> NDArray[np.uint8]:
    """Return uint8 [H, W, channels]: soft colours with some noise, of its own for each number."""
    rng = np.random.default_rng([21, i])
    height, width = size_of(i)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / rng.uniform(3, 9) + rng.uniform(0, 6)) + np.cos(y / rng.uniform(3, 9)) for _ in range(channels)]
    pixels = 128 + 50 * np.stack(waves, axis=-1) + rng.normal(0, 6, (height, width, channels))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def photos(folder: Path, name: Callable[[int], str] = lambda i: f"p{i:02d}.png") -> list[Path]:
    """Write all images, named by their number."""
    return [save(folder / name(i), photo(i)) for i in range(NUM_IMAGES)]


def split_of(i: int) -> str:
    """Return the split of the i-th image, as a layout of folders calls it."""
    return ("train", "train", "val", "train", "test")[i % 5]


def ids_of(i: int, num_ids: int = 3) -> NDArray[np.uint8]:
    """Return uint8 [H, W]: class ids in bands and a rectangle."""
    height, width = size_of(i)
    ids = np.zeros((height, width), np.uint8)
    ids[5 + i % 12 : 14 + i % 12, 6:20] = 1 % num_ids
    ids[18 : 20 + i % 12, 16:40] = 2 % num_ids
    return ids


def objects_of(i: int) -> list[tuple[Box, int]]:
    """Return box and class index of each object of the i-th image; every fourth image has none."""
    rng = np.random.default_rng([22, i])
    found = []
    for k in range(i % 4):
        left, top = 2 + 15 * k, int(rng.integers(1, 14))
        box = (left, top, left + int(rng.integers(5, 13)), top + int(rng.integers(5, 18)))
        found.append((box, (i + k) % len(NAMES)))
    return found


def object_mask(i: int, box: Box) -> NDArray[np.uint8]:
    """Return uint8 [H, W]: 255 in the box of an object, with a corner cut off."""
    left, top, right, bottom = box
    mask = np.zeros(size_of(i), np.uint8)
    mask[top:bottom, left:right] = 255
    mask[top : top + 2, left : left + 2] = 0
    return mask


def points_of(i: int) -> list[list[tuple[float, float, int]]]:
    """Return x, y and visibility of the keypoints of each object; some of them are not labelled."""
    rng = np.random.default_rng([23, i])
    found = []
    for left, top, right, bottom in (box for box, _ in objects_of(i)):
        seen = [int(rng.integers(0, 3)) for _ in POINTS]
        seen[0] = 2
        spots = [(float(rng.integers(left, right)), float(rng.integers(top, bottom))) for _ in POINTS]
        found.append([(x, y, v) if v else (0.0, 0.0, 0) for (x, y), v in zip(spots, seen, strict=True)])
    return found


def photo_of_objects(i: int) -> NDArray[np.uint8]:
    """Return uint8 [H, W, 3]: an image with its objects, in the colour of their class."""
    pixels = photo(i)
    for (left, top, right, bottom), label in objects_of(i):
        pixels[top:bottom, left:right] = COLORS[label]
    return pixels


def photos_of_objects(folder: Path, name: Callable[[int], str] = lambda i: f"p{i:02d}.png") -> list[Path]:
    """Write all images with their objects, named by their number."""
    return [save(folder / name(i), photo_of_objects(i)) for i in range(NUM_IMAGES)]


def coco_of(annotation: Callable[[int, int], dict[str, Any]], category: dict[str, Any] | None = None) -> str:
    """Return a COCO file of all images.

    Args:
        annotation: (image, number of its object) → what an object has beside ids and box.
        category: What each category has beside id and name.
    """
    images, annotations = [], []
    for i in range(NUM_IMAGES):
        height, width = size_of(i)
        images.append({"id": 500 - i, "file_name": f"p{i:02d}.png", "width": width, "height": height})
        for k, ((left, top, right, bottom), label) in enumerate(objects_of(i)):
            of_one = {"id": len(annotations) + 1, "image_id": 500 - i, "category_id": 3 * label + 2}
            box = {"bbox": [left, top, right - left, bottom - top], "iscrowd": int(i % 5 == 3 and k == 1)}
            annotations.append({**of_one, **box, **annotation(i, k)})
    categories = [{"id": 3 * label + 2, "name": name, **(category or {})} for label, name in enumerate(NAMES)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})
