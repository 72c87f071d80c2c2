"""Sources that look alike, over all splits, as numbers and as pairs to look at."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource, StorageError
from precompute.fields.field import Schema
from precompute.images.color_modes import Scale
from precompute.images.decode import decode_shrunk
from precompute.reporting.gallery import SIDE, picture_of
from precompute.reporting.near_pairs import near_pairs
from precompute.reporting.sections.gallery import Picture
from precompute.reporting.sections.trust import NearDuplicates, Pair
from precompute.reporting.source_hashes import FLAT, HASHED, MISSING, SourceHashes
from precompute.table.listing import Listing
from precompute.text.format import format_label

__all__ = ["MAX_DISTANCE", "collect_near_duplicates", "source_picture"]

# Measured on four real sets: copies at half the size, at JPEG quality 40, brighter or duller by a quarter differ in 8
# bits at most, and mostly in none. Of 138,000 pairs of images one was that near: a field of view that was taken twice.
MAX_DISTANCE = 6
MAX_PAIRS, MAX_PICTURED = 200, 24


def collect_near_duplicates(found: SourceHashes, listings: Mapping[str, Listing], schema: Schema) -> NearDuplicates:
    """Return numbers and pairs of sources whose hashes are nearly equal; pairs have no pictures yet."""
    hashed = np.flatnonzero(found.states == HASHED)
    different, which = np.unique(found.hashes[hashed], return_inverse=True)
    names = list(listings)
    split_of = np.array([names.index(split) for split in found.splits], np.int64)[hashed]
    counts = np.zeros((len(different), len(names)), np.int64)
    np.add.at(counts, (which, split_of), 1)
    pairs, distances = near_pairs(different, MAX_DISTANCE)
    first, second = counts[pairs[:, 0]], counts[pairs[:, 1]]
    train = names.index("train") if "train" in names else 0
    across = _across(counts) + int((first.sum(1) * second.sum(1) - (first * second).sum(1)).sum())
    within = int((counts[:, train] * (counts[:, train] - 1) // 2).sum() + (first[:, train] * second[:, train]).sum())
    members = _members(which, hashed, len(different))
    shown = itertools.islice(_shown(members, pairs, distances, found.splits), MAX_PAIRS)
    return NearDuplicates(
        num_sources=len(found.keys),
        num_missing=int((found.states == MISSING).sum()),
        num_flat=int((found.states == FLAT).sum()),
        max_distance=MAX_DISTANCE,
        across=across,
        within=within,
        pairs=tuple(_pair(a, b, distance, found, listings, schema) for a, b, distance in shown),
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


def _shown(
    members: list[list[int]], pairs: NDArray[np.int64], distances: NDArray[np.int64], splits: Sequence[str]
) -> Iterator[tuple[int, int, int]]:
    """Yield pairs of sources with their distance: those across splits first, then the nearest."""
    for is_across in (True, False):
        for a, b, distance in _every(members, pairs, distances):
            if (splits[a] != splits[b]) == is_across and (is_across or splits[a] == "train"):
                yield a, b, distance


def _every(
    members: list[list[int]], pairs: NDArray[np.int64], distances: NDArray[np.int64]
) -> Iterator[tuple[int, int, int]]:
    for equal in members:
        yield from ((a, b, 0) for a, b in itertools.combinations(equal, 2))
    for (first, second), distance in zip(pairs.tolist(), distances.tolist(), strict=True):
        yield from ((a, b, distance) for a in members[first] for b in members[second])


def _pair(a: int, b: int, distance: int, found: SourceHashes, listings: Mapping[str, Listing], schema: Schema) -> Pair:
    return Pair(
        first=found.keys[a],
        second=found.keys[b],
        first_split=found.splits[a],
        second_split=found.splits[b],
        distance=distance,
        classes=tuple(_classes(listings[found.splits[i]], found.keys[i], schema) for i in (a, b)),
    )


def _classes(listing: Listing, key: str, schema: Schema) -> str:
    position = listing.position(key) or 0
    texts = []
    for name, column in listing.columns.items():
        if name in schema and column.is_of_image and schema[name].classes:
            texts.append(format_label(column.classes(position), schema[name].classes))
    return ", ".join(texts)


def source_picture(path: Path, color_mode: str, scale: Scale | None, alpha: str) -> Picture | None:
    """Return the picture of a source's image file; None where it cannot be read."""
    try:
        pixels = decode_shrunk(path.read_bytes(), SIDE, color_mode, scale, alpha).pixels
    except (OSError, StorageError, RejectedSource):
        return None
    return picture_of(pixels, {})
