"""Reuse: how often a run reads each stored variant, and what to make of it."""

from __future__ import annotations

from precompute.dataset.manifest import Manifest
from train.options import FitOptions

__all__ = ["HIGH_REUSE", "describe_reuse", "reuse_of"]

HIGH_REUSE = 3  # on ImageNet so many readings cost nothing: github.com/apple/ml-dr; for small data see scripts/parity


def reuse_of(options: FitOptions, manifest: Manifest) -> float:
    """Return epochs / rows, the epochs on the original row apart."""
    num_rows = sum(not row.original for row in manifest.splits["train"].rows) or 1
    return max(0, options.epochs - options.clean_epochs) / num_rows


def describe_reuse(reuse: float) -> str:
    """Return what a number of readings means, and what to do about a high one."""
    if reuse <= 1:
        return "as with online augmentation, no variant is read twice"
    if reuse <= HIGH_REUSE:
        return "as good as online augmentation where this was measured"
    return (
        "high, new variants may be worth their disk: more rows (`precompute build --variants N`), or new ones beside "
        "the training (`precompute follow`)"
    )
