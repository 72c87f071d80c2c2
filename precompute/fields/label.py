"""Labels: one class an image, or any number of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from precompute.fields.field import Field, class_limits

__all__ = ["LabelField"]


@dataclass(frozen=True, kw_only=True)
class LabelField(Field):
    """A class index an image, or an ascending list of them.

    Attributes:
        num_classes: Number of classes.
        class_names: Name of each.
        several: An image has any number of classes, maybe none.
    """

    type: ClassVar[str] = "label"
    num_classes: int
    class_names: list[str]
    several: bool = False

    @property
    def is_target(self) -> bool:
        """Labels are learnt."""
        return True

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield what manifests may say of it."""
        yield from class_limits(self.num_classes, self.class_names)
