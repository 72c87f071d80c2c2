"""The pictures that transforms are tried on: small, with objects whose colours say where each of them is.

Each object has a colour of its own, and so has the spot around each of its keypoints. A transform that moves pixels
keeps colours, so the pixels of a record tell where its mask, its box and its keypoints have to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 48, 40  # pixels, of pictures and records
NAMES = ("ant", "bee")
POINT_NAMES = ("first", "last")
# RGB corners of the colour cube: what lies between two of them is far from all others.
BODIES = ((230, 30, 30), (30, 30, 230))
SPOTS = (((230, 230, 30), (230, 30, 230)), ((30, 230, 230), (30, 230, 30)))  # of each object, of each keypoint
SPOT_RADIUS = 2.5  # pixels
KINDS = ("class", "several labels", "no target", "mask", "boxes", "keypoints", "instances")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A source, in memory and on disk.

    Attributes:
        image: uint8 [HEIGHT, WIDTH, 3], RGB.
        masks: bool [number of objects, HEIGHT, WIDTH].
        boxes: x_min, y_min, x_max, y_max in pixels, and the name of the class, of each object.
        points: x, y in pixels and 2, of each keypoint of each object.
        path: Of the image.
        mask_path: Of the mask of classes: 0, and 1 and more for objects.
        object_paths: Of the mask of each object.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    boxes: list[tuple[int, int, int, int, str]]
    points: list[list[tuple[float, float, int]]]
    path: Path
    mask_path: Path
    object_paths: list[Path]

    @property
    def mask(self) -> NDArray[np.uint8]:
        """uint8 [HEIGHT, WIDTH], class ids."""
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for number, single in enumerate(self.masks):
            mask[single] = number + 1
        return mask


def draw_pictures(folder: Path) -> list[Picture]:
    """Write three pictures with an object of each class, and one without any."""
    return [_draw(folder, i, has_objects=i < 3) for i in range(4)]


def _draw(folder: Path, i: int, *, has_objects: bool) -> Picture:
    rng = np.random.default_rng(i)
    image = rng.integers(115, 145, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    boxes = [(3 + i, 4, 19, 22 + i, "ant"), (20, 25 + i, 37 - i, 44, "bee")] if has_objects else []
    points = [[(x0 + 4.5, y0 + 4.5, 2), (x1 - 4.5, y1 - 5.5, 2)] for x0, y0, x1, y1, _ in boxes]
    masks = np.zeros((len(boxes), HEIGHT, WIDTH), bool)
    for number, (x0, y0, x1, y1, _) in enumerate(boxes):
        masks[number, y0:y1, x0:x1] = True
        image[masks[number]] = BODIES[number]
        for color, (x, y, _) in zip(SPOTS[number], points[number], strict=True):
            across, down = np.arange(WIDTH) + 0.5 - x, np.arange(HEIGHT) + 0.5 - y
            image[np.hypot(across, down[:, None]) <= SPOT_RADIUS] = color
    picture = Picture(
        image=image,
        masks=masks,
        boxes=boxes,
        points=points,
        path=folder / f"{i}.png",
        mask_path=folder / f"{i}_mask.png",
        object_paths=[folder / f"{i}_{number}.png" for number in range(len(boxes))],
    )
    cv2.imwrite(str(picture.path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(picture.mask_path), picture.mask)
    for path, single in zip(picture.object_paths, masks, strict=True):
        cv2.imwrite(str(path), single.astype(np.uint8))
    return picture


def as_sources(pictures: list[Picture], kind: str) -> dict[str, Any]:
    """Return what a build is given."""
    boxes = [picture.boxes for picture in pictures]
    targets: dict[str, dict[str, Any]] = {
        "class": {"labels": [label_of(i) for i in range(len(pictures))]},
        "several labels": {"labels": [labels_of(i) for i in range(len(pictures))]},
        "no target": {},
        "mask": {"masks": [picture.mask_path for picture in pictures]},
        "boxes": {"boxes": boxes},
        "keypoints": {
            "boxes": boxes,
            "keypoints": [picture.points for picture in pictures],
            "keypoint_names": list(POINT_NAMES),
        },
        "instances": {
            "instances": [
                [(path, box[4]) for path, box in zip(picture.object_paths, picture.boxes, strict=True)]
                for picture in pictures
            ]
        },
    }
    keys = [str(i) for i in range(len(pictures))]
    return {"images": [picture.path for picture in pictures], "keys": keys, **targets[kind]}


def label_of(i: int) -> str:
    """Return the class of a picture."""
    return "ab"[i % 2]


def labels_of(i: int) -> list[str]:
    """Return the labels of a picture, of which there may be none."""
    return ["a", "b"][: i % 3]
