"""A type of field that tests alone know, with all that is asked of one on its way: angles, from a file an image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from precompute.errors import RejectedSource
from precompute.fields.column import Column, RecordFacts
from precompute.fields.entry_checks import check_name
from precompute.fields.feature import Feature, Number, Size, Value, Values
from precompute.fields.field import Field
from precompute.fields.file_column import FileColumn
from precompute.fields.registry import COLUMN_TYPES, register
from precompute.images.source_files import read_file
from precompute.rendering.fields.renderer import Loaded, Renderer, SourceImage, renderer_type

__all__ = ["MOST", "AngleColumn", "AngleField", "AngleRenderer", "write_angles"]

MOST = 3  # an image
LARGEST = 360  # degrees


def write_angles(path: Path, angles: Iterable[float]) -> Path:
    """Write a file as `AngleRenderer` reads it; return its path."""
    path.write_text("\n".join(map(str, angles)))
    return path


@register
@dataclass(frozen=True, kw_only=True)
class AngleField(Field):
    """Any number of angles up to `MOST`, in degrees; all change their sign where the image is mirrored."""

    type: ClassVar[str] = "angles"
    mirror_negates: ClassVar[bool] = True

    @property
    def key(self) -> str:
        return f"angles/{self.name}"

    @property
    def features(self) -> Mapping[str, Feature]:
        return {self.key: Number(dtype="float32", several=True)}

    def record_values(self, value: Any, size: Size) -> dict[str, Value]:
        return {self.key: np.asarray(value, np.float32)}

    def decode(self, values: Values, size: Size) -> dict[str, Any]:
        return {self.name: np.array(self.features[self.key].read(values, self.key), np.float32)}

    def difference(self, example: Mapping[str, Any]) -> str | None:
        largest = np.abs(example[self.name]).max(initial=0)
        return f"its {self.name} go up to {largest:g}" if largest > LARGEST else None


@dataclass(frozen=True, kw_only=True, eq=False)
class AngleColumn(FileColumn):
    """The path of a file of angles a source."""

    name: str = "angles"

    def field(self, facts: RecordFacts) -> AngleField:
        return AngleField(name=self.name)

    def entry(self, i: int) -> dict[str, Any]:
        return {self.name: self.values[i]}

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        return [cls(values=list(entries[key]))]

    @classmethod
    def check_entry(cls, key: str, entry: Mapping[str, Any], where: str) -> None:
        if key in entry:
            check_name(key, entry[key], where)


COLUMN_TYPES["angles"] = AngleColumn


@dataclass(frozen=True, kw_only=True)
class AngleRenderer(Renderer):
    """Reads files of a number a line; the rest, the change of sign among it, is what every renderer does."""

    def load(self, raw: Any, image: SourceImage) -> Loaded:
        content, angles = read_file(Path(raw), _parse)
        return Loaded(value=angles, sha256=hashlib.sha256(content).hexdigest())


def _parse(content: bytes) -> Any:
    try:
        angles = np.array(content.split(), np.float32)
    except ValueError as error:
        raise RejectedSource(f"expected an angle a line, got {content!r:.60}") from error
    if len(angles) > MOST:
        raise RejectedSource(f"expected {MOST} angles at most, got {len(angles)}")
    return angles


@renderer_type.register
def _(field: AngleField) -> type[Renderer]:
    return AngleRenderer
