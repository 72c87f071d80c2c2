"""Labels of a table: a class in a cell, several in a cell, or a column of 0 and 1 for each class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from precompute.errors import SourceError, UsageError
from precompute.sources.classes import has_several, label_sets_column, labels_column, read_label
from precompute.sources.found import FoundColumn
from precompute.sources.tables.files import Table
from precompute.sources.tables.paths import check_filled

__all__ = ["labels_of_cells", "labels_of_columns"]

SEPARATORS = "|;, "
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")  # as it would be printed: 007 is a name
NO_LABEL = (
    "Expected a class in each. Give the images a class of their own if they have none, or leave their lines out; where "
    "images have several labels or none, give --label-separator."
)
THERE: dict[Any, bool] = {
    **dict.fromkeys((1, "1", "1.0", "True", "true", "TRUE"), True),
    **dict.fromkeys((0, "0", "0.0", "False", "false", "FALSE"), False),
}


def labels_of_cells(
    table: Table,
    column: str,
    cells: Sequence[Any],
    keys: Sequence[str],
    *,
    separator: str | None,
    class_names: list[str] | None,
) -> FoundColumn:
    """Number the classes of a column.

    Args:
        table: The table, for messages.
        column: Name of the column.
        cells: Texts, or what a typed table holds: texts, integers, or lists of them.
        keys: Keys of the sources.
        separator: What stands between several labels in a text; None where a text is one label.
        class_names: Order of the classes, or None.

    Raises:
        SourceError: Cells are empty, or hold classes that `class_names` does not.
        UsageError: Cells are neither class names nor class indices.
    """
    if separator is not None:
        return _separated(table, column, cells, keys, separator, class_names)
    if table.typed and any(isinstance(cell, list | tuple) for cell in cells):
        check_filled(table, column, cells, "Expected a list of labels in each, which may be empty: [].")
        has_several(cells, keys)
        return label_sets_column([_numbered(of_one, class_names) for of_one in cells], keys, class_names)
    check_filled(table, column, cells, NO_LABEL)
    if table.typed:
        _check_types(table, column, cells)
        labels = [read_label(cell, key) for cell, key in zip(cells, keys, strict=True)]
    else:
        labels = _numbered(cells, class_names)
    found = labels_column(labels, keys, class_names)
    return found._replace(notes=[*found.notes, *_joined(column, found.class_names)])


def _joined(column: str, names: Sequence[str]) -> list[str]:
    """Return a note where classes look like several labels in one cell: their parts are classes, too."""
    every = set(names)
    for separator in SEPARATORS:
        joined = [
            name for name in names if separator in name and every.issuperset(map(str.strip, name.split(separator)))
        ]
        if joined:
            return [
                f"column {column}: {joined[0]!r} is read as one class. If it is several labels, give --label-separator "
                f"{separator!r}."
            ]
    return []


def _check_types(table: Table, column: str, cells: Sequence[Any]) -> None:
    """Refuse numbers with fractions and truth values, with what to do about them."""
    wrong = next((i for i, cell in enumerate(cells) if isinstance(cell, float | bool)), None)
    if wrong is not None:
        raise UsageError(
            f"{table.path}: {table.where(wrong)}: column {column}: expected a class name or a class index, got "
            f"{type(cells[wrong]).__name__} {cells[wrong]!r}. Write classes as texts or as integers."
        )


def _numbered(texts: Sequence[Any], class_names: list[str] | None) -> list[Any]:
    """Return texts as integers where all of them are written as such, and none is a name that was given."""
    labels = list(texts)
    different = {label for label in labels if isinstance(label, str)}
    if not different or (class_names is not None and different & set(class_names)):
        return labels
    if not all(INTEGER.fullmatch(text) for text in different):
        return labels
    number = {text: int(text) for text in different}
    return [number.get(label, label) for label in labels]


def _separated(
    table: Table, column: str, cells: Sequence[Any], keys: Sequence[str], separator: str, class_names: list[str] | None
) -> FoundColumn:
    wrong = next((i for i, cell in enumerate(cells) if cell is not None and not isinstance(cell, str)), None)
    if wrong is not None:
        raise UsageError(
            f"label_separator (--label-separator): is for labels in a text; {table.path}: {table.where(wrong)}: column "
            f"{column} holds {cells[wrong]!r:.60}."
        )
    sets = [[part for one in (cell or "").split(separator) if (part := one.strip())] for cell in cells]
    flat = _numbered([label for of_one in sets for label in of_one], class_names)
    rest = iter(flat)
    return label_sets_column([[next(rest) for _ in of_one] for of_one in sets], keys, class_names)


def _listed(table: Table, rows: list[int], cells: Sequence[Any]) -> str:
    return table.listed(rows, lambda i: f": {cells[i]!r:.60}")


def labels_of_columns(
    table: Table, columns: dict[str, Sequence[Any]], keys: Sequence[str], class_names: list[str] | None
) -> FoundColumn:
    """Return the labels of columns that hold 0 and 1; their names are the classes, in this order if no other is given.

    Raises:
        SourceError: Cells hold something else, or there is no 1 at all.
        UsageError: The names that were given are not those of the columns.
    """
    names = list(columns) if class_names is None else class_names
    if set(names) != set(columns):
        raise UsageError(
            f"class_names: expected the names of the label_columns in the order that classes shall have, "
            f"{', '.join(columns)}; got {', '.join(names)}."
        )
    sets: list[list[str]] = [[] for _ in keys]
    for name, cells in columns.items():
        wrong = [i for i, cell in enumerate(cells) if not (isinstance(cell, str | int | float) and cell in THERE)]
        if wrong:
            raise SourceError(
                f"{table.path}: column {name}: expected 0 or 1 in each cell, but {len(wrong):,} hold something else:\n"
                f"{_listed(table, wrong, cells)}\nDecide what unknown or uncertain ones are, and write 0 or 1."
            )
        for labels, cell in zip(sets, cells, strict=True):
            if THERE[cell]:
                labels.append(name)
    return label_sets_column(sets, keys, names)
