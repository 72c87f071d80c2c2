"""Arguments of `load` that have no effect on a dataset or beside others: a warning, or refused.

What a kind of target cannot have at all is refused where it would be used: boxes, class weights, Normalize, extra.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

__all__ = ["check_ineffective_arguments"]


def check_ineffective_arguments(
    split: str,
    *,
    mixed: bool,
    shuffle_seed: int,
    fresh: str | Sequence[str],
    clean_from: int | None,
) -> None:
    """Warn of arguments without effect.

    Raises:
        UsageError: One of them asks for what does not happen.
    """
    moves = (not isinstance(fresh, str) and bool(fresh)) or fresh == "auto"
    if shuffle_seed and not mixed and not moves:
        _warn(f"shuffle_seed has no effect: {split} is read in its order; shuffle=True mixes it.")
    if moves and clean_from == 0:
        _warn("fresh has no effect: no image is moved from epoch clean_from=0 on.")


def _warn(words: str) -> None:
    warnings.warn(words, stacklevel=5)  # the caller of `load`, which has a wrapper
