"""A pipeline that tells which of its transforms were applied to a record, what they drew, and where they filled."""

from __future__ import annotations

import math
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
    *("seed", "random_seed"),  # say nothing of what a record looks like
}
MAX_NUMBERS = 4  # of one parameter; more of them are a map or a matrix
SIDES = ("left", "top", "right", "bottom")
CUT_OFF = {"x_min", "x_max", "y_min", "y_max"}  # -1 where a rotation cuts no border off
TOLD = {"crop_coords", "holes", "matrix"}  # in other words than Albumentations'
MIN_SHIFT = 0.75  # pixels; the middle of some transforms lies half a pixel off


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


def _drawn(params: Mapping[str, Any]) -> Iterator[tuple[str, float | str]]:
    """Yield name and value of what a transform drew, as a reader would put it."""
    for name, value in params.items():
        told = _as_array(value) if name in TOLD else None
        if told is not None and name == "crop_coords" and told.shape == (len(SIDES),):
            yield from zip(SIDES, told.tolist(), strict=True)
        elif told is not None and name == "holes" and (not told.size or told.shape[1:] == (len(SIDES),)):
            yield from _holes(told.reshape(-1, len(SIDES)))
        elif told is not None and name == "matrix":
            yield from _motion(told, params)
        elif not (name in CUT_OFF and np.array_equal(value, -1)):
            yield from _plain(name, value)


def _as_array(value: Any) -> NDArray[np.float64] | None:
    """Return numbers as an array; None where a user's own transform gives something else by that name."""
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None


def _plain(name: str, value: Any) -> Iterator[tuple[str, float | str]]:
    """Yield each number and text of a parameter."""
    if name.rpartition(".")[2] in NOT_DRAWN:
        return
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _plain(f"{name}.{key}", one)
    elif isinstance(value, str | bool | np.bool_):
        yield name, str(value)
    elif isinstance(value, int | float | np.number):
        yield name, float(value)
    elif isinstance(value, list | tuple | np.ndarray) and _is_few(value):
        yield from ((f"{name}[{i}]", float(number)) for i, number in enumerate(np.ravel(value)))


def _holes(holes: NDArray[np.float64]) -> Iterator[tuple[str, float]]:
    """Yield how many holes there are, float64 [N, 4] of left, top, right, bottom, and their mean size in pixels."""
    yield "num_holes", float(len(holes))
    if len(holes):
        width, height = (holes[:, 2:] - holes[:, :2]).mean(axis=0).tolist()
        yield from (("hole_height", height), ("hole_width", width))


def _motion(matrix: NDArray[np.float64], params: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield what an affine matrix, [3, 3], does and no other parameter tells.

    That is the angle in degrees, counter-clockwise, and the shift of the middle in pixels.
    """
    if matrix.shape != (3, 3) or not np.array_equal(matrix[2], (0, 0, 1)):
        return
    if "rotate" not in params:
        yield "angle", math.degrees(math.atan2(-matrix[1, 0], matrix[0, 0]))
    if "shape" not in params:
        return  # a user's own code may hand over anything
    height, width = params["shape"][:2]
    if tuple(params.get("output_shape", (height, width))[:2]) != (height, width):
        return  # the image is made larger, so that all of it stays
    middle = np.array([width - 1, height - 1, 2]) / 2
    right, down, _ = (matrix @ middle - middle).tolist()
    if max(abs(right), abs(down)) > MIN_SHIFT:
        yield from (("shift.x", right), ("shift.y", down))


def _is_few(values: Any) -> bool:
    """Return whether these are a few numbers."""
    return 0 < len(values) <= MAX_NUMBERS and all(isinstance(one, int | float | np.number) for one in values)
