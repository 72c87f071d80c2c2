"""Options whose value may differ from field to field: one value, or one for each field by its name.

On the command line ``--num-classes 3`` or ``--num-classes fine=9 coarse=3``, in Python and TOML a dictionary.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from precompute.errors import UsageError
from precompute.text.names import NAME, flag, with_flag

__all__ = ["StoreByField", "by_field", "check_fields", "each_value", "of_field"]

_COLOR = re.compile(r"[0-9a-fA-F]{6}")  # as a mapping of colours may spell its keys


def by_field(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Return whether a value is a dictionary by names of fields, and not a value that is a dictionary itself."""
    return isinstance(value, Mapping) and bool(value) and all(map(_is_name, value))


def _is_name(key: object) -> bool:
    return isinstance(key, str) and bool(NAME.fullmatch(key)) and not _COLOR.fullmatch(key)


def of_field(value: Any, name: str) -> Any:
    """Return the value of an option for a field; None where others alone have one."""
    return value.get(name) if by_field(value) else value


def each_value(value: Any, function: Callable[[Any], Any]) -> Any:
    """Return the result of a function for a value, or for that of each field."""
    return {name: function(one) for name, one in value.items()} if by_field(value) else function(value)


class StoreByField(argparse.Action):
    """Stores one value, or a dictionary of those that are given by the names of fields."""

    takes_names = True  # so that the parser lets several `FIELD=…` follow one flag

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store a value; of one that is given twice without a name the last counts, as in other options."""
        before = getattr(namespace, self.dest, None)
        if by_field(values) and before is not None:
            if not by_field(before):
                raise argparse.ArgumentError(self, f"expected NAME=… each time, got {before!r:.60} too.")
            if again := values.keys() & before.keys():
                raise argparse.ArgumentError(self, f"{next(iter(again))} is given twice.")
            values = {**before, **values}
        elif by_field(before):
            raise argparse.ArgumentError(self, f"expected NAME=… each time, got {values!r:.60} too.")
        setattr(namespace, self.dest, values)


def check_fields(option: str, value: Any, known: Sequence[str], what: str, also: Sequence[str] = ()) -> None:
    """Refuse a value for fields that are not there, and one value where there are several fields that could have it.

    Args:
        option: Name of the option, which was given.
        value: Value of the option.
        known: Names of the fields that the option is for.
        what: What such fields have, for messages: ``"classes"``, ``"masks"``.
        also: Other names by which users know some of them.

    Raises:
        UsageError: The value cannot be told apart, or belongs to no field.
    """
    shown = with_flag(option)
    if not by_field(value):
        if len(known) > 1:
            raise UsageError(
                f"{shown}: {' and '.join(known)} have {what} of their own; say whose this is: "
                f"{flag(option)} {' '.join(f'{name}=…' for name in known)}"
            )
        return
    unknown = [name for name in value if name not in (*known, *also)]
    if unknown:
        raise UsageError(
            f"{shown}: no target called {unknown[0]!r} has {what}; those that have: {', '.join(known) or 'none'}."
        )
