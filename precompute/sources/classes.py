"""Names and order of classes, and class indices for labels in lists, which are names or numbers."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.label_column import LabelColumn, LabelSetColumn
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import of_field
from precompute.sources.found import FoundColumn
from precompute.sources.unicode_forms import check_unicode_forms
from precompute.text.format import format_count

__all__ = [
    "Classes",
    "check_class_names",
    "class_order",
    "given_names",
    "labels_column",
    "number_classes",
    "read_label",
]


_WHOLE_NUMBER = re.compile(r"-?[0-9]+")


class Classes(NamedTuple):
    """Names of the classes, and the index of each given label."""

    names: list[str]
    indices: list[int]
    notes: list[str]


def labels_column(labels: Sequence[Any], keys: Sequence[str], given: list[str] | None, called: str) -> FoundColumn:
    """Return a column of one class per source, or of any number where labels are lists; see `number_classes`.

    Args:
        labels: Names or indices of classes, or lists, tuples or sets of these; repeated ones count once.
        keys: Keys of the sources.
        given: The classes in the order that the user wants, or None.
        called: Name of the labels in messages.

    Raises:
        UsageError: A label is neither a class name nor an index; names and numbers, or lists and others, are mixed.
        SourceError: A label is not among the given names, or all lists are empty.
    """
    if not set(map(type, labels)) <= {str, int}:
        several = [isinstance(label, list | tuple | set | frozenset) for label in labels]
        if all(several):
            return _label_sets_column(labels, keys, given, called)
        if any(several):
            other = several.index(not several[0])
            raise UsageError(
                "labels: expected one label for each image, or a list of labels for each (a list of one for an image "
                f"that has one), got both: {labels[0]!r} for {keys[0]!r}, {labels[other]!r} for {keys[other]!r}."
            )
        labels = [read_label(label, key, called) for label, key in zip(labels, keys, strict=True)]
    classes = number_classes(labels, keys, given)
    return FoundColumn(LabelColumn(values=classes.indices), classes.names, classes.notes)


def _label_sets_column(
    labels: Sequence[Collection[object]], keys: Sequence[str], given: list[str] | None, called: str
) -> FoundColumn:
    read = [[read_label(label, key, called) for label in of] for of, key in zip(labels, keys, strict=True)]
    if not any(read):
        raise SourceError(
            f"{called}: expected a label for some of the images, got empty lists for all {len(labels):,} of them."
        )
    owners = [key for of_one, key in zip(read, keys, strict=True) for _ in of_one]
    classes = number_classes([label for of_one in read for label in of_one], owners, given)
    rest = iter(classes.indices)
    sets = [tuple(sorted({next(rest) for _ in of_one})) for of_one in read]
    return FoundColumn(LabelSetColumn(values=sets), classes.names, classes.notes)


def read_label(label: object, key: str, called: str = "labels") -> str | int:
    """Return a label as `str` or `int`; NumPy's types are accepted.

    Raises:
        UsageError: It is neither a class name nor a class index.
    """
    if isinstance(label, str):
        if not label:
            raise UsageError(f"{called}: expected the name of a class for {key!r:.80}, got an empty text.")
        return str(label)
    if not isinstance(label, bool):
        try:
            return operator.index(label)  # type: ignore[arg-type]
        except TypeError:
            pass
    shape = getattr(label, "shape", ())
    shown, hint = f" {label!r:.80}", "Write classes as texts or as integers."
    if shape:
        shown = f" of shape {tuple(shape)}"
        hint = "One number is expected, not one-hot: use argmax; for several labels, a list of them."
    raise UsageError(
        f"{called}: expected a class name or a class index for {key!r:.80}, got {type(label).__name__}{shown}. {hint}"
    )


def number_classes(labels: Sequence[str | int], owners: Sequence[str], names: list[str] | None) -> Classes:
    """Number classes: names in their order; numbers stay if they run from 0 without gaps.

    Args:
        labels: Names or indices.
        owners: Key of the source that each label belongs to.
        names: The classes in the order of the user or of a file; or None.

    Raises:
        UsageError: Names and numbers are mixed.
        SourceError: A label is not among the names.
    """
    texts = [label for label in labels if isinstance(label, str)]
    numbers = [label for label in labels if not isinstance(label, str)]
    if texts and numbers:
        raise UsageError(
            f"labels: expected class names or class indices, got both: {format_count(len(texts), 'name')} "
            f"({texts[0]!r} …) and {format_count(len(numbers), 'index', 'indices')} ({numbers[0]!r} …)."
        )
    return _from_numbers(numbers, owners, names) if numbers else _from_names(texts, owners, names)


def _from_names(labels: list[str], owners: Sequence[str], names: list[str] | None) -> Classes:
    present = set(labels)
    check_unicode_forms(present, "labels")
    names = class_order(present) if names is None else names
    index = {name: i for i, name in enumerate(names)}
    unknown = [f"{label!r:.80} of {key!r}" for label, key in zip(labels, owners, strict=True) if label not in index]
    if unknown:
        raise SourceError(
            f"Classes that class_names (--class-names) does not hold ({len(unknown):,}):\n{first_few(unknown)}\n"
            f"It holds: {', '.join(names)}."
        )
    return Classes(names, [index[label] for label in labels], [])


def _from_numbers(labels: list[int], owners: Sequence[str], names: list[str] | None) -> Classes:
    if names is not None:
        count = len(names)
        wrong = [f"{label} of {key!r}" for label, key in zip(labels, owners, strict=True) if not 0 <= label < count]
        if wrong:
            raise SourceError(f"Labels that are no index into the {count} class_names:\n{first_few(wrong)}")
        return Classes(names, labels, [])
    present = sorted(set(labels))
    index = {number: i for i, number in enumerate(present)}
    notes = []
    if present != list(range(len(present))):
        shown = ", ".join(map(str, present[:5])) + (" …" if len(present) > 5 else "")
        notes.append(
            f"The labels {shown} do not run from 0 without gaps: classes are numbered 0 to "
            f"{len(present) - 1} in their order and keep the numbers as names. Give class_names to keep the numbers."
        )
    return Classes([str(number) for number in present], [index[label] for label in labels], notes)


# Names of classes, and their order.


def given_names(options: BuildOptions, *fields: str) -> list[str] | None:
    """Return the class names that the user gave for a field, once they are checked; None where none were given.

    Args:
        options: Options of the build.
        fields: Name of the field; several where it may have either.
    """
    names = (of_field(options.class_names, field) for field in fields)
    return check_class_names(next((given for given in names if given is not None), None))


def check_class_names(
    class_names: Sequence[str] | None, where: str = "class_names (--class-names)"
) -> list[str] | None:
    """Return class names as a list, once they are checked.

    Args:
        class_names: Names from the option, or from a file.
        where: Origin of the names, for messages.

    Raises:
        UsageError: The names are not different, non-empty texts.
    """
    if class_names is None:
        return None
    if not class_names:
        raise UsageError(f"{where}: expected at least one name, got none.")
    if not all(class_names):
        raise UsageError(f"{where}: expected non-empty texts, got ''.")
    duplicates = sorted(name for name, count in Counter(class_names).items() if count > 1)
    if duplicates:
        raise UsageError(f"{where}: each name once, but these appear again:\n{first_few(duplicates)}")
    return list(class_names)


def class_order(names: Iterable[str]) -> list[str]:
    """Return the names of classes in the default order of their indices.

    Names that are all whole numbers are sorted as numbers (2 before 10), others as text.
    """
    names = list(names)
    if all(map(_WHOLE_NUMBER.fullmatch, names)):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)
