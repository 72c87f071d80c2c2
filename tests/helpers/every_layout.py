"""The same few images in every layout that a build reads, under whatever names: a file's own, or a folder's."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from precompute.table.sources import Sources
from tests.helpers.small_datasets import save

SIDE = 24
CLASSES = ["cat", "dog"]
BOX = (4, 6, 14, 18)  # of the one object of each image

Made = tuple[Path, dict[str, Any]]  # what is given as the source, and the options that it needs


def image_of(i: int) -> np.ndarray[Any, Any]:
    """Pixels that tell the images apart, with a bright object."""
    image = np.full((SIDE, SIDE, 3), (10 + 20 * i) % 240, np.uint8)
    image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 250
    return image


def mask_of(value: int = 1) -> np.ndarray[Any, Any]:
    """The object's mask."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = value
    return mask


def folders(top: Path, names: Sequence[str]) -> Made:
    for i, name in enumerate(names):
        save(top / CLASSES[i % 2] / f"{name}.png", image_of(i))
    return top, {}


def class_folders(top: Path, names: Sequence[str]) -> Made:
    for i, name in enumerate(names):
        save(top / name / "1.png", image_of(i))
    return top, {}


def image_only(top: Path, names: Sequence[str]) -> Made:
    for i, name in enumerate(names):
        save(top / f"{name}.png", image_of(i))
    return top, {"target": "none"}


def paired(top: Path, names: Sequence[str]) -> Made:
    for i, name in enumerate(names):
        save(top / "images" / f"{name}.png", image_of(i))
        save(top / "masks" / f"{name}.png", mask_of())
    return top, {"num_classes": 2}


def paired_folders(top: Path, names: Sequence[str]) -> Made:
    return paired(top, [f"{name}/1" for name in names])


def mask_folders(top: Path, names: Sequence[str]) -> Made:
    for i, name in enumerate(names):
        save(top / "images" / f"{name}.png", image_of(i))
        save(top / "masks" / name / "0.png", mask_of(255))
    return top, {"target": "instances"}


def mask_files(top: Path, names: Sequence[str]) -> Made:
    save(top / "images" / "one.png", image_of(0))
    for i, name in enumerate(names):
        save(top / "masks" / "one" / f"{name}.png", np.roll(mask_of(255), i, axis=0))
    return top, {"target": "instances"}


def _csv(path: Path, lines: Sequence[Sequence[Any]]) -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(lines)
    path.write_bytes(os.fsencode(text.getvalue()))
    return path


def table(top: Path, names: Sequence[str]) -> Made:
    image_only(top, names)
    lines = [[f"{name}.png", CLASSES[i % 2]] for i, name in enumerate(names)]
    return _csv(top / "table.csv", [["image", "label"], *lines]), {}


def mask_table(top: Path, names: Sequence[str]) -> Made:
    _, options = paired(top, names)
    lines = [[f"images/{name}.png", f"masks/{name}.png"] for name in names]
    return _csv(top / "table.csv", [["image", "mask"], *lines]), options


def json_lines(top: Path, names: Sequence[str]) -> Made:
    image_only(top, names)
    lines = [json.dumps({"image": f"{name}.png", "label": CLASSES[i % 2]}) for i, name in enumerate(names)]
    (top / "table.jsonl").write_text("\n".join(lines) + "\n")
    return top / "table.jsonl", {}


def keyed_lines(top: Path, names: Sequence[str]) -> Made:
    """Keys of their own, so that the names of the files stand in paths alone."""
    image_only(top, names)
    lines = [{"image": f"{name}.png", "label": CLASSES[i % 2], "id": f"k{i}"} for i, name in enumerate(names)]
    (top / "table.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return top / "table.jsonl", {"key_column": "id"}


def coco(top: Path, names: Sequence[str]) -> Made:
    (left, upper, right, lower), images, annotations = BOX, [], []
    outline = [left, upper, right, upper, right, lower, left, lower]
    for i, name in enumerate(names):
        save(top / "images" / f"{name}.png", image_of(i))
        images.append({"id": i, "file_name": f"{name}.png", "width": SIDE, "height": SIDE})
        box = [left, upper, right - left, lower - upper]
        annotations.append(
            {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": box, "segmentation": [outline], "iscrowd": 0}
        )
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (top / "instances.json").write_text(json.dumps(content))
    return top, {}


def coco_masks(top: Path, names: Sequence[str]) -> Made:
    return coco(top, names)[0], {"target": "instances"}


def yolo(top: Path, names: Sequence[str]) -> Made:
    (left, upper, right, lower), size = BOX, 2 * SIDE
    numbers = ((left + right) / size, (upper + lower) / size, (right - left) / SIDE, (lower - upper) / SIDE)
    for i, name in enumerate(names):
        save(top / "images" / f"{name}.png", image_of(i))
        label = top / "labels" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(f"{i % 2} {' '.join(map(str, numbers))}\n")
    (top / "data.yaml").write_text(f"names: [{', '.join(CLASSES)}]\n")
    return top, {}


def voc(top: Path, names: Sequence[str]) -> Made:
    for i, name in enumerate(names):
        save(top / "JPEGImages" / f"{name}.png", image_of(i))
        annotation = top / "Annotations" / f"{name}.xml"
        annotation.parent.mkdir(parents=True, exist_ok=True)
        corners = zip(("xmin", "ymin", "xmax", "ymax"), (BOX[0] + 1, BOX[1] + 1, BOX[2], BOX[3]), strict=True)
        box = "".join(f"<{corner}>{number}</{corner}>" for corner, number in corners)
        shown = escape(name.encode(errors="replace").decode())
        annotation.write_text(
            f"<annotation><filename>{shown}.png</filename><size><width>{SIDE}</width><height>{SIDE}</height>"
            f"<depth>3</depth></size><object><name>{CLASSES[i % 2]}</name><bndbox>{box}</bndbox></object></annotation>",
            encoding="utf-8",
        )
    return top, {}


def keypoints(top: Path, names: Sequence[str]) -> Made:
    image_only(top, names)
    lines = [[f"{name}.png", 5, 7, 12, 15] for name in names]
    _csv(top / "points.csv", [["image", "nose_x", "nose_y", "tail_x", "tail_y"], *lines])
    return top, {"target": "keypoints", "annotations": "points.csv"}


def with_depth(top: Path, names: Sequence[str]) -> Made:
    for i, name in enumerate(names):
        save(top / "images" / f"{name}.png", image_of(i))
        save(top / "depth" / f"{name}.png", mask_of().astype(np.uint16))
    return top, {"target": "none", "extra_images": "depth=depth"}


LAYOUTS: dict[str, Callable[[Path, Sequence[str]], Made]] = {
    make.__name__: make
    for make in (
        *(folders, class_folders, image_only, paired, paired_folders, mask_folders, mask_files, table, mask_table),
        *(json_lines, keyed_lines, coco, coco_masks, yolo, voc, keypoints, with_depth),
    )
}


def read(made: Made) -> Sources:
    """Find the sources."""
    source, options = made
    return find(source, BuildOptions.make(**options))
