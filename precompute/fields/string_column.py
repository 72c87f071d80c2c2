"""Many texts as one column, so that ten million keys and paths fit into memory."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from operator import lt
from typing import overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHUNK", "StringColumn", "ascend", "take"]

CHUNK = 4096  # texts that are encoded or decoded at a time

_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")  # Source: RFC 3629, section 3: what no UTF-8 holds


class StringColumn(Sequence[str]):
    """A list of texts that grows at its end: one buffer of UTF-8, and the end of each text in it.

    A `str` of 25 letters takes 80 bytes with the pointer to it, here 33. Otherwise it behaves as a list: it has a
    length and positions, slices of it are lists, and it equals every list of the same texts. File names that are no
    valid text (half of a pair of surrogates) come out as they went in.
    """

    __slots__ = ("_buffer", "_edges")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._buffer = bytearray()
        self._edges: array[int] = array("q", [0])  # text i lies between edges i and i + 1
        self.extend(texts)

    def append(self, text: str) -> None:
        """Add one text."""
        self._buffer += text.encode(errors="surrogatepass")
        self._edges.append(len(self._buffer))

    def extend(self, texts: Iterable[str]) -> None:
        """Add many texts, faster than one at a time."""
        rest = iter(texts)
        while chunk := list(islice(rest, CHUNK)):
            encoded, lengths = "".join(chunk).encode(errors="surrogatepass"), list(map(len, chunk))
            if sum(lengths) != len(encoded):  # not ASCII alone
                parts = [text.encode(errors="surrogatepass") for text in chunk]
                encoded, lengths = b"".join(parts), list(map(len, parts))
            lengths[0] += len(self._buffer)
            self._buffer += encoded
            self._edges.extend(accumulate(lengths))

    def extend_encoded(self, encoded: bytes, lengths: NDArray[np.int64]) -> None:
        """Add texts that are UTF-8 already, one after the other, by the number of bytes of each."""
        edges = len(self._buffer) + np.cumsum(lengths, dtype=np.int64)
        self._buffer += encoded
        self._edges.frombytes(edges.tobytes())

    def are_unicode(self) -> bool:
        """Return whether no text holds half of a pair of surrogates."""
        return _SURROGATE.search(self._buffer) is None

    def as_arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the UTF-8 of all texts, uint8, and the edges between them, int64 [texts + 1]; add no text then."""
        return np.frombuffer(self._buffer, np.uint8), np.frombuffer(self._edges, np.int64)

    def take(self, indices: Iterable[int]) -> list[str]:
        """Return the texts at some positions, from 0; faster than one at a time."""
        buffer, edges = self._buffer, self._edges
        return [buffer[edges[i] : edges[i + 1]].decode(errors="surrogatepass") for i in indices]

    def __len__(self) -> int:
        return len(self._edges) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            positions = range(len(self))[index]
            return self._cut(positions.start, positions.stop) if positions.step == 1 else self.take(positions)
        i = range(len(self))[index]
        return self._buffer[self._edges[i] : self._edges[i + 1]].decode(errors="surrogatepass")

    def _cut(self, first: int, last: int) -> list[str]:
        if first >= last:
            return []
        edges = self._edges[first : last + 1]
        content = bytes(memoryview(self._buffer)[edges[0] : edges[-1]])
        text, start = content.decode(errors="surrogatepass"), edges[0]
        if len(text) == len(content):
            return [text[a - start : b - start] for a, b in pairwise(edges)]
        return [content[a - start : b - start].decode(errors="surrogatepass") for a, b in pairwise(edges)]

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), CHUNK):
            yield from self._cut(first, min(first + CHUNK, len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StringColumn):
            return self._edges == other._edges and self._buffer == other._buffer
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:5]))
        return f"StringColumn([{shown}{', …' if len(self) > 5 else ''}])"


def take(column: Sequence[str], indices: Iterable[int]) -> list[str]:
    """Return the texts at some positions, counted from 0, of any list of texts."""
    return column.take(indices) if isinstance(column, StringColumn) else [column[i] for i in indices]


def ascend(texts: Sequence[str]) -> bool:
    """Return whether each text of a list is greater than the one before it; many are compared at once."""
    chunks = (texts[first : first + CHUNK + 1] for first in range(0, len(texts), CHUNK))
    return all(all(map(lt, chunk, islice(chunk, 1, None))) for chunk in chunks)
