"""What makes plain files of records, in one layout that `precompute build` reads again."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from precompute.exporting.names import Names
from precompute.fields.field import Field
from precompute.images.encode import encode_image

__all__ = ["TABLE", "Example", "Export", "Exporter", "class_names_option", "copy_suffix", "image_file"]

TABLE = "labels.csv"
SUFFIXES = {"jpeg": ".jpg", "png": ".png"}

Example = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Export:
    """What becomes of one record.

    Attributes:
        files: Path below the folder, posix → content.
        line: Its line of the table: column → value.
    """

    files: dict[str, bytes]
    line: dict[str, Any]


class Exporter(abc.ABC):
    """Makes the files of a dataset, record by record, in one layout; a class says which fields it has a place for.

    Args:
        fields: All beside the image. Those that stand in the table are no concern of a layout.
        apart: Several splits are written, each below a folder of its own where the layout has no other place for them.

    Raises:
        UsageError: A class has a name that the layout cannot say.

    Attributes:
        fields: Those that the layout has files for, in the order of `forms`.
    """

    forms: ClassVar[tuple[str, ...]]  # of the fields that it has a place for

    def __init__(self, fields: Sequence[Field], *, apart: bool) -> None:
        self.fields: list[Any] = [field for field in fields if not field.in_table]
        self._in_table = sorted((field for field in fields if field.in_table), key=lambda field: not field.is_weight)
        self._apart = apart

    @classmethod
    def can_hold(cls, fields: Sequence[Field]) -> bool:
        """Return whether these fields, and no others, have a place in the layout."""
        return cls.forms == tuple(field.form for field in fields if not field.in_table)

    @abc.abstractmethod
    def export(self, example: Example, names: Names, split: str) -> Export:
        """Return the files of one record, and its line of the table."""

    def finish(self) -> dict[str, bytes]:
        """Return the files about all records: path below the folder → content."""
        return {}

    def notes(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return what is to be said of what was written, by the lines of the table."""
        return []

    def build_options(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return what a build cannot find out from the files."""
        return []

    def line_of(self, example: Example, **columns: str | int) -> dict[str, Any]:
        """Return a line of the table: the columns given, which draw of which source it is, and what travels along."""
        line = {**columns, **{name: example[name] for name in ("key", "copy", "seed", "variant")}}
        for field in self._in_table:
            for name, value in field.columns(example).items():
                line[f"extra_{name}" if name in line else name] = value
        return line


def class_names_option(names: Sequence[str]) -> list[str]:
    """Return the option that gives names of classes their order; none where it cannot be written."""
    return ["--class-names", ",".join(names)] if names and not any("," in name for name in names) else []


def image_file(example: Example) -> tuple[str, bytes]:
    """Return suffix and content: the stored bytes where they are a file."""
    if example["format"] == "raw":
        return ".png", encode_image(example["image"], "png", 95)
    return SUFFIXES[example["format"]], example["encoded"]


def copy_suffix(example: Example) -> str:
    """Return what tells the copies of a rare class apart."""
    return f"-copy{example['copy']}" if example["copy"] else ""
