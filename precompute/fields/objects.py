"""The field of objects: each has a class and flags, and maybe a box, a mask, keypoints.

Source: https://github.com/tensorflow/models/blob/master/research/object_detection/dataset_tools/create_pascal_tf_record.py
and create_coco_tf_record.py (the keys of records).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from precompute.errors import DatasetError
from precompute.fields.boxes import FLAGS, Boxes, Instances
from precompute.fields.counters import EMPTY_OBJECTS
from precompute.fields.counts import Contents, FieldCounts
from precompute.fields.feature import Box, ClassIndex, Feature, Number, Picture, Size, Text, Value, Values
from precompute.fields.field import Deviation, Field, class_limits
from precompute.fields.keypoints import decode_keypoints, keypoint_features, keypoint_values, keypoints_difference
from precompute.fields.layers import Layers, instance_id_map
from precompute.fields.pixels import box_around, decode_object_masks
from precompute.fields.skeleton import Skeleton, is_skeleton
from precompute.text.format import format_count

__all__ = ["BOX_KEY", "FLAG_KEYS", "LABEL_KEY", "MASK_KEY", "ObjectsField"]

BOX_KEY = "image/object/bbox/"
SIDES = ("xmin", "ymin", "xmax", "ymax")
CORNERS_KEY = "objects/bbox"  # the same sides once more, as TensorFlow Datasets wants its boxes: four numbers each
YXYX = [1, 0, 3, 2]  # places of SIDES there
AREA_KEY = "image/object/area"
LABEL_KEY, TEXT_KEY = "image/object/class/label", "image/object/class/text"
FLAG_KEYS = {
    "crowd": "image/object/is_crowd",
    "difficult": "image/object/difficult",
    "truncated": "image/object/truncated",
}
MASK_KEY = "image/object/mask"
BOX_PIXELS = 0.01  # of any side of a box, or of a keypoint, where another processor rounds otherwise


@dataclass(frozen=True, kw_only=True)
class ObjectsField(Field):
    """The objects of an image.

    Attributes:
        num_classes: Number of classes.
        class_names: Name of each class.
        has_masks: Whether each object has a mask, and a box around it.
        keypoints: Skeleton of the keypoints that each object has, or None. It says whether objects have boxes, too;
            without keypoints they always have.
    """

    type: ClassVar[str] = "objects"
    counted_key = LABEL_KEY
    num_classes: int
    class_names: list[str]
    has_masks: bool = False
    keypoints: Skeleton | None = None

    @property
    def has_boxes(self) -> bool:
        """Whether each object has a box."""
        return self.keypoints is None or self.keypoints.has_boxes

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield the limits of the attributes, for manifests."""
        yield from class_limits(self.num_classes, self.class_names)
        yield "keypoints", self.keypoints, self.keypoints is None or is_skeleton(self.keypoints)
        yield "has_masks", self.has_masks, not self.has_masks or self.keypoints is None

    # The field in a record

    @cached_property
    def features(self) -> Mapping[str, Feature]:
        """Key of a record → list with an item per object or keypoint; boxes come twice, for TensorFlow Datasets."""
        shares, flags = Number(dtype="float32", several=True), Number(dtype="int64", several=True)
        found: dict[str, Feature] = {
            LABEL_KEY: ClassIndex(num_classes=self.num_classes, class_names=self.class_names, several=True),
            TEXT_KEY: Text(several=True),
            **dict.fromkeys(FLAG_KEYS.values(), flags),
        }
        if self.has_boxes:
            found |= dict.fromkeys((*(f"{BOX_KEY}{side}" for side in SIDES), AREA_KEY), shares)
            found[CORNERS_KEY] = Box()
        if self.has_masks:
            found[MASK_KEY] = Picture(channels=1, pixels="uint8", encoding="png", several=True)
        return found | (keypoint_features() if self.keypoints is not None else {})

    def record_values(
        self, value: Boxes, size: Size, encode_mask: Callable[[NDArray[np.bool_]], bytes] | None = None
    ) -> dict[str, Value]:
        """Return the content of a record for objects; without objects all keys have empty lists.

        Args:
            value: Boxes as shares of width and height; decoded Instances where objects have masks.
            size: Height and width of the stored image.
            encode_mask: Mask, bool [H, W] → PNG of one bit per pixel.
        """
        values: dict[str, Value] = {
            key: (value.flags & FLAGS[name] > 0).astype(np.int64) for name, key in FLAG_KEYS.items()
        }
        values[LABEL_KEY] = value.labels.astype(np.int64)
        values[TEXT_KEY] = np.array([self.class_names[label].encode() for label in value.labels], object)
        if self.has_boxes:
            values |= _box_values(value, size)
        if self.keypoints is not None:
            values |= keypoint_values(value, self.keypoints)
        if isinstance(value, Instances) and encode_mask is not None:
            values |= _mask_values(value.masks(), encode_mask)
        return values

    def decode(self, values: Values, size: Size) -> dict[str, Any]:
        """Return the objects of a record.

        Returns:
            `boxes` float32 [N, 4] as x_min, y_min, x_max, y_max in pixels of the stored image, where objects have some;
            `labels` int64 [N]; `class_names` (list of str); `crowd`, `difficult`, `truncated` bool [N]; what
            `decode_keypoints` returns, and `masks` (bool [N, H, W]), where objects have some.

        Raises:
            DatasetError: The record's lists differ in length, or hold what no object can be.
        """
        features = self.features
        labels, names = (features[key].read(values, key) for key in (LABEL_KEY, TEXT_KEY))
        flags = {name: features[key].read(values, key) for name, key in FLAG_KEYS.items()}
        shares = [features[key].read(values, key) for key in self._side_keys]
        lengths = {len(items) for items in (*shares, labels, names, *flags.values())}
        if len(lengths) > 1:
            raise DatasetError(f"image/object: lists of different lengths: {', '.join(map(str, sorted(lengths)))}.")
        example: dict[str, Any] = {}
        if self.has_boxes:
            example["boxes"] = _decode_boxes(shares, values, size)
        example |= {"labels": np.array(labels, np.int64), "class_names": names}
        example |= {name: np.array(items, np.int64) > 0 for name, items in flags.items()}
        if self.keypoints is not None:
            example |= decode_keypoints(values, self.keypoints, num_objects=len(labels), size=size)
        if self.has_masks:
            example["masks"] = decode_object_masks(features[MASK_KEY].read(values, MASK_KEY), size, MASK_KEY)
        return example

    def difference(self, example: Mapping[str, Any]) -> str | None:
        """Compare the names of keypoints and classes, and the masks with their boxes."""
        points = None if self.keypoints is None else keypoints_difference(example, self.keypoints)
        return points or self._classes_difference(example) or self._masks_difference(example)

    def _classes_difference(self, example: Mapping[str, Any]) -> str | None:
        labels = example["labels"].tolist()
        if not all(0 <= label < self.num_classes for label in labels):
            return f"its boxes are of the classes {sorted(set(labels))}, expected 0 to {self.num_classes - 1}"
        names = [name for label in labels for name in self.class_names[label : label + 1]]
        found = example["class_names"]
        return None if found == names else f"boxes of the classes {labels} are named {found}, expected {names}"

    def _masks_difference(self, example: Mapping[str, Any]) -> str | None:
        if not self.has_masks:
            return None
        masks, boxes = example["masks"], example["boxes"]
        if len(masks) != len(boxes):
            return f"it has {format_count(len(masks), 'mask')} for {format_count(len(boxes), 'box')}"
        for i, mask in enumerate(masks):
            around = box_around(mask)
            if around is None:
                return f"the mask of object {i} is empty"
            if not np.allclose(around, boxes[i], atol=0.01):
                return f"the mask of object {i} lies in {around}, its box is {boxes[i].tolist()}"
        return None

    def deviation(self, stored: Mapping[str, Any], made: Mapping[str, Any]) -> Deviation | None:
        """Compare all values of objects; boxes and keypoints may differ by rounding."""
        aside = {
            name
            for name in ("boxes", "keypoints")
            if name in made
            and stored[name].shape == made[name].shape
            and np.allclose(stored[name], made[name], atol=BOX_PIXELS)
        }
        rest = {name: value for name, value in made.items() if name not in aside}
        other, moved = super().deviation(stored, rest), super().deviation(stored, made)
        return other or (moved and moved._replace(is_rounding=True))

    @property
    def _side_keys(self) -> list[str]:
        return [f"{BOX_KEY}{side}" for side in SIDES] if self.has_boxes else []

    # Descriptions

    counters: ClassVar[Mapping[str, tuple[str, str]]] = EMPTY_OBJECTS

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return what objects have, their classes, and the rules by which they were kept."""
        rules = [f", {name} {pixels[name]:g}" for name in ("min_visibility", "min_area") if name in pixels]
        classes = f"{format_count(self.num_classes, 'class')}, at most {most_objects} an image{''.join(rules)}"
        if self.keypoints is not None:
            return f"{_keypoints(self.keypoints)}, {classes}"
        return f"{'objects with masks,' if self.has_masks else 'boxes'} of {classes}"

    @property
    def _are_boxes(self) -> bool:
        """Whether objects are boxes alone, without masks and keypoints."""
        return not self.has_masks and self.keypoints is None

    @property
    def classes(self) -> Sequence[str]:
        """Names of all classes."""
        return self.class_names

    @property
    def counted(self) -> str:
        """The noun of what is counted for each class."""
        return "boxes" if self._are_boxes else "objects"

    @property
    def class_heading(self) -> str:
        """The heading of a table of the classes."""
        return f"{super().class_heading}, in the sources"

    @property
    def other(self) -> str:
        """What one of two sources with the same image has, for messages."""
        return "other keypoints" if self.keypoints is not None else f"other {self.counted}"

    def describe_stored(self, counts: FieldCounts) -> str:
        """Return how many objects there are, and how many records have none."""
        if counts.stored is None:
            return ""
        nouns = ("object with a mask", "objects with masks") if self.has_masks else (self._noun,)
        without = "every record has some"
        if counts.stored.num_empty:
            number = format_count(counts.stored.num_empty, "record")
            without = f"{number} without any: their sources have none, or all were cut off; kept"
        return f"{format_count(counts.stored.num_boxes, *nouns)}; {without}"

    def describe_counts(self, counts: FieldCounts) -> str:
        """Return the number of objects, and of sources and records without objects."""
        if counts.stored is None:
            return ""
        lost = (
            f"; {format_count(counts.num_lost, 'object')} cut off, too small or empty"
            if self.has_masks and counts.num_lost
            else ""
        )
        without = f"; {format_count(counts.num_without, 'source')} without {self.counted}" if counts.num_without else ""
        return (
            f"{format_count(counts.stored.num_boxes, self._noun)} in {format_count(counts.num_records, 'record')}, "
            f"{counts.stored.num_empty:,} of them without any{without}{lost}"
        )

    @property
    def form(self) -> str:
        """The kind of the field for exports and trainings."""
        return "instances" if self.has_masks else "boxes" if self._are_boxes else "keypoints"

    def draw(self, example: Mapping[str, Any]) -> Layers:
        """Return the masks of objects if they have some, else their boxes and keypoints."""
        if self.has_masks:
            return self._drawn(numbers=instance_id_map(example["masks"]))
        boxes = {"boxes": example["boxes"], "labels": example["labels"]} if self.has_boxes else {}
        points = {"points": example["keypoints"], "visibility": example["visibility"]} if self.keypoints else {}
        return self._drawn(**boxes, **points)

    def draw_source(self, value: Any, size: tuple[int, int]) -> Layers:
        """Return the same for decoded objects of a source, and their number."""
        remark = format_count(len(value), "object")
        if self.has_masks:
            return self._drawn(numbers=instance_id_map(list(value.masks())), remark=remark)
        height, width = size
        points, boxes = value.point_shares(), value.shares() * np.array([width, height, width, height], np.float32)
        return self._drawn(
            boxes=boxes if self.has_boxes else boxes[:0],
            labels=value.labels,
            points=points[..., :2] * np.array([width, height]),
            visibility=points[..., 2],
            remark=remark,
        )

    def contents(self, example: Mapping[str, Any]) -> Contents:
        """Return classes and areas of the objects: of their masks if they have some, else of their boxes."""
        if self.has_masks:
            areas = example["masks"].mean(axis=(1, 2), dtype=np.float64) if len(example["masks"]) else np.zeros(0)
        elif self.has_boxes:
            height, width = example["image"].shape[:2]
            areas = _areas(example["boxes"] / np.array([width, height, width, height]))
        else:
            areas = np.full(len(example["labels"]), np.nan)
        return self._contents(example["labels"], areas)

    def source_contents(self, value: Any, size: tuple[int, int]) -> Contents:
        """Return the same for decoded objects of a source."""
        if self.has_masks:
            areas = np.array([mask.mean() for mask in value.masks()], np.float64)
        else:
            areas = _areas(value.shares()) if self.has_boxes else np.full(len(value), np.nan)
        return self._contents(value.labels.astype(np.int64), areas)

    def _contents(self, labels: NDArray[np.int64], areas: NDArray[np.float64]) -> Contents:
        return Contents(labels=labels, areas=areas, has_objects=True, class_names=self.class_names)

    def _drawn(self, **drawn: Any) -> Layers:
        return Layers(class_names=self.class_names, skeleton=self.keypoints or Skeleton(names=[]), **drawn)

    @property
    def _noun(self) -> str:
        return "box" if self._are_boxes else "object"


def _areas(shares: NDArray[Any]) -> NDArray[np.float64]:
    """Return the areas of boxes, given as shares of width and height, as shares of the image."""
    found: NDArray[np.float64] = ((shares[:, 2] - shares[:, 0]) * (shares[:, 3] - shares[:, 1])).astype(np.float64)
    return found


def _keypoints(skeleton: Skeleton) -> str:
    pairs = [f"{skeleton.names[a]}:{skeleton.names[b]}" for a, b in skeleton.flip_pairs]
    flipped = (
        f"{format_count(len(pairs), 'flip pair')} ({pairs[0]}{' …' * (len(pairs) > 1)})" if pairs else "no flip pairs"
    )
    boxed = "with boxes" if skeleton.has_boxes else "without boxes"
    return f"objects {boxed} and {format_count(len(skeleton), 'keypoint')} each, {flipped}"


def _box_values(boxes: Boxes, size: Size) -> dict[str, Value]:
    corners = boxes.shares().astype(np.float32)
    sides = (corners[:, 2:] - corners[:, :2]).astype(np.float64)
    height, width = size
    return {
        **{f"{BOX_KEY}{side}": corners[:, i] for i, side in enumerate(SIDES)},
        CORNERS_KEY: corners[:, YXYX].reshape(-1),
        AREA_KEY: (sides[:, 0] * width * sides[:, 1] * height).astype(np.float32),
    }


def _mask_values(
    masks: Iterable[NDArray[np.bool_]], encode_mask: Callable[[NDArray[np.bool_]], bytes]
) -> dict[str, Value]:
    encoded, areas = [], []
    for mask in masks:
        encoded.append(encode_mask(mask))
        areas.append(np.count_nonzero(mask))
    # Bytes are sequences, too, but not of numbers.
    return {MASK_KEY: np.array([*encoded, None], object)[:-1], AREA_KEY: np.array(areas, np.float32)}


def _decode_boxes(shares: list[list[float]], values: Values, size: Size) -> NDArray[np.float32]:
    corners = np.array(shares, np.float32).T.reshape(-1, 4)
    inside = (corners >= 0).all() and (corners <= 1).all() and (corners[:, :2] < corners[:, 2:]).all()
    if not inside:
        raise DatasetError(f"{BOX_KEY}*: expected sides from 0 to 1, the lower one first.")
    if CORNERS_KEY in values and Box().read(values, CORNERS_KEY) != corners[:, YXYX].reshape(-1).tolist():
        raise DatasetError(f"{CORNERS_KEY}: expected the sides of {BOX_KEY}*, as y_min, x_min, y_max, x_max.")
    height, width = size
    return corners * np.array([width, height, width, height], np.float32)
