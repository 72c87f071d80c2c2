"""Images with skeletons whose keypoints are pixels of a colour each: where they are is seen in the pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from tests.helpers.small_datasets import save

NAMES = ["nose", "left_eye", "right_eye", "left_hand", "right_hand"]
EDGES = [(0, 1), (0, 2), (1, 3), (2, 4)]
PAIRS = [["left_eye", "right_eye"], ["left_hand", "right_hand"]]
SWAPPED = [0, 2, 1, 4, 3]
BACKGROUND = 10
# Of the points of the first and the second object: blue tells the object, red and green the point.
COLORS = np.array([[(250 - 40 * k, 50 + 40 * k, 60 + 150 * i) for k in range(len(NAMES))] for i in range(2)], np.uint8)

Points = list[list[tuple[float, float, int]]]  # of each object x, y by edges and visibility
Box = tuple[int, int, int, int, str]


def draw_pointed(folder: Path, num: int = 10, *, size: int = 48) -> dict[str, tuple[list[Box], Points]]:
    """Write images, each with up to two skeletons: every point one pixel, some of them not labelled and not drawn.

    Returns:
        Name of the file without its suffix → boxes and keypoints. Every third image has none.
    """
    truth = {}
    for i in range(num):
        rng = np.random.default_rng([11, i])
        height, width = size - 2 * (i % 3), size - i % 4
        image = np.full((height, width, 3), BACKGROUND, np.uint8)
        boxes: list[Box] = []
        points: Points = []
        for which in range(i % 3):
            left, top = which * 22 + int(rng.integers(0, 3)), int(rng.integers(0, 20))
            places = rng.permutation(18 * 18)[: len(NAMES)]
            of_one: list[tuple[float, float, int]] = []
            for k, place in enumerate(places.tolist()):
                x, y, visibility = left + 1 + place % 18, top + 1 + place // 18, int(rng.integers(0, 3))
                if visibility or k == 0:
                    image[y, x] = COLORS[which, k]
                    of_one.append((x + 0.5, y + 0.5, visibility or 2))
                else:
                    of_one.append((0, 0, 0))
            boxes.append((left, top, left + 20, top + 20, ("person", "statue")[which]))
            points.append(of_one)
        save(folder / f"p{i:02d}.png", image)
        truth[f"p{i:02d}"] = (boxes, points)
    return truth


def lists_of(folder: Path, truth: dict[str, tuple[list[Box], Points]], *, has_boxes: bool = True) -> dict[str, Any]:
    lists: dict[str, Any] = {"images": [folder / f"{name}.png" for name in truth]}
    lists["keypoints"] = [points for _, points in truth.values()]
    if has_boxes:
        lists["boxes"] = [boxes for boxes, _ in truth.values()]
    return {**lists, "keypoint_names": NAMES}


def coco_of(folder: Path, truth: dict[str, tuple[list[Box], Points]]) -> dict[str, Any]:
    """As COCO's own file: whole pixels, zeros for points that are not labelled, ids with gaps, pairs from 1."""
    images, annotations = [], []
    for i, (name, (boxes, points)) in enumerate(sorted(truth.items(), reverse=True)):
        with Image.open(folder / f"{name}.png") as picture:
            width, height = picture.size
        images.append({"id": 900 - i, "file_name": f"{name}.png", "width": width, "height": height})
        for (x0, y0, x1, y1, label), of_one in zip(boxes, points, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 7,
                    "image_id": 900 - i,
                    "category_id": {"person": 1, "statue": 44}[label],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "iscrowd": int(label == "statue"),
                    "num_keypoints": sum(v > 0 for *_, v in of_one),
                    "keypoints": [
                        n for x, y, v in of_one for n in ((int(x - 0.5), int(y - 0.5), v) if v else (0, 0, 0))
                    ],
                }
            )
    edges = [[a + 1, b + 1] for a, b in EDGES]
    categories = [
        {"id": number, "name": name, "keypoints": NAMES, "skeleton": edges}
        for number, name in ((44, "statue"), (1, "person"))
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(folder: Path) -> dict[str, tuple[list[Box], Points]]:
    truth = draw_pointed(folder / "images")
    (folder / "annotations").mkdir()
    content = coco_of(folder / "images", truth)
    (folder / "annotations" / "person_keypoints_train.json").write_text(json.dumps(content))
    return truth


def table_of(truth: dict[str, tuple[list[Box], Points]], *, has_boxes: bool = True) -> str:
    heads = ["image", "class", *(f"{name}_{end}" for name in NAMES for end in "xyv")]
    lines = [",".join(heads + (["xmin", "ymin", "xmax", "ymax"] if has_boxes else []))]
    for name, (boxes, points) in truth.items():
        rows = []
        for (*sides, label), of_one in zip(boxes, points, strict=True):
            cells = [
                c for x, y, v in of_one for c in ((f"{x - 0.5:g}", f"{y - 0.5:g}", str(v)) if v else ("", "", "0"))
            ]
            rows.append([f"images/{name}.png", label, *cells, *(map(str, sides) if has_boxes else ())])
        empty = [f"images/{name}.png", *[""] * (lines[0].count(","))]
        lines += [",".join(row) for row in rows or [empty]]
    return "\n".join(lines) + "\n"


def write_table(folder: Path, *, has_boxes: bool = True) -> dict[str, tuple[list[Box], Points]]:
    truth = draw_pointed(folder / "images")
    (folder / "points.csv").write_text(table_of(truth, has_boxes=has_boxes))
    return truth


def seen_points(image: np.ndarray[Any, Any]) -> dict[tuple[int, int], tuple[float, float]]:
    """Return (object, point) → middle of the pixel that has its colour, by edges."""
    found = {}
    for i, k in np.ndindex(*COLORS.shape[:2]):
        y, x = np.nonzero((image == COLORS[i, k]).all(axis=2))
        if len(x):
            found[i, k] = (float(x.mean()) + 0.5, float(y.mean()) + 0.5)
    return found


def examples_of(out: Path) -> Iterator[dict[str, Any]]:
    for split, listed in Manifest.load(out).splits.items():
        for row in listed.rows:
            yield from precompute.read(out, split=split, row=row.row)


def check_pixels_under_points(out: Path) -> tuple[int, int]:
    """Compare each record's points with where their colours are; returns how many were compared, and images swapped.

    Objects are told by their class; which colour a point of a mirrored image has, its pair's, is seen in the pixels.
    """
    compared = swapped = 0
    for example in examples_of(out):
        seen = seen_points(example["image"])
        stored = {}
        for name, places, visibility in zip(
            example["class_names"], example["keypoints"], example["visibility"], strict=True
        ):
            i = ["person", "statue"].index(name)
            stored |= {(i, k): tuple(places[k]) for k in range(len(NAMES)) if visibility[k]}
            assert not places[visibility == 0].any()
        exchanged = {(i, SWAPPED[k]): place for (i, k), place in stored.items()}
        asis, other = (_distance(one, seen) for one in (stored, exchanged))
        assert min(asis, other) < 1e-3, (example["key"], stored, seen)
        swapped += other < asis
        compared += len(stored)
    return compared, swapped


def _distance(stored: dict[Any, Any], seen: dict[Any, Any]) -> float:
    if stored.keys() != seen.keys():
        return float("inf")
    return max((float(np.abs(np.subtract(stored[name], seen[name])).max()) for name in seen), default=0.0)
