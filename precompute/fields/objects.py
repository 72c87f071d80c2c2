"""Objects: for each a class and flags, and a box, a mask, keypoints: whichever there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from precompute.fields.counts import FieldCounts
from precompute.fields.field import Field, class_limits
from precompute.fields.remarks import EMPTY_OBJECTS
from precompute.fields.skeleton import Skeleton, is_skeleton
from precompute.text.format import format_count

__all__ = ["ObjectsField"]


@dataclass(frozen=True, kw_only=True)
class ObjectsField(Field):
    """The objects of an image.

    Attributes:
        num_classes: Number of classes.
        class_names: Name of each.
        has_masks: Each object has a mask, and a box around it.
        keypoints: Skeleton of the keypoints that each object has, or None. It says whether objects have boxes too;
            without keypoints they always have.
    """

    type: ClassVar[str] = "objects"
    num_classes: int
    class_names: list[str]
    has_masks: bool = False
    keypoints: Skeleton | None = None

    @property
    def is_target(self) -> bool:
        """Objects are learnt."""
        return True

    @property
    def has_boxes(self) -> bool:
        """Whether each object has a box."""
        return self.keypoints is None or self.keypoints.boxed

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield what manifests may say of it."""
        yield from class_limits(self.num_classes, self.class_names)
        yield "keypoints", self.keypoints, self.keypoints is None or is_skeleton(self.keypoints)
        yield "has_masks", self.has_masks, not self.has_masks or self.keypoints is None

    # What is told of it

    remarks: ClassVar[Mapping[str, tuple[str, str]]] = EMPTY_OBJECTS

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return what objects have, their classes, and by which rules they were kept."""
        rules = [f", {name} {pixels[name]:g}" for name in ("min_visibility", "min_area") if name in pixels]
        classes = f"{format_count(self.num_classes, 'class')}, at most {most_objects} an image{''.join(rules)}"
        if self.keypoints is not None:
            return f"{_keypoints(self.keypoints)}, {classes}"
        return f"{'objects with masks,' if self.has_masks else 'boxes'} of {classes}"

    @property
    def _are_boxes(self) -> bool:
        """Whether objects are nothing else."""
        return not self.has_masks and self.keypoints is None

    @property
    def classes(self) -> Sequence[str]:
        """All of them."""
        return self.class_names

    @property
    def counted(self) -> str:
        """What the classes are counted in."""
        return "boxes" if self._are_boxes else "objects"

    @property
    def class_heading(self) -> str:
        """What stands above a table of the classes."""
        return f"{super().class_heading}, in the sources"

    @property
    def other(self) -> str:
        """What two sources with the same image have that no model can learn both of."""
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
        """Return how many objects there are, and where there are none."""
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
    def _noun(self) -> str:
        return "box" if self._are_boxes else "object"


def _keypoints(skeleton: Skeleton) -> str:
    pairs = [f"{skeleton.names[a]}:{skeleton.names[b]}" for a, b in skeleton.flip_pairs]
    flipped = (
        f"{format_count(len(pairs), 'flip pair')} ({pairs[0]}{' …' * (len(pairs) > 1)})" if pairs else "no flip pairs"
    )
    boxed = "with boxes" if skeleton.boxed else "without boxes"
    return f"objects {boxed} and {format_count(len(skeleton), 'keypoint')} each, {flipped}"
