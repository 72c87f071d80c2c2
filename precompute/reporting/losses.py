"""What records lack that their sources have: pixels of classes, and objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from precompute.fields.column import Column
from precompute.fields.counts import Contents
from precompute.fields.field import Field
from precompute.reporting.observing import Observed, StoredRecord

__all__ = ["ClassPixels", "LossTally", "LostObjects"]

# Largest share of the image that an object of each size takes. Source: https://cocodataset.org/#detection-eval, whose
# limits of 32² and 96² pixels are meant for images of about 640×480.
SIZES = {"small (below 0.3 % of the image)": 0.003, "medium (below 3 %)": 0.03, "large": 1.0}


@dataclass(frozen=True, kw_only=True)
class ClassPixels:
    """Pixels of one class of a mask.

    Attributes:
        field: Name of the mask.
        class_name: Name of the class, or its id.
        before: Share of all pixels of the unaugmented sources, 0 to 1; None where not known.
        after: Share of all pixels of records.
        num_before: Number of sources that have the class.
        num_after: Number of records that have it.
        num_expected: Number of records whose source has it.
        num_lost: Number of those that lack it.
    """

    field: str
    class_name: str
    before: float | None
    after: float
    num_before: int | None
    num_after: int
    num_expected: int | None
    num_lost: int | None


@dataclass(frozen=True, kw_only=True)
class LostObjects:
    """Objects that records lack, of one group.

    Attributes:
        field: Name of the objects' field.
        group: Name of a class, or of a size.
        by: ``"class"`` or ``"size"``.
        num_before: Number that records would have if none were lost.
        num_after: Number that they have.
    """

    field: str
    group: str
    by: str
    num_before: int
    num_after: int

    @property
    def share(self) -> float:
        """Share that was lost, 0 to 1."""
        return 1 - self.num_after / self.num_before if self.num_before else 0.0


class LossTally:
    """Compares what sources and records hold of one field.

    Args:
        field: The field.
        column: Its values of all sources, from the listing; None where that has none.

    Attributes:
        num_emptied: Number of records without objects whose source has some; None where that is not known.
    """

    def __init__(self, field: Field, column: Column | None) -> None:
        self._field, self._column = field, column
        self.num_emptied: int | None = None
        self._pixels_before, self._pixels_after = Counter[int](), Counter[int]()
        self._with_before, self._with_after = Counter[int](), Counter[int]()
        self._expected, self._without = Counter[int](), Counter[int]()
        self._by_class = {"before": Counter[int](), "after": Counter[int]()}
        self._by_size = {"before": Counter[str](), "after": Counter[str]()}
        self._areas_before, self._areas_after = list[float](), list[float]()
        self._knows_sources = False
        self._names: dict[int, str] = {}

    def add(self, observed: Observed) -> None:
        """Count a source and its records."""
        source = self._source_contents(observed)
        if source is not None:
            self._knows_sources = True
            self._name_classes(source)
            self._pixels_before.update(source.class_pixels)
            self._with_before.update(source.class_pixels.keys())
            self._areas_before += (100 * source.areas).tolist()
        for record in observed.records:
            self._add_record(record, source, self._field.contents(record.example))

    def _source_contents(self, observed: Observed) -> Contents | None:
        if observed.source is None or self._field.name not in observed.source.values:
            return self._listed_contents(observed.position)
        height, width = observed.source.image.shape[:2]
        return self._field.source_contents(observed.source.values[self._field.name], (height, width))

    def _listed_contents(self, position: int) -> Contents | None:
        """Return the objects that a source has by the listing, without their sizes; None where it counts none."""
        if self._column is None or self._column.counts is None:
            return None
        counts = self._column.class_counts([position], len(self._field.classes))
        labels = np.repeat(np.arange(len(counts)), counts)
        areas = np.full(len(labels), np.nan)
        return Contents(labels=labels, areas=areas, has_objects=True, class_names=self._field.classes)

    def _add_record(self, record: StoredRecord, source: Contents | None, contents: Contents) -> None:
        self._pixels_after.update(contents.class_pixels)
        self._with_after.update(contents.class_pixels.keys())
        self._areas_after += (100 * contents.areas).tolist()
        self._by_class["after"].update(contents.labels.tolist())
        self._name_classes(contents)
        if source is None:
            return
        self._expected.update(source.class_pixels.keys())
        self._without.update(source.class_pixels.keys() - contents.class_pixels.keys())
        self._by_class["before"].update(source.labels.tolist())
        if contents.has_objects:
            emptied = len(source.labels) > 0 and not len(contents.labels)
            self.num_emptied = (self.num_emptied or 0) + emptied
            self._add_sizes(record, source, contents)

    def _name_classes(self, contents: Contents) -> None:
        found = {*contents.class_pixels, *contents.labels.tolist()} - self._names.keys()
        self._names |= {class_id: contents.class_name(class_id) for class_id in found}

    def _add_sizes(self, record: StoredRecord, source: Contents, contents: Contents) -> None:
        """Count objects by their size in the source, where those that are left are known by their numbers."""
        kept = None if record.trace is None else record.trace.kept
        if kept is None or len(kept) != len(contents.labels) or np.isnan(source.areas).any():
            return
        sizes = [next(name for name, limit in SIZES.items() if area < limit or limit == 1) for area in source.areas]
        self._by_size["before"].update(sizes)
        self._by_size["after"].update(sizes[number] for number in kept.tolist())

    def classes(self) -> Iterator[ClassPixels]:
        """Yield the pixels of each class of a mask."""
        totals = [max(1, pixels.total()) for pixels in (self._pixels_before, self._pixels_after)]
        for class_id in sorted(self._pixels_before.keys() | self._pixels_after.keys()):
            known = self._knows_sources
            yield ClassPixels(
                field=self._field.own_name,
                class_name=self._names[class_id],
                before=self._pixels_before[class_id] / totals[0] if known else None,
                after=self._pixels_after[class_id] / totals[1],
                num_before=self._with_before[class_id] if known else None,
                num_after=self._with_after[class_id],
                num_expected=self._expected[class_id] if known else None,
                num_lost=self._without[class_id] if known else None,
            )

    def lost(self) -> Iterator[LostObjects]:
        """Yield numbers of objects by class and by size, where those of sources are known."""
        name = self._field.own_name
        for class_id, number in sorted(self._by_class["before"].items()):
            after = self._by_class["after"][class_id]
            group = self._names[class_id]
            yield LostObjects(field=name, group=group, by="class", num_before=number, num_after=after)
        for size in SIZES:
            number, after = (self._by_size[when][size] for when in ("before", "after"))
            if number:
                yield LostObjects(field=name, group=size, by="size", num_before=number, num_after=after)

    def sizes(self) -> tuple[list[float], list[float]] | None:
        """Return the sizes of objects in sources and in records, % of the image; None without objects of known size."""
        before, after = ([size for size in sizes if size == size] for sizes in (self._areas_before, self._areas_after))
        return (before, after) if after else None
