"""Objects: for each a class and flags, and a box, a mask, keypoints: whichever there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from precompute.fields.field import Field, class_limits
from precompute.fields.skeleton import Skeleton, is_skeleton

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
