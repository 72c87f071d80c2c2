"""A source, one original with its target; and many sources as columns."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, repeat
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import IMAGE_ONLY, SPLITS
from precompute.fields.column import Column, RecordFacts, columns_by_name
from precompute.fields.field import Field
from precompute.fields.skeleton import Skeleton
from precompute.fields.string_column import StringColumn, take
from precompute.storage.paths import as_path

__all__ = ["IMAGE_ONLY", "SPLITS", "Source", "Sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """One original: an image alone, or with its label or labels, mask, boxes, keypoints or masks of single objects.

    Attributes:
        key: Stable name, unique in the dataset; posix style, e.g. ``"shoes/0001"``.
        image: Path of the image file, or its URL in an object store.
        mask: Path of the mask file, which holds a class id in each pixel; for several masks a dictionary of them by
            name: the same names for all sources. None when there is none.
        label: Class name, or class index into ``class_names``; a list, tuple or set of them, which may be empty, where
            images have several labels; None when there is none.
        split: ``"train"``, ``"validation"``, ``"test"``, or None to let fractions decide.
        group: Sources of one group (a patient, a scene) always share a split; None when each stands alone.
        boxes: For each object (x_min, y_min, x_max, y_max, class), or with ``"crowd"``, ``"difficult"``,
            ``"truncated"`` or a list of these as a sixth entry; pixels of the image as it is shown upright, counted by
            edges: 0 is the left edge of the first pixel, the image's width the right edge of the last. An empty list
            for an image without objects; None when the sources have no boxes.
        instances: For each object (path of the file with its mask, class), or with ``"crowd"`` and the like as a third
            entry; the mask is 0 outside of the object. An empty list for an image without objects.
        keypoints: For each object its keypoints, all of them in one order: (x, y) or (x, y, visibility) each, 0 not
            labelled, 1 hidden, 2 visible; pixels counted as those of boxes are, None or NaN for a point that is not
            labelled. With `boxes`, in the same order as these; without, all objects are of one class. An array
            [K, 2 or 3] is one object. None when the sources have no keypoints.
        values: Numbers that a model shall learn, by name: the same names for all sources, None where one is missing.
        weight: How much the source counts in training, 0 or more; given for all sources or for none.
        extra: Values that travel along unchanged, by name: `int`, `float` or `str`; the same names for all sources.
        extra_images: Paths of further images, such as a depth map, by name; the same names for all sources. Each has
            the size of the image, and the pipeline says how it moves.
    """

    key: str
    image: str | Path
    mask: str | Path | Mapping[str, str | Path] | None = None
    label: str | int | Collection[str | int] | None = None
    split: str | None = None
    group: str | None = None
    boxes: Sequence[Sequence[Any]] | None = None
    instances: Sequence[Sequence[Any]] | None = None
    keypoints: Sequence[Any] | None = None
    weight: float | None = None
    extra: Mapping[str, Any] | None = None
    values: Mapping[str, float | None] | None = None
    extra_images: Mapping[str, str | Path] | None = None


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Sources as columns of equal length, sorted by key; ten million of them fit into memory.

    Texts of many sources stand in `StringColumn` and sizes in arrays, which read like lists; a class or a split is
    one object for all sources that have it.

    Attributes:
        root: Folder that relative paths start from, absolute; None when the paths came from Python and share none.
        keys: Key of each source; unique, sorted.
        images: Posix path of each image, below `root` (absolute when `root` is None).
        columns: Name of each field beside the image → its column: targets first, then values.
        splits: One of SPLITS or None for each source.
        groups: Group of each source, or None when no source has one.
        num_bytes: Size of each image file plus those of the files beside it.
        segments: Index of the segment of its split that each source belongs to, or None when each split has one.
        copies: Places of each source in every row, or None when each has one.
        names_by_field: Name of each target → the names of its classes in the order of their indices; empty for masks
            unless given.
        num_ignored_files: Number of files that were passed over (hidden, README.md, Thumbs.db …).
        passed: Ending of these files → their number, without hidden ones.
        passed_folders: Folder directly below the given one, or ``""`` for that itself → its own `passed`.
        own_folders: Folders that were passed over because this program wrote them.
        empty_folders: Folders in which images were expected and none lie.
        layout: What users call the way in which the sources were given: ``"a folder a class"``, ``"COCO"`` …
        notes: What the user should hear about how the sources were read.
        splits_are_new: Splits come from where older versions did not look; a dataset with other splits keeps them.
        from_python: Paths were given one by one in Python, not found in a folder.
    """

    root: Path | None
    keys: Sequence[str]
    images: Sequence[str]
    columns: Mapping[str, Column] = field(default_factory=dict)
    splits: list[str | None] = field(default_factory=list)
    groups: list[str | None] | None = None
    num_bytes: Sequence[int] = field(default_factory=list)
    segments: Sequence[int] | None = None
    copies: list[int] | None = None
    names_by_field: Mapping[str, list[str]] = field(default_factory=dict)
    num_ignored_files: int = 0
    passed: Mapping[str, int] = field(default_factory=dict)
    passed_folders: Mapping[str, Mapping[str, int]] = field(default_factory=dict, compare=False)
    own_folders: Sequence[str] = field(default=(), compare=False)
    empty_folders: Sequence[str] = field(default=(), compare=False)
    layout: str = field(default="", compare=False)
    notes: list[str] = field(default_factory=list)
    splits_are_new: bool = field(default=False, compare=False)
    from_python: bool = field(default=False, compare=False)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def targets(self) -> list[Column]:
        """The columns of what a model learns."""
        return [column for column in self.columns.values() if column.is_target]

    @property
    def kind(self) -> str:
        """What users call the targets: ``"keypoints"``, ``"mask"``, ``"class and numbers"`` …, or `IMAGE_ONLY`."""
        return " and ".join(dict.fromkeys(column.kind for column in self.targets)) or IMAGE_ONLY

    @property
    def leading_target(self) -> Column | None:
        """The target that strata and copies follow: the label, else the first; None without targets."""
        return next((column for column in self.targets if column.is_of_image), next(iter(self.targets), None))

    @property
    def masks(self) -> list[Column]:
        """The columns whose classes are the ids of pixels, which are known only when files are decoded."""
        return [column for column in self.columns.values() if column.has_class_ids]

    def names_of(self, name: str) -> list[str]:
        """Return the names of the classes of a field."""
        return self.names_by_field.get(name, [])

    @property
    def class_names(self) -> list[str]:
        """Names of the classes of the leading target."""
        return [] if self.leading_target is None else self.names_of(self.leading_target.name)

    def fields(self, facts: Callable[[Column], RecordFacts]) -> list[Field]:
        """Return the fields that records have beside the image: what a model learns, then the others by name."""
        others = sorted(name for name, column in self.columns.items() if not column.is_target)
        every = (*self.targets, *(self.columns[name] for name in others))
        return [column.field(facts(column)) for column in every]

    def raw(self, i: int) -> dict[str, Any]:
        """Return the raw value of each field of a source by the field's name, with the full paths of files."""
        return {name: column.located(column[i], self.path) for name, column in self.columns.items()}

    def files(self, i: int) -> list[Path]:
        """Return the full paths of the files beside the image of a source."""
        return [self.path(path) for column in self.columns.values() for path in column.files(column[i])]

    def image_classes(self, i: int) -> tuple[int, ...]:
        """Return the classes of the image of a source as a whole."""
        return next((column.classes(i) for column in self.targets if column.is_of_image), ())

    def class_each(self) -> Sequence[int] | None:
        """Return the class of each source, or None where sources have none or several."""
        return next((found for column in self.targets if (found := column.class_each()) is not None), None)

    def class_sets(self) -> Sequence[tuple[int, ...]] | None:
        """Return the classes of each source, or None where sources have none or one each."""
        return next((found for column in self.targets if (found := column.class_sets()) is not None), None)

    @property
    def has_files(self) -> bool:
        """Whether files are read beside the images."""
        return any(column.has_files for column in self.columns.values())

    @property
    def value_types(self) -> dict[str, str]:
        """Name of each value, as users know it → its type, as settings name it."""
        types = {column.own_name: column.value_type for column in self.columns.values()}
        return {name: of_value for name, of_value in types.items() if of_value is not None}

    @property
    def skeleton(self) -> Skeleton | None:
        """The skeleton of keypoints, or None without any."""
        return next((found for column in self.targets if (found := column.skeleton)), None)

    @property
    def keypoint_names(self) -> Sequence[str]:
        """Names of the keypoints, in their order; empty without keypoints."""
        return () if self.skeleton is None else self.skeleton.names

    # Positions of sources, and parts of the table.

    def num_copies(self, i: int) -> int:
        """Return how many places a source takes in every row."""
        return 1 if self.copies is None else self.copies[i]

    def position(self, key: str) -> int:
        """Return the position of the source with a key.

        Raises:
            KeyError: There is no such source.
        """
        i = bisect_left(self.keys, key)
        if i == len(self.keys) or self.keys[i] != key:
            raise KeyError(key)
        return i

    def path(self, relative: str) -> Path:
        """Return the full path of an entry of `images`, or of a file beside it."""
        return as_path(relative) if self.root is None else self.root / relative

    def take(self, indices: Sequence[int]) -> Sources:
        """Return the sources at these positions, in this order."""
        return replace(
            self,
            keys=StringColumn(take(self.keys, indices)),
            images=StringColumn(take(self.images, indices)),
            columns={name: column.take(indices) for name, column in self.columns.items()},
            splits=[self.splits[i] for i in indices],
            groups=None if self.groups is None else [self.groups[i] for i in indices],
            num_bytes=array("q", (self.num_bytes[i] for i in indices)),
            segments=None if self.segments is None else [self.segments[i] for i in indices],
            copies=None if self.copies is None else [self.copies[i] for i in indices],
            from_python=False,
        )

    def with_column(self, new: Column, instead_of: Column, names: list[str]) -> Sources:
        """Return the sources with one column replaced, and the names of its classes."""
        columns = (new if column is instead_of else column for column in self.columns.values())
        others = {name: of for name, of in self.names_by_field.items() if name != instead_of.name}
        return replace(self, columns=columns_by_name(*columns), names_by_field={**others, new.name: names})

    def with_names(self, name: str, names: list[str]) -> Sources:
        """Return the sources with other names for the classes of a field."""
        return replace(self, names_by_field={**self.names_by_field, name: names})

    def with_skeleton(self, skeleton: Skeleton) -> Sources:
        """Return the sources with another skeleton of their keypoints."""
        return replace(self, columns={name: column.with_skeleton(skeleton) for name, column in self.columns.items()})

    def with_classes(self, names: list[str]) -> Sources:
        """Return the sources with the classes of the leading target in another order, or among others.

        Each label keeps its meaning.
        """
        leading, index_of = self.leading_target, {name: i for i, name in enumerate(names)}
        if leading is None:
            return self
        return self.with_column(leading.relabelled([index_of[name] for name in self.class_names]), leading, names)

    def of_split(self, split: str) -> Iterator[int]:
        """Yield the positions of the sources of a split, in the order of their keys."""
        return (i for i, s in enumerate(self.splits) if s == split)

    def class_counts(self, split: str) -> dict[str, list[int]]:
        """Return for each field that counts classes how many sources of a split, or objects in them, each has."""
        chosen = list(self.of_split(split))
        counts = (
            (column.name, column.class_counts(chosen, len(self.names_of(column.name)))) for column in self.targets
        )
        return {name: found for name, found in counts if found}

    def keys_of(self, split: str) -> Iterator[str]:
        """Yield the keys of a split."""
        return compress(self.keys, (s == split for s in self.splits))

    def segments_of(self, split: str) -> Iterator[int] | None:
        """Return the segment of each source of a split; None when it has one."""
        return None if self.segments is None else compress(self.segments, (s == split for s in self.splits))

    def copies_of(self, split: str) -> Iterator[int]:
        """Yield how many places each source of a split takes."""
        copies = repeat(1, len(self)) if self.copies is None else self.copies
        return compress(copies, (s == split for s in self.splits))
