"""Sources from a table of paths: CSV, TSV, JSON lines or Parquet, a line a source."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import add
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.path_column import PathColumn
from precompute.fields.string_column import StringColumn
from precompute.fields.value_column import ValueColumn
from precompute.options.build_options import BuildOptions
from precompute.sources.checks import check_class_names, check_keys
from precompute.sources.found import Found, FoundColumn
from precompute.sources.split_folders import EXPECTED_SPLITS, split_of
from precompute.sources.tables.columns import TableColumns, choose_columns
from precompute.sources.tables.files import Table, read_table
from precompute.sources.tables.labels import labels_of_cells, labels_of_columns
from precompute.sources.tables.paths import check_filled, file_sizes, find_paths, make_keys, shared_root
from precompute.sources.values import (
    check_extra_name,
    check_value_name,
    column_of_strings,
    column_of_values,
    each_once,
    numbers_of,
    weights_of,
)
from precompute.storage.paths import absolute, as_path
from precompute.text.format import format_count

__all__ = ["find_table"]

FOLDER_OPTIONS = ("images", "masks", "image_suffix", "mask_suffix", "split_in_key", "annotations", "drop_empty")


def find_table(path: Path, options: BuildOptions) -> Found:
    """Return the sources that a table lists.

    Args:
        path: Path of the table.
        options: Options that say which columns the table has, and where its paths start from.

    Raises:
        SourceError: The table or its files cannot be used as they are; with the lines.
        UsageError: An option makes no sense here, or it is not clear which column holds what.
    """
    _check_options(path, options)
    names = check_class_names(options.class_names)
    path = absolute(path)
    root = path.parent if options.root is None else absolute(as_path(options.root))
    if not root.is_dir():
        raise UsageError(
            f"root (--root): there is no folder {root}; expected the one that the table's paths start from."
        )
    table = read_table(path)
    columns = choose_columns(table, options)
    cells = table.read(columns.used())
    if not len(cells[columns.image]):
        raise SourceError(f"{path}: the table has a header and no line below it. Expected a line a source.")
    images, notes = find_paths(table, columns.image, cells[columns.image], root)
    masks, more = (None, list[str]())
    if columns.mask is not None:
        masks, more = find_paths(table, columns.mask, cells[columns.mask], root)
    num_bytes = file_sizes(table, images, root, "image")
    if masks is not None:
        num_bytes = array("q", map(add, num_bytes, file_sizes(table, masks, root, "mask")))
    keys = _keys(table, columns, cells, images, root)
    classes = _classes(table, columns, cells, keys, options.label_separator, names)
    base = shared_root([*images, *(masks or [])], root)
    fields = [] if classes is None else [classes]
    if masks is not None:
        fields.append(FoundColumn(PathColumn(paths=StringColumn(_below(base, masks)))))
    fields += map(FoundColumn, each_once(_values(table, columns, cells, options)))
    return Found(
        where=str(path),
        root=base,
        keys=keys,
        images=_below(base, images),
        fields=fields,
        splits=_splits(table, columns.split, cells, len(keys)),
        groups=_groups(table, columns.group, cells),
        num_bytes=num_bytes,
        names_groups=options.group_by in table.columns,
        class_names=names or [],
        notes=[*table.notes, columns.note, *notes, *more],
    )


def _check_options(path: Path, options: BuildOptions) -> None:
    given = [name for name in FOLDER_OPTIONS if getattr(options, name)]
    if given:
        raise UsageError(
            f"{given[0]} (--{given[0].replace('_', '-')}): is for folders, and {path} is a table: its columns say "
            "where images and masks lie. --root names the folder that their paths start from."
        )
    if options.label_separator == "":
        raise UsageError("label_separator (--label-separator): expected one or more characters, such as '|'.")


def _below(root: Path | None, paths: list[str]) -> list[str]:
    if root is None:
        return paths
    start = len(root.as_posix().rstrip("/")) + 1
    return [path[start:] for path in paths]


# Keys.


def _keys(
    table: Table, columns: TableColumns, cells: dict[str, Sequence[Any]], images: list[str], root: Path
) -> list[str]:
    if columns.key is None:
        _check_once(table, images, f"column {columns.image}: images that come again", _ONE_LINE)
        keys = make_keys(images, root)
        remedy = "Keys are the paths without their extensions; give others with --key-column."
    else:
        check_filled(table, columns.key, cells[columns.key], "Expected a name in each that no other source has.")
        keys = [str(cell) for cell in cells[columns.key]]
        remedy = f"Keys are those of column {columns.key}."
    _check_once(table, keys, "keys that come again", f"{remedy} Expected each once.")
    check_keys(keys, where=str(table.path), remedy=remedy)
    return keys


_ONE_LINE = (
    "Expected a line for each image. Where an image has several labels, put them into one cell and give "
    "--label-separator, or into columns of 0 and 1 and give --label-columns."
)


def _check_once(table: Table, texts: Sequence[str], what: str, remedy: str) -> None:
    if len(set(texts)) == len(texts):
        return
    first: dict[str, int] = {}
    duplicates = [i for i, text in enumerate(texts) if first.setdefault(text, i) != i]
    listed = table.listed(duplicates, lambda i: f", {table.where(first[texts[i]])}: {texts[i]}")
    raise SourceError(f"{table.path}: {what} ({len(duplicates):,}):\n{listed}\n{remedy}")


# Target, split and group.


def _classes(
    table: Table,
    columns: TableColumns,
    cells: dict[str, Sequence[Any]],
    keys: list[str],
    separator: str | None,
    names: list[str] | None,
) -> FoundColumn | None:
    if columns.labels:
        return labels_of_columns(table, {name: cells[name] for name in columns.labels}, keys, names)
    if columns.label is not None:
        return labels_of_cells(table, columns.label, cells[columns.label], keys, separator=separator, class_names=names)
    if separator is not None:
        raise UsageError(
            "label_separator (--label-separator): there is no column of labels; name it with --label-column."
        )
    return None


def _splits(table: Table, column: str | None, cells: dict[str, Sequence[Any]], num: int) -> list[str | None]:
    if column is None:
        return [None] * num
    words = cells[column]
    check_filled(table, column, words, "Expected train, validation or test in each.")
    counts = Counter(map(str, words))
    splits = {word: split_of(word) for word in counts}
    unknown = [f"{word!r} in {format_count(number, 'line')}" for word, number in counts.items() if splits[word] is None]
    if unknown:
        raise SourceError(
            f"{table.path}: column {column}: words that name no split:\n{first_few(unknown)}\n"
            f"Expected {EXPECTED_SPLITS}. If the column means something else, name another one, or none: "
            "--split-column ''."
        )
    return [splits[str(word)] for word in words]


def _groups(table: Table, column: str | None, cells: dict[str, Sequence[Any]]) -> list[str | None] | None:
    if column is None:
        return None
    check_filled(
        table,
        column,
        cells[column],
        "Expected the group (patient, scene) of each; a source that stands alone gets a group of its own.",
    )
    same: dict[str, str] = {}
    return [same.setdefault(text, text) for text in map(str, cells[column])]


def _values(
    table: Table, columns: TableColumns, cells: dict[str, Sequence[Any]], options: BuildOptions
) -> Iterator[ValueColumn]:
    def where(i: int) -> str:
        return f"{table.path}: {table.where(i)}"

    for name in map(check_value_name, columns.values):
        yield numbers_of(name, cells[name], where, options)
    if columns.weight is not None:
        yield weights_of(cells[columns.weight], where)
    for name in map(check_extra_name, columns.extra):
        of_cells = column_of_values if table.typed else column_of_strings
        yield of_cells(name, cells[name], where)
