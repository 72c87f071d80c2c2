"""Images whose red channel says, a bit an object, where each object is: what a mask must be is seen in the pixels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from tests.helpers.small_datasets import save

NAMES = ["bar", "disc", "frame"]
SIDE = 60

Rectangle = tuple[int, int, int, int]  # x_min, y_min, x_max, y_max by edges
Truth = dict[str, list[tuple[list[Rectangle], str]]]  # key → rectangles and class of each object


def make_truth(num: int = 12, *, seed: int = 5) -> Truth:
    """Up to four objects an image, some of two parts, some that overlap; every fifth image has none."""
    truth: Truth = {}
    for i in range(num):
        rng = np.random.default_rng([seed, i])
        truth[f"i{i:03d}"] = [
            (
                [_rectangle(rng) for _ in range(1 + (i + k) % 2)],
                NAMES[(i + k) % 3],
            )
            for k in range(i % 5)
        ]
    return truth


def _rectangle(rng: np.random.Generator) -> Rectangle:
    left, top, width, height = (int(rng.integers(*pair)) for pair in ((1, 38), (1, 26), (3, 14), (3, 14)))
    return left, top, left + width, top + height


def size_of(i: int) -> tuple[int, int]:
    return 44 + 2 * (i % 2), 56 + 4 * (i % 3)


def mask_of(rectangles: list[Rectangle], size: tuple[int, int]) -> np.ndarray[Any, Any]:
    mask = np.zeros(size, bool)
    for left, top, right, bottom in rectangles:
        mask[top:bottom, left:right] = True
    return mask


def image_of(truth: Truth, key: str) -> np.ndarray[Any, Any]:
    i = list(truth).index(key)
    image = np.random.default_rng([9, i]).integers(0, 250, (*size_of(i), 3), dtype=np.uint8)
    image[..., 0] = 0
    for k, mask in enumerate(masks_of(truth, key)):
        image[..., 0] |= mask.astype(np.uint8) << k
    return image


def masks_of(truth: Truth, key: str) -> list[np.ndarray[Any, Any]]:
    size = size_of(list(truth).index(key))
    return [mask_of(rectangles, size) for rectangles, _ in truth[key]]


# Layouts.


def write_files(folder: Path, truth: Truth, *, by_class: bool = False) -> dict[str, Any]:
    for key in truth:
        save(folder / "images" / f"{key}.png", image_of(truth, key))
        (folder / "masks" / key).mkdir(parents=True)
        for k, (mask, (_, name)) in enumerate(zip(masks_of(truth, key), truth[key], strict=True)):
            inside = folder / "masks" / key / (name if by_class else "")
            save(inside / f"{k}.png", mask.astype(np.uint8) * (255, 1, 7)[k % 3])
    return {}


def write_classes(folder: Path, truth: Truth) -> dict[str, Any]:
    return write_files(folder, truth, by_class=True)


def write_bowl(folder: Path, truth: Truth) -> dict[str, Any]:
    """As in the Data Science Bowl 2018."""
    for key in truth:
        save(folder / key / "images" / f"{key}.png", image_of(truth, key))
        (folder / key / "masks").mkdir()
        for k, mask in enumerate(masks_of(truth, key)):
            Image.fromarray(mask).save(folder / key / "masks" / f"{k:x}0ff.png")  # 1 bit a pixel
    return {"class_names": ["nucleus"]}


def polygons(rectangles: list[Rectangle], size: tuple[int, int]) -> Any:
    return [[left, top, right, top, right, bottom, left, bottom] for left, top, right, bottom in rectangles]


def runs(rectangles: list[Rectangle], size: tuple[int, int]) -> Any:
    """Column by column, of pixels outside first."""
    flat = np.concatenate([[False], mask_of(rectangles, size).ravel(order="F")])
    edges = [0, *(np.flatnonzero(flat[1:] != flat[:-1])).tolist(), flat.size - 1]
    return {"size": list(size), "counts": np.diff(edges).tolist()}


def compressed(rectangles: list[Rectangle], size: tuple[int, int]) -> Any:
    from pycocotools import mask

    code = mask.encode(np.asfortranarray(mask_of(rectangles, size).astype(np.uint8)))
    return {"size": list(size), "counts": code["counts"].decode()}


Segmentation = Callable[[list[Rectangle], tuple[int, int]], Any]


def coco_of(truth: Truth, segmentation: Segmentation, crowd: str = "frame") -> dict[str, Any]:
    """Ids of categories with gaps, one of them unused."""
    ids = {"bar": 3, "disc": 17, "frame": 90}
    images, annotations = [], []
    for i, (key, objects) in enumerate(truth.items()):
        height, width = size_of(i)
        images.append({"id": 500 - i, "file_name": f"{key}.png", "width": width, "height": height})
        for rectangles, name in objects:
            left, top = (min(r[side] for r in rectangles) for side in (0, 1))
            right, bottom = (max(r[side] for r in rectangles) for side in (2, 3))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 500 - i,
                    "category_id": ids[name],
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": int(name == crowd),
                    "segmentation": segmentation(rectangles, size_of(i)),
                }
            )
    categories = [{"id": ids[name], "name": name} for name in ("frame", "bar", "disc")]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(folder: Path, truth: Truth, segmentation: Segmentation = polygons) -> dict[str, Any]:
    for key in truth:
        save(folder / "images" / f"{key}.png", image_of(truth, key))
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_all.json").write_text(json.dumps(coco_of(truth, segmentation)))
    return {"target": "instances"}


def write_coco_runs(folder: Path, truth: Truth) -> dict[str, Any]:
    return write_coco(folder, truth, runs)


def write_coco_compressed(folder: Path, truth: Truth) -> dict[str, Any]:
    return write_coco(folder, truth, compressed)


WRITERS: dict[str, Callable[[Path, Truth], dict[str, Any]]] = {
    "files": write_files,
    "classes": write_classes,
    "bowl": write_bowl,
    "coco": write_coco,
    "coco-runs": write_coco_runs,
    "coco-compressed": write_coco_compressed,
}


def lists_of(folder: Path, truth: Truth) -> dict[str, Any]:
    """Arguments of a build from Python, of what `write_classes` wrote."""
    instances = [
        [
            (folder / "masks" / key / name / f"{k}.png", name, *(["crowd"] if name == "frame" else []))
            for k, (_, name) in enumerate(objects)
        ]
        for key, objects in truth.items()
    ]
    return {"images": [folder / "images" / f"{key}.png" for key in truth], "instances": instances}


# What is compared.


def examples_of(out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for split, listed in Manifest.load(out).splits.items():
        for row in listed.rows:
            for example in precompute.read(out, split=split, row=row.row):
                yield split, example


def name_of(key: str) -> str:
    return key.rpartition("/")[2]


def check_objects(out: Path, truth: Truth, *, classes: bool = True, crowd: bool = True) -> dict[str, int]:
    """Compare masks, boxes, classes and flags of all records with their pixels; returns split → objects compared."""
    compared = dict.fromkeys(Manifest.load(out).splits, 0)
    for split, example in examples_of(out):
        objects = truth[name_of(example["key"])]
        planes = {k: (example["image"][..., 0] >> k & 1).astype(bool) for k in range(len(objects))}
        there = {k: plane for k, plane in planes.items() if plane.any()}
        assert len(example["masks"]) == len(there), example["key"]
        for i, mask in enumerate(example["masks"]):
            k = next(k for k, plane in there.items() if np.array_equal(plane, mask))
            del there[k]
            y, x = np.nonzero(mask)
            around = [x.min(), y.min(), x.max() + 1, y.max() + 1]
            np.testing.assert_allclose(example["boxes"][i], around, atol=1e-3)
            assert example["class_names"][i] == (objects[k][1] if classes else example["class_names"][0])
            assert example["crowd"][i] == (crowd and objects[k][1] == "frame")
            compared[split] += 1
        assert not there
    return compared


def identity() -> A.Compose:
    """Pad or cut at the right and below alone: objects keep their pixels."""
    pad = A.PadIfNeeded(SIDE, SIDE, border_mode=0, position="top_left")
    return A.Compose([pad, A.Crop(0, 0, SIDE, SIDE)])


def turning() -> A.Compose:
    """Pixels change places, some leave the picture, and none changes its colour."""
    pad = A.PadIfNeeded(SIDE, SIDE, border_mode=0, position="top_left")
    flips = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.RandomRotate90(p=0.7), A.Transpose(p=0.3)]
    return A.Compose([pad, *flips, A.RandomCrop(40, 40), A.PadIfNeeded(SIDE, SIDE, border_mode=0)])
