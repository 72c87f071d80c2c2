"""Class names and indices from the labels that people have in lists: names, or numbers."""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.label_column import LabelColumn, LabelSetColumn
from precompute.sources.checks import class_order
from precompute.sources.unicode_forms import check_unicode_forms
from precompute.text.format import format_count

__all__ = ["Classes", "LabelSets", "has_several", "make_classes", "make_label_sets", "read_label"]


class Classes(NamedTuple):
    """Names of the classes, and the index of each source's class."""

    names: list[str]
    indices: list[int]
    notes: list[str]

    def column(self) -> LabelColumn:
        """Return the column of the sources' classes."""
        return LabelColumn(indices=self.indices)


class LabelSets(NamedTuple):
    """Names of the classes, and the indices of each source's classes, sorted."""

    names: list[str]
    sets: list[tuple[int, ...]]
    notes: list[str]

    def column(self) -> LabelSetColumn:
        """Return the column of the sources' classes."""
        return LabelSetColumn(sets=self.sets)


def has_several(labels: Sequence[Any], keys: Sequence[str]) -> bool:
    """Tell whether labels are lists, tuples or sets of labels: those of all sources, or of none.

    Raises:
        UsageError: Both kinds are there.
    """
    several = [isinstance(label, list | tuple | set | frozenset) for label in labels]
    if any(several) and not all(several):
        other = several.index(not several[0])
        raise UsageError(
            "labels: expected one label for each image, or a list of labels for each (a list of one for an image that "
            f"has one), got both: {labels[0]!r} for {keys[0]!r}, {labels[other]!r} for {keys[other]!r}."
        )
    return all(several)


def make_label_sets(
    labels: Sequence[Collection[object]], keys: Sequence[str], class_names: list[str] | None
) -> LabelSets:
    """Number the classes as `make_classes` does; a label that an image has twice counts once.

    Raises:
        UsageError: A label is neither a class name nor a class index, or names and numbers are mixed.
        SourceError: A label is not among `class_names`, or no image has any.
    """
    flat = [read_label(label, key) for of_source, key in zip(labels, keys, strict=True) for label in of_source]
    if not flat:
        raise SourceError(
            f"labels: expected a label for some of the images, got empty lists for all {len(labels):,} of them."
        )
    of_flat = [key for of_source, key in zip(labels, keys, strict=True) for _ in of_source]
    classes = make_classes(flat, of_flat, class_names)
    indices = iter(classes.indices)
    sets = [tuple(sorted({next(indices) for _ in of_source})) for of_source in labels]
    return LabelSets(classes.names, sets, classes.notes)


def read_label(label: object, key: str) -> str | int:
    """Return a label as plain text or number; NumPy's are accepted.

    Raises:
        UsageError: It is neither a class name nor a class index.
    """
    if isinstance(label, str):
        if not label:
            raise UsageError(f"labels: expected the name of a class for {key!r}, got an empty text.")
        return str(label)
    if not isinstance(label, bool):
        try:
            return operator.index(label)  # type: ignore[arg-type]
        except TypeError:
            pass
    shape = getattr(label, "shape", ())
    hint = " One number is expected, not one-hot: use argmax; for several labels, a list of them." if shape else ""
    raise UsageError(
        f"labels: expected a class name or a class index for {key!r}, "
        f"got {type(label).__name__} {'of shape ' + str(tuple(shape)) if shape else repr(label)}.{hint}"
    )


def make_classes(labels: Sequence[str | int], keys: Sequence[str], class_names: list[str] | None) -> Classes:
    """Number the classes: names in their order, numbers as they are when they run from 0 without gaps.

    Raises:
        UsageError: Names and numbers are mixed.
        SourceError: A label is not among `class_names`.
    """
    texts = [label for label in labels if isinstance(label, str)]
    numbers = [label for label in labels if not isinstance(label, str)]
    if texts and numbers:
        raise UsageError(
            f"labels: expected class names or class indices, got both: {format_count(len(texts), 'name')} "
            f"({texts[0]!r} …) and "
            f"{format_count(len(numbers), 'index', 'indices')} ({numbers[0]!r} …)."
        )
    return _from_names(texts, keys, class_names) if texts else _from_numbers(numbers, keys, class_names)


def _from_names(labels: list[str], keys: Sequence[str], class_names: list[str] | None) -> Classes:
    present = set(labels)
    check_unicode_forms(present, "labels")
    names = class_order(present) if class_names is None else class_names
    index = {name: i for i, name in enumerate(names)}
    unknown = [f"{label!r} of {key!r}" for label, key in zip(labels, keys, strict=True) if label not in index]
    if unknown:
        raise SourceError(
            f"Labels that class_names does not hold:\n{first_few(unknown)}\nIt holds: {', '.join(names)}."
        )
    return Classes(names, [index[label] for label in labels], _absent(names, present))


def _from_numbers(labels: list[int], keys: Sequence[str], class_names: list[str] | None) -> Classes:
    present = sorted(set(labels))
    if class_names is not None:
        count = len(class_names)
        wrong = [f"{label} of {key!r}" for label, key in zip(labels, keys, strict=True) if not 0 <= label < count]
        if wrong:
            raise SourceError(f"Labels that are no index into the {count} class_names:\n{first_few(wrong)}")
        return Classes(class_names, labels, _absent(class_names, {class_names[i] for i in present}))
    index = {number: i for i, number in enumerate(present)}
    notes = []
    if present != list(range(len(present))):
        notes.append(
            f"The labels {_shortened(present)} do not run from 0 without gaps: classes are numbered 0 to "
            f"{len(present) - 1} in their order and keep the numbers as names. Give class_names to keep the numbers."
        )
    return Classes([str(number) for number in present], [index[label] for label in labels], notes)


def _absent(names: list[str], present: set[str]) -> list[str]:
    absent = [name for name in names if name not in present]
    return [f"Classes without a source:\n{first_few(absent)}"] if absent else []


def _shortened(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")
