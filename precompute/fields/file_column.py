"""Columns of files beside the images, one per source: masks and further images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, ClassVar

import numpy as np

from precompute.errors import DatasetError
from precompute.fields.column import Column, Entry, ListColumn, RecordFacts
from precompute.fields.entry_checks import are_surely_names, check_name
from precompute.fields.extra_image import ExtraImageField
from precompute.fields.mask import MASK, MaskField
from precompute.fields.string_column import StringColumn, take
from precompute.text.names import NAME

__all__ = [
    "ExtraImageColumn",
    "FileColumn",
    "NamedFileColumn",
    "NamedMaskColumn",
    "PathColumn",
    "mask_column",
    "mask_field",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class FileColumn(ListColumn):
    """One file per source.

    Attributes:
        values: Posix paths below the root of the sources (absolute where they have none).
    """

    has_files: ClassVar[bool] = True

    def _packed(self, values: Iterable[Any]) -> Sequence[str]:
        return StringColumn(values)

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return what lines of JSON hold of these sources."""
        text, start = encode_basestring, f', "{self.name}": '
        return [start + text(path) for path in take(self.values, chosen)]

    def located(self, value: Any, locate: Callable[[str], Any]) -> str:
        """Return the full path of a file."""
        return str(locate(value))

    def files(self, value: Any) -> Sequence[str]:
        """Return the file of a value."""
        return (value,)

    def digest(self, value: Any, hashes: Sequence[str]) -> str:
        """Return the sha256 of the only file."""
        return hashes[0]

    def files_text(self, value: Any) -> str:
        """Return what messages call the file."""
        return f"the content of {value}"

    def texts(self) -> Sequence[str]:
        """Return all paths."""
        return self.values


@dataclass(frozen=True, kw_only=True, eq=False)
class NamedFileColumn(FileColumn):
    """One file per source, where there may be several columns of a type: the listing has them by name in one object."""

    @property
    def entry_key(self) -> str:
        """The key of that object."""
        return str(self.shared_key)

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source."""
        return {self.entry_key: {self.name: self.values[i]}}

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return a column for each name; a column is shorter than the others where entries lack the name."""
        names = dict.fromkeys(name for value in entries[key] for name in value)
        return [
            cls(name=name, values=StringColumn(value[name] for value in entries[key] if name in value))
            for name in names
        ]

    @classmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse an entry whose values are no object of paths."""
        paths = entry.get(key, {})
        if not isinstance(paths, dict) or not all(map(NAME.fullmatch, paths)):
            raise DatasetError(f"{where}: {key}: expected paths by names, got {paths!r:.60}.")
        for name, path in paths.items():
            check_name(f"{key}: {name}", path, where)


# Masks


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

    kind = MASK
    has_class_ids = True
    no_class_each = "have masks, which hold several classes; weigh their classes when training"

    def field(self, facts: RecordFacts) -> MaskField:
        """Return a field of class ids."""
        return mask_field(self.name, facts)

    def id_maps(self) -> Sequence[str]:
        """Return the paths of all masks."""
        return self.values

    def lacks(self, target: str) -> str:
        """Return the message for sources whose masks of objects were asked for as a target."""
        return "" if target == self.kind else "one mask an image"


@dataclass(frozen=True, kw_only=True, eq=False)
class PathColumn(MaskColumn):
    """The masks that were given no other name."""

    name: str = MASK

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source."""
        return {self.name: self.values[i]}

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return the column that entries hold under a key."""
        return [cls(name=key, values=StringColumn(entries[key]))]

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
    return PathColumn(values=paths) if name == MASK else NamedMaskColumn(name=name, values=paths)


# Further images


@dataclass(frozen=True, kw_only=True, eq=False)
class ExtraImageColumn(NamedFileColumn):
    """One further image per source."""

    shared_key: ClassVar[str | None] = "extra_images"
    is_target: ClassVar[bool] = False
    kind = "further image"
    has_classes = False

    def field(self, facts: RecordFacts) -> ExtraImageField:
        """Return a field of pixels; what only a sample and the pipeline tell is empty before these are known."""
        known = {"moves_as": "", "dtype": "", "channels": 0, **facts.attributes.get(self.name, {})}
        return ExtraImageField(name=self.name, encoding=_encoding(facts, known), **known)


def _encoding(facts: RecordFacts, known: Mapping[str, Any]) -> str:
    """Return the encoding: the image's, or PNG for what keeps its values; raw for fractions."""
    if known["dtype"] == "float32":
        return "raw"
    return "png" if known["moves_as"] == "mask" else facts.encoding
