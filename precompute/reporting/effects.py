"""What augmentation did to images, masks and objects, in a sample of records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from precompute.fields.column import Column
from precompute.fields.field import Schema
from precompute.images.figures import FIGURES, image_figures
from precompute.reporting.losses import LossTally
from precompute.reporting.observing import Observed
from precompute.reporting.sections.effects import BorderFill, Effect, Effects

__all__ = ["EffectsTally"]

BINS = 24
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
GRID = 16  # cells of the image a side
MEANING = (
    "Records should differ from their sources as much as images that the model will meet do, and keep what they are "
    "labelled with."
)


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
    sums = np.pad(filled.cumsum(0, np.int64).cumsum(1), ((1, 0), (1, 0)))
    lows, highs = zip(*(_bounds(side) for side in filled.shape), strict=True)
    rows, columns = (np.ix_(*ends) for ends in ((lows[0], lows[1]), (highs[0], highs[1])))
    crossed = sums[np.ix_(lows[0], highs[1])], sums[np.ix_(highs[0], lows[1])]
    pixels = np.outer(highs[0] - lows[0], highs[1] - lows[1])
    found: NDArray[np.float64] = (sums[columns] - crossed[0] - crossed[1] + sums[rows]) / pixels
    return found


def _bounds(side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each cell begins and ends along a side, at least one pixel long."""
    ends = np.linspace(0, side, GRID + 1)
    first = np.minimum(np.floor(ends[:-1]).astype(np.int64), side - 1)
    return first, np.maximum(np.floor(ends[1:]).astype(np.int64), first + 1)
