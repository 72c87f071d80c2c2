"""Paths of masks beside the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, ClassVar

import numpy as np

from precompute.fields.column import Column, Entry, RecordFacts
from precompute.fields.entry_checks import are_surely_names, check_name
from precompute.fields.file_column import FileColumn, NamedFileColumn
from precompute.fields.mask import MASK, MaskField
from precompute.fields.string_column import StringColumn, take

__all__ = ["NamedMaskColumn", "PathColumn", "mask_column", "mask_field"]


def mask_field(name: str, facts: RecordFacts) -> MaskField:
    """Return the field of masks; while the number of classes is unknown, it is that of all possible ids."""
    dtype = facts.mask_dtype or "uint16"
    return MaskField(
        name=name,
        num_classes=np.iinfo(dtype).max + 1 if facts.num_classes is None else facts.num_classes,
        class_names=list(facts.class_names),
        encoding="raw" if facts.encoding == "raw" else "png",
        dtype=dtype,
        ignore_class=facts.ignore_class,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskColumn(FileColumn):
    """One mask file per source."""

    no_class_each = "have masks, which hold several classes; weigh their classes when training"

    def field(self, facts: RecordFacts) -> MaskField:
        """Return a field of class ids."""
        return mask_field(self.name, facts)

    def id_maps(self) -> Sequence[str]:
        """Return the paths of all masks."""
        return self.paths

    @property
    def kind(self) -> str:
        """What users call a dataset that has this field as its target."""
        return MASK

    @property
    def has_class_ids(self) -> bool:
        """Whether classes are the ids of pixels: they are."""
        return True

    def lacks(self, target: str) -> str:
        """Return the message for sources whose masks of objects were asked for as a target."""
        return "" if target == self.kind else "one mask an image"


@dataclass(frozen=True, kw_only=True, eq=False)
class PathColumn(MaskColumn):
    """The masks that were given no other name."""

    name: str = MASK

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source."""
        return {self.name: self.paths[i]}

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return what lines of JSON hold of these sources."""
        text, start = encode_basestring, f', "{self.name}": '
        return [start + text(path) for path in take(self.paths, chosen)]

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return the column that entries hold under a key."""
        return [cls(name=key, paths=StringColumn(entries[key]))]

    @classmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse a value that cannot be a path."""
        if key in entry:
            check_name(key, entry[key], where)

    @classmethod
    def is_surely_fine(cls, values: Sequence[Any]) -> bool:
        """Return whether a quick look shows that all values can be paths."""
        return are_surely_names(values)


@dataclass(frozen=True, kw_only=True, eq=False)
class NamedMaskColumn(MaskColumn, NamedFileColumn):
    """Masks under a name of their own."""

    shared_key: ClassVar[str | None] = "masks"


def mask_column(name: str, paths: Sequence[str]) -> MaskColumn:
    """Return the column of masks under a name."""
    return PathColumn(paths=paths) if name == MASK else NamedMaskColumn(name=name, paths=paths)
