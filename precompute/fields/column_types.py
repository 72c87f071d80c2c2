"""The types of columns that the listing of a dataset's sources may hold."""

from __future__ import annotations

from precompute.fields.box_column import BoxColumn
from precompute.fields.column import Column
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.label_column import LabelColumn
from precompute.fields.path_column import PathColumn
from precompute.fields.value_column import ValueColumn

__all__ = ["COLUMN_TYPES"]

# The key of an entry, and the column that reads what stands under it.
COLUMN_TYPES: dict[str, type[Column]] = {
    "mask": PathColumn,
    "label": LabelColumn,
    "boxes": BoxColumn,
    "instances": InstanceColumn,
    "extra": ValueColumn,
}
