"""Rows of cells: what each column means, and what messages call it and its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from precompute.errors import SourceError, first_few
from precompute.text.format import format_count

__all__ = ["Cells", "Rows"]


class Cells(NamedTuple):
    """A column: one cell a source.

    Attributes:
        called: What messages call the column: ``"labels"``, ``"t.csv: column label"``.
        values: What the cells hold.
        tell: Number of a row, from 0 → what messages call it: ``"line 2"``, ``"'shoes/1'"``.
    """

    called: str
    values: Sequence[Any]
    tell: Callable[[int], str] = str

    def listed(self, rows: Sequence[int]) -> str:
        """Return the first of some rows with what their cells hold, one an indented line."""
        return first_few(rows, tell=lambda i: f"{self.tell(i)}: {self.values[i]!r:.60}")

    def check_filled(self, expected: str, *, texts_too: bool = True) -> None:
        """Refuse cells that are empty: None, not a number, a text of no letters.

        Args:
            expected: What is expected, for the message.
            texts_too: Refuse empty texts.

        Raises:
            SourceError: There are some; with the first rows.
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
    """A row a source, and a column for each thing that is known of it.

    Attributes:
        where: Beginning of messages: the table, or ``sources``.
        layout: What users call the way in which the sources were given.
        columns: Role of a column → its cells: image, mask, label, boxes, keypoints, instances, split, group, key,
            weight. A label is a class name or index, or a list of them; all else is as `Source` has it.
        names: Role of a column → what messages call it.
        values: Numbers that a model shall learn, each with its name.
        extra: Values that travel along unchanged, each with its name.
        root: Folder that relative paths and keys start from. None: relative paths start from the working folder, keys
            from the folder that all images share.
        tell: Number of a row → what messages call it; `str` where it is to be its key.
        class_names: Order of the classes, or None.
        names_groups: The column of groups was named by ``--group-by``.
        key_remedy: What helps where several sources share a key.
        again_remedy: What helps where an image comes again.
        notes: Notes for the user.
    """

    where: str
    layout: str
    columns: Mapping[str, Sequence[Any]]
    names: Mapping[str, str]
    values: Sequence[tuple[str, Cells]] = ()
    extra: Sequence[tuple[str, Cells]] = ()
    root: Path | None = None
    tell: Callable[[int], str] = str
    class_names: list[str] | None = None
    names_groups: bool = False
    key_remedy: str
    again_remedy: str
    notes: Sequence[str] = ()

    def take(self, kept: Sequence[int]) -> Rows:
        """Return some rows, which messages call what they were called before."""

        def of_kept(cells: Sequence[Any]) -> list[Any]:
            return [cells[i] for i in kept]

        tell = self.tell
        return replace(
            self,
            columns={role: of_kept(cells) for role, cells in self.columns.items()},
            values=[(name, cells._replace(values=of_kept(cells.values))) for name, cells in self.values],
            extra=[(name, cells._replace(values=of_kept(cells.values))) for name, cells in self.extra],
            tell=str if tell is str else lambda i: tell(kept[i]),
        )

    def cells(self, role: str) -> Cells:
        """Return the column of a role."""
        return Cells(self.names[role], self.columns[role], self.tell)
