"""Which places stand in which shard of a dataset on disk; computed again from its sources, as the build did."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from precompute.dataset.manifest import Manifest, Row, Split
from precompute.errors import DatasetError
from precompute.plan.blocks import block_bounds, order_places
from precompute.table.listing import Listing
from precompute.text.format import format_count

__all__ = ["PlacedRecord", "sample_by_class", "sample_records", "shard_places"]

PlaceName = tuple[str, int]


def shard_places(manifest: Manifest, split: str, listing: Listing) -> list[list[PlaceName]]:
    """Return the (key, copy) of the records of each block, in order; skipped sources have none.

    Raises:
        DatasetError: The list of sources has another number of places than the manifest.
    """
    grid, keys = manifest.splits[split], listing.sorted_keys
    skipped = manifest.skipped_keys(split)
    places = [(keys[i], copy) for i, copy in order_places(keys, listing.copies, listing.segments)]
    if len(places) != grid.num_places:
        raise DatasetError(
            f"{split}: the list of sources has {format_count(len(places), 'place')}, the manifest {grid.num_places}."
        )
    if len(grid.segments) > 1 or any(listing.segments):
        _check_segments(split, grid, listing)
    return [
        [place for place in places[first:last] if place[0] not in skipped] for first, last in block_bounds(grid.sizes)
    ]


def _check_segments(split: str, grid: Split, listing: Listing) -> None:
    found = Counter[int]()
    for segment, copies in zip(listing.segments, listing.copies, strict=True):
        found[segment] += copies
    expected = {number: segment.num_places for number, segment in enumerate(grid.segments)}
    if found != expected:
        raise DatasetError(
            f"{split}: the segments of the list of sources have {dict(sorted(found.items()))} places, those of the "
            f"manifest {expected}."
        )


def sample_by_class(
    classes: Mapping[str, tuple[int, ...]], number: int, *, left_out: Collection[str] = ()
) -> list[str]:
    """Return a fixed choice of keys to look at, of as many classes as fit; it is the same on every machine.

    Args:
        classes: Key → classes of its image, sorted.
        left_out: Keys that must not be chosen.
    """
    keys = [key for key in classes if key not in left_out]
    times: Counter[tuple[int, ...]] = Counter()
    ranked = []
    for position, (i, _) in enumerate(order_places(keys)):
        found = classes[keys[i]]
        ranked.append((times[found], position, keys[i]))  # first the first of each class, then the second …
        times[found] += 1
    chosen = [key for _, _, key in sorted(ranked)[:number]]
    return sorted(chosen, key=lambda key: (classes[key], key))


@dataclass(frozen=True, kw_only=True)
class PlacedRecord:
    """A record of a dataset, by its place.

    Attributes:
        split: Name of the split.
        row: Its row.
        block: Number of its shard.
        index: Its index there.
        place: Key and copy of its source.
    """

    split: str
    row: Row
    block: int
    index: int
    place: PlaceName


def sample_records(
    places: Mapping[str, Sequence[Sequence[PlaceName]]], rows: Mapping[str, Sequence[Row]], number: int, *, seed: int
) -> Iterator[PlacedRecord]:
    """Yield records that are chosen at random, all with equal chance, in the order of their shards.

    Args:
        places: Split → block → (key, copy) of each record in order.
        rows: Split → rows to choose from.
        seed: Seed of the choice.
    """
    cells = [
        (split, row, block, of_block)
        for split, blocks in places.items()
        for row in rows.get(split, ())
        for block, of_block in enumerate(blocks)
    ]
    ends = list(accumulate(len(of_block) for *_, of_block in cells))
    total = ends[-1] if ends else 0
    chosen = sorted(random.Random(seed).sample(range(total), min(number, total)))
    for position in chosen:
        cell = bisect_right(ends, position)
        split, row, block, of_block = cells[cell]
        index = position - (ends[cell - 1] if cell else 0)
        yield PlacedRecord(split=split, row=row, block=block, index=index, place=of_block[index])
