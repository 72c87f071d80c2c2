"""The field of masks: one class id per pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from precompute.fields.counters import EMPTY_OBJECTS, instance_id_warning, instance_ids_of, masks_of
from precompute.fields.counts import Contents, pixels_of_classes
from precompute.fields.feature import Picture, Size
from precompute.fields.field import FURTHER_MASKS, MAX_CLASS_IDS, Deviation, class_limits
from precompute.fields.layers import Layers
from precompute.fields.picture import PictureField
from precompute.fields.pixels import decode_class_ids
from precompute.text.format import format_count, format_shape

__all__ = ["MASK", "MaskField", "mask_settings"]

MASK = "mask"  # the one under the keys of TensorFlow's own readers
MAX_OTHER_IDS = 0.001  # share of a mask's pixels, at the borders of classes, where another processor rounds otherwise


@dataclass(frozen=True, kw_only=True)
class MaskField(PictureField):
    """One class id per pixel, [height, width] of the image.

    Attributes:
        num_classes: One more than the largest class id.
        class_names: Name of each class; may be empty.
        encoding: ``"png"`` or ``"raw"``.
        dtype: ``"uint8"`` or ``"uint16"``.
        ignore_class: The id of pixels that count neither in loss nor in metrics, or None.
    """

    type: ClassVar[str] = "mask"
    num_classes: int
    class_names: list[str]
    encoding: str = "png"
    dtype: str = "uint8"
    ignore_class: int | None = None

    @property
    def num_ids(self) -> int:
        """Number of class ids."""
        return self.num_classes

    @property
    def ids_dtype(self) -> str:
        """Type of class ids."""
        return self.dtype

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield the limits of the attributes, for manifests."""
        yield from class_limits(self.num_classes, self.class_names)
        yield "encoding", self.encoding, self.encoding in ("png", "raw")
        yield "dtype", self.dtype, self.dtype in ("uint8", "uint16")
        yield "ignore_class", self.ignore_class, 0 <= (self.ignore_class or 0) < MAX_CLASS_IDS

    # The field in a record

    def difference(self, example: Mapping[str, Any]) -> str | None:
        """Compare dtype and class ids."""
        mask = example[self.name]
        shape = format_shape(mask.shape)
        if mask.dtype != np.dtype(self.dtype):
            return f"its {self.name} is {mask.dtype} {shape}, expected {self.dtype} {shape}"
        counted = True if self.ignore_class is None else mask != self.ignore_class
        highest = int(mask.max(initial=0, where=counted))
        if highest >= self.num_classes:
            return f"its {self.name} holds the class id {highest}, expected ids up to {self.num_classes - 1}"
        return None

    @property
    def _prefix(self) -> str:
        return f"image/segmentation/{'class' if self.name == MASK else self.name}"

    @property
    def _picture(self) -> Picture:
        return Picture(channels=1, pixels=self.dtype, encoding=self.encoding)

    def _decode(self, content: bytes, encoding: str, size: Size) -> NDArray[Any]:
        return decode_class_ids(content, encoding, size, self.key)

    def _moved(self, stored: NDArray[Any], made: NDArray[Any]) -> Deviation | None:
        moved = float((stored != made).mean())
        text = f"its source now gives other classes on {moved:.1%} of the {self.name}"
        return Deviation(text, is_rounding=moved <= MAX_OTHER_IDS) if moved else None

    # Descriptions and warnings

    counters: ClassVar[Mapping[str, tuple[str, str]]] = {
        **EMPTY_OBJECTS,  # of masks that were merged
        "overlap": (
            "pixel belongs to several objects; the smaller one counts, in",
            "pixels belong to several objects; the smaller one counts, in",
        ),
    }

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return the classes, the encoding, and how class ids follow from the files of masks."""
        names = f": {', '.join(self.class_names)}" if self.class_names else ""
        ignored = "" if self.ignore_class is None else f", {self.ignore_class} is ignored"
        number = format_count(self.num_classes, "class")
        from_files = _from_files(mask_settings(pixels, self.name))
        return f"mask of {number}{names} ({self.encoding} {self.dtype}{ignored}{from_files})"

    def draw(self, example: Mapping[str, Any]) -> Layers:
        """Return the classes as regions."""
        return Layers(mask=example[self.name], class_names=self.class_names, ignore_class=self.ignore_class)

    def contents(self, example: Mapping[str, Any]) -> Contents:
        """Return the pixels of each class."""
        return self.source_contents(example[self.name], example[self.name].shape)

    def source_contents(self, value: Any, size: tuple[int, int]) -> Contents:
        """Return the pixels of each class of a source's mask."""
        pixels = pixels_of_classes(value, self.ignore_class)
        return Contents(class_pixels=pixels, class_names=self.class_names)

    def warnings(self, counters: Mapping[str, Any]) -> Iterator[str]:
        """Yield a warning if ids seem to be numbers of objects."""
        if instance_ids_of(self.name) in counters:
            yield instance_id_warning(counters, self.name, self.num_classes)

    def warnings_of_build(self, counters: Mapping[str, Any], new_classes: Mapping[int, str]) -> Iterator[str]:
        """Yield a warning if 255 may not be a class, and one for each id that only a transform makes."""
        masks, of = masks_of(self.name)
        if instance_ids_of(self.name) not in counters and self.num_classes == 256 and self.ignore_class is None:
            yield (
                f"{masks} hold the id 255, so there are 256 classes; if 255 means void, build with --ignore-class "
                f"{of}255, if it means foreground, with --mask-map {of}255:1"
            )
        for fill, name in new_classes.items():
            yield (
                f"{name} fills {masks} with {fill}, which no source holds: it counts as a class of its own "
                f"({format_count(self.num_classes, 'class')}). If it means void, build with --ignore-class {of}{fill}, "
                "else set its fill_mask"
            )


def mask_settings(pixels: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the settings of one field of masks, from all that decide pixels."""
    settings: Mapping[str, Any] = pixels if name == MASK else pixels.get(FURTHER_MASKS, {}).get(name, {})
    return settings


def _from_files(pixels: Mapping[str, Any]) -> str:
    """Return how class ids follow from the files of masks."""
    mapped = ", ".join(_ranges({int(old): new for old, new in (pixels.get("mask_map") or {}).items()}))
    offset, colors = pixels.get("mask_offset", 0), pixels.get("mask_colors") or {}
    return "".join(
        [
            f", ids mapped {mapped}" if mapped else "",
            f", ids moved by {offset}" if offset else "",
            f", from {format_count(len(colors), 'colour')}" if colors else "",
        ]
    )


def _ranges(mask_map: Mapping[int, int]) -> Iterator[str]:
    """Yield the entries of a mask map: ``255:1``, or ``1-999:1`` where neighbouring ids become the same."""
    ends: list[list[int]] = []
    for old, new in sorted(mask_map.items()):
        if ends and ends[-1][1:] == [old - 1, new]:
            ends[-1][1] = old
        else:
            ends.append([old, old, new])
    for first, last, new in ends:
        yield f"{first}:{new}" if first == last else f"{first}-{last}:{new}"
