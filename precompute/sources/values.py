"""What travels along with a source unchanged: its weight, and extra values by name."""

from __future__ import annotations

import math
import numbers
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.value import WEIGHT
from precompute.fields.value_column import NAME, ValueColumn
from precompute.options.build_options import BuildOptions
from precompute.sources.rows.cells import Cells
from precompute.text.format import format_count

__all__ = [
    "check_extra_name",
    "check_value_name",
    "column_of_values",
    "each_once",
    "numbers_of",
    "values_of_texts",
    "weights_of",
]

MAX_FLOAT32 = 3.4e38  # rounded down

INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # as it would be printed: 007 is a text
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
MISSING = (
    "Fill them with what stands for unknown (-1, 0, unknown), leave those sources out, or leave the column out: "
    "records hold a value each."
)
MAX_TEXT_BYTES = 65_536


def check_extra_name(name: object) -> str:
    """Return a name that can be part of a record's key.

    Raises:
        UsageError: It cannot, or means something already.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UsageError(
            f"extra columns: expected a name of letters, digits and _, that begins with no digit, got {name!r:.80}. It "
            "becomes part of a key in the records: rename the column."
        )
    if name == WEIGHT:
        raise UsageError("extra columns: weight is what a source counts in training: give --weight-column, or weights.")
    return name


def check_value_name(name: object) -> str:
    """Return the name of numbers that are learnt.

    Raises:
        UsageError: It cannot be part of a record's key, or means something already.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name) or name == WEIGHT:
        raise UsageError(
            "value columns: expected a name of letters, digits and _, that begins with no digit and is not weight, got "
            f"{name!r:.80}. It becomes part of a key in the records: rename the column."
        )
    return name


def each_once(columns: Iterable[ValueColumn]) -> Iterator[ValueColumn]:
    """Yield columns of values, each of another name.

    Raises:
        UsageError: Two have the same.
    """
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


def numbers_of(name: str, cells: Cells, options: BuildOptions) -> ValueColumn:
    """Return numbers that a model shall learn, float32 in records; texts are read as numbers.

    Args:
        name: Name of the numbers.
        cells: One a source; None, not a number, or a text that is empty or says nan where it is missing.
        options: Options that say what becomes of missing values, and which numbers change their sign in a mirror.

    Raises:
        SourceError: Some are no finite numbers, or missing and not kept.
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


def _is_missing(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and value.strip().casefold() in ("", "nan"))


def _number(value: Any) -> float:
    """Return a finite number that float32 can hold, else not a number."""
    if isinstance(value, bool) or not isinstance(value, str | numbers.Real):
        return math.nan
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if abs(number) < MAX_FLOAT32 else math.nan


def column_of_values(name: str, cells: Cells) -> ValueColumn:
    """Return a column of values that have types; NumPy's are accepted, truth values become 0 and 1.

    Raises:
        SourceError: Values are missing.
        UsageError: They are of several types, or of none that records hold.
    """
    cells.check_filled(MISSING, texts_too=False)
    values, tell = cells.values, cells.tell
    kinds = [_type_of(value) for value in values]
    wrong = next((i for i, kind in enumerate(kinds) if kind is None), None)
    if wrong is not None:
        raise UsageError(
            f"{cells.called}: expected a whole number of 64 bits, a finite number or a text, got {values[wrong]!r:.80} "
            f"for {tell(wrong)}."
        )
    different = set(kinds)
    if different == {"int", "float"}:
        different = {"float"}
    if len(different) > 1:
        other = kinds.index(next(kind for kind in kinds if kind != kinds[0]))
        raise UsageError(
            f"{cells.called}: expected numbers or texts, got both: {values[0]!r:.60} for {tell(0)}, "
            f"{values[other]!r:.60} for {tell(other)}."
        )
    return ValueColumn.of(name, different.pop() or "", values)


def _type_of(value: Any) -> str | None:
    if isinstance(value, str):
        return "text" if _is_text(value) else None
    if isinstance(value, numbers.Integral | np.bool_):
        return "int" if -(2**63) <= int(value) < 2**63 else None
    if isinstance(value, numbers.Real):
        return "float" if math.isfinite(float(value)) and abs(float(value)) < MAX_FLOAT32 else None
    return None


def _is_text(value: str) -> bool:
    try:
        return len(value.encode()) <= MAX_TEXT_BYTES
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


def values_of_texts(texts: Sequence[str]) -> Sequence[Any]:
    """Return cells that are texts as what they say: numbers where all of them are written as such; None where empty."""
    if not all(texts):
        return [text or None for text in texts]
    if all(map(INTEGER.fullmatch, texts)):
        return list(map(int, texts))
    return list(map(float, texts)) if all(map(NUMBER.fullmatch, texts)) else texts


def weights_of(cells: Cells) -> ValueColumn:
    """Return weights of sources; texts are read as numbers.

    Raises:
        SourceError: Some are missing, or are no numbers of 0 or more.
    """
    found = [_weight(value) for value in cells.values]
    wrong = [i for i, number in enumerate(found) if number is None]
    if wrong:
        raise SourceError(
            f"{cells.called}: expected a number of 0 or more for each source, but {len(wrong):,} of {len(found):,} are "
            f"none:\n{cells.listed(wrong)}\nA source that counts as any other has 1."
        )
    return ValueColumn.of(WEIGHT, "float", (number or 0.0 for number in found))


def _weight(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | numbers.Real):
        return None
    try:
        weight = float(value)
    except ValueError:
        return None
    return weight if 0 <= weight < MAX_FLOAT32 else None
