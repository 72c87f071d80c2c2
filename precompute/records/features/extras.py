"""Weight and extra values of a source as features of its records, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from precompute.errors import DatasetError
from precompute.records.example import Value

__all__ = ["EXTRA_KEY", "WEIGHT_KEY", "decode_extra", "extra_difference", "extra_features"]

WEIGHT = "weight"
WEIGHT_KEY = "augment/weight"
EXTRA_KEY = "extra/"
_TYPES = {int: "int", float: "float", str: "text", bytes: "text"}


def extra_features(extra: Mapping[str, Any]) -> dict[str, Value]:
    """Return features of values by name: `int` as int64, `float` as float32, `str` as UTF-8."""
    return {
        WEIGHT_KEY if name == WEIGHT else f"{EXTRA_KEY}{name}": value.encode() if isinstance(value, str) else value
        for name, value in extra.items()
    }


def decode_extra(features: Mapping[str, Any]) -> dict[str, Any]:
    """Return `weight` (float) and `extra` (name → value) of a record's features, each only where it is there.

    Raises:
        DatasetError: One is not a single value.
    """
    found: dict[str, Any] = {}
    for key, values in features.items():
        if key == WEIGHT_KEY or key.startswith(EXTRA_KEY):
            if values is None or len(values) != 1 or type(values[0]) not in _TYPES:
                raise DatasetError(f"{key}: expected one value, got {values!r:.60}.")
            value = _decoded(values[0], key)
            if key == WEIGHT_KEY:
                found["weight"] = value
            else:
                found.setdefault("extra", {})[key.removeprefix(EXTRA_KEY)] = value
    return found


def _decoded(value: Any, key: str) -> Any:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise DatasetError(f"{key}: expected text in UTF-8, got {value!r:.60}.") from error


def extra_difference(example: Mapping[str, Any], types: Mapping[str, str]) -> str | None:
    """Return how an example's weight and extra values differ from what the manifest says of all, or None."""
    values = {**example.get("extra", {}), **({WEIGHT: example["weight"]} if "weight" in example else {})}
    found = {name: _TYPES[type(value)] for name, value in values.items()}
    if found == dict(types):
        return None
    return f"its extra values are {_shown(found)}, expected {_shown(types)}"


def _shown(types: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in sorted(types.items())) or "none"
