"""Weights and extra values of records: which of them a reader asked for, and how weights are handed out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError

__all__ = ["WantedExtras", "broadcast_weights", "choose_extras", "extra_key"]

WEIGHT = "weight"


@dataclass(frozen=True, kw_only=True)
class WantedExtras:
    """What is read of the extra values.

    Attributes:
        weighs: The weight of each source becomes the third component.
        names: Extra values that are handed out, as asked for.
    """

    weighs: bool
    names: tuple[str, ...]

    @property
    def read(self) -> list[str]:
        """All that is parsed, each once."""
        return list(dict.fromkeys([*([WEIGHT] if self.weighs else []), *self.names]))


def choose_extras(manifest: Manifest, *, sample_weights: bool, extra: Sequence[str]) -> WantedExtras:
    """Return what is read; images alone have no third component, since they have no second.

    Raises:
        UsageError: The dataset has no such extra value.
    """
    if isinstance(extra, str):
        raise UsageError(f"extra: expected a list of names, got the text {extra!r}.")
    unknown = [name for name in extra if name not in manifest.extra]
    if unknown:
        known = ", ".join(manifest.extra) or "none"
        raise UsageError(f"extra: the dataset has no {unknown[0]!r}; its extra values: {known}.")
    weighs = sample_weights and WEIGHT in manifest.extra and not manifest.target.image_only
    return WantedExtras(weighs=weighs, names=tuple(extra))


def extra_key(name: str) -> str:
    """Return the key of a record's feature."""
    return "augment/weight" if name == WEIGHT else f"extra/{name}"


def broadcast_weights(weights: Any, others: Any) -> Any:
    """Return weights, float32 [B], times others, float32 [B, …]."""
    more = tf.ones(tf.rank(others) - 1, tf.int32)
    return others * tf.reshape(weights, tf.concat([tf.shape(weights), more], axis=0))
