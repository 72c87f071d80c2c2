"""The columns of sources as tests compare them."""

from __future__ import annotations

from typing import Any

from precompute.fields.box_column import BoxColumn
from precompute.fields.file_column import ExtraImageColumn, NamedMaskColumn
from precompute.fields.value_column import ValueColumn
from precompute.table.sources import Sources

__all__ = ["boxes_of", "extra_images_of", "extra_of", "label_sets_of", "labels_of", "masks_of", "named_masks_of"]


def _values(sources: Sources, name: str) -> Any:
    """Return the values of a field as a list, or None where sources have no such field."""
    return list(sources.columns[name]) if name in sources.columns else None


def masks_of(sources: Sources) -> Any:
    """Return the paths of masks, below the root of the sources."""
    return _values(sources, "mask")


def labels_of(sources: Sources) -> Any:
    """Return the class of each source."""
    return _values(sources, "label")


def label_sets_of(sources: Sources) -> Any:
    """Return the classes of each source."""
    return _values(sources, "labels")


def boxes_of(sources: Sources) -> BoxColumn:
    """Return the column of objects."""
    column = sources.columns["objects"]
    assert isinstance(column, BoxColumn)
    return column


def extra_of(sources: Sources, i: int) -> dict[str, Any] | None:
    """Return weight and extra values of a source by their names; None when there are none."""
    values = [column for column in sources.columns.values() if isinstance(column, ValueColumn)]
    return {column.own_name: column[i] for column in values} or None


def named_masks_of(sources: Sources, i: int) -> dict[str, str] | None:
    """Return the paths of the masks of a source that have a name of their own; None when there are none."""
    columns = [column for column in sources.columns.values() if isinstance(column, NamedMaskColumn)]
    return {column.name: column[i] for column in columns} or None


def extra_images_of(sources: Sources, i: int) -> dict[str, str] | None:
    """Return the paths of the further images of a source by their names; None when there are none."""
    columns = [column for column in sources.columns.values() if isinstance(column, ExtraImageColumn)]
    return {column.name: column[i] for column in columns} or None
