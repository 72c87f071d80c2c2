"""Columns: the values of one field of many sources."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, compress
from operator import eq
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from precompute.fields.field import Field, Schema
from precompute.fields.skeleton import Skeleton
from precompute.fields.string_column import take

__all__ = ["Column", "ListColumn", "RecordFacts", "columns_by_name", "digest_of_fields"]

Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RecordFacts:
    """Facts about a dataset's records that its sources do not tell and that its fields depend on.

    Attributes:
        class_names: Name of each class; may be empty for masks.
        num_classes: Number of classes of masks; None while it is not known.
        ignore_class: The id of pixels that do not count, or None.
        encoding: Encoding of images: ``"jpeg"``, ``"png"`` or ``"raw"``.
        mask_dtype: ``"uint8"`` or ``"uint16"``; None where there are no masks.
        attributes: Name of a field → its attributes that a sample of its values tells, or a pipeline.
    """

    class_names: Sequence[str]
    num_classes: int | None = None
    ignore_class: int | None = None
    encoding: str = "png"
    mask_dtype: str | None = None
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Column(ABC):
    """The values of one field, one per source, in the order of the sources.

    A table of sources, the listing on disk and a worker's block hold the same columns. The **listing** holds for each
    source what `entry` returns; `of_entries` makes columns from it again.

    Attributes:
        name: Name of the field in the schema.
        shared_key: Key of the entry's object that holds the values of several columns, if there is such an object.
        is_target: Whether a model learns the field, unless asked otherwise.
        has_files: Whether values name files beside the image.
        can_be: Targets that records can have instead, as `--target` names them; see `as_target`.
        is_of_image: Whether its classes are those of the image as a whole, not of objects in it.
        no_class_each: Message about sources that have no single class each.
    """

    name: str
    shared_key: ClassVar[str | None] = None
    is_target: ClassVar[bool] = True
    has_files: ClassVar[bool] = False
    can_be: ClassVar[tuple[str, ...]] = ()
    is_of_image: ClassVar[bool] = False
    no_class_each: str = "have none"
    are_equal = staticmethod(eq)  # of two values

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of sources."""

    @abstractmethod
    def __getitem__(self, i: int) -> Any:
        """Return the value of one source; paths of files are in the form that `located` takes."""

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Column) and self.name == other.name and self.same(other)

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    @abstractmethod
    def field(self, facts: RecordFacts) -> Field:
        """Return the field that these values have in records."""

    @abstractmethod
    def take(self, indices: Sequence[int]) -> Self:
        """Return the values of the sources at these positions, in this order."""

    @classmethod
    @abstractmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the values of several columns of one field in turn; there is at least one."""

    def same(self, other: Column, here: bytes | bytearray | None = None) -> bool:
        """Return whether another column holds equal values in the same order.

        Args:
            other: The other column.
            here: For each source of this column, whether it counts (1) or is passed over (0); None: all count.
        """
        values = iter(self) if here is None else compress(self, here)
        num = len(self) if here is None else sum(here)
        return type(self) is type(other) and num == len(other) and all(map(self.are_equal, values, other))

    @property
    def own_name(self) -> str:
        """The name by which users know the field."""
        return self.name

    @property
    def value_type(self) -> str | None:
        """Type by which settings name a value: ``"int"``, ``"float"`` or ``"text"``; None for other fields."""
        return None

    # The listing.

    @property
    def entry_key(self) -> str:
        """The key under which an entry of the listing holds the value."""
        return self.name

    @property
    def listed_name(self) -> str:
        """The name of the field when the column is read from a listing."""
        return self.name

    def described_by(self, schema: Schema) -> Column:
        """Return a column that was read from a listing, completed from its dataset's schema."""
        return self

    @abstractmethod
    def entry(self, i: int) -> dict[str, Any]:
        """Return the listing's entry of one source: key → value as JSON has it."""

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return for each of these sources the part of its JSON line, with a comma and a space before it."""
        entries = (self.entry(i).items() for i in chosen)
        return [
            "".join(f', "{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in entry) for entry in entries
        ]

    @classmethod
    @abstractmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return the columns that checked entries hold under a key.

        Args:
            key: The key, under which each entry has a value.
            entries: Key → value in each entry, None where it has none; also for other keys that belong to `key`.
        """

    @classmethod
    @abstractmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse an entry whose value under a key is not one that a build writes.

        Args:
            key: The key, which the entry may lack.
            entry: The entry as it was read: values may have any type.
            where: Place of the entry, for the message.

        Raises:
            DatasetError: The value cannot be used.
        """

    @classmethod
    def is_surely_fine(cls, values: Sequence[Any]) -> bool:
        """Return whether a quick look at the values of many entries shows that none needs `check_entry`."""
        return False

    def changed_keys(self, i: int, other: Column | None, j: int) -> set[str]:
        """Return the keys of an entry under which one source differs from another.

        Args:
            i: Position of the source.
            other: Column of the other source; None where it has none.
            j: Its position there.
        """
        mine, others = self.entry(i), {} if other is None else other.entry(j)
        return {key for key in mine.keys() | others.keys() if mine.get(key) != others.get(key)}

    # Files beside the image.

    def located(self, value: Any, locate: Callable[[str], Any]) -> Any:
        """Return a value with the full paths of its files."""
        return value

    def plain(self, i: int, class_names: Sequence[str], locate: Callable[[str], Any]) -> Any:
        """Return the value of one source as numbers, texts, lists and dictionaries.

        Args:
            i: Position of the source.
            class_names: Names of the column's classes.
            locate: Path of a file as the column holds it → full path.
        """
        return self.located(self[i], locate)

    def files(self, value: Any) -> Sequence[str]:
        """Return the paths of the files beside the image that a value names."""
        return ()

    def digest(self, value: Any, hashes: Sequence[str]) -> str:
        """Return one sha256 for all files of a value, from the sha256 of each."""
        raise NotImplementedError

    def files_text(self, value: Any) -> str:
        """Return what messages call the content of the files of a located value."""
        raise NotImplementedError

    def id_maps(self) -> Sequence[str]:
        """Return the paths of the files whose pixels are class ids, one per source; empty without such files."""
        return ()

    def texts(self) -> Sequence[str]:
        """Return the texts that must be valid UTF-8: paths of files."""
        return ()

    # Classes and objects.

    @property
    def counts(self) -> NDArray[np.int64] | None:
        """Number of objects of each source; None where values are no objects."""
        return None

    @property
    def kind(self) -> str:
        """What users call a dataset that has this field as its target."""
        return self.name

    @property
    def has_pixels(self) -> bool:
        """Whether records hold masks for this field."""
        return self.has_class_ids

    @property
    def has_class_ids(self) -> bool:
        """Whether its classes are the ids of pixels, which are known only when files are decoded."""
        return False

    @property
    def has_classes(self) -> bool:
        """Whether its values are classes, which have names."""
        return True

    def classes(self, i: int) -> tuple[int, ...]:
        """Return the classes of a source that are known, each once, sorted."""
        return ()

    def class_each(self) -> Sequence[int] | None:
        """Return the class of each source, or None where sources have none or several."""
        return None

    def class_sets(self) -> Sequence[tuple[int, ...]] | None:
        """Return the classes of each source, sorted, or None where sources have none or one each."""
        return None

    def class_counts(self, chosen: Sequence[int], num_classes: int) -> list[int]:
        """Return how many of these sources, or objects in them, each class has; empty where classes are not known."""
        return []

    def relabelled(self, new: Sequence[int]) -> Self:
        """Return the values with their class indices replaced."""
        return self

    @property
    def skeleton(self) -> Skeleton | None:
        """The skeleton of its keypoints, or None without any."""
        return None

    def with_skeleton(self, skeleton: Skeleton) -> Column:
        """Return the column with another skeleton of its keypoints, where it has keypoints."""
        return self

    # When sources are found.

    @property
    def own_options(self) -> Sequence[str]:
        """Options of a build that only such a field uses."""
        return ()

    @property
    def ignored_options(self) -> Sequence[str]:
        """Options of a build that have no effect on this field, though on others of its type."""
        return ()

    def lacks(self, target: str) -> str:
        """Return the message for sources whose masks of objects were asked for as a target; empty if it needs none."""
        return "" if target == self.kind else "no masks of objects"

    def as_target(
        self, target: str, class_names: list[str], ignore_class: int | None
    ) -> tuple[Column, list[str], list[str]]:
        """Return the column as another target, the names of its classes, and notes for the user.

        Args:
            target: The target that was asked for.
            class_names: Names of the classes so far.
            ignore_class: The id of pixels that do not count.

        Raises:
            UsageError: The column cannot be that target.
        """
        return self, class_names, []

    def notes(self) -> list[str]:
        """Return the notes that count what is in the images."""
        return []


@dataclass(frozen=True, kw_only=True, eq=False)
class ListColumn(Column):
    """A column that is one list of values.

    Attributes:
        values: Value of each source.
    """

    name: str
    values: Sequence[Any]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: int) -> Any:
        return self.values[i]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def take(self, indices: Sequence[int]) -> Self:
        """Return the values of the sources at these positions, in this order."""
        return replace(self, values=self._packed(take(self.values, indices)))

    @classmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the values of several columns in turn."""
        first, values = columns[0], chain.from_iterable(column.values for column in columns)
        return replace(first, values=first._packed(values))

    def _packed(self, values: Iterable[Any]) -> Sequence[Any]:
        """Return values in the form in which the column holds them."""
        return values if isinstance(values, list) else list(values)


def digest_of_fields(digests: Mapping[str, str]) -> str | None:
    """Return one sha256 for all files beside an image; None without such files.

    Args:
        digests: Name of each field that has files → sha256 of these files.
    """
    if len(digests) < 2:
        return next(iter(digests.values()), None)
    return hashlib.sha256("".join(f"{digests[name]} {name}\n" for name in sorted(digests)).encode()).hexdigest()


def columns_by_name(*columns: Column | None) -> dict[str, Column]:
    """Return columns by the names of their fields, without those that are None."""
    return {column.name: column for column in columns if column is not None}
