"""Many texts as one column: what lets ten million keys and paths fit into memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import overload

__all__ = ["Texts"]

CHUNK = 4096  # texts that are encoded or decoded at a time


class Texts(Sequence[str]):
    """A list of texts that grows at its end: UTF-8 in one buffer, and where each text ends in it.

    A `str` of 25 letters takes 80 bytes with the pointer to it, here 33. In all else it is a list: it has a length and
    positions, slices of it are lists, and it equals every list of the same texts. File names that are no valid text
    (half of a pair of surrogates) come out as they went in.
    """

    __slots__ = ("_buffer", "_ends")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._buffer = bytearray()
        self._ends: array[int] = array("q")
        self.extend(texts)

    def append(self, text: str) -> None:
        """Add one text."""
        self._buffer += text.encode(errors="surrogatepass")
        self._ends.append(len(self._buffer))

    def extend(self, texts: Iterable[str]) -> None:
        """Add many texts, faster than one at a time."""
        rest = iter(texts)
        while chunk := list(islice(rest, CHUNK)):
            start = len(self._buffer)
            encoded = "".join(chunk).encode(errors="surrogatepass")
            lengths = map(len, chunk)
            if sum(map(len, chunk)) != len(encoded):  # not ASCII alone
                parts = [text.encode(errors="surrogatepass") for text in chunk]
                encoded, lengths = b"".join(parts), map(len, parts)
            self._buffer += encoded
            ends = accumulate(lengths, initial=start)
            next(ends)
            self._ends.extend(ends)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            positions = range(len(self))[index]
            if positions.step == 1:
                return self._cut(positions.start, positions.stop)
            return [self[i] for i in positions]
        end = self._ends[index]
        if index < 0:
            index += len(self._ends)
        start = self._ends[index - 1] if index else 0
        return self._buffer[start:end].decode(errors="surrogatepass")

    def _cut(self, first: int, last: int) -> list[str]:
        if first >= last:
            return []
        start = self._ends[first - 1] if first else 0
        edges = [0, *(end - start for end in self._ends[first:last])]
        content = bytes(memoryview(self._buffer)[start : self._ends[last - 1]])
        text = content.decode(errors="surrogatepass")
        if len(text) == len(content):
            return [text[a:b] for a, b in pairwise(edges)]
        return [content[a:b].decode(errors="surrogatepass") for a, b in pairwise(edges)]

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), CHUNK):
            yield from self[first : first + CHUNK]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return self._ends == other._ends and self._buffer == other._buffer
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:5]))
        return f"Texts([{shown}{', …' if len(self) > 5 else ''}])"
