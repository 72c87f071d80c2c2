"""Sources that look alike, over all splits, as numbers and as pairs to look at.

Two hashes that differ in at most d bits are equal in at least one of d + 1 bands that the bits are cut into. So only
hashes with an equal band are compared, and not each with each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource, StorageError
from precompute.fields.field import Schema
from precompute.images.decode import decode_shrunk
from precompute.images.perceptual_hash import MIRRORED, NUM_BITS
from precompute.rendering.spec import RecordSpec
from precompute.reporting.gallery import NOT_IN_JSON, SIDE, Picture, picture_of
from precompute.reporting.source_hashes import FLAT, HASHED, MISSING, SourceHashes
from precompute.table.listing import Listing
from precompute.text.format import format_label

__all__ = [
    "MAX_DISTANCE",
    "NearDuplicates",
    "Pair",
    "collect_near_duplicates",
    "mirrored_pairs",
    "near_pairs",
]

# Measured on four real sets: 99.6 % of 2,136 copies (at half the size, at JPEG quality 40, brighter or duller by a
# quarter) differ in 6 bits or fewer, and so do 534 mirrored ones. Of 138,000 pairs of images one was that near: a field
# of view that was taken twice.
MAX_DISTANCE = 6
MAX_PAIRS, MAX_PICTURED = 200, 24
Pairs: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]
Hashes = NDArray[np.uint64]
_ONES = np.array([number.bit_count() for number in range(2**16)], np.uint8)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two sources that look alike.

    Attributes:
        first: Key of one.
        second: Key of the other.
        first_split: Split of the first.
        second_split: Split of the second.
        distance: Number of bits, of 64, in which their perceptual hashes differ.
        is_mirrored: Whether that is so only if one of them is mirrored left to right.
        classes: Classes of the two, in words; empty without classes.
        pictures: Both sources; None where they are not there any more, or when there are many pairs.
    """

    first: str
    second: str
    first_split: str
    second_split: str
    distance: int
    is_mirrored: bool = False
    classes: tuple[str, ...] = ()
    pictures: tuple[Picture, Picture] | None = field(default=None, metadata=NOT_IN_JSON, repr=False)


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Sources that look alike, over all sources.

    Attributes:
        num_sources: Number of sources that were compared.
        num_missing: Number that could not be read.
        num_flat: Number without any content, such as one colour all over: they are not compared.
        max_distance: Largest distance that counts, in bits of 64.
        across: Number of pairs in different splits.
        within: Number of pairs within train.
        pairs: Pairs to look at: those across splits first, nearest first; not all where there are many.
    """

    num_sources: int
    num_missing: int
    num_flat: int
    max_distance: int
    across: int
    within: int
    pairs: tuple[Pair, ...]


def collect_near_duplicates(
    found: SourceHashes, listings: Mapping[str, Listing], spec: RecordSpec, locate: Callable[[str], Path]
) -> NearDuplicates:
    """Return numbers and pairs of sources whose hashes are nearly equal, the first pairs with pictures.

    Args:
        found: Hashes of all sources.
        listings: Split → sources.
        spec: Specification of the dataset's records.
        locate: Name of a file in a listing → its path.
    """
    hashed = np.flatnonzero(found.states == HASHED)
    different, which = np.unique(found.hashes[hashed], return_inverse=True)
    names = list(listings)
    split_of = np.array([names.index(split) for split in found.splits], np.int64)[hashed]
    counts = np.zeros((len(different), len(names)), np.int64)
    np.add.at(counts, (which, split_of), 1)
    straight, mirrored = (f(different, MAX_DISTANCE) for f in (near_pairs, mirrored_pairs))
    pairs, distances = (np.concatenate(parts) for parts in zip(straight, mirrored, strict=True))
    are_mirrored = np.arange(len(pairs)) >= len(straight[0])
    first, second = counts[pairs[:, 0]], counts[pairs[:, 1]]
    train = names.index("train") if "train" in names else 0
    across = _across(counts) + int((first.sum(1) * second.sum(1) - (first * second).sum(1)).sum())
    within = int((counts[:, train] * (counts[:, train] - 1) // 2).sum() + (first[:, train] * second[:, train]).sum())
    members = _members(which, hashed, len(different))
    shown = itertools.islice(_shown(members, (pairs, distances, are_mirrored), found.splits), MAX_PAIRS)
    return NearDuplicates(
        num_sources=len(found.keys),
        num_missing=int((found.states == MISSING).sum()),
        num_flat=int((found.states == FLAT).sum()),
        max_distance=MAX_DISTANCE,
        across=across,
        within=within,
        pairs=tuple(
            _pair(one, found, listings, spec, locate if number < MAX_PICTURED else None)
            for number, one in enumerate(shown)
        ),
    )


def _across(counts: NDArray[np.int64]) -> int:
    """Return the number of pairs with one hash in different splits."""
    every = counts.sum(1)
    return int(((every * every - (counts * counts).sum(1)) // 2).sum())


def _members(which: NDArray[np.int64], hashed: NDArray[np.int64], number: int) -> list[list[int]]:
    """Return the sources of each hash."""
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=number))[:-1]
    return [part.tolist() for part in np.split(hashed[order], ends)] if number else []


def _shown(members: list[list[int]], pairs: Pairs, splits: Sequence[str]) -> Iterator[tuple[int, int, int, bool]]:
    """Yield pairs of sources with their distance: those across splits first, then the nearest, mirrored ones last."""
    for is_across in (True, False):
        for a, b, distance, is_mirrored in _every(members, *pairs):
            if (splits[a] != splits[b]) == is_across and (is_across or splits[a] == "train"):
                yield a, b, distance, is_mirrored


def _every(
    members: list[list[int]], pairs: NDArray[np.int64], distances: NDArray[np.int64], are_mirrored: NDArray[np.bool_]
) -> Iterator[tuple[int, int, int, bool]]:
    for equal in members:
        yield from ((a, b, 0, False) for a, b in itertools.combinations(equal, 2))
    lists = (pairs.tolist(), distances.tolist(), are_mirrored.tolist())
    for (first, second), distance, is_mirrored in zip(*lists, strict=True):
        yield from ((a, b, distance, is_mirrored) for a in members[first] for b in members[second])


def _pair(
    shown: tuple[int, int, int, bool],
    found: SourceHashes,
    listings: Mapping[str, Listing],
    spec: RecordSpec,
    locate: Callable[[str], Path] | None,
) -> Pair:
    a, b, distance, is_mirrored = shown
    sides = [(listings[found.splits[i]], listings[found.splits[i]].position(found.keys[i]) or 0) for i in (a, b)]
    images = [listing.images[position] for listing, position in sides]
    first, second = (None if locate is None else _picture(locate(image), spec) for image in images)
    return Pair(
        first=found.keys[a],
        second=found.keys[b],
        first_split=found.splits[a],
        second_split=found.splits[b],
        distance=distance,
        is_mirrored=is_mirrored,
        classes=tuple(_classes(*side, spec.schema) for side in sides),
        pictures=None if first is None or second is None else (first, second),
    )


def _classes(listing: Listing, position: int, schema: Schema) -> str:
    texts = []
    for name, column in listing.columns.items():
        if name in schema and column.is_of_image and schema[name].classes:
            texts.append(format_label(column.classes(position), schema[name].classes))
    return ", ".join(texts)


def _picture(path: Path, spec: RecordSpec) -> Picture | None:
    """Return the picture of a source's image file; None where it cannot be read."""
    try:
        pixels = decode_shrunk(path.read_bytes(), SIDE, spec.color_mode, spec.scale, spec.alpha).pixels
    except (OSError, StorageError, RejectedSource):
        return None
    return picture_of(pixels, {})


# Pairs of nearly equal hashes among many


def near_pairs(hashes: Hashes, max_distance: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of hashes that differ in few bits.

    Args:
        hashes: uint64 [N].
        max_distance: Largest number of bits in which the two of a pair differ.

    Returns:
        int64 [M, 2] positions, the smaller one first, and int64 [M] distances; the nearest pairs first.
    """
    bands = list(_bands(hashes, max_distance + 1))
    found = [np.zeros((0, 2), np.int64)]
    for number, band in enumerate(bands):
        for pairs in _pairs_with_equal(band, hashes, max_distance):
            again = np.zeros(len(pairs), np.bool_)  # pairs that an earlier band has found
            for earlier in bands[:number]:
                again |= earlier[pairs[:, 0]] == earlier[pairs[:, 1]]
            found.append(pairs[~again])
    pairs = np.sort(np.concatenate(found), axis=1)
    distances = _distances(hashes[pairs[:, 0]], hashes[pairs[:, 1]])
    order = np.lexsort((pairs[:, 1], pairs[:, 0], distances))
    return pairs[order], distances[order]


def mirrored_pairs(hashes: Hashes, max_distance: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of hashes of which one is nearly that of the other image mirrored left to right.

    Args:
        hashes: uint64 [N].
        max_distance: Largest number of bits in which one of a pair differs from the mirrored other.

    Returns:
        Positions and distances as `near_pairs` returns them, without pairs that are near as they are.
    """
    num = len(hashes)
    pairs, distances = near_pairs(np.concatenate([hashes, hashes ^ np.uint64(MIRRORED)]), max_distance)
    first, second = pairs[:, 0], pairs[:, 1] - num
    # Each pair comes twice, for either of the two may be the mirrored one; an image like its mirror image is no pair.
    chosen = (first < num) & (second >= 0) & (first < second)
    chosen[chosen] = _distances(hashes[first[chosen]], hashes[second[chosen]]) > max_distance
    return np.stack([first[chosen], second[chosen]], axis=1), distances[chosen]


def _distances(first: Hashes, second: Hashes) -> NDArray[np.int64]:
    """Return the number of bits in which hashes differ."""
    words = (first ^ second).view(np.uint16).reshape(-1, 4)
    found: NDArray[np.int64] = _ONES[words].sum(axis=1, dtype=np.int64)
    return found


def _bands(hashes: Hashes, number: int) -> Iterator[Hashes]:
    """Yield each band of all hashes; bands differ by a bit in length at most."""
    ends = np.linspace(0, NUM_BITS, number + 1).round().astype(int).tolist()
    for first, last in itertools.pairwise(ends):
        yield (hashes >> np.uint64(first)) & np.uint64((1 << (last - first)) - 1)


def _pairs_with_equal(band: Hashes, hashes: Hashes, max_distance: int) -> Iterator[NDArray[np.int64]]:
    """Yield near pairs among hashes with an equal band: neighbours in its order, those two apart, and so on."""
    order = np.argsort(band, kind="stable")
    band, hashes = band[order], hashes[order]
    starts = np.arange(len(order))
    apart = 1
    while len(starts := starts[starts + apart < len(order)]):
        starts = starts[band[starts] == band[starts + apart]]
        near = starts[_distances(hashes[starts], hashes[starts + apart]) <= max_distance]
        if len(near):
            yield np.stack([order[near], order[near + apart]], axis=1)
        apart += 1
