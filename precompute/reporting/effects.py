"""What augmentation did to images, masks and objects, in a sample of records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precompute.fields.column import Column
from precompute.fields.field import Schema
from precompute.images.figures import FIGURES, image_figures
from precompute.reporting.losses import ClassPixels, LossTally, LostObjects
from precompute.reporting.observing import Observed

__all__ = ["BorderFill", "Effect", "Effects", "EffectsTally"]

BINS = 24
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
GRID = 16  # cells of the image a side
MEANING = (
    "Records should differ from their sources as much as images that the model will meet do, and keep what they are "
    "labelled with."
)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A figure of images, before and after augmentation.

    Attributes:
        name: ``"brightness"``, ``"contrast"``, ``"sharpness"``, ``"colour"``, or ``"object size"``.
        unit: What is counted, in words.
        edges: Edges of the bins of `before` and `after`.
        before: Number of unaugmented images (or objects) in each bin; empty where these are not known.
        after: Number of records (or objects in them) in each bin.
        before_quantiles: 5 %, 25 %, 50 %, 75 % and 95 % of them; empty where not known.
        after_quantiles: The same of records.
    """

    name: str
    unit: str
    edges: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    before_quantiles: tuple[float, ...]
    after_quantiles: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class BorderFill:
    """Where pixels do not come from the source, but from filling.

    Attributes:
        share: Share of all pixels of records, 0 to 1.
        num_records: Number of records that were looked at.
        num_filled: Number of those with such pixels.
        grid: Share of filled pixels in each cell of the image, rows from the top: 16 × 16.
    """

    share: float
    num_records: int
    num_filled: int
    grid: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What augmentation did to the data of one split.

    Attributes:
        split: Name of the split.
        num_sources: Number of sources that were looked at.
        num_records: Number of their records.
        baseline: What records are compared with, in words; empty if with nothing.
        images: Figures of images, and of the sizes of objects.
        classes: Pixels of each class, for masks.
        lost: Objects lost by class and by size.
        num_emptied: Number of records without objects whose source has some; None where not known, or no objects are.
        fill: Where borders were filled; None where not known.
        meaning: One sentence.
    """

    split: str
    num_sources: int
    num_records: int
    baseline: str
    images: tuple[Effect, ...]
    classes: tuple[ClassPixels, ...] = ()
    lost: tuple[LostObjects, ...] = ()
    num_emptied: int | None = None
    fill: BorderFill | None = None
    meaning: str


class EffectsTally:
    """Compares records with their unaugmented sources.

    Args:
        split: Name of the split.
        schema: Fields of the dataset.
        columns: Name of a field → its values of all sources of the split.
    """

    def __init__(self, split: str, schema: Schema, columns: Mapping[str, Column]) -> None:
        self._split = split
        self._before: dict[str, list[float]] = defaultdict(list)
        self._after: dict[str, list[float]] = defaultdict(list)
        self._fill = _FillTally()
        self._losses = {name: LossTally(field, columns.get(name)) for name, field in schema.items()}
        self._num_sources = self._num_records = self._num_remade = 0

    def add(self, observed: Observed) -> None:
        """Count a source and its records."""
        self._num_sources += 1
        self._num_records += len(observed.records)
        self._num_remade += observed.source is not None
        if observed.plain is not None:
            _add(self._before, image_figures(observed.plain))
        for record in observed.records:
            _add(self._after, image_figures(record.example["image"]))
            self._fill.add(None if record.trace is None else record.trace.filled)
        for losses in self._losses.values():
            losses.add(observed)

    def result(self) -> Effects | None:
        """Return the section; None where nothing was looked at."""
        if not self._num_records:
            return None
        sizes = [size for losses in self._losses.values() if (size := losses.sizes()) is not None]
        emptied = [losses.num_emptied for losses in self._losses.values() if losses.num_emptied is not None]
        remade = "the sources through the pipeline of validation"
        return Effects(
            split=self._split,
            num_sources=self._num_sources,
            num_records=self._num_records,
            baseline="" if not self._before else remade if self._num_remade else "the stored original row",
            images=(
                *(_effect(name, unit, self._before[name], self._after[name]) for name, unit in FIGURES.items()),
                *(_effect("object size", "share of the image, %", *size) for size in sizes),
            ),
            classes=tuple(one for losses in self._losses.values() for one in losses.classes()),
            lost=tuple(one for losses in self._losses.values() for one in losses.lost()),
            num_emptied=sum(emptied) if emptied else None,
            fill=self._fill.result(),
            meaning=MEANING,
        )


def _add(figures: dict[str, list[float]], found: dict[str, float]) -> None:
    for name, value in found.items():
        figures[name].append(value)


def _effect(name: str, unit: str, before: Sequence[float], after: Sequence[float]) -> Effect:
    every = np.array([*before, *after])
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    return Effect(
        name=name,
        unit=unit,
        edges=tuple(edges.tolist()),
        before=tuple(np.histogram(before, edges)[0].tolist()) if len(before) else (),
        after=tuple(np.histogram(after, edges)[0].tolist()),
        before_quantiles=_quantiles(before),
        after_quantiles=_quantiles(after),
    )


def _quantiles(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(np.quantile(values, QUANTILES).tolist()) if len(values) else ()


class _FillTally:
    """Counts pixels that do not come from sources."""

    def __init__(self) -> None:
        self._grid = np.zeros((GRID, GRID))
        self._num_records = self._num_filled = 0

    def add(self, filled: NDArray[np.bool_] | None) -> None:
        if filled is None:
            return
        self._num_records += 1
        if filled.any():
            self._num_filled += 1
            self._grid += _in_cells(filled)

    def result(self) -> BorderFill | None:
        if not self._num_records:
            return None
        grid = self._grid / self._num_records
        return BorderFill(
            share=float(grid.mean()),
            num_records=self._num_records,
            num_filled=self._num_filled,
            grid=tuple(tuple(row) for row in grid.round(4).tolist()),
        )


def _in_cells(filled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of filled pixels in each cell; a small image's pixels lie in several cells."""
    rows, columns = (_cells(side) for side in filled.shape)
    found: NDArray[np.float64] = rows @ filled @ columns.T / np.outer(rows.sum(axis=1), columns.sum(axis=1))
    return found


def _cells(side: int) -> NDArray[np.float64]:
    """Return which pixels of a side lie in each cell, at least one in each: 1 or 0, [GRID, side]."""
    ends, places = np.floor(np.linspace(0, side, GRID + 1)), np.arange(side)
    first = np.minimum(ends[:-1, None], side - 1)
    inside: NDArray[np.bool_] = (first <= places) & (places < np.maximum(ends[1:, None], first + 1))
    return inside.astype(np.float64)
