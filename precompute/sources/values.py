"""Columns of values that travel along with sources: learnt numbers, weights, and extra values."""

from __future__ import annotations

import math
import numbers
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.value import WEIGHT
from precompute.fields.value_column import ValueColumn
from precompute.options.build_options import BuildOptions
from precompute.sources.field_names import check_extra_name, check_value_name
from precompute.sources.rows.cells import Cells, Rows
from precompute.text.format import format_count, is_unicode

__all__ = ["INTEGER", "columns_of_values", "values_of_texts"]

MAX_FLOAT32 = 3.4e38  # rounded down

INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # as it would be printed: 007 is a text
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
MISSING = (
    "Fill them with what stands for unknown (-1, 0, unknown), leave those sources out, or leave the column out: "
    "records hold a value each."
)
MAX_TEXT_BYTES = 65_536


def columns_of_values(rows: Rows, options: BuildOptions) -> Iterator[ValueColumn]:
    """Yield columns of learnt numbers, weights and extra values, each under a name of its own.

    Raises:
        UsageError: Values have a wrong type, or a name cannot be part of a record's key, or has another meaning.
        SourceError: Values are missing, or are not numbers.
    """
    for name, _ in rows.values:
        check_value_name(name)
    for name, _ in rows.extra:
        check_extra_name(name)
    columns = [_numbers_of(name, cells, options) for name, cells in rows.values]
    columns += [_weights_of(rows.columns["weight"])] if "weight" in rows.columns else []
    columns += [_column_of_values(name, cells) for name, cells in rows.extra]
    seen = set[str]()
    for column in columns:
        if column.name in seen:
            raise UsageError(
                f"{column.own_name}: it is named twice among the numbers that are learnt (--value-columns, values) "
                "and what travels along (--extra-columns, extra); expected each once: a number that is learnt can be "
                "read as well."
            )
        seen.add(column.name)
        yield column


def _numbers_of(name: str, cells: Cells, options: BuildOptions) -> ValueColumn:
    """Return a column of learnt numbers, float32 in records; texts are read as numbers.

    Args:
        name: Name of the numbers.
        cells: Cell of each source; None, NaN, an empty text or ``nan`` where the number is missing.
        options: Options for missing values, and for numbers that change their sign under mirroring.
    """
    values, found = cells.values, array("d", map(_number, cells.values))
    missing = [i for i, value in enumerate(found) if value != value and _is_missing(values[i])]
    wrong = [i for i, value in enumerate(found) if value != value and not _is_missing(values[i])]
    if wrong:
        raise SourceError(
            f"{cells.called}: expected a finite number in each, such as 12.5, but {len(wrong):,} of "
            f"{format_count(len(values), 'value is none', 'values are none')}:\n{cells.listed(wrong)}\nCorrect them, "
            "leave those sources out, or leave empty what is unknown and keep it with --missing-values nan."
        )
    if missing and options.missing_values == "refuse":
        raise SourceError(
            f"{cells.called}: {len(missing):,} of {format_count(len(values), 'value is', 'values are')} missing:\n"
            f"{first_few(missing, tell=cells.tell)}\nFill them, leave those sources "
            "out, or keep them as not a number with --missing-values nan: losses and scores leave them out."
        )
    negated = name in (options.mirror_negates or ())
    return replace(ValueColumn.of(name, "float", found), is_target=True, mirror_negates=negated)


def _weights_of(cells: Cells) -> ValueColumn:
    """Return weights of sources; texts are read as numbers."""
    found = array("d", map(_number, cells.values))
    wrong = [i for i, number in enumerate(found) if not number >= 0]
    if wrong:
        raise SourceError(
            f"{cells.called}: expected a number of 0 or more for each source, but {len(wrong):,} of {len(found):,} are "
            f"none:\n{cells.listed(wrong)}\nA source that counts as any other has 1."
        )
    return ValueColumn.of(WEIGHT, "float", found)


def _is_missing(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and value.strip().casefold() in ("", "nan"))


def _number(value: Any) -> float:
    """Return a finite number that float32 can hold, else NaN."""
    if isinstance(value, bool) or not isinstance(value, str | numbers.Real):
        return math.nan
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if abs(number) < MAX_FLOAT32 else math.nan


def _column_of_values(name: str, cells: Cells) -> ValueColumn:
    """Return a column of typed values; NumPy's types are accepted, and bools become 0 and 1."""
    cells.check_filled(MISSING, texts_too=False)
    values, tell = cells.values, cells.tell
    kinds = [_type_of(value) for value in values]
    wrong = next((i for i, kind in enumerate(kinds) if kind is None), None)
    if wrong is not None:
        raise UsageError(
            f"{cells.called}: expected a whole number of 64 bits, a finite number or a text, got {values[wrong]!r:.80} "
            f"for {tell(wrong)}."
        )
    different = {"float"} if set(kinds) == {"int", "float"} else set(kinds)
    if len(different) > 1:
        other = kinds.index(next(kind for kind in kinds if kind != kinds[0]))
        raise UsageError(
            f"{cells.called}: expected numbers or texts, got both: {values[0]!r:.60} for {tell(0)}, "
            f"{values[other]!r:.60} for {tell(other)}."
        )
    return ValueColumn.of(name, different.pop() or "", values)


def _type_of(value: Any) -> str | None:
    if isinstance(value, str):
        return "text" if is_unicode(value) and len(value.encode()) <= MAX_TEXT_BYTES else None
    if isinstance(value, numbers.Integral | np.bool_):
        return "int" if -(2**63) <= int(value) < 2**63 else None
    return "float" if isinstance(value, numbers.Real) and abs(float(value)) < MAX_FLOAT32 else None


def values_of_texts(texts: Sequence[str]) -> Sequence[Any]:
    """Return texts of cells as values: numbers where all are written as numbers; None for empty cells."""
    if not all(texts):
        return [text or None for text in texts]
    if all(map(INTEGER.fullmatch, texts)):
        return list(map(int, texts))
    return list(map(float, texts)) if all(map(NUMBER.fullmatch, texts)) else texts
