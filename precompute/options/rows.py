"""The options of a build about its rows."""

from __future__ import annotations

from dataclasses import dataclass

from precompute.options.option import Options, option
from precompute.options.values import (
    check_class_copies,
    check_seed,
    check_share,
    number_of,
    parse_bytes,
    parse_class_copies,
    within,
)

__all__ = ["RowOptions"]


@dataclass(frozen=True, kw_only=True)
class RowOptions(Options):
    """Options for which rows shall be listed, of which places, and what happens to rows that are there."""

    title = "rows"

    variants: int = option(
        10, "augmented variants of each training source: rows 0 to N-1 of this seed", check=within(1, 9_999)
    )
    seed: int = option(0, "seed of the augmentation; another seed adds rows", check=lambda _, seed: check_seed(seed))
    include_original: bool = option(False, "one more row: training sources through the validation pipeline")
    class_copies: dict[str, int] = option(
        {},
        "rare classes more often: places that each of their training sources takes, such as shoes=3,hats=2; names with "
        "commas as in --class-names",
        parse=parse_class_copies,
        metavar="COPIES",
    )
    balance: bool = option(False, "choose the copies so that classes have about as many training records each")
    no_mirroring: bool = option(False, "text, left and right hands: readers never mirror, whatever the pipeline does")
    shard_size: int | None = option(
        None,
        "bytes a shard, such as 128MiB; default: a 1024th of a row, from 64 to 512 MiB; at least 16 shards where that "
        "leaves 8 records each",
        parse=parse_bytes,
        check=within(1024),
        metavar="SIZE",
    )
    check: str = option(
        "sizes", "how rows written before are looked at: sizes, or full for their sha256", choices=("sizes", "full")
    )
    skip_bad: str = option(
        "0",
        "accept up to this many bad sources, or this share (5%): they are left out of all rows",
        check=check_share,
        metavar="N|N%",
    )
    retry_bad: bool = option(False, "try sources that were left out again: those that are fixed join all rows")
    replace: bool = option(False, "where settings or sources differ: write a new generation, then swap")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_class_copies(self.class_copies, balance=self.balance)

    def allowed_bad(self, num_sources: int) -> int:
        """Return how many bad sources are accepted."""
        return number_of("skip_bad", self.skip_bad, num_sources)
