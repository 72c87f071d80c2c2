"""Weights and extra values from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from precompute.errors import UsageError
from precompute.sources.extras import WEIGHT, Extras, check_extra_name, column_of_values, weights_of
from precompute.sources.python.columns import list_of

if TYPE_CHECKING:
    from precompute.sources.source import Source

__all__ = ["extra_rows", "extras_of_sources"]


def extra_rows(extra: Any) -> list[dict[str, Any]] | None:
    """Return lists by name as a dictionary for each source.

    Raises:
        UsageError: They are no lists of equal length.
    """
    if extra is None:
        return None
    if not isinstance(extra, Mapping):
        raise UsageError(f"extra: expected a dictionary of lists by name, got {type(extra).__name__}.")
    if not extra:
        return None
    lists = {check_extra_name(name): list_of(f"extra: {name}", values) for name, values in extra.items()}
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"extra: expected lists of equal length, an entry for each image, got {lengths}.")
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def extras_of_sources(items: Sequence[Source]) -> Extras | None:
    """Return weights and extra values of sources as columns; None when there are none.

    Raises:
        SourceError: Some sources have none.
        UsageError: They do not all have the same names, or values are not what records hold.
    """

    def where(i: int) -> str:
        return repr(items[i].key)

    extras: Extras = {}
    if any(item.weight is not None for item in items):
        extras[WEIGHT] = weights_of([item.weight for item in items], where)
    names = list(items[0].extra or ())
    other = next((i for i, item in enumerate(items) if set(item.extra or ()) != set(names)), None)
    if other is not None:
        raise UsageError(
            f"extra: expected the same names for all sources, got {', '.join(names) or 'none'} for {where(0)}, "
            f"{', '.join(map(str, items[other].extra or ())) or 'none'} for {where(other)}."
        )
    for name in map(check_extra_name, names):
        extras[name] = column_of_values(name, [(item.extra or {})[name] for item in items], where)
    return extras or None
