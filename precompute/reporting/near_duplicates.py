"""Sources that look alike, over all splits, as numbers and as pairs to look at."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource, StorageError
from precompute.fields.field import Schema
from precompute.images.color_modes import Scale
from precompute.images.decode import decode_shrunk
from precompute.reporting.gallery import SIDE, picture_of
from precompute.reporting.near_pairs import mirrored_pairs, near_pairs
from precompute.reporting.sections.gallery import Picture
from precompute.reporting.sections.trust import NearDuplicates, Pair
from precompute.reporting.source_hashes import FLAT, HASHED, MISSING, SourceHashes
from precompute.table.listing import Listing
from precompute.text.format import format_label

__all__ = ["MAX_DISTANCE", "collect_near_duplicates", "source_picture"]

# Measured on four real sets: 99.6 % of 2,136 copies (at half the size, at JPEG quality 40, brighter or duller by a
# quarter) differ in 6 bits or fewer, and so do 534 mirrored ones. Of 138,000 pairs of images one was that near: a field
# of view that was taken twice.
MAX_DISTANCE = 6
MAX_PAIRS, MAX_PICTURED = 200, 24
Pairs: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]


def collect_near_duplicates(found: SourceHashes, listings: Mapping[str, Listing], schema: Schema) -> NearDuplicates:
    """Return numbers and pairs of sources whose hashes are nearly equal; pairs have no pictures yet."""
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
        pairs=tuple(_pair(one, found, listings, schema) for one in shown),
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
    shown: tuple[int, int, int, bool], found: SourceHashes, listings: Mapping[str, Listing], schema: Schema
) -> Pair:
    a, b, distance, is_mirrored = shown
    return Pair(
        first=found.keys[a],
        second=found.keys[b],
        first_split=found.splits[a],
        second_split=found.splits[b],
        distance=distance,
        is_mirrored=is_mirrored,
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
