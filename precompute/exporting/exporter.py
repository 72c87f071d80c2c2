"""The base of exporters, which make plain files of records in a layout that `precompute build` reads again."""

from __future__ import annotations

import abc
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from precompute.fields.field import Field
from precompute.images.encode import encode_image
from precompute.images.png import encode_png

__all__ = [
    "TABLE",
    "Example",
    "Export",
    "Exporter",
    "Names",
    "image_file",
    "own_file",
    "safe_name",
    "safe_path",
]

TABLE = "labels.csv"
SUFFIXES = {"jpeg": ".jpg", "png": ".png"}
MAX_BYTES = 200  # of one name; file systems take 255, and an ending and a temporary name need some
# Source: https://learn.microsoft.com/windows/win32/fileio/naming-a-file, "Naming Conventions"
REFUSED = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f-\x9f\u2028\u2029]')  # and ends of lines, in lists of files
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
ROLES = {"images", "masks", "__macosx", "@eadir"}  # folders of these names mean something to a build

Example = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Export:
    """The export of one record.

    Attributes:
        files: Posix path below the folder → content.
        line: Line of the table: column → value.
    """

    files: dict[str, bytes]
    line: dict[str, Any]


class Exporter(abc.ABC):
    """Makes the files of a dataset, record by record, in one layout; each subclass says which fields it can hold.

    Args:
        fields: All fields beside the image. Those that stand in the table, or are files that go with any layout of
            plain files, do not concern the layout.
        apart: Whether several splits are written, each below a folder of its own if the layout has no other place.

    Raises:
        UsageError: A class has a name that the layout cannot hold.

    Attributes:
        fields: The fields that the layout has files for, in the order of `forms`.
        own_files: The fields that are a file for each record, whatever the layout.
    """

    forms: ClassVar[tuple[str, ...]]  # of the fields that it has a place for
    takes_own_files: ClassVar[bool] = False

    def __init__(self, fields: Sequence[Field], *, apart: bool) -> None:
        self.fields: list[Any] = [field for field in fields if not (field.in_table or field.has_own_file)]
        self.own_files: list[Any] = [field for field in fields if field.has_own_file]
        self._in_table = sorted((field for field in fields if field.in_table), key=lambda field: not field.is_weight)
        self._apart = apart

    @classmethod
    def can_hold(cls, fields: Sequence[Field]) -> bool:
        """Return whether the layout is for exactly these fields."""
        own = any(field.has_own_file for field in fields)
        placed = (field for field in fields if not (field.in_table or field.has_own_file))
        return cls.forms == tuple(field.form for field in placed) and (cls.takes_own_files or not own)

    @abc.abstractmethod
    def export(self, example: Example, names: Names, split: str) -> Export:
        """Return the files of one record, and its line of the table."""

    def finish(self) -> dict[str, bytes]:
        """Return the files about all records: path below the folder → content."""
        return {}

    def notes(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return notes on what was written, from the lines of the table."""
        return []

    def build_options(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return the options that a build needs, since the files do not tell them."""
        return []

    @property
    def class_names_option(self) -> list[str]:
        """The option that gives the classes their order; empty where it cannot be written."""
        names: list[str] = self.fields[0].class_names
        return ["--class-names", ",".join(names)] if names and not any("," in name for name in names) else []

    def line_of(self, example: Example, **columns: str | int) -> dict[str, Any]:
        """Return a line of the table: the given columns, then source and draw, and values that travel along."""
        line = {**columns, **{name: example[name] for name in ("key", "copy", "seed", "variant")}}
        for field in self._in_table:
            for name, value in field.columns(example).items():
                line[f"extra_{name}" if name in line else name] = value
        return line


def image_file(example: Example) -> tuple[str, bytes]:
    """Return suffix and content of an image's file: the stored bytes if they are a JPEG or PNG."""
    if example["format"] == "raw":
        return ".png", encode_image(example["image"], "png", 95)
    return SUFFIXES[example["format"]], example["encoded"]


def own_file(example: Example, name: str) -> tuple[str, bytes]:
    """Return suffix and content of the file of a field that has its own: the stored bytes if they are a JPEG or PNG."""
    stored, values = example[f"{name}_format"], example[name]
    if stored in SUFFIXES:
        return SUFFIXES[stored], example[f"{name}_encoded"]
    if values.dtype.kind == "f":
        content = io.BytesIO()
        np.save(content, values[..., 0])
        return ".npy", content.getvalue()
    return ".png", encode_png(values)


# Names of files: those of the keys, with characters that every file system takes


class Names:
    """Gives each key a unique name; calls in the same order give the same names."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._folders: dict[str, str] = {}

    def folder(self, name: str) -> str:
        """Return the path of a class's folder, which is always the same, and which no other class has."""
        if name not in self._folders:
            self._folders[name] = self.unique("/".join(map(safe_name, name.split("/"))))
        return self._folders[name]

    def unique(self, path: str, copy: int = 0) -> str:
        """Return a unique path: with the copy's number, and another number if some path differs only in case."""
        path = f"{path}-copy{copy}" if copy else path
        number, found = 1, path
        while found.casefold() in self._taken:
            number += 1
            found = f"{path}-{number}"
        self._taken.add(found.casefold())
        return found


def safe_path(key: str, roles: Collection[str] = ROLES) -> str:
    """Return a key as the path of a file: folders stay folders, but those named like a role get another name."""
    *folders, name = map(safe_name, key.split("/"))
    return "/".join([*(f"_{part}" if part.lower() in roles else part for part in folders), name])


def safe_name(text: str) -> str:
    """Return a text as the name of one file or folder."""
    name = REFUSED.sub("_", text.replace("/", "_"))
    name = re.sub(r"^\s|[\s.]$", "_", name) or "_"
    if name.startswith(".") or RESERVED.match(name):  # hidden files are passed over by a build
        name = f"_{name}"
    while len(name.encode()) > MAX_BYTES:
        name = name[:-1]
    return name
