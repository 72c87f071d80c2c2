"""Paths of further images, one column for each name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, ClassVar

from precompute.errors import DatasetError
from precompute.fields.column import Column, Entry, RecordFacts
from precompute.fields.entry_checks import check_name
from precompute.fields.extra_image import ExtraImageField
from precompute.fields.file_column import FileColumn
from precompute.fields.string_column import StringColumn, take
from precompute.fields.value_column import NAME

__all__ = ["ExtraImageColumn"]

KEY = "extra_images"


@dataclass(frozen=True, kw_only=True, eq=False)
class ExtraImageColumn(FileColumn):
    """One further image per source."""

    entry_key = KEY
    shared_key: ClassVar[str | None] = KEY
    is_target: ClassVar[bool] = False

    def field(self, facts: RecordFacts) -> ExtraImageField:
        """Return a field of pixels; what only a sample and the pipeline tell is empty before these are known."""
        known = {"moves_as": "", "dtype": "", "channels": 0, **facts.attributes.get(self.name, {})}
        return ExtraImageField(name=self.name, encoding=_encoding(facts, known), **known)

    @property
    def has_classes(self) -> bool:
        """Whether values are classes: pixels are not."""
        return False

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source."""
        return {KEY: {self.name: self.paths[i]}}

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return what lines of JSON hold of these sources."""
        text, start = encode_basestring, f', "{self.name}": '
        return [start + text(path) for path in take(self.paths, chosen)]

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return a column for each name; a column is shorter than the others where entries lack the name."""
        names = dict.fromkeys(name for value in entries[key] for name in value)
        return [
            cls(name=name, paths=StringColumn(value[name] for value in entries[key] if name in value)) for name in names
        ]

    @classmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse an entry whose values are no object of paths."""
        paths = entry.get(key, {})
        if not isinstance(paths, dict) or not all(map(NAME.fullmatch, paths)):
            raise DatasetError(f"{where}: {key}: expected paths by the names of further images, got {paths!r:.60}.")
        for name, path in paths.items():
            check_name(f"{key}: {name}", path, where)


def _encoding(facts: RecordFacts, known: Mapping[str, Any]) -> str:
    """Return the encoding: the image's; without loss for what keeps its values; raw for fractions."""
    if known["dtype"] == "float32":
        return "raw"
    return "png" if known["moves_as"] == "mask" and facts.encoding == "jpeg" else facts.encoding
