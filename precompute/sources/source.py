"""What a source is: one original with its target, and many of them as columns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress, repeat
from pathlib import Path
from typing import Any

from precompute.boxes import BoxColumn, Boxes
from precompute.dataset.manifest import SPLITS, Label
from precompute.instances import Instances
from precompute.sources.instance_column import InstanceColumn
from precompute.storage.paths import as_path

__all__ = ["SPLITS", "Source", "Sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """One original: an image with its label, labels, mask, boxes or masks of single objects.

    Attributes:
        key: Stable name, unique in the dataset; posix style, e.g. ``"shoes/0001"``.
        image: Path of the image file, or its URL in an object store.
        mask: Path of the mask file, the class id in each pixel; None when there is a label instead.
        label: Class name, or class index into ``class_names``; a list, tuple or set of them, which may be empty, where
            images have several labels; None when there is a mask instead.
        split: ``"train"``, ``"validation"``, ``"test"``, or None to let fractions decide.
        group: Sources of one group (a patient, a scene) always share a split; None when each stands alone.
        boxes: For each object (x_min, y_min, x_max, y_max, class), or with ``"crowd"``, ``"difficult"``,
            ``"truncated"`` or a list of these as a sixth entry; pixels of the image as it is shown upright, counted by
            edges: 0 is the left edge of the first pixel, the image's width the right edge of the last. An empty list
            for an image without objects; None when the sources have no boxes.
        instances: For each object (path of the file with its mask, class), or with ``"crowd"`` and the like as a third
            entry; the mask is 0 outside of the object. An empty list for an image without objects.
    """

    key: str
    image: str | Path
    mask: str | Path | None = None
    label: str | int | Collection[str | int] | None = None
    split: str | None = None
    group: str | None = None
    boxes: Sequence[Sequence[Any]] | None = None
    instances: Sequence[Sequence[Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Sources as columns of equal length, sorted by key; ten million of them fit.

    Texts of many sources stand in `Texts` and sizes in arrays, which read like lists; a class or a split is one object
    for all sources that have it.

    Attributes:
        root: Folder that relative paths start from, absolute; None when the paths came from Python and share none.
        keys: Unique, sorted.
        images: Paths, posix, below `root` (absolute when `root` is None).
        masks: Likewise, or None when the target is a class.
        labels: Class index of each source into `class_names`, or None when it has none or several.
        label_sets: Class indices of each source, sorted, or None when it has one class or a mask.
        boxes: Of all sources, an `InstanceColumn` where objects have masks, or None when they have another target.
        splits: One of SPLITS or None for each source.
        groups: Group of each source, or None when no source has one.
        num_bytes: Size of the image file plus that of the mask file.
        copies: Places of each source in every row, or None when each has one.
        class_names: For classes, labels and boxes: the name of each index. For masks: empty unless given.
        strangers: Files that were passed over (hidden, README.md, Thumbs.db …): how many.
        notes: What the user should hear about how the sources were read.
    """

    root: Path | None
    keys: Sequence[str]
    images: Sequence[str]
    masks: Sequence[str] | None = None
    labels: list[int] | None = None
    label_sets: list[tuple[int, ...]] | None = None
    boxes: BoxColumn | None = None
    splits: list[str | None] = field(default_factory=list)
    groups: list[str | None] | None = None
    num_bytes: Sequence[int] = field(default_factory=list)
    copies: list[int] | None = None
    class_names: list[str] = field(default_factory=list)
    strangers: int = 0
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def kind(self) -> str:
        """The target that all have: ``"boxes"``, ``"instances"``, ``"mask"``, ``"multilabel"`` or ``"class"``."""
        if self.boxes is not None:
            return self.boxes.kind
        if self.masks is not None:
            return "mask"
        return "class" if self.label_sets is None else "multilabel"

    def label(self, i: int) -> Label | None:
        """Return the class or the classes of a source; None when it has a mask or boxes."""
        if self.label_sets is not None:
            return self.label_sets[i]
        return None if self.labels is None else self.labels[i]

    def classes(self, i: int) -> tuple[int, ...]:
        """Return all classes of a source, those of its boxes too; none when it has a mask."""
        if self.boxes is not None:
            return self.boxes.classes(i)
        label = self.label(i)
        return (label,) if isinstance(label, int) else label or ()

    def boxes_of(self, i: int) -> Boxes | None:
        """Return the boxes of a source; None when it has another target."""
        boxes = None if self.boxes is None else self.boxes.of(i)
        return boxes.located(self.path) if isinstance(boxes, Instances) else boxes

    @property
    def has_mask_files(self) -> bool:
        """Whether masks are read beside the images, one or several an image."""
        return self.masks is not None or isinstance(self.boxes, InstanceColumn)

    def num_copies(self, i: int) -> int:
        """Return how many places a source takes in every row."""
        return 1 if self.copies is None else self.copies[i]

    def position(self, key: str) -> int:
        """Return where a source stands, by its key.

        Raises:
            KeyError: There is no such source.
        """
        i = bisect_left(self.keys, key)
        if i == len(self.keys) or self.keys[i] != key:
            raise KeyError(key)
        return i

    def path(self, relative: str) -> Path:
        """Return the full path of an entry of `images` or `masks`."""
        return as_path(relative) if self.root is None else self.root / relative

    def take(self, indices: Sequence[int]) -> Sources:
        """Return the sources at these positions, in this order."""
        return Sources(
            root=self.root,
            keys=[self.keys[i] for i in indices],
            images=[self.images[i] for i in indices],
            masks=None if self.masks is None else [self.masks[i] for i in indices],
            labels=None if self.labels is None else [self.labels[i] for i in indices],
            label_sets=None if self.label_sets is None else [self.label_sets[i] for i in indices],
            boxes=None if self.boxes is None else self.boxes.take(indices),
            splits=[self.splits[i] for i in indices],
            groups=None if self.groups is None else [self.groups[i] for i in indices],
            num_bytes=[self.num_bytes[i] for i in indices],
            copies=None if self.copies is None else [self.copies[i] for i in indices],
            class_names=self.class_names,
            strangers=self.strangers,
            notes=self.notes,
        )

    def of_split(self, split: str) -> Iterator[int]:
        """Yield the positions of the sources of a split, in the order of their keys."""
        return (i for i, s in enumerate(self.splits) if s == split)

    def keys_of(self, split: str) -> Iterator[str]:
        """Yield the keys of a split."""
        return compress(self.keys, (s == split for s in self.splits))

    def copies_of(self, split: str) -> Iterator[int]:
        """Yield how many places each source of a split takes."""
        copies = repeat(1, len(self)) if self.copies is None else self.copies
        return compress(copies, (s == split for s in self.splits))
