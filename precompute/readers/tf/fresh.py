"""Fresh changes: cheap moves in the graph, drawn anew each time a stored variant is read.

They are for rows that are read more than once. Flips and small shifts move pixels without changing their values;
images, masks and boxes move alike. What a shift uncovers is filled by reflection, so that masks get no new class there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError

__all__ = ["Moves", "draw_moves", "move_drawer"]

STEPS = ("horizontal", "vertical", "shift")
MAX_SHIFT = 1 / 16  # of height and width


def move_drawer(
    manifest: Manifest, fresh: str | Sequence[str], *, seed: int, clean_from: int | None
) -> Callable[[Any, Any, Any], Moves] | None:
    """Return a function: epoch, number of the batch, size of the batch → moves of its images; None: nothing moves.

    Args:
        manifest: The manifest, which says which mirroring is allowed.
        fresh: ``"off"``; ``"auto"``: shifts, and the mirrorings that are allowed; or names out of `STEPS`.
        seed: Seed of the draws.
        clean_from: First epoch in which nothing moves.

    Raises:
        UsageError: There is no such step, or the manifest does not allow it.
    """
    steps, shape = _choose_steps(manifest, fresh), (manifest.image.height, manifest.image.width)

    def draw(epoch: Any, batch: Any, batch_size: Any) -> Moves:
        key = tf.stack([tf.constant(seed, tf.int64), epoch * 2**32 + batch])
        active = True if clean_from is None else epoch < clean_from
        return draw_moves(steps, batch_size=batch_size, shape=shape, key=key, active=active)

    return draw if steps else None


def _choose_steps(manifest: Manifest, fresh: str | Sequence[str]) -> tuple[str, ...]:
    allowed = (*manifest.mirroring, "shift")
    if isinstance(fresh, str):
        if fresh not in ("off", "auto"):
            raise UsageError(f"fresh: expected 'off', 'auto' or a list out of {', '.join(STEPS)}, got {fresh!r}.")
        return allowed if fresh == "auto" else ()
    unknown = [step for step in fresh if step not in STEPS]
    if unknown:
        raise UsageError(f"fresh: expected steps out of {', '.join(STEPS)}, got {unknown!r}.")
    refused = [step for step in fresh if step not in allowed]
    if refused:
        raise UsageError(
            f"fresh: the dataset does not allow {' and '.join(refused)} flips: its own pipeline has none, or it was "
            "built with --no-mirroring."
        )
    return tuple(fresh)


@dataclass(frozen=True, kw_only=True)
class Moves:
    """The moves of a batch's pixels.

    Attributes:
        mirror_x, mirror_y: Whether each image is flipped left to right, or upside down, bool [B].
        shift_x, shift_y: Pixels by which each image then moves right and down, int32 [B].
        height, width: Size of the images in pixels.
    """

    mirror_x: Any
    mirror_y: Any
    shift_x: Any
    shift_y: Any
    height: int
    width: int

    def pixels(self, pixels: Any) -> Any:
        """Return images [B, H, W, C] or masks [B, H, W], moved; same dtype."""
        rows = _sources(self.height, self.mirror_y, self.shift_y)
        columns = _sources(self.width, self.mirror_x, self.shift_x)
        moved = tf.gather(tf.gather(pixels, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
        return tf.ensure_shape(moved, pixels.shape)

    def boxes(self, boxes: Any) -> Any:
        """Return boxes, float [B, N, 4] as y_min, x_min, y_max, x_max in pixels, moved and clipped to the image."""
        y_min, x_min, y_max, x_max = tf.unstack(boxes, axis=-1)
        y_min, y_max = _move(y_min, y_max, self.height, self.mirror_y, self.shift_y)
        x_min, x_max = _move(x_min, x_max, self.width, self.mirror_x, self.shift_x)
        return tf.stack([y_min, x_min, y_max, x_max], axis=-1)


def draw_moves(steps: Sequence[str], *, batch_size: Any, shape: tuple[int, int], key: Any, active: Any = True) -> Moves:
    """Draw moves for a batch.

    Args:
        steps: Some of `STEPS`.
        batch_size: Size of the batch, int32 scalar.
        shape: Height and width.
        key: int64 [2] that decides the draws.
        active: bool scalar; False: nothing moves.
    """
    height, width = shape
    keys = tf.unstack(tf.random.split(key, num=4))

    def flips(name: str, key: Any) -> Any:
        if name not in steps:
            return tf.zeros([batch_size], tf.bool)
        return (tf.random.stateless_uniform([batch_size], key) < 0.5) & active

    def shifts(size: int, key: Any) -> Any:
        most = round(size * MAX_SHIFT) if "shift" in steps else 0
        drawn = tf.random.stateless_uniform([batch_size], key, minval=-most, maxval=most + 1, dtype=tf.int32)
        return tf.where(active, drawn, 0)

    return Moves(
        mirror_x=flips("horizontal", keys[0]),
        mirror_y=flips("vertical", keys[1]),
        shift_x=shifts(width, keys[2]),
        shift_y=shifts(height, keys[3]),
        height=height,
        width=width,
    )


def _sources(size: int, mirror: Any, shift: Any) -> Any:
    """Return the original position of each pixel along a side, int32 [B, size]."""
    positions = tf.range(size)[None] - shift[:, None]
    positions = tf.abs(positions)  # reflection about the first pixel's middle, then about the last one's
    positions = tf.where(positions >= size, 2 * (size - 1) - positions, positions)
    return tf.where(mirror[:, None], size - 1 - positions, positions)


def _move(low: Any, high: Any, size: int, mirror: Any, shift: Any) -> tuple[Any, Any]:
    mirror, shift = mirror[:, None], tf.cast(shift, low.dtype)[:, None]
    low, high = tf.where(mirror, size - high, low), tf.where(mirror, size - low, high)
    return tuple(tf.clip_by_value(side + shift, 0, size) for side in (low, high))
