"""The data sets of a comparison that have objects: boxes, keypoints, and masks of single objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
from compare_data import (
    NAMES,
    NUM_IMAGES,
    POINTS,
    Drawn,
    coco_of,
    object_mask,
    objects_of,
    photos_of_objects,
    points_of,
    save,
    size_of,
    split_of,
    write,
    write_pipelines,
    write_table,
)
from PIL import Image

FLIPS = "[A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.3), A.RandomCrop(20, 28), A.Resize(24, 32)]"
TURNS = f"import albumentations as A\n\ntrain = A.Compose({FLIPS})\nvalidation = A.Compose([A.Resize(24, 32)])\n"


def _coco(folder: Path) -> Drawn:
    """COCO's boxes, crowds among them."""
    images = photos_of_objects(folder / "data" / "images")
    write(folder / "data" / "annotations" / "instances_all.json", coco_of(lambda i, k: {}))
    options = {"pipeline": write_pipelines(folder, TURNS), "validation_split": 0.3, "min_visibility": 0.1}
    return Drawn(images=images, source=folder / "data", options=options)


def _yolo(folder: Path) -> Drawn:
    """YOLO's files in folders of splits; one of the objects is a polygon."""
    images = photos_of_objects(folder / "data" / "images", lambda i: f"{split_of(i)}/p{i:02d}.png")
    for i in range(NUM_IMAGES):
        height, width = size_of(i)
        lines = []
        for k, ((left, top, right, bottom), label) in enumerate(objects_of(i)):
            x0, x1, y0, y1 = left / width, right / width, top / height, bottom / height
            box = f"{(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0}"
            lines.append(f"{label} {box if k != 1 else f'{x0} {y0} {x1} {y0} {x1} {y1}'}\n")
        write(folder / "data" / "labels" / split_of(i) / f"p{i:02d}.txt", "".join(lines))
    splits = "".join(f"{split}: images/{split}\n" for split in ("train", "val", "test"))
    write(folder / "data" / "data.yaml", f"{splits}names: [{', '.join(NAMES)}]\n")
    options = {"pipeline": write_pipelines(folder, TURNS), "drop_empty": True, "min_area": 4}
    return Drawn(images=images, source=folder / "data", options=options)


def _voc(folder: Path) -> Drawn:
    """Pascal VOC with its lists of splits, difficult and truncated objects."""
    images = photos_of_objects(folder / "data" / "JPEGImages")
    for i in range(NUM_IMAGES):
        height, width = size_of(i)
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        objects = "".join(
            f"<object><name>{NAMES[label]}</name><difficult>{i % 2}</difficult><truncated>{k}</truncated><bndbox>"
            f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            for k, ((left, top, right, bottom), label) in enumerate(objects_of(i))
            if k < 2
        )
        text = f"<annotation><filename>p{i:02d}.png</filename>{size}{objects}</annotation>"
        write(folder / "data" / "Annotations" / f"p{i:02d}.xml", text)
    for split in ("train", "val"):
        names = [f"p{i:02d}\n" for i in range(NUM_IMAGES) if (split_of(i) == "val") == (split == "val")]
        write(folder / "data" / "ImageSets" / "Main" / f"{split}.txt", "".join(names))
    return Drawn(images=images, source=folder / "data", options={"pipeline": write_pipelines(folder, TURNS)})


def _box_lists(folder: Path) -> Drawn:
    """Boxes from Python, some of them marked; a transform that asks for objects by their label."""
    images = photos_of_objects(folder / "photos")

    def given() -> dict[str, Any]:
        marks = ((), ("crowd",), (["difficult", "truncated"],))
        boxes = [
            [(*box, NAMES[label], *marks[k]) for k, (box, label) in enumerate(objects_of(i))] for i in range(NUM_IMAGES)
        ]
        drop = A.ConstrainedCoarseDropout(num_holes_range=(1, 1), bbox_labels=["bar"], p=1)
        return {"images": images, "boxes": boxes, "pipeline": A.Compose([drop, A.D4(p=1), A.Resize(24, 32)])}

    return Drawn(images=images, options={"validation_split": 0.3}, make_given=given)


def _flat_points(i: int, k: int) -> dict[str, Any]:
    numbers = [n for point in points_of(i)[k] for n in point]
    return {"keypoints": numbers, "num_keypoints": sum(v > 0 for v in numbers[2::3])}


def _coco_keypoints(folder: Path) -> Drawn:
    """COCO's keypoints, whose names tell pairs that change places."""
    images = photos_of_objects(folder / "data" / "images")
    category = {"keypoints": list(POINTS), "skeleton": [[1, 2], [1, 3], [2, 4], [3, 5]]}
    write(folder / "data" / "annotations" / "person_keypoints_all.json", coco_of(_flat_points, category))
    options = {"pipeline": write_pipelines(folder, TURNS), "flip_pairs": "auto", "validation_split": 0.3}
    return Drawn(images=images, source=folder / "data", options=options)


def _keypoint_table(folder: Path) -> Drawn:
    """A table of keypoints without boxes, with splits."""
    images = photos_of_objects(folder / "data" / "images")
    heads = ["image", "class", "split", *(f"{name}_{end}" for name in POINTS for end in "xyv")]
    rows: list[list[Any]] = []
    for i in range(NUM_IMAGES):
        start = [f"images/p{i:02d}.png"]
        for (_, label), points in zip(objects_of(i), points_of(i), strict=True):
            cells = [cell for x, y, v in points for cell in ((x, y, v) if v else ("", "", 0))]
            rows.append([*start, NAMES[label], split_of(i), *cells])
        if not objects_of(i):
            rows.append([*start, "", split_of(i), *[""] * (3 * len(POINTS))])
    table = write_table(folder / "data" / "points.csv", heads, rows)
    options = {"pipeline": write_pipelines(folder, TURNS), "annotations": table, "skeleton": "nose:left_eye"}
    return Drawn(images=images, source=folder / "data", options={**options, "flip_pairs": "left_eye:right_eye"})


def _keypoint_lists(folder: Path) -> Drawn:
    """Keypoints from Python with boxes, and a reader that never mirrors."""
    images = photos_of_objects(folder / "photos")

    def given() -> dict[str, Any]:
        boxes = [[(*box, NAMES[label]) for box, label in objects_of(i)] for i in range(NUM_IMAGES)]
        points = [[[p if p[2] else None for p in of_one] for of_one in points_of(i)] for i in range(NUM_IMAGES)]
        lists = {"images": images, "boxes": boxes, "keypoints": points, "keypoint_names": list(POINTS)}
        pipeline = A.Compose([A.Affine(rotate=(-30, 30), scale=(0.8, 1.2), p=1), A.Resize(24, 32)])
        return {**lists, "pipeline": {"train": pipeline}}

    return Drawn(images=images, options={"test_split": 0.2, "flip_pairs": "none"}, make_given=given)


def _draw_object_masks(folder: Path, name: Callable[[int, int, int], str]) -> None:
    for i in range(NUM_IMAGES):
        (folder / name(i, 0, 0)).parent.mkdir(parents=True, exist_ok=True)
        for k, (box, label) in enumerate(objects_of(i)):
            save(folder / name(i, k, label), object_mask(i, box))


def _instance_files(folder: Path) -> Drawn:
    """A mask file an object, in a folder a class."""
    images = photos_of_objects(folder / "data" / "images")
    _draw_object_masks(folder / "data" / "masks", lambda i, k, label: f"p{i:02d}/{NAMES[label]}/{k}.png")
    options = {"pipeline": write_pipelines(folder, TURNS), "validation_split": 0.3, "min_area": 3}
    return Drawn(images=images, source=folder / "data", options=options)


def _bowl(folder: Path) -> Drawn:
    """The layout of the Data Science Bowl 2018: a folder an image, masks of one bit."""
    images = photos_of_objects(folder / "data", lambda i: f"p{i:02d}/images/p{i:02d}.png")
    for i in range(NUM_IMAGES):
        (folder / "data" / f"p{i:02d}" / "masks").mkdir()
        for k, (box, _) in enumerate(objects_of(i)):
            Image.fromarray(object_mask(i, box) > 0).save(folder / "data" / f"p{i:02d}" / "masks" / f"{k:x}0ff.png")
    options = {"pipeline": write_pipelines(folder, TURNS), "class_names": "nucleus", "validation_split": 0.3}
    return Drawn(images=images, source=folder / "data", options=options)


def _segmentation(i: int, k: int) -> dict[str, Any]:
    """A polygon, or, for every second object, lengths of runs."""
    (left, top, right, bottom), _ = objects_of(i)[k]
    if k % 2 == 0 and not (i % 5 == 3 and k == 1):
        return {"segmentation": [[left, top, right, top, right, bottom, left, bottom - 2]]}
    flat = np.concatenate([[0], object_mask(i, (left, top, right, bottom)).ravel(order="F")])
    edges = [0, *np.flatnonzero(flat[1:] != flat[:-1]).tolist(), flat.size - 1]
    return {"segmentation": {"size": list(size_of(i)), "counts": np.diff(edges).tolist()}}


def _coco_instances(folder: Path) -> Drawn:
    """COCO's polygons and run-length codes, and crowds."""
    images = photos_of_objects(folder / "data" / "images")
    write(folder / "data" / "annotations" / "instances_all.json", coco_of(_segmentation))
    options = {"pipeline": write_pipelines(folder, TURNS), "target": "instances", "validation_split": 0.3}
    return Drawn(images=images, source=folder / "data", options=options)


def _merged(folder: Path) -> Drawn:
    """The same, all objects of an image in one mask of class ids."""
    drawn = _coco_instances(folder)
    return Drawn(images=drawn.images, source=drawn.source, options={**drawn.options, "target": "mask"})


def _instance_lists(folder: Path) -> Drawn:
    """Mask files of objects from Python, some of them crowds."""
    images = photos_of_objects(folder / "photos")
    _draw_object_masks(folder / "objects", lambda i, k, label: f"p{i:02d}-{k}.png")

    def given() -> dict[str, Any]:
        instances = [
            [
                (folder / "objects" / f"p{i:02d}-{k}.png", NAMES[label], *(("crowd",) if k == 2 else ()))
                for k, (_, label) in enumerate(objects_of(i))
            ]
            for i in range(NUM_IMAGES)
        ]
        pipeline = A.Compose([A.Rotate(limit=45, p=1), A.RandomScale(p=0.5), A.Resize(24, 32)])
        return {"images": images, "instances": instances, "pipeline": pipeline}

    return Drawn(images=images, options={"validation_split": 0.3}, make_given=given)


OBJECT_KINDS: dict[str, Callable[[Path], Drawn]] = {
    "coco": _coco,
    "yolo": _yolo,
    "voc": _voc,
    "box-lists": _box_lists,
    "coco-keypoints": _coco_keypoints,
    "keypoint-table": _keypoint_table,
    "keypoint-lists": _keypoint_lists,
    "instance-files": _instance_files,
    "bowl": _bowl,
    "coco-instances": _coco_instances,
    "merged": _merged,
    "instance-lists": _instance_lists,
}
