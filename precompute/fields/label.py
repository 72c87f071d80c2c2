"""Labels: one class an image, or any number of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from precompute.fields.field import Field, class_limits
from precompute.text.format import format_count

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

    # What is told of it

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return the number of classes."""
        if self.several:
            return f"any number of {format_count(self.num_classes, 'label')} an image"
        return f"class, {self.num_classes} of them"

    @property
    def classes(self) -> Sequence[str]:
        """All of them."""
        return self.class_names

    @property
    def class_heading(self) -> str:
        """What stands above a table of the classes."""
        return "sources of each label" if self.several else super().class_heading

    @property
    def other(self) -> str:
        """What two sources with the same image have that no model can learn both of."""
        return "another label"
