"""Rows of cells: the role of each column, and the names of columns and rows in messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from precompute.errors import SourceError, first_few
from precompute.text.format import format_count

__all__ = ["Cells", "NamedCells", "Rows", "is_empty"]


class Cells(NamedTuple):
    """A column: one cell per source.

    Attributes:
        called: Name of the column in messages: ``"labels"``, ``"t.csv: column label"``.
        values: Content of the cells.
        tell: Number of a row, from 0 → its name in messages: ``"line 2"``, ``"'shoes/1'"``.
    """

    called: str
    values: Sequence[Any]
    tell: Callable[[int], str] = str

    def take(self, kept: Sequence[int]) -> Cells:
        """Return the cells of some rows, which keep their names in messages."""
        tell = self.tell  # a function that held the cells would keep them in memory
        return Cells(self.called, [self.values[i] for i in kept], lambda i: tell(kept[i]))

    def listed(self, rows: Sequence[int]) -> str:
        """Return the first of some rows with the content of their cells, one indented line each."""
        return first_few(rows, tell=lambda i: f"{self.tell(i)}: {self.values[i]!r:.60}")

    def check_filled(self, expected: str, *, texts_too: bool = True) -> None:
        """Refuse empty cells: None, NaN, an empty text.

        Args:
            expected: What a cell should hold, for the message.
            texts_too: Whether empty texts are refused, too.

        Raises:
            SourceError: There are empty cells; the message names the first rows.
        """
        if set(map(type, self.values)) <= {str} and (all(self.values) or not texts_too):
            return
        empty = [i for i, value in enumerate(self.values) if is_empty(value, texts_too=texts_too)]
        if empty:
            raise SourceError(
                f"{self.called}: {len(empty):,} of {format_count(len(self.values), 'cell is', 'cells are')} empty:\n"
                f"{first_few(empty, tell=self.tell)}\n{expected}"
            )


NamedCells: TypeAlias = Sequence[tuple[str, Cells]]  # columns, each with a name of its own


def is_empty(value: Any, *, texts_too: bool = True) -> bool:
    """Return whether a cell is empty: None, NaN, an empty text."""
    if isinstance(value, str):
        return texts_too and not value
    return value is None or (isinstance(value, float) and value != value)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Sources as rows of cells, with a column for each fact.

    Attributes:
        where: Beginning of messages: the table, or ``sources``.
        layout: Name that users know of the way in which the sources were given.
        columns: Role of a column → its cells: image, label, boxes, keypoints, instances, split, group, key, weight.
            A label is a class name or index, or a list of them; all else is as `Source` has it.
        values: Numbers that a model shall learn, each with its name.
        extra: Values that travel along unchanged, each with its name.
        extra_images: Paths of further images, each column with the name of these.
        masks: Paths of masks, each column with the name of its field.
        root: Folder that paths and keys are relative to. None: paths are relative to the working folder, keys to the
            folder that all images share and name rows in messages.
        class_names: Order of the classes of labels, or None.
        notes: Notes for the user.
    """

    where: str
    layout: str
    columns: Mapping[str, Cells]
    values: NamedCells = ()
    extra: NamedCells = ()
    extra_images: NamedCells = ()
    masks: NamedCells = ()
    root: Path | None = None
    class_names: list[str] | None = None
    notes: Sequence[str] = ()

    @property
    def tell(self) -> Callable[[int], str]:
        """Number of a row → its name in messages."""
        return self.columns["image"].tell

    def take(self, kept: Sequence[int]) -> Rows:
        """Return some rows, which keep their names in messages."""
        return self._changed(lambda cells: cells.take(kept))

    def named(self, tell: Callable[[int], str]) -> Rows:
        """Return the rows with names for messages."""
        return self._changed(lambda cells: cells._replace(tell=tell))

    def _changed(self, change: Callable[[Cells], Cells]) -> Rows:
        def of_names(columns: NamedCells) -> NamedCells:
            return [(name, change(cells)) for name, cells in columns]

        return replace(
            self,
            columns={role: change(cells) for role, cells in self.columns.items()},
            values=of_names(self.values),
            extra=of_names(self.extra),
            extra_images=of_names(self.extra_images),
            masks=of_names(self.masks),
        )
