"""Class ids that a pipeline may return: those of its input, and those that its transforms fill masks with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cloudpickle
import cv2
import numpy as np
from numpy.typing import NDArray

from precompute.errors import PipelineError, RejectedSource
from precompute.pipelines.transforms import default_of, is_custom, leaves, shown_name

__all__ = [
    "AllowedIds",
    "UnknownIds",
    "blending_transforms",
    "check_mask_rules",
    "mask_fills",
    "pickled_fills",
    "set_missing_fills",
]

MAX_ID = 65_535
KEEPING = (cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT)
FILL_ARGUMENTS = ("fill_mask", "mask_drop_value")


class UnknownIds(RejectedSource):
    """A pipeline made class ids that neither the source's mask nor a fill has."""


@dataclass(frozen=True)
class AllowedIds:
    """The ids that a mask may hold, as a table with which checking 256×256 pixels takes a few µs, 30 at most.

    Attributes:
        table: uint8 [65536]: 0 for ids that are allowed, else 1.
        top: The largest allowed id when all below it are allowed too, else None.
    """

    table: NDArray[np.uint8]
    top: int | None

    @classmethod
    def of(cls, ids: Collection[int]) -> AllowedIds:
        """Make the table from ids, each given once."""
        table, top = np.ones(MAX_ID + 1, np.uint8), max(ids, default=-1)
        table[[*ids]] = 0
        return cls(table=table, top=top if top == len(ids) - 1 else None)

    def unknown(self, mask: NDArray[Any]) -> list[int]:
        """Return the ids of a mask that are not allowed."""
        if self._all_known(mask):
            return []
        present = np.flatnonzero(np.bincount(mask.reshape(-1)))
        return [int(i) for i in present if self.table[i]]

    def _all_known(self, mask: NDArray[Any]) -> bool:
        if self.top is not None:
            return int(mask.max(initial=0)) <= self.top
        # OpenCV's look-up is four times as fast as NumPy's, but takes only 8 bits.
        found = cv2.LUT(mask, self.table[:256]) if mask.dtype == np.uint8 else self.table[mask]
        return not found.any()


def mask_fills(composition: Any) -> dict[int, str]:
    """Return id → name of the first transform that may fill masks with it; 0, the default fill, is always there.

    A fill that is not a whole number, or that masks cannot hold, is left out: its effect is found in the records.
    """
    fills = {0: "the default"}
    for transform in leaves(composition):
        for fill in _fills_of(transform):
            if float(fill).is_integer() and 0 <= fill <= MAX_ID:
                fills.setdefault(int(fill), shown_name(transform))
    return fills


def set_missing_fills(composition: Any, fill: int) -> list[str]:
    """Set another fill of masks in transforms that have the default of 0; returns their names.

    Albumentations keeps only values, so a given 0 looks like the default. Where the default is to leave masks alone
    (`CoarseDropout`), a 0 must have been given and stays. A user's own transforms stay, too.
    """
    filling = [t for t in leaves(composition) if not is_custom(t) and 0 in _fills_of(t) and _is_unset(t)]
    for transform in filling:
        transform.fill_mask = fill
    return list(dict.fromkeys(map(shown_name, filling)))


def _is_unset(transform: Any) -> bool:
    fill = getattr(transform, "fill_mask", None)
    return isinstance(fill, int | float) and fill == 0 == default_of(type(transform), "fill_mask")


def pickled_fills(pickled: bytes) -> dict[int, str]:
    """Return `mask_fills` of a prepared pipeline."""
    return mask_fills(cloudpickle.loads(pickled))


def _fills_of(transform: Any) -> Iterator[float]:
    if getattr(transform, "border_mode", cv2.BORDER_CONSTANT) != cv2.BORDER_CONSTANT:
        return  # borders are made of the picture itself
    if not getattr(transform, "pad_if_needed", True):
        return
    for name in FILL_ARGUMENTS:
        value = getattr(transform, name, None)
        if value is None or isinstance(value, str):
            continue
        try:
            yield from np.ravel(value).astype(float).tolist()
        except (TypeError, ValueError):  # a custom transform may mean anything by the name
            continue


def blending_transforms(composition: Any) -> list[str]:
    """Return the names of transforms that blend the ids of neighbouring pixels into ids with another meaning."""
    return [
        shown_name(transform)
        for transform in leaves(composition)
        if getattr(transform, "mask_interpolation", cv2.INTER_NEAREST) not in KEEPING
    ]


def check_mask_rules(pickled: bytes, split: str, *, max_class_id: int, ignore_class: int | None) -> None:
    """Refuse a prepared pipeline that cannot keep class ids.

    Args:
        pickled: The pipeline, pickled.
        split: The split it is for, for messages.
        max_class_id: Largest id that a mask may hold.
        ignore_class: Further id that a mask may hold.

    Raises:
        PipelineError: The pipeline blends ids, or fills with an id that is no class.
    """
    composition = cloudpickle.loads(pickled)
    blending = blending_transforms(composition)
    if blending:
        raise PipelineError(
            f"pipeline of {split}: {', '.join(dict.fromkeys(blending))} would blend class ids: between class 1 and "
            "class 3 lies class 2. Leave mask_interpolation at cv2.INTER_NEAREST, in the transform and in Compose."
        )
    _check_fills(mask_fills(composition), split, max_class_id, ignore_class)


def _check_fills(fills: Mapping[int, str], split: str, max_class_id: int, ignore_class: int | None) -> None:
    for fill, name in fills.items():
        if fill > max_class_id and fill != ignore_class:
            raise PipelineError(
                f"pipeline of {split}: {name} fills masks with {fill}, and classes go from 0 to {max_class_id}. Set "
                f"its fill_mask to one of them, name {fill} as --ignore-class, or give a larger --num-classes."
            )
