"""The types of columns that a listing of sources may hold."""

from __future__ import annotations

from precompute.fields.box_column import BoxColumn
from precompute.fields.column import Column
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.label_column import LabelColumn
from precompute.fields.path_column import PathColumn
from precompute.fields.value_column import ValueColumn

__all__ = ["COLUMN_TYPES"]

# Key of an entry → the type of column that reads its value.
COLUMN_TYPES: dict[str, type[Column]] = {
    "mask": PathColumn,
    "label": LabelColumn,
    "boxes": BoxColumn,
    "instances": InstanceColumn,
    "extra": ValueColumn,
}
