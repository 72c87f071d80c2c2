"""What a source is: one original with its target, and many of them as columns."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, compress, repeat
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import IMAGE_ONLY, SPLITS, Label
from precompute.fields.boxes import BoxColumn, Boxes
from precompute.fields.instances import Instances
from precompute.fields.skeleton import Skeleton
from precompute.fields.value import field_name
from precompute.storage.paths import as_path
from precompute.table.extras import Extras, extras_of, take_extras
from precompute.table.instance_column import InstanceColumn

__all__ = ["IMAGE_ONLY", "SPLITS", "Source", "Sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """One original: an image with its label, labels, mask, boxes, keypoints or masks of single objects, or alone.

    Attributes:
        key: Stable name, unique in the dataset; posix style, e.g. ``"shoes/0001"``.
        image: Path of the image file, or its URL in an object store.
        mask: Path of the mask file, the class id in each pixel; None when there is a label instead, or nothing.
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
        keypoints: For each object its keypoints, all of them in one order: (x, y) or (x, y, visibility) each, 0 not
            labelled, 1 hidden, 2 visible; pixels counted as those of boxes are, None or NaN for a point that is not
            labelled. With `boxes`, in the same order as these; without, all objects are of one class. An array
            [K, 2 or 3] is one object. None when the sources have no keypoints.
        weight: How much it counts in training, 0 or more; for all sources or for none.
        extra: Values that travel along unchanged, by name: `int`, `float` or `str`; the same names for all sources.
    """

    key: str
    image: str | Path
    mask: str | Path | None = None
    label: str | int | Collection[str | int] | None = None
    split: str | None = None
    group: str | None = None
    boxes: Sequence[Sequence[Any]] | None = None
    instances: Sequence[Sequence[Any]] | None = None
    keypoints: Sequence[Any] | None = None
    weight: float | None = None
    extra: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Sources as columns of equal length, sorted by key; ten million of them fit.

    Texts of many sources stand in `StringColumn` and sizes in arrays, which read like lists; a class or a split is
    one object for all sources that have it.

    Attributes:
        root: Folder that relative paths start from, absolute; None when the paths came from Python and share none.
        keys: Unique keys, sorted.
        images: Paths of the images, posix, below `root` (absolute when `root` is None).
        masks: Paths of the masks, likewise, or None when the target is a class.
        labels: Class index of each source into `class_names`, or None when they have none or several.
        label_sets: Class indices of each source, sorted, or None when it has one class or a mask.
        boxes: Boxes, maybe with keypoints, an `InstanceColumn` where objects have masks, or None when they
            have another target.
        splits: One of SPLITS or None for each source.
        groups: Group of each source, or None when no source has one.
        num_bytes: Size of the image file plus that of the mask file.
        copies: Places of each source in every row, or None when each has one.
        extra: Weight and extra values of each source, or None when there are none.
        class_names: Name of each class index, of classes, labels and boxes. For masks: empty unless given.
        num_ignored_files: Files that were passed over (hidden, README.md, Thumbs.db …): how many.
        passed: Endings of these, each with its number; hidden files are left out.
        notes: Notes for the user on how the sources were read.
        skeleton: Skeleton of keypoints, or None without any.
        from_python: Their paths were given one by one, and searched for in no folder.
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
    extra: Extras | None = None
    class_names: list[str] = field(default_factory=list)
    num_ignored_files: int = 0
    passed: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skeleton: Skeleton | None = None
    from_python: bool = field(default=False, compare=False)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def kind(self) -> str:
        """The kind of target of all sources: ``"keypoints"``, ``"boxes"``, ``"mask"`` …, or `IMAGE_ONLY`."""
        if self.boxes is not None:
            return "keypoints" if self.skeleton is not None else self.boxes.kind
        if self.masks is not None:
            return "mask"
        if self.label_sets is not None:
            return "multilabel"
        return IMAGE_ONLY if self.labels is None else "class"

    @property
    def image_only(self) -> bool:
        """Whether these are images alone, without any target."""
        return self.kind == IMAGE_ONLY

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

    def raw(self, i: int) -> dict[str, Any]:
        """Return the raw value of each field of a source by the field's name, with the full paths of files."""
        values: dict[str, Any] = {}
        if self.boxes is not None:
            values["mask" if self.boxes.kind == "mask" else "objects"] = self.boxes_of(i)
        elif self.masks is not None:
            values["mask"] = str(self.path(self.masks[i]))
        elif self.label_sets is not None:
            values["labels"] = self.label_sets[i]
        elif self.labels is not None:
            values["label"] = self.labels[i]
        return values | {field_name(name): value for name, value in (self.extra_of(i) or {}).items()}

    def extra_of(self, i: int) -> dict[str, Any] | None:
        """Return weight and extra values of a source by their names; None when there are none."""
        return extras_of(self.extra, i)

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
            extra=take_extras(self.extra, indices),
            class_names=self.class_names,
            num_ignored_files=self.num_ignored_files,
            passed=self.passed,
            notes=self.notes,
            skeleton=self.skeleton,
        )

    def with_classes(self, names: list[str]) -> Sources:
        """Return the sources with their classes in another order, or among others; labels mean what they did."""
        index_of = {name: i for i, name in enumerate(names)}
        moved = [index_of[name] for name in self.class_names]
        return replace(
            self,
            class_names=names,
            labels=None if self.labels is None else [moved[label] for label in self.labels],
            label_sets=None
            if self.label_sets is None
            else [tuple(sorted(moved[label] for label in labels)) for labels in self.label_sets],
            boxes=None if self.boxes is None else self.boxes.relabelled(moved),
        )

    def of_split(self, split: str) -> Iterator[int]:
        """Yield the positions of the sources of a split, in the order of their keys."""
        return (i for i, s in enumerate(self.splits) if s == split)

    def class_counts(self, split: str) -> list[int]:
        """Return how many sources, or boxes, of a split each class has; empty where there are no such classes."""
        if self.kind == "mask":
            return []
        chosen = list(self.of_split(split))
        if self.boxes is not None:
            labels: Iterable[int] = self.boxes.take(chosen).labels.tolist()
        elif self.label_sets is not None:
            labels = chain.from_iterable(self.label_sets[i] for i in chosen)
        elif self.labels is not None:
            labels = (self.labels[i] for i in chosen)
        else:
            return []
        counts = Counter(labels)
        return [counts[index] for index in range(len(self.class_names))]

    def keys_of(self, split: str) -> Iterator[str]:
        """Yield the keys of a split."""
        return compress(self.keys, (s == split for s in self.splits))

    def copies_of(self, split: str) -> Iterator[int]:
        """Yield how many places each source of a split takes."""
        copies = repeat(1, len(self)) if self.copies is None else self.copies
        return compress(copies, (s == split for s in self.splits))
