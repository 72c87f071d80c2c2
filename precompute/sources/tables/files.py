"""Tables as files: CSV, TSV, JSON lines and Parquet → columns."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from precompute.errors import SourceError, UsageError, first_few
from precompute.sources.rows.cells import Cells
from precompute.storage.paths import is_remote
from precompute.text.files import check_encoding, decode_text
from precompute.text.format import format_count

__all__ = ["TABLES", "Table", "is_table", "read_table"]

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
DELIMITERS = ",;\t"
INDEX = "__index_level_"  # what pandas calls an index without a name
CHUNK = 10_000  # rows that are put into columns together
MAX_DISTINCT = 20_000  # different texts of a column, until it is given up to find equal ones

Columns = dict[str, Sequence[Any]]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose header was read.

    Attributes:
        path: Path of its file.
        columns: Names of the columns, in order.
        typed: Whether its values have types; those of CSV are texts.
        read: Names of columns → their values; None or an empty text for empty cells.
        where: Number of a row, from 0 → its name in messages: ``"line 2"``.
        unreadable: Name of a column whose values no field can hold → what they are, and what to do.
        notes: Notes for the user on how the table is read.
    """

    path: Path
    columns: list[str]
    typed: bool
    read: Callable[[Sequence[str]], Columns]
    where: Callable[[int], str]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def cells(self, name: str, values: Sequence[Any]) -> Cells:
        """Return the values of a column, with its name for messages."""
        return Cells(f"{self.path}: column {name}", values, self.where)

    def check_readable(self, names: Sequence[str]) -> None:
        """Refuse columns whose values no field can hold.

        Raises:
            SourceError: There is such a column; the message says what the first holds and what to do.
        """
        for name in names:
            if name in self.unreadable:
                raise SourceError(f"{self.path}: column {name} holds {self.unreadable[name]}")


def is_table(path: Path) -> bool:
    """Return whether a path has the suffix of a table and is no folder."""
    return path.suffix.lower() in TABLES and not path.is_dir()


def read_table(path: Path) -> Table:
    """Open a table.

    Raises:
        SourceError: It is missing, empty, or not what its suffix says.
        UsageError: It is a Parquet file, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if path.exists() and not path.is_file():  # a pipe would wait for somebody to write
        raise SourceError(f"{path}: the table is no regular file; write it to one.")
    is_parquet, there = suffix == ".parquet", not is_remote(path)
    try:
        with path.open("rb") as file:
            content = file.read(4 if is_parquet and there else -1)
    except OSError as error:
        raise SourceError(f"{path}: the table cannot be read: {error.strerror}.") from error
    if not content.strip():
        raise SourceError(f"{path}: the table is empty. Expected a line a source.")
    if is_parquet:
        return _open_parquet(path, None if there else content)
    encoding = check_encoding(content, path)
    if suffix in (".jsonl", ".ndjson"):
        return _open_json_lines(path, decode_text(content, path))
    return _open_csv(path, content, encoding, "\t" if suffix == ".tsv" else None)


# CSV.


def _open_csv(path: Path, content: bytes, encoding: str, delimiter: str | None) -> Table:
    csv_file = _Csv(path, content, encoding, delimiter or _delimiter(content, encoding))
    shown = f"{path.name}: columns are separated by {csv_file.delimiter!r}."
    header = [name.strip() for name in next((row for _, row in csv_file.rows()), [])]
    duplicates = sorted({name for name in header if name and header.count(name) > 1})
    if duplicates:
        raise SourceError(f"{path}: columns that come again: {', '.join(duplicates)}. Expected each name once.")
    return Table(
        path=path,
        columns=header,
        typed=False,
        read=csv_file.read,
        where=lambda i: f"line {next(islice(csv_file.rows(), i + 1, None))[0]}",
        notes=[shown] if delimiter is None and csv_file.delimiter != "," else [],
    )


def _delimiter(content: bytes, encoding: str) -> str:
    """Return the delimiter of columns: the most frequent of comma, semicolon and tab in the header, else a bar."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding)
    header = next((line for line in text if line.strip()), "")
    found = max(DELIMITERS, key=header.count)
    return found if found in header or "|" not in header else "|"


class _Csv(NamedTuple):
    """A CSV file that was read as bytes."""

    path: Path
    content: bytes
    encoding: str
    delimiter: str

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows that are not empty, the header first, each with the number of its last line."""
        with self._reader() as reader:
            yield from ((reader.line_num, row) for row in reader if row)

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        """Yield a reader of all lines; its errors name the line."""
        text, skips = io.TextIOWrapper(io.BytesIO(self.content), self.encoding, newline=""), self.delimiter != "\t"
        reader = csv.reader(text, delimiter=self.delimiter, skipinitialspace=skips, strict=True)
        try:
            yield reader
        except csv.Error as error:
            raise SourceError(
                f"{self.path}: line {reader.line_num}: {error}. Is there a quotation mark that is not closed, or one "
                'inside of a cell? Inside of quoted cells it is written twice: "".'
            ) from error

    def read(self, names: Sequence[str]) -> Columns:
        """Return some columns, reading many rows at a time; equal texts are one object."""
        header = next(self.rows())[1]
        chosen = [[name.strip() for name in header].index(name) for name in names]
        columns: list[list[str]] = [[] for _ in names]
        same: list[dict[str, str]] = [{} for _ in names]
        with self._reader() as reader:
            while next(reader) != header:
                pass
            while chunk := list(islice(reader, CHUNK)):
                lengths = set(map(len, chunk))
                if lengths - {0, len(header)}:
                    raise SourceError(_ragged(self.path, self.rows(), len(header)))
                whole = list(zip(*(filter(None, chunk) if 0 in lengths else chunk), strict=True))
                for column, seen, i in zip(columns, same, chosen, strict=True):
                    cells = map(str.strip, whole[i] if whole else ())
                    column.extend(
                        cells if len(seen) > MAX_DISTINCT else [seen.setdefault(cell, cell) for cell in cells]
                    )
        return dict(zip(names, columns, strict=True))


def _ragged(path: Path, rows: Iterator[tuple[int, list[str]]], num: int) -> str:
    lines = [f"line {line}: {len(row)}" for line, row in rows if len(row) != num]
    return (
        f"{path}: expected {format_count(num, 'cell')} in each line, as in the header, but "
        f"{format_count(len(lines), 'line has', 'lines have')} others:\n{first_few(lines)}\n"
        "Cells that hold the separator stand in quotation marks."
    )


# JSON lines.


def _open_json_lines(path: Path, text: str) -> Table:
    entries, lines, wrong = [], [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            wrong.append(f"line {number}: {error}")
            continue
        if not isinstance(entry, dict):
            wrong.append(f"line {number}: {line[:60]}")
            continue
        entries.append(entry)
        lines.append(number)
    if wrong:
        raise SourceError(
            f'{path}: expected a JSON object in each line, such as {{"image": "a.jpg", "label": "cat"}}, but '
            f"{format_count(len(wrong), 'line')} cannot be read as one:\n{first_few(wrong)}\nMend them."
        )
    columns = list(dict.fromkeys(name for entry in entries for name in entry))
    return Table(
        path=path,
        columns=columns,
        typed=True,
        read=lambda names: {name: [entry.get(name) for entry in entries] for name in names},
        where=lambda i: f"line {lines[i]}",
    )


# Parquet: owns pyarrow, which comes with the extra `parquet`.


def _open_parquet(path: Path, content: bytes | None) -> Table:
    """Open a Parquet file: from `content`, or else from the disk, of which only the needed parts are read."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(f"{path}: reading Parquet needs pyarrow: pip install 'augment-once[parquet]'.") from error

    def opened() -> Any:
        return parquet.ParquetFile(path if content is None else io.BytesIO(content))

    def read(names: Sequence[str]) -> dict[str, Sequence[Any]]:
        with opened() as file:
            table = file.read(columns=list(names))
        return {name: table.column(name).to_pylist() for name in names}

    try:
        with opened() as file:
            schema = file.schema_arrow
    except (pyarrow.ArrowException, OSError) as error:
        raise SourceError(
            f"{path}: this is no whole Parquet file ({error}). Write it again, or name it for what it is."
        ) from error
    names = [name for name in schema.names if not name.startswith(INDEX)]
    unreadable = {name: text for name in names if (text := _unreadable(name, schema.field(name).type))}
    return Table(path=path, columns=names, typed=True, read=read, where=lambda i: f"row {i}", unreadable=unreadable)


def _unreadable(name: str, of_type: Any) -> str:
    """Return what a column holds if no field can hold it, and what to do; an empty text where a field can."""
    from pyarrow import types

    inner = of_type.value_type if _is_list(of_type) or types.is_dictionary(of_type) else of_type
    is_binary = any(test(inner) for test in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary))
    if types.is_struct(inner) and {"bytes", "path"} <= {one.name for one in inner}:
        return (
            f"images as bytes, as Hugging Face writes them ({of_type!s:.80}), and these are not read: write each to a "
            f"file, such as Path(name).write_bytes(row[{name!r}]['bytes']) for each row of "
            "pyarrow.parquet.read_table(…).to_pylist(), and put its path in their place."
        )
    if is_binary:
        return (
            f"bytes ({of_type!s:.80}), and these are not read: write each to a file, and put its path in their place."
        )
    if types.is_nested(inner):
        return f"{of_type!s:.80}, which no field can hold; expected texts, numbers, or lists of labels."
    return ""


def _is_list(of_type: Any) -> bool:
    from pyarrow import types

    return any(test(of_type) for test in (types.is_list, types.is_large_list, types.is_fixed_size_list))
