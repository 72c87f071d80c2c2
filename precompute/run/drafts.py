"""What an unfinished build has come to."""

from __future__ import annotations

from collections import Counter

from precompute.dataset.paths import DatasetPaths
from precompute.plan.generation import GenerationPlan
from precompute.run.receipts import read_receipt

__all__ = ["num_whole_rows"]


def num_whole_rows(paths: DatasetPaths, plan: GenerationPlan) -> int:
    """Return how many rows of train are written whole, without a source that failed: of them a build can list each.

    Args:
        paths: Of the dataset.
        plan: Of the generation that was being written.
    """
    num_blocks, proven = plan.splits["train"].num_blocks, Counter[str]()
    for path in paths.receipts(plan.generation).glob("train_r*.json"):
        proven[path.name.partition("-")[0]] += 1
    whole = [row for row, number in proven.items() if number >= num_blocks]
    return sum(_has_no_bad(paths, plan, row, num_blocks) for row in whole)


def _has_no_bad(paths: DatasetPaths, plan: GenerationPlan, name: str, num_blocks: int) -> bool:
    row = int(name.removeprefix("train_r"))
    found = (read_receipt(paths.receipt(plan.generation, "train", row, block)) for block in range(num_blocks))
    return all(receipt is not None and not receipt.bad for receipt in found)
