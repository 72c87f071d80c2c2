"""The SHA-256 of many files as one column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

__all__ = ["Sha256Column"]

SIZE = 32
NONE = bytes(SIZE)  # no file is known with this one
NONE_TEXT = NONE.hex()


class Sha256Column(Sequence[str | None]):
    """A list of hexadecimal SHA-256 digests, None where one is unknown, stored in 32 bytes each."""

    __slots__ = ("_content",)

    def __init__(self, num: int = 0) -> None:
        """Make a list of unknown digests."""
        self._content = bytearray(num * SIZE)

    def extend(self, digests: Iterable[str | None]) -> None:
        """Add digests at the end.

        Raises:
            ValueError: One is not 64 hexadecimal digits.
        """
        parts = [NONE if digest is None else bytes.fromhex(digest) for digest in digests]
        if not set(map(len, parts)) <= {SIZE}:
            raise ValueError("expected 64 hexadecimal digits of each sha256")
        self._content += b"".join(parts)

    def __setitem__(self, i: int, digest: str) -> None:
        start = range(len(self))[i] * SIZE
        self._content[start : start + SIZE] = bytes.fromhex(digest)

    def __len__(self) -> int:
        return len(self._content) // SIZE

    @overload
    def __getitem__(self, index: int) -> str | None: ...

    @overload
    def __getitem__(self, index: slice) -> list[str | None]: ...

    def __getitem__(self, index: int | slice) -> str | list[str | None] | None:
        if isinstance(index, slice):
            positions = range(len(self))[index]
            if positions.step != 1:
                return [self[i] for i in positions]
            text = self._content[positions.start * SIZE : positions.stop * SIZE].hex()
            parts = [text[i : i + 2 * SIZE] for i in range(0, len(text), 2 * SIZE)]
            return [None if part == NONE_TEXT else part for part in parts]
        start = range(len(self))[index] * SIZE
        digest = self._content[start : start + SIZE]
        return None if digest == NONE else digest.hex()

    @property
    def content(self) -> bytearray:
        """All digests one after the other, 32 bytes each; zeros where one is not known."""
        return self._content
