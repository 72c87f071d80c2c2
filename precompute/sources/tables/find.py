"""Sources from a table of paths: CSV, TSV, JSON lines or Parquet, one row per source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError, first_few
from precompute.options.build_options import BuildOptions
from precompute.options.sources import LABEL, MASK
from precompute.sources.classes import given_names
from precompute.sources.found import Found
from precompute.sources.problems import refuse_options
from precompute.sources.rows.cells import Cells, Rows
from precompute.sources.rows.find import find_rows
from precompute.sources.split_folders import EXPECTED_SPLITS, split_of
from precompute.sources.tables.columns import choose_columns
from precompute.sources.tables.files import read_table
from precompute.sources.values import INTEGER, values_of_texts
from precompute.storage.paths import absolute, as_path
from precompute.text.format import format_count

__all__ = ["find_table"]

FOLDER_OPTIONS = (
    *("images", "masks", "extra_images", "image_suffix", "mask_suffix", "split_in_key", "annotations", "drop_empty"),
)
SEPARATORS = "|;, "
PATHS_AS_KEYS = "Keys are the paths without their extensions; give others with --key-column."
ONE_LINE = (
    "Expected a line for each image. Where an image has several labels, put them into one cell and give "
    "--label-separator, or into columns of 0 and 1 and give --label-columns."
)
FILLED = {
    "split": "Expected train, validation or test in each.",
    "group": "Expected the group (patient, scene) of each; a source that stands alone gets a group of its own.",
    "key": "Expected a name in each that no other source has.",
}
THERE: dict[Any, bool] = {
    **dict.fromkeys((1, "1", "1.0", "True", "true", "TRUE"), True),
    **dict.fromkeys((0, "0", "0.0", "False", "false", "FALSE"), False),
}


def find_table(path: Path, options: BuildOptions) -> Found:
    """Return the sources that a table lists.

    Args:
        path: Path of the table.
        options: Options that name columns, and the folder that paths are relative to.

    Raises:
        SourceError: The table or its files cannot be used as they are; the message names the lines.
        UsageError: An option makes no sense here, or the roles of columns are not clear.
    """
    why = f"is for folders, and {path} is a table: its columns say where images and masks lie."
    refuse_options(options, FOLDER_OPTIONS, f"{why} --root names the folder that their paths start from.")
    if options.label_separator == "":
        raise UsageError("label_separator (--label-separator): expected one or more characters, such as '|'.")
    names = given_names(options, LABEL, "labels")
    path = absolute(path)
    root = path.parent if options.root is None else absolute(as_path(options.root))
    if not root.is_dir():
        raise UsageError(
            f"root (--root): there is no folder {root}; expected the one that the table's paths start from."
        )
    table = read_table(path)
    chosen = choose_columns(table, options)
    read = table.read(chosen.used())
    if not len(read[chosen.roles["image"]]):
        raise SourceError(f"{path}: the table has a header and no line below it. Expected a line a source.")
    cells = {role: table.cells(name, read[name]) for role, name in chosen.roles.items()}
    columns = {role: _as_in_lists(role, of_role) for role, of_role in cells.items() if role != MASK}
    masks = [(MASK, _as_paths(cells[MASK]))] if MASK in cells else []
    notes = [*table.notes, chosen.note(table)]
    if "label" in cells:
        columns["label"], more = _read_labels(cells["label"], table.typed, options.label_separator, names)
        notes += more
    elif chosen.labels:
        names = _names_of_columns(chosen.labels, names)
        labels = _labels_of_columns([(name, table.cells(name, read[name])) for name in names])
        columns["label"] = Cells(f"{path}: label_columns", labels, table.where)
    elif options.label_separator is not None:
        raise UsageError(
            "label_separator (--label-separator): there is no column of labels; name it with --label-column."
        )
    rows = Rows(
        where=str(path),
        layout="a table",
        columns=columns,
        masks=masks + [(name, _as_paths(table.cells(column, read[column]))) for name, column in chosen.masks.items()],
        values=[(name, table.cells(name, read[name])) for name in chosen.values],
        extra=[
            (name, table.cells(name, read[name] if table.typed else values_of_texts(read[name])))
            for name in chosen.extra
        ],
        extra_images=[(name, table.cells(column, read[column])) for name, column in chosen.extra_images.items()],
        root=root,
        class_names=names,
        notes=notes,
    )
    return replace(
        find_rows(rows, options),
        names_groups=options.group_by in table.columns,
        key_remedy=f"Keys are those of {cells['key'].called}." if "key" in cells else PATHS_AS_KEYS,
        again_remedy=ONE_LINE,
    )


def _as_in_lists(role: str, cells: Cells) -> Cells:
    """Return cells in the form of lists from Python: paths, groups, keys as texts, words for splits as names."""
    if role in FILLED:
        cells.check_filled(FILLED[role])
    if role == "split":
        return cells._replace(values=_splits(cells))
    return cells if role in ("label", "weight") else _as_paths(cells)


def _as_paths(cells: Cells) -> Cells:
    """Return cells whose numbers are texts."""
    if set(map(type, cells.values)) <= {str}:
        return cells
    kept = (str, list, dict, bytes, type(None))  # what is no path is told as such
    texts = [value if isinstance(value, kept) or value != value else str(value) for value in cells.values]
    return cells._replace(values=texts)


def _splits(cells: Cells) -> list[str | None]:
    counts = Counter(map(str, cells.values))
    splits = {word: split_of(word) for word in counts}
    unknown = [word for word in counts if splits[word] is None]
    if unknown:
        listed = first_few(unknown, tell=lambda word: f"{word!r:.80} in {format_count(counts[word], 'line')}")
        raise SourceError(
            f"{cells.called}: words that name no split:\n{listed}\n"
            f"Expected {EXPECTED_SPLITS}. If the column means something else, name another one, or none: "
            "--split-column ''."
        )
    return [splits[str(word)] for word in cells.values]


# Labels: a class in a cell, several in a cell, or a column of 0 and 1 for each class.


def _read_labels(
    cells: Cells, typed: bool, separator: str | None, class_names: list[str] | None
) -> tuple[Cells, list[str]]:
    """Return the class of each source, or a list of them, and notes; texts of CSV may be numbers."""
    if separator is not None:
        return cells._replace(values=_separated(cells, separator, class_names)), []
    labels = cells if typed else cells._replace(values=_numbered(cells.values, class_names))
    names = {label for label in labels.values if isinstance(label, str)}
    for between in SEPARATORS:
        joined = [
            name for name in sorted(names) if between in name and names.issuperset(map(str.strip, name.split(between)))
        ]
        if joined:
            return labels, [
                f"column {cells.called.rpartition(': column ')[2]}: {joined[0]!r:.80} is read as one class. If it is "
                f"several labels, give --label-separator {between!r}."
            ]
    return labels, []


def _numbered(texts: Sequence[str], class_names: list[str] | None) -> Sequence[Any]:
    """Return texts as integers if all are written as integers and none is a given name."""
    different = set(texts)
    if not different or (class_names is not None and different & set(class_names)):
        return texts
    if not all(INTEGER.fullmatch(text) for text in different):
        return texts
    number = {text: int(text) for text in different}
    return [number[text] for text in texts]


def _separated(cells: Cells, separator: str, class_names: list[str] | None) -> list[list[Any]]:
    wrong = next((i for i, cell in enumerate(cells.values) if not isinstance(cell, str | None)), None)
    if wrong is not None:
        raise UsageError(
            f"label_separator (--label-separator): is for labels in a text; {cells.called} holds "
            f"{cells.values[wrong]!r:.60} in {cells.tell(wrong)}."
        )
    sets = [[part for one in (cell or "").split(separator) if (part := one.strip())] for cell in cells.values]
    rest = iter(_numbered([label for of_one in sets for label in of_one], class_names))
    return [[next(rest) for _ in of_one] for of_one in sets]


def _names_of_columns(columns: list[str], class_names: list[str] | None) -> list[str]:
    """Return the classes of columns of 0 and 1: the columns' names, in the given order if there is one."""
    if class_names is not None and set(class_names) != set(columns):
        raise UsageError(
            f"class_names: expected the names of the label_columns in the order that classes shall have, "
            f"{', '.join(columns)}; got {', '.join(class_names)}."
        )
    return columns if class_names is None else class_names


def _labels_of_columns(columns: Sequence[tuple[str, Cells]]) -> list[list[str]]:
    """Return the names of the columns that hold 1 for each source."""
    labels: list[list[str]] = [[] for _ in columns[0][1].values]
    for name, cells in columns:
        values = cells.values
        wrong = [i for i, cell in enumerate(values) if not (isinstance(cell, str | int | float) and cell in THERE)]
        if wrong:
            raise SourceError(
                f"{cells.called}: expected 0 or 1 in each cell, but {len(wrong):,} hold something else:\n"
                f"{cells.listed(wrong)}\nDecide what unknown or uncertain ones are, and write 0 or 1."
            )
        for of_one, cell in zip(labels, values, strict=True):
            if THERE[cell]:
                of_one.append(name)
    return labels
