"""A pipeline that tells which of its transforms were applied to a record, what they drew, and where they filled."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from precompute.pipelines.box_rules import INDEX_FIELD
from precompute.pipelines.chances import Chance, chances
from precompute.pipelines.pipeline import Pipeline

__all__ = ["Firing", "TracingPipeline"]

COVERAGE = "coverage"  # a mask of the whole source: where it does not reach, pixels were filled
# What transforms are handed, or take from their own arguments, beside what they draw.
NOT_DRAWN = {
    *("shape", "output_shape", "rows", "cols", "interpolation", "mask_interpolation", "fill", "fill_mask", "kernel"),
    *("bboxes", "keypoints"),
}
MAX_NUMBERS = 4  # of one parameter; more of them are a map or a matrix


class Firing(NamedTuple):
    """One run of a transform.

    Attributes:
        position: Its position in `TracingPipeline.chances`.
        drawn: Name → number or text, of what it drew.
        seconds: Seconds that it took.
    """

    position: int
    drawn: Mapping[str, float | str]
    seconds: float


class TracingPipeline(Pipeline):
    """Makes the same records as a `Pipeline`, and keeps what happened in the last one.

    Args:
        pickled: A prepared `Compose`, pickled by value.

    Attributes:
        chances: Each transform with the share of records that it should be applied to.
        firings: Runs of transforms in the last record, in their order.
        filled: bool [H, W], pixels of the last record that do not come from the source; None where that cannot be told.
        kept: Numbers of the objects of the source that the last record still has; None where they carry none.
    """

    def __init__(self, pickled: bytes) -> None:
        super().__init__(pickled)
        self.chances: list[Chance] = chances(self._compose)
        self.firings: list[Firing] = []
        self.filled: NDArray[np.bool_] | None = None
        self.kept: NDArray[np.int64] | None = None
        for position, chance in enumerate(self.chances):
            # Albumentations calls this of the transform itself, and only when it is applied.
            chance.transform.apply_with_params = partial(self._run, position, chance.transform.apply_with_params)
        self._covered = next(value for value in range(1, 256) if value not in self.mask_fills)
        with warnings.catch_warnings():
            # That no transform moves boxes or keypoints was said when the pipeline was made; it would be said again.
            warnings.filterwarnings("ignore", message=r"Got processor for \w+, but no transform")
            self._compose.add_targets({COVERAGE: "mask"})
        self._covers = True

    def without_coverage(self) -> None:
        """Hand no mask of the source over any more, since a transform cannot move it, or looks at it."""
        self._covers = False

    @property
    def covers(self) -> bool:
        """Whether `filled` is told."""
        return self._covers

    def apply(self, image: NDArray[np.uint8], handed: Mapping[str, Any], **draw: Any) -> Mapping[str, Any]:
        """Return what a `Pipeline` returns; see there."""
        self.firings, self.filled = [], None
        if self._covers:
            handed = {**handed, COVERAGE: np.full(image.shape[:2], self._covered, np.uint8)}
        made = super().apply(image, handed, **draw)
        if self._covers:
            self.filled = made[COVERAGE] != self._covered
        self.kept = np.unique(np.asarray(made[INDEX_FIELD], np.int64)) if INDEX_FIELD in made else None
        return made

    def _run(self, position: int, run: Any, params: Mapping[str, Any], *args: Any, **data: Any) -> Any:
        start = time.perf_counter()
        made = run(params, *args, **data)
        self.firings.append(Firing(position, dict(_drawn(params)), time.perf_counter() - start))
        return made


def _drawn(params: Mapping[str, Any], around: str = "") -> Iterator[tuple[str, float | str]]:
    """Yield name and value of each number and text among parameters."""
    for name, value in params.items():
        if name in NOT_DRAWN:
            continue
        if isinstance(value, Mapping):
            yield from _drawn({str(key): one for key, one in value.items()}, f"{around}{name}.")
        elif isinstance(value, str | bool | np.bool_):
            yield around + name, str(value)
        elif isinstance(value, int | float | np.number):
            yield around + name, float(value)
        elif isinstance(value, list | tuple | np.ndarray) and _is_few(value):
            yield from ((f"{around}{name}[{i}]", float(number)) for i, number in enumerate(np.ravel(value)))


def _is_few(values: Any) -> bool:
    """Return whether these are a few numbers."""
    return 0 < len(values) <= MAX_NUMBERS and all(isinstance(one, int | float | np.number) for one in values)
