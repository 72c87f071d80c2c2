"""The same boxes as files of Pascal VOC, COCO and YOLO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from precompute.table.sources import Sources
from tests.helpers.box_datasets import NAMES, draw_boxed
from tests.helpers.source_columns import boxes_of

Truth = dict[str, Any]


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def xml_of(rows: list[Any], size: tuple[int, int] | None, *, database: str = "Unknown", first: int = 0) -> str:
    """An annotation; `first`: what the first pixel's column is called."""
    objects = "".join(
        f"<object><name>{name}</name><truncated>{i % 2}</truncated><difficult>{int(i == 0)}</difficult>"
        f"<bndbox><xmax>{x1}</xmax><xmin>{x0 + first}</xmin><ymin>{y0 + first}</ymin><ymax>{y1}</ymax></bndbox>"
        f"<part><name>head</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>1</xmax><ymax>1</ymax></bndbox></part></object>"
        for i, (x0, y0, x1, y1, name) in enumerate(rows)
    )
    width, height = size or (0, 0)
    return (
        f"<annotation><filename>other.jpg</filename><source><database>{database}</database></source>"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>{objects}</annotation>"
    )


def write_voc(folder: Path) -> Truth:
    truth = draw_boxed(folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    for name, rows in truth.items():
        size = size_of(folder / "JPEGImages" / f"{name}.png")
        (folder / "Annotations" / f"{name}.xml").write_text(xml_of(rows, size))
    return truth


def coco_of(folder: Path, truth: Truth, *, first_id: int = 100) -> dict[str, Any]:
    """Ids of categories with gaps, ids of images out of order."""
    ids = {"bar": 3, "disc": 17, "frame": 90}
    images, annotations = [], []
    for i, (name, rows) in enumerate(sorted(truth.items(), reverse=True)):
        width, height = size_of(next(folder.rglob(f"{name}.png")))
        images.append({"id": first_id - i, "file_name": f"{name}.png", "width": width, "height": height})
        for x0, y0, x1, y1, label in rows:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": first_id - i,
                    "category_id": ids[label],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "iscrowd": int(label == "frame"),
                    "area": 1.0,
                }
            )
    categories = [{"id": ids[name], "name": name} for name in ("frame", "bar", "disc")]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(folder: Path) -> Truth:
    truth = draw_boxed(folder / "images")
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_all.json").write_text(json.dumps(coco_of(folder, truth)))
    return truth


def yolo_of(rows: list[Any], size: tuple[int, int]) -> str:
    width, height = size
    return "".join(
        f"{NAMES.index(name)} {(x0 + x1) / 2 / width:.9f} {(y0 + y1) / 2 / height:.9f} "
        f"{(x1 - x0) / width:.9f} {(y1 - y0) / height:.9f}\n"
        for x0, y0, x1, y1, name in rows
    )


def write_yolo(folder: Path) -> Truth:
    truth = draw_boxed(folder / "images")
    (folder / "labels").mkdir()
    for name, rows in truth.items():
        if rows:  # no objects, no file
            text = yolo_of(rows, size_of(folder / "images" / f"{name}.png"))
            (folder / "labels" / f"{name}.txt").write_text(text)
    (folder / "data.yaml").write_text("nc: 3\nnames: [bar, disc, frame]\ntrain: images\n")
    return truth


def sources_of(folder: Path, **given: Any) -> Sources:
    return find(folder, BuildOptions.make(**given))


def rows_of(sources: Sources) -> Truth:
    """Return key → boxes in pixels as the truth has them; shares are multiplied by the image's size."""
    found = {}
    for i, key in enumerate(sources.keys):
        boxes = boxes_of(sources)[i]
        corners = boxes.shares() * np.array([*size_of(sources.path(sources.images[i]))] * 2)
        found[key] = [
            (*row, sources.class_names[label])
            for row, label in zip(corners.round(4).tolist(), boxes.labels.tolist(), strict=True)
        ]
    return found
