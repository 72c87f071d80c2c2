"""Objects: for each a class and flags, and a box, a mask, keypoints: whichever there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from precompute.fields.field import Field
from precompute.fields.skeleton import Skeleton

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
