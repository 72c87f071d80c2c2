"""The sources of a split that a generation was made from, held as columns."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from precompute.dataset.manifest import Label
from precompute.fields.boxes import BoxColumn, Boxes
from precompute.fields.instances import Instances
from precompute.table.entry_checks import Entry
from precompute.table.instance_column import InstanceColumn
from precompute.table.sha256_column import Sha256Column
from precompute.table.string_column import StringColumn

__all__ = ["Listing", "box_fields", "boxes_of_entry", "label_of"]


class Listing(Mapping[str, Entry]):
    """A split's sources by key, sorted: a mapping to the entries of the file, held as columns.

    Attributes:
        sorted_keys: Sorted keys of the sources.
        images: Paths of the images.
        masks: Paths of the masks; empty where a source has none.
        groups: Groups of the sources; empty where a source has none.
        labels: Class or classes of each source; None when it has a mask or boxes.
        extra: Weight and extra values, by name a value of each source; empty where there are none.
        copies: Places of each source in every row.
        num_bytes: Size of each source's files.
        sha256: SHA-256 of each image file, where rows have been made from it.
        mask_sha256: SHA-256 of each mask file.
    """

    def __init__(self) -> None:
        self.sorted_keys, self.images, self.masks, self.groups = (
            StringColumn(),
            StringColumn(),
            StringColumn(),
            StringColumn(),
        )
        self.labels: list[Label | None] = []
        self.extra: dict[str, list[Any]] = {}
        self.copies: array[int] = array("q")
        self.num_bytes: array[int] = array("q")
        self.sha256, self.mask_sha256 = Sha256Column(), Sha256Column()
        self._same: dict[Any, Any] = {}  # one object for all equal labels
        self._boxes: list[BoxColumn] = []

    @property
    def is_mixed(self) -> bool:
        """Whether some sources have boxes and others objects with masks: no build writes such a list."""
        return len(set(map(type, self._boxes))) > 1

    @property
    def boxes(self) -> BoxColumn | None:
        """The boxes of all sources; None when they have another target."""
        if len(self._boxes) > 1:
            self._boxes = [type(self._boxes[0]).joined(self._boxes)]
        return self._boxes[0] if self._boxes else None

    def add(self, columns: Mapping[str, Sequence[Any]], num: int) -> None:
        """Add so many sources, sorted and checked: field → a value of each source, None where it has none."""

        def column(name: str, none: Any) -> Iterable[Any]:
            return (
                (none if value is None else value for value in columns[name]) if name in columns else repeat(none, num)
            )

        self.sorted_keys.extend(columns["key"])
        self.images.extend(columns["image"])
        self.masks.extend(column("mask", ""))
        self.groups.extend(column("group", ""))
        labels = [tuple(label) if isinstance(label, list) else label for label in column("label", None)]
        self.labels.extend(map(self._same.setdefault, labels, labels))
        rows = [of_one for of_one in column("boxes", None) if of_one is not None]
        if rows:
            sizes = columns.get("boxes_size", [None] * num)
            points = columns.get("keypoints", [None] * num)
            self._boxes.append(BoxColumn.of_images(map(_boxes, rows, sizes, points)))
        shapes = [of_one for of_one in column("instances", None) if of_one is not None]
        if shapes:
            sizes = columns.get("instances_size", [None] * num)
            self._boxes.append(InstanceColumn.of_instances(map(_instances, shapes, sizes)))
        for values in column("extra", {}):
            for name, value in values.items():
                self.extra.setdefault(name, []).append(value)
        self.copies.extend(column("copies", 1))
        self.num_bytes.extend(columns["num_bytes"])
        self.sha256.extend(columns.get("sha256", [None] * num))
        self.mask_sha256.extend(columns.get("mask_sha256", [None] * num))

    def entry(self, i: int) -> Entry:
        """Return what the file says of the source at a position; fields that it has not are left out."""
        label, boxes = self.labels[i], None if self.boxes is None else self.boxes.of(i)
        fields = {
            "key": self.sorted_keys[i],
            "image": self.images[i],
            "mask": self.masks[i] or None,
            "label": list(label) if isinstance(label, tuple) else label,
            **box_fields(boxes),
            "group": self.groups[i] or None,
            "extra": {name: values[i] for name, values in self.extra.items()} or None,
            "copies": self.copies[i],
            "num_bytes": self.num_bytes[i],
            "sha256": self.sha256[i],
            "mask_sha256": self.mask_sha256[i],
        }
        return {name: value for name, value in fields.items() if value is not None}

    def position(self, key: str) -> int | None:
        """Return where a key stands, or None when it is not there."""
        i = bisect_left(self.sorted_keys, key)
        return i if i < len(self.sorted_keys) and self.sorted_keys[i] == key else None

    def __getitem__(self, key: str) -> Entry:
        i = self.position(key)
        if i is None:
            raise KeyError(key)
        return self.entry(i)

    def __iter__(self) -> Iterator[str]:
        return iter(self.sorted_keys)

    def __len__(self) -> int:
        return len(self.sorted_keys)


def box_fields(boxes: Boxes | None) -> Entry:
    """Return what an entry says of boxes, keypoints or objects with masks; None for what it leaves out."""
    if boxes is None:
        return {}
    size = None if boxes.size is None else list(boxes.size)
    if isinstance(boxes, Instances):
        return {"instances": boxes.to_shapes(), "instances_size": size}
    return {"boxes": boxes.to_rows(), "boxes_size": size, "keypoints": boxes.point_rows()}


def label_of(entry: Entry) -> Label | None:
    """Return the class or the classes of a source; None when it has a mask."""
    label: Any = entry.get("label")
    return tuple(label) if isinstance(label, list) else label


def boxes_of_entry(entry: Entry) -> Boxes | None:
    """Return the boxes, or the objects with masks, of a source; None when it has another target."""
    if "instances" in entry:
        return _instances(entry["instances"], entry.get("instances_size"))
    return None if "boxes" not in entry else _boxes(entry["boxes"], entry.get("boxes_size"), entry.get("keypoints"))


def _instances(rows: list[list[Any]], size: list[int] | None) -> Instances:
    return Instances.of_shapes(rows, None if size is None else (size[0], size[1]))


def _boxes(rows: list[list[Any]], size: list[int] | None, points: list[list[Any]] | None) -> Boxes:
    return Boxes.of_rows(rows, None if size is None else (size[0], size[1]), points)
