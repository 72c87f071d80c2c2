"""Paths of further images, one column for each name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from precompute.fields.column import RecordFacts
from precompute.fields.extra_image import ExtraImageField
from precompute.fields.file_column import NamedFileColumn

__all__ = ["ExtraImageColumn"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExtraImageColumn(NamedFileColumn):
    """One further image per source."""

    shared_key: ClassVar[str | None] = "extra_images"
    is_target: ClassVar[bool] = False

    def field(self, facts: RecordFacts) -> ExtraImageField:
        """Return a field of pixels; what only a sample and the pipeline tell is empty before these are known."""
        known = {"moves_as": "", "dtype": "", "channels": 0, **facts.attributes.get(self.name, {})}
        return ExtraImageField(name=self.name, encoding=_encoding(facts, known), **known)

    @property
    def kind(self) -> str:
        """What users call it."""
        return "further image"

    @property
    def has_classes(self) -> bool:
        """Whether values are classes: pixels are not."""
        return False


def _encoding(facts: RecordFacts, known: Mapping[str, Any]) -> str:
    """Return the encoding: the image's, or PNG for what keeps its values; raw for fractions."""
    if known["dtype"] == "float32":
        return "raw"
    return "png" if known["moves_as"] == "mask" else facts.encoding
