"""Parquet files → columns. Owns pyarrow, which comes with the extra `parquet`."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError

__all__ = ["open_parquet"]

INDEX = "__index_level_"  # what pandas calls an index without a name


def open_parquet(
    path: Path, content: bytes | None
) -> tuple[list[str], dict[str, str], Callable[[Sequence[str]], dict[str, Sequence[Any]]]]:
    """Open a Parquet file.

    Args:
        path: Path of the file.
        content: Its content; None for a local file, which is read as far as it is needed.

    Returns:
        Names of its columns; of those that hold what no field can, what that is and what to do; and a function from
        some names to their values as Python has them.

    Raises:
        UsageError: pyarrow is not installed.
        SourceError: It is no Parquet file.
    """
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
    return names, unreadable, read


def _unreadable(name: str, of_type: Any) -> str:
    """Return what a column holds that no field can, and what to do; nothing where a field can hold it."""
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
