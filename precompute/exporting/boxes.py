"""Boxes as COCO, YOLO and Pascal VOC write them, in layouts that `precompute build` reads again.

A new format needs its line in BOX_FORMATS.

Source: https://cocodataset.org/#format-data, https://docs.ultralytics.com/datasets/detect, and for VOC the files of
labelImg, which count edges as this package does (see precompute.sources.annotations.voc).
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import yaml

from precompute.errors import UsageError
from precompute.exporting.exporter import Example, Export, Exporter, Names, image_file, safe_path
from precompute.fields.field import Field
from precompute.text.format import format_count

__all__ = ["BOX_FORMATS", "files_beside"]

SPLITS = {"train": "train", "validation": "val", "test": "test"}  # as all three formats call them
FLAGS = ("crowd", "difficult", "truncated")
# Names of folders that have a meaning for a build, and for other readers.
ROLES = {"images", "jpegimages", "labels", "annotations", "imagesets", "xmls", "xml", "__macosx", "@eadir"}
ROLES |= {"train", "val", "valid", "validation", "test"}
YAML, LISTS = "data.yaml", "ImageSets/Main"


class _Boxes(Exporter):
    """The base of formats of boxes, which know the flags that a format has a place for."""

    forms = ("boxes",)
    name: ClassVar[str]
    holds: ClassVar[tuple[str, ...]]  # flags that the format has a place for

    def __init__(self, fields: Sequence[Field], *, apart: bool) -> None:
        super().__init__(fields, apart=apart)
        self.class_names: list[str] = self.fields[0].class_names
        self._lost = Counter[str]()

    def notes(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return notes that count what the format has no place for."""
        return [
            f"{format_count(number, 'box is', 'boxes are')} marked {flag}: {self.name} has no place for that, "
            "there they are like all others"
            for flag, number in self._lost.items()
        ]

    def _line(self, example: Example, split: str, image: str, annotation: str) -> dict[str, Any]:
        return self.line_of(example, image=image, annotation=annotation, boxes=len(example["boxes"]), split=split)

    def _place(self, example: Example, names: Names) -> str:
        """Return the path of a record's files, without a suffix, below the folder of their kind."""
        for flag in FLAGS:
            if flag not in self.holds and example[flag].any():
                self._lost[flag] += int(example[flag].sum())
        return names.unique(safe_path(example["key"], ROLES), example["copy"])


class _Coco(_Boxes):
    """`images/train/a.jpg`, and `annotations/instances_train.json` for a split."""

    name, holds = "COCO", ("crowd",)

    def __init__(self, fields: Sequence[Field], *, apart: bool) -> None:
        super().__init__(fields, apart=apart)
        self._splits: dict[str, dict[str, list[dict[str, Any]]]] = {}
        self._num_images = self._num_boxes = 0

    def export(self, example: Example, names: Names, split: str) -> Export:
        suffix, content = image_file(example)
        path = self._place(example, names) + suffix
        where = f"annotations/instances_{SPLITS[split]}.json"
        found = self._splits.setdefault(where, {"images": [], "annotations": []})
        height, width = example["image"].shape[:2]
        self._num_images += 1
        found["images"].append({"id": self._num_images, "file_name": path, "width": width, "height": height})
        boxes = zip(example["boxes"].tolist(), example["labels"].tolist(), example["crowd"].tolist(), strict=True)
        for (x_min, y_min, x_max, y_max), label, crowd in boxes:
            self._num_boxes += 1
            sides = [x_min, y_min, x_max - x_min, y_max - y_min]
            found["annotations"].append(
                {
                    "id": self._num_boxes,
                    "image_id": self._num_images,
                    "category_id": label + 1,  # some readers take 0 for the background
                    "bbox": [_plain(side) for side in sides],
                    "area": _plain(sides[2] * sides[3]),
                    "iscrowd": int(crowd),
                    "segmentation": [],
                }
            )
        image = f"images/{SPLITS[split]}/{path}"
        return Export(files={image: content}, line=self._line(example, split, image, where))

    def finish(self) -> dict[str, bytes]:
        categories = [{"id": i, "name": name} for i, name in enumerate(self.class_names, 1)]
        return {
            where: json.dumps({**found, "categories": categories}, ensure_ascii=False).encode()
            for where, found in self._splits.items()
        }


class _Yolo(_Boxes):
    """`images/train/a.jpg` and `labels/train/a.txt`; `data.yaml` with the splits and the names."""

    name, holds = "YOLO", ()

    def __init__(self, fields: Sequence[Field], *, apart: bool) -> None:
        super().__init__(fields, apart=apart)
        self._splits: list[str] = []

    def export(self, example: Example, names: Names, split: str) -> Export:
        suffix, content = image_file(example)
        folder = SPLITS[split]
        if folder not in self._splits:
            self._splits.append(folder)
        path = f"{folder}/{self._place(example, names)}"
        image, label_file = f"images/{path}{suffix}", f"labels/{path}.txt"
        height, width = example["image"].shape[:2]
        shares = example["boxes"].astype(np.float64) / [width, height, width, height]
        middles, sizes = (shares[:, :2] + shares[:, 2:]) / 2, shares[:, 2:] - shares[:, :2]
        lines = [
            " ".join([str(label), *(_decimal(value) for value in (*middle, *size))])  # all digits: 0 shall stay 0
            for label, middle, size in zip(example["labels"].tolist(), middles.tolist(), sizes.tolist(), strict=True)
        ]
        text = "".join(f"{line}\n" for line in lines).encode()
        return Export(files={image: content, label_file: text}, line=self._line(example, split, image, label_file))

    def finish(self) -> dict[str, bytes]:
        content: dict[str, Any] = {folder: f"images/{folder}" for folder in self._splits}
        content |= {"nc": len(self.class_names), "names": self.class_names}
        return {YAML: yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()}


class _Voc(_Boxes):
    """`JPEGImages/a.jpg` and `Annotations/a.xml`; `ImageSets/Main/train.txt` names those of a split."""

    name, holds = "Pascal VOC", ("difficult", "truncated")

    def __init__(self, fields: Sequence[Field], *, apart: bool) -> None:
        super().__init__(fields, apart=apart)
        self._lists: dict[str, list[str]] = {}
        self._names = set[str]()

    def build_options(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return the classes, unless sorting finds their order."""
        return [] if self.class_names == sorted(self._names) else self.class_names_option

    def export(self, example: Example, names: Names, split: str) -> Export:
        suffix, content = image_file(example)
        path = self._place(example, names)
        image, annotation = f"JPEGImages/{path}{suffix}", f"Annotations/{path}.xml"
        self._lists.setdefault(SPLITS[split], []).append(path)
        self._names.update(example["class_names"])
        text = _xml(example, path.rpartition("/")[2] + suffix)
        return Export(files={image: content, annotation: text}, line=self._line(example, split, image, annotation))

    def finish(self) -> dict[str, bytes]:
        return {
            f"{LISTS}/{split}.txt": "".join(f"{path}\n" for path in paths).encode()
            for split, paths in self._lists.items()
        }


BOX_FORMATS: dict[str, type[Exporter]] = {"coco": _Coco, "yolo": _Yolo, "voc": _Voc}


def files_beside(annotations: Sequence[str]) -> set[str]:
    """Return the files about all records that an earlier export may have left, from the annotations that it lists."""
    if any(path.endswith(".txt") for path in annotations):
        return {YAML}
    if any(path.endswith(".xml") for path in annotations):
        return {f"{LISTS}/{split}.txt" for split in SPLITS.values()}
    return set()


def _xml(example: Example, filename: str) -> bytes:
    height, width, channels = example["image"].shape
    root = ElementTree.Element("annotation")
    _add(root, filename=filename)
    _add(ElementTree.SubElement(root, "source"), database="Unknown")  # PASCAL's own would count pixels from 1
    _add(ElementTree.SubElement(root, "size"), width=width, height=height, depth=channels)
    _add(root, segmented=0)
    for i, (box, name) in enumerate(zip(example["boxes"].tolist(), example["class_names"], strict=True)):
        node = ElementTree.SubElement(root, "object")
        flags = {flag: int(example[flag][i]) for flag in ("truncated", "difficult")}
        _add(node, name=name, pose="Unspecified", **flags)
        sides = dict(zip(("xmin", "ymin", "xmax", "ymax"), map(_plain, box), strict=True))
        _add(ElementTree.SubElement(node, "bndbox"), **sides)
    ElementTree.indent(root)
    try:
        text = ElementTree.tostring(root, encoding="unicode")
        ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UsageError(
            f"format: {example['key']}: XML cannot hold the names of its classes ({error}); export coco or yolo."
        ) from error
    return f"{text}\n".encode()


def _add(node: ElementTree.Element, **values: Any) -> None:
    for name, value in values.items():
        ElementTree.SubElement(node, name).text = str(value)


def _decimal(value: float) -> str:
    """Return a number with all digits and without an exponent, which some readers do not know."""
    return np.format_float_positional(value, trim="0")


def _plain(value: float) -> float | int:
    """Return a number as an int if it is whole."""
    return int(value) if value.is_integer() else value
