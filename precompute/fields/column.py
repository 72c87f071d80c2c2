"""Columns: the values of one field of many sources."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import eq
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from precompute.fields.field import Field, Schema
from precompute.fields.skeleton import Skeleton

__all__ = ["Column", "RecordFacts", "columns_by_name", "digest_of_fields"]

Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RecordFacts:
    """What is known of the records of a dataset besides its sources, as far as fields follow from it.

    Attributes:
        class_names: Name of each class; may be empty for masks.
        num_classes: Number of classes of masks; None while it is not known.
        ignore_class: The id of pixels that do not count, or None.
        encoding: Encoding of images: ``"jpeg"``, ``"png"`` or ``"raw"``.
        mask_dtype: ``"uint8"`` or ``"uint16"``; None where there are no masks.
    """

    class_names: Sequence[str]
    num_classes: int | None = None
    ignore_class: int | None = None
    encoding: str = "png"
    mask_dtype: str | None = None


class Column(ABC):
    """The values of one field, one a source, in the order of the sources.

    A table of sources, the listing on disk and a worker's block hold the same columns. The **listing** says of each
    source what `entry` returns, and columns are made of what it says by `of_entries`.

    Attributes:
        name: Name of the field in the schema.
        shared_key: Where an entry holds one object with the values of several columns: its key.
        is_target: A model learns the field, unless asked otherwise.
        has_files: Values name files beside the image.
        can_be: What records can be labelled with instead, as `--target` names it; see `as_target`.
        is_of_image: Its classes are those of the image as a whole, not of objects in it.
        no_class_each: What is said of sources that have no single class each.
    """

    name: str
    shared_key: ClassVar[str | None] = None
    is_target: ClassVar[bool] = True
    has_files: ClassVar[bool] = False
    can_be: ClassVar[tuple[str, ...]] = ()
    is_of_image: ClassVar[bool] = False
    no_class_each: str = "have none"

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of sources."""

    @abstractmethod
    def __getitem__(self, i: int) -> Any:
        """Return the value of one source; paths of files are as `located` takes them."""

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Column) and self.name == other.name and self.same(other)

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    @abstractmethod
    def field(self, facts: RecordFacts) -> Field:
        """Return the field that records have of these values."""

    @abstractmethod
    def take(self, indices: Sequence[int]) -> Self:
        """Return the values of the sources at these positions, in this order."""

    @classmethod
    @abstractmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the values of several columns of one field in turn; there is at least one."""

    def same(self, other: Column, here: bytes | bytearray | None = None) -> bool:
        """Return whether another column holds equal values, in one order.

        Args:
            other: The other one.
            here: For each of this one's sources, whether it counts (1) or is passed over (0); None: all count.
        """
        values = iter(self) if here is None else compress(self, here)
        num = len(self) if here is None else sum(here)
        return type(self) is type(other) and num == len(other) and all(map(eq, values, other))

    @property
    def own_name(self) -> str:
        """The name by which users know the field."""
        return self.name

    @property
    def value_type(self) -> str | None:
        """Type that settings name, where the field is a value: ``"int"``, ``"float"`` or ``"text"``."""
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
        """Return a column of a listing with what the listing does not hold, and its dataset's schema does."""
        return self

    @abstractmethod
    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source, as JSON has it, by the keys of an entry."""

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return for each of these sources what its line of JSON holds of it, with a comma and a space before it."""
        entries = (self.entry(i).items() for i in chosen)
        return [
            "".join(f', "{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in entry) for entry in entries
        ]

    @classmethod
    @abstractmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return the columns that checked entries hold under a key.

        Args:
            key: The key.
            entries: Key → value in each entry, also of other keys that belong to it; None where an entry has none.
                Under `key` itself each has one.
        """

    @classmethod
    @abstractmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse an entry whose value under a key is none that a build writes.

        Args:
            key: The key, which the entry may lack.
            entry: As it was read: values are of any type.
            where: Of the entry, for the message.

        Raises:
            DatasetError: The value cannot be used.
        """

    @classmethod
    def is_surely_fine(cls, values: Sequence[Any]) -> bool:
        """Return whether a look at the values of many entries at once finds none to look at closely."""
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
            class_names: Names of its classes.
            locate: Gives the full path of a file.
        """
        return self.located(self[i], locate)

    def files(self, value: Any) -> Sequence[str]:
        """Return the paths of the files beside the image that a value names."""
        return ()

    def digest(self, value: Any, hashes: Sequence[str]) -> str:
        """Return the sha256 that stands for the files of a value, from that of each."""
        raise NotImplementedError

    def files_text(self, value: Any) -> str:
        """Return what messages call the content of the files of a located value."""
        raise NotImplementedError

    def id_maps(self) -> Sequence[str]:
        """Return the paths of the files whose pixels are class ids, one a source; none where there are no such."""
        return ()

    def texts(self) -> Sequence[str]:
        """Return paths of files, which must be valid text."""
        return ()

    # Classes and objects.

    @property
    def counts(self) -> NDArray[np.int64] | None:
        """Number of objects of each source, or None where values are no objects."""
        return None

    @property
    def kind(self) -> str:
        """What users call a dataset that has this field as its target."""
        return self.name

    @property
    def has_pixels(self) -> bool:
        """Whether records hold masks of it."""
        return self.has_class_ids

    @property
    def has_class_ids(self) -> bool:
        """Whether its classes are the ids of pixels, which are known only when files are decoded."""
        return False

    @property
    def has_classes(self) -> bool:
        """Whether its values are of classes, which have names."""
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
        """Return the values with another index for each class that they have."""
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
        """Options of a build that are for such a field alone."""
        return ()

    @property
    def ignored_options(self) -> Sequence[str]:
        """Options of a build that would have no effect on such a field, though they have on others of its type."""
        return ()

    def lacks(self, target: str) -> str:
        """Return what is said of sources whose masks of objects shall become a target; empty: no masks are needed."""
        return "" if target == self.kind else "no masks of objects"

    def as_target(
        self, target: str, class_names: list[str], ignore_class: int | None
    ) -> tuple[Column, list[str], list[str]]:
        """Return the column as another target, the names of its classes, and what the user should hear of it.

        Args:
            target: What was asked for.
            class_names: Names of the classes so far.
            ignore_class: The id of pixels that do not count.

        Raises:
            UsageError: It cannot be that.
        """
        return self, class_names, []

    def notes(self) -> list[str]:
        """Return the notes that count what is in the images."""
        return []


def digest_of_fields(digests: Mapping[str, str]) -> str | None:
    """Return the sha256 that stands for the files beside an image; None without any.

    Args:
        digests: Name of each field that has files → sha256 of those.
    """
    if len(digests) < 2:
        return next(iter(digests.values()), None)
    return hashlib.sha256("".join(f"{digests[name]} {name}\n" for name in sorted(digests)).encode()).hexdigest()


def columns_by_name(*columns: Column | None) -> dict[str, Column]:
    """Return columns by the names of their fields; None is left out."""
    return {column.name: column for column in columns if column is not None}
