"""File names in the order of their stems: sorted and copied as arrays, for folders of millions of files."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from precompute.fields.string_column import StringColumn

__all__ = ["FEW", "add_sorted"]

FEW = 1000  # files that are sorted as soon one by one
CHUNK = 2**16  # names that are copied at a time
PADDING = 4  # all names padded to the longest may take so many times the bytes that they have

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]


def add_sorted(
    files: StringColumn, key_start: str, suffix: str, *, keys: StringColumn, names: StringColumn
) -> Numbers | None:
    """Add the keys of one folder's files to a column, and their names to another, sorted by stem.

    Args:
        files: Names of the files; each has an extension.
        key_start: Text before each stem in its key.
        suffix: End of each stem that is not in its key.
        keys: Column to add to.
        names: Column of names to add to.

    Returns:
        The position of each in `files`. None, and nothing was added, where this is not the way: two have one key, or
        one is so long that padding all to its length would take much memory.
    """
    encoded, edges = files.as_arrays()
    starts, lengths = edges[:-1], np.diff(edges)
    dots = np.flatnonzero(encoded == ord("."))
    stems = dots[np.searchsorted(dots, edges[1:]) - 1] - starts - len(suffix.encode(errors="surrogatepass"))
    if len(stems) * int(stems.max(initial=1)) > PADDING * len(encoded):
        return None
    order = _order(encoded, starts, stems)
    if order is None:
        return None
    prefix = np.frombuffer(key_start.encode(errors="surrogatepass"), np.uint8)
    for first in range(0, len(order), CHUNK):
        chosen = order[first : first + CHUNK]
        keys.extend_encoded(*_gathered(encoded, starts[chosen], stems[chosen], prefix))
        names.extend_encoded(*_gathered(encoded, starts[chosen], lengths[chosen], prefix[:0]))
    return order


def _order(encoded: Bytes, starts: Numbers, lengths: Numbers) -> Numbers | None:
    """Return the positions of texts, sorted; None when two are equal."""
    padded = np.zeros((len(starts), max(1, int(lengths.max(initial=1)))), np.uint8)
    for first in range(0, len(starts), CHUNK):
        chunk = slice(first, first + CHUNK)
        there = np.arange(padded.shape[1]) < lengths[chunk, None]
        padded[chunk][there] = encoded[_positions(starts[chunk], lengths[chunk])]
    texts = padded.view(f"S{padded.shape[1]}").reshape(-1)  # a name holds no zeros, so that those at the end are none
    order = np.argsort(texts, kind="stable")  # the bytes of UTF-8 sort as its characters do
    edges = [*range(0, len(order), CHUNK), len(order)]
    chunks = (texts[order[first : last + 1]] for first, last in pairwise(edges))
    return None if any((chunk[1:] == chunk[:-1]).any() for chunk in chunks) else order


def _gathered(encoded: Bytes, starts: Numbers, lengths: Numbers, prefix: Bytes) -> tuple[bytes, Numbers]:
    """Return a prefix and a text in turn, one after the other, and the length of each pair."""
    whole = lengths + len(prefix)
    ends = np.cumsum(whole)
    out = np.empty(int(ends[-1]), np.uint8)
    out[_positions(ends - lengths, lengths)] = encoded[_positions(starts, lengths)]
    out[(ends - whole)[:, None] + np.arange(len(prefix))] = prefix
    return out.tobytes(), whole


def _positions(starts: Numbers, lengths: Numbers) -> Numbers:
    """Return the position of every byte of texts that start somewhere and have some length."""
    before = np.cumsum(lengths) - lengths
    positions: Numbers = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
    return positions
