"""Rows of cells: the role of each column, and the names of columns and rows in messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from precompute.errors import SourceError, first_few
from precompute.options.sources import MASK
from precompute.text.format import format_count

__all__ = ["Cells", "Rows"]


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
        empty = [i for i, value in enumerate(self.values) if _is_empty(value, texts_too)]
        if empty:
            raise SourceError(
                f"{self.called}: {len(empty):,} of {format_count(len(self.values), 'cell is', 'cells are')} empty:\n"
                f"{first_few(empty, tell=self.tell)}\n{expected}"
            )


def _is_empty(value: Any, texts_too: bool) -> bool:
    if isinstance(value, str):
        return texts_too and not value
    return value is None or (isinstance(value, float) and value != value)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Sources as rows of cells, with a column for each fact.

    Attributes:
        where: Beginning of messages: the table, or ``sources``.
        layout: Name that users know of the way in which the sources were given.
        columns: Role of a column → its cells: image, mask, label, boxes, keypoints, instances, split, group, key,
            weight. A label is a class name or index, or a list of them; all else is as `Source` has it.
        names: Role of a column → its name in messages.
        values: Numbers that a model shall learn, each with its name.
        extra: Values that travel along unchanged, each with its name.
        extra_images: Paths of further images, each column with the name of these.
        masks: Paths of masks that have a name of their own, each column with it.
        root: Folder that paths and keys are relative to. None: paths are relative to the working folder, keys to the
            folder that all images share.
        tell: Number of a row → its name in messages; `str` where its key shall be the name.
        class_names: Order of the classes of labels, or None.
        names_groups: Whether ``--group-by`` named the column of the groups.
        key_remedy: Advice where several sources share a key.
        again_remedy: Advice where an image comes again.
        notes: Notes for the user.
    """

    where: str
    layout: str
    columns: Mapping[str, Sequence[Any]]
    names: Mapping[str, str]
    values: Sequence[tuple[str, Cells]] = ()
    extra: Sequence[tuple[str, Cells]] = ()
    extra_images: Sequence[tuple[str, Cells]] = ()
    masks: Sequence[tuple[str, Cells]] = ()
    root: Path | None = None
    tell: Callable[[int], str] = str
    class_names: list[str] | None = None
    names_groups: bool = False
    key_remedy: str
    again_remedy: str
    notes: Sequence[str] = ()

    def take(self, kept: Sequence[int]) -> Rows:
        """Return some rows, which keep their names in messages."""

        def of_kept(cells: Sequence[Any]) -> list[Any]:
            return [cells[i] for i in kept]

        def of_names(columns: Sequence[tuple[str, Cells]]) -> list[tuple[str, Cells]]:
            return [(name, cells._replace(values=of_kept(cells.values))) for name, cells in columns]

        tell = self.tell
        return replace(
            self,
            columns={role: of_kept(cells) for role, cells in self.columns.items()},
            values=of_names(self.values),
            extra=of_names(self.extra),
            extra_images=of_names(self.extra_images),
            masks=of_names(self.masks),
            tell=str if tell is str else lambda i: tell(kept[i]),
        )

    def cells(self, role: str) -> Cells:
        """Return the column of a role."""
        return Cells(self.names[role], self.columns[role], self.tell)

    @property
    def every_mask(self) -> list[tuple[str, Cells]]:
        """All columns of masks, each with the name of its field."""
        unnamed = [(MASK, self.cells(MASK))] if MASK in self.columns else []
        return unnamed + [(name, cells._replace(tell=self.tell)) for name, cells in self.masks]
