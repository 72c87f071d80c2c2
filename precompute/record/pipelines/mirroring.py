"""Which mirrorings a pipeline makes itself: those that a reader may do once more, afresh."""

from __future__ import annotations

from typing import Any

import cloudpickle

from precompute.record.pipelines.transforms import albumentations, is_composition, is_custom

__all__ = ["mirrorings"]

HORIZONTAL, VERTICAL = "horizontal", "vertical"
# By exact class: a subclass (TimeReverse turns spectrograms) or a user's own transform may mean something else.
# Transpose and RandomRotate90 mirror along neither axis.
MIRRORS = {
    albumentations.HorizontalFlip: {HORIZONTAL},
    albumentations.VerticalFlip: {VERTICAL},
    albumentations.D4: {HORIZONTAL, VERTICAL},
    albumentations.SquareSymmetry: {HORIZONTAL, VERTICAL},
}


def mirrorings(pickled: bytes) -> list[str]:
    """Return ``"horizontal"`` and ``"vertical"`` where single transforms of a prepared pipeline may do that.

    What several transforms amount to together is left out: whoever mirrors without need may spoil text or hands.
    """
    return sorted(_of(cloudpickle.loads(pickled)))


def _of(transform: Any) -> set[str]:
    if not transform.p:
        return set()
    if not is_composition(transform):
        return MIRRORS.get(type(transform), set())
    if is_custom(transform) or isinstance(transform, albumentations.SelectiveChannelTransform):
        return set()  # the latter mirrors single channels
    return {found for inner in transform.transforms for found in _of(inner)}
