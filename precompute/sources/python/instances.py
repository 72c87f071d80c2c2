"""Objects with masks from Python: for each image a list of mask files with their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.boxes import FLAGS
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.instances import Instances
from precompute.sources.classes import number_classes, read_label
from precompute.sources.found import FoundColumn

__all__ = ["Row", "number_objects", "read_rows", "sizes_of_sources"]

EXPECTED = "(path of the file with its mask, class), maybe with 'crowd', 'difficult' or 'truncated' as a third"


class Row(NamedTuple):
    """One object: its mask's file, its class, its flags."""

    path: str
    label: str | int
    flags: int


def read_rows(given: Sequence[Any], keys: Sequence[str], to_path: Callable[[Any, str, str], str]) -> list[list[Row]]:
    """Return the objects of each image.

    Args:
        given: For each image its rows, as `Source.instances` has them.
        keys: Keys of the images.
        to_path: From a path as it was given, ``"mask"`` and the key to an absolute path.

    Raises:
        UsageError: A row is not what it should be.
        SourceError: Two objects of an image have the same file.
    """
    rows = [list(_rows(of_image, key, to_path)) for of_image, key in zip(given, keys, strict=True)]
    again = [
        f"{key}: {row.path}"
        for of_image, key in zip(rows, keys, strict=True)
        for i, row in enumerate(of_image)
        if any(row.path == other.path for other in of_image[:i])
    ]
    if again:
        raise SourceError(f"instances: mask files that are named again for one image:\n{first_few(again)}")
    return rows


def _rows(of_image: Any, key: str, to_path: Callable[[Any, str, str], str]) -> Iterable[Row]:
    if isinstance(of_image, str | bytes) or not hasattr(of_image, "__iter__"):
        raise UsageError(f"instances of {key!r}: expected a list of objects, which may be empty, got {of_image!r:.60}.")
    for row in of_image:
        if isinstance(row, str | bytes) or not isinstance(row, Sequence) or len(row) not in (2, 3):
            raise UsageError(f"instances of {key!r}: expected {EXPECTED}; got {row!r:.80}.")
        yield Row(to_path(row[0], "mask", key), read_label(row[1], key), _flags(row[2], key) if len(row) == 3 else 0)


def _flags(given: Any, key: str) -> int:
    names = [given] if isinstance(given, str) else list(given or ())
    unknown = [name for name in names if name not in FLAGS]
    if unknown:
        raise UsageError(f"instances of {key!r}: expected 'crowd', 'difficult' or 'truncated', got {unknown[0]!r}.")
    return sum(FLAGS[name] for name in set(names))


def number_objects(
    rows: Sequence[Sequence[Row]], keys: Sequence[str], shapes: Sequence[str], class_names: list[str] | None
) -> FoundColumn:
    """Number the classes of objects.

    Args:
        rows: Rows of each image.
        keys: Keys of the images.
        shapes: Paths of all mask files below the sources' root, in order.
        class_names: Order of the classes, or None.

    Raises:
        SourceError: A class is not among `class_names`, or there is no object at all.
    """
    labels = [row.label for of_image in rows for row in of_image]
    if not labels:
        raise SourceError(f"instances: expected objects for some of the images, got empty lists for all {len(keys):,}.")
    of_label = [key for of_image, key in zip(rows, keys, strict=True) for _ in of_image]
    classes = number_classes(labels, of_label, class_names)
    rest = iter(zip(shapes, classes.indices, strict=True))
    column = InstanceColumn.of_instances(
        Instances.of_shapes([(*next(rest), row.flags) for row in of_image], None) for of_image in rows
    )
    return FoundColumn(column, classes.names, [*column.notes(), *classes.notes])


def sizes_of_sources(rows: Sequence[Sequence[Row]], num_bytes: Sequence[int]) -> list[int]:
    """Return the bytes of each source's files, from those of all images and then of all mask files."""
    images, masks = list(num_bytes[: len(rows)]), iter(num_bytes[len(rows) :])
    return [image + sum(islice(masks, len(of_image))) for image, of_image in zip(images, rows, strict=True)]
