"""Reuse: how often a run reads each stored variant, and what that means."""

from __future__ import annotations

from precompute.dataset.manifest import Manifest
from train.options import FitOptions

__all__ = ["FEW_ROWS", "HIGH_REUSE", "describe_reuse", "num_variants", "reuse_of"]

# On ImageNet so many readings cost nothing (github.com/apple/ml-dr). On small data, from FEW_ROWS rows on, many more
# made no difference that could be seen; with one row, augmentation was worth nothing (scripts/parity).
HIGH_REUSE = 3
FEW_ROWS = 4


def reuse_of(options: FitOptions, manifest: Manifest) -> float:
    """Return epochs / rows, without the epochs on the original row."""
    return max(0, options.epochs - options.clean_epochs) / (num_variants(manifest) or 1)


def num_variants(manifest: Manifest) -> int:
    """Return the number of rows of variants to train on."""
    return sum(not row.original for row in manifest.splits["train"].rows)


def describe_reuse(reuse: float, num_rows: int) -> str:
    """Return what a number of readings means, and what to do about a high one."""
    if reuse <= 1:
        return "as with online augmentation, no variant is read twice"
    if reuse <= HIGH_REUSE:
        return "as good as online augmentation where this was measured"
    more = "more rows (`precompute build --variants N`), or new ones beside the training (`precompute follow`)"
    if num_rows >= FEW_ROWS:
        return f"high; on small data {FEW_ROWS} rows were enough, on others {more} may be worth their disk"
    return f"high, and so few rows are hardly better than no augmentation: take {more}"
