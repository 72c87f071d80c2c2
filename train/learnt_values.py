"""Which numbers of a dataset a model learns; loads nothing heavy."""

from __future__ import annotations

from precompute.fields.field import Schema

__all__ = ["VALUE", "learnt_values"]

VALUE = "value"  # the form of a field that holds a number


def learnt_values(schema: Schema) -> list[str]:
    """Return the names of the values that a model learns; none unless all targets are values."""
    targets = schema.targets
    if any(field.form != VALUE for field in targets.values()):
        return []
    return [field.own_name for field in targets.values()]
