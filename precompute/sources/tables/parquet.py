"""Parquet files → columns. Owns pyarrow, which comes with the extra `parquet`."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError

__all__ = ["open_parquet"]

INDEX = "__index_level_"  # what pandas calls an index without a name


def open_parquet(path: Path, content: bytes) -> tuple[list[str], Callable[[Sequence[str]], dict[str, Sequence[Any]]]]:
    """Open a Parquet file.

    Args:
        path: Path of the file, for messages.
        content: Content of the file.

    Returns:
        Names of its columns, and a function from some of them to their values as Python has them.

    Raises:
        UsageError: pyarrow is not installed.
        SourceError: It is no Parquet file.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(f"{path}: reading Parquet needs pyarrow: pip install 'augment-once[parquet]'.") from error

    def read(names: Sequence[str]) -> dict[str, Sequence[Any]]:
        table = parquet.read_table(io.BytesIO(content), columns=list(names))
        return {name: table.column(name).to_pylist() for name in names}

    try:
        schema = parquet.read_schema(io.BytesIO(content))
    except (pyarrow.ArrowException, OSError) as error:
        raise SourceError(
            f"{path}: this is no whole Parquet file ({error}). Write it again, or name it for what it is."
        ) from error
    return [name for name in schema.names if not name.startswith(INDEX)], read
