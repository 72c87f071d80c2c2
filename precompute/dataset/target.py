"""What records are labelled with, in the terms of format 1: a kind, and the attributes of its field."""

from __future__ import annotations

from dataclasses import dataclass

from precompute.fields.field import Field
from precompute.fields.skeleton import Skeleton

__all__ = ["IMAGE_ONLY", "Target"]

IMAGE_ONLY = "image"  # kind of target of images alone, which have none: as manifests store it


@dataclass(frozen=True, kw_only=True)
class Target:
    """What records are labelled with.

    Attributes:
        kind: ``"class"``; ``"multilabel"``, any number of classes per image; ``"mask"``; ``"boxes"``; ``"keypoints"``;
            ``"instances"``, boxes with a mask each; ``"value"``, numbers; or ``"image"``, images alone.
        num_classes: Number of classes; for masks one more than the largest class id.
        class_names: Name of each class; may be empty for masks.
        encoding: Encoding of masks, ``"png"`` or ``"raw"``; else None.
        dtype: Type of masks, ``"uint8"`` or ``"uint16"``; else None.
        ignore_class: Class id of mask pixels that count neither in loss nor in metrics.
        keypoints: Skeleton of keypoints; else None.
    """

    kind: str
    num_classes: int
    class_names: list[str]
    encoding: str | None = None
    dtype: str | None = None
    ignore_class: int | None = None
    keypoints: Skeleton | None = None

    @classmethod
    def of(cls, field: Field) -> Target:
        """Return the description of a field as a target."""
        return cls(
            kind=field.form,
            num_classes=getattr(field, "num_classes", 0),
            class_names=list(getattr(field, "class_names", ())),
            encoding=getattr(field, "encoding", None),
            dtype=field.ids_dtype,
            ignore_class=getattr(field, "ignore_class", None),
            keypoints=getattr(field, "keypoints", None),
        )

    @property
    def image_only(self) -> bool:
        """Whether records are images alone, without any target."""
        return self.kind == IMAGE_ONLY
