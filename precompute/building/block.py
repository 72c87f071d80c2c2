"""The places of a block, made when they are needed: ten million of them at once would fill the parent's memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray

from precompute.building.task import Slot
from precompute.fields.string_column import take
from precompute.plan.blocks import PlaceOrder, place_order
from precompute.table.listing import Listing
from precompute.table.sources import Sources

__all__ = ["Block", "SplitPlaces"]

UNKNOWN: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, kw_only=True)
class SplitPlaces:
    """All places of a split, as columns.

    Attributes:
        sources: Sources of all splits.
        positions: int64 [number of sources of the split]: where each stands among all.
        order: The places, in the order that blocks are cut from.
        listing: What is known of the files' content; None where no rows have been made.
    """

    sources: Sources
    positions: NDArray[np.int64]
    order: PlaceOrder
    listing: Listing | None

    @classmethod
    def of_split(cls, sources: Sources, split: str, listing: Listing | None) -> SplitPlaces:
        """Return the places of the sources of a split."""
        copies = None if sources.copies is None else sources.copies_of(split)
        return cls(
            sources=sources,
            positions=np.fromiter(sources.of_split(split), np.int64),
            order=place_order(sources.keys_of(split), copies, sources.segments_of(split)),
            listing=listing,
        )

    def hashes(self, index: int, key: str) -> tuple[str | None, str | None]:
        """Return what image and mask of a source held when rows were made; `index` is its place among the split's."""
        if self.listing is None:
            return UNKNOWN
        keys = self.listing.sorted_keys
        at = index if index < len(keys) and keys[index] == key else self.listing.position(key)
        return UNKNOWN if at is None else (self.listing.sha256[at], self.listing.mask_sha256[at])


class Block(Sequence[Slot]):
    """A list of places that exist while they are looked at; sent to a worker, it is packed as columns.

    Args:
        split: Split that its places are of.
        first: Index of its first place in the split.
        last: Index one past its last place.
    """

    def __init__(self, split: SplitPlaces, first: int, last: int) -> None:
        self._split, self._first, self._last = split, first, last

    @property
    def indices(self) -> NDArray[np.int64]:
        """int64 [number of places]: index of each place's source among those of the split."""
        return self._split.order.sources[self._first : self._last]

    def source_keys(self) -> list[str]:
        """Return the key of each place; a source with copies comes more than once."""
        return take(self._split.sources.keys, self._split.positions[self.indices].tolist())

    def __len__(self) -> int:
        return self._last - self._first

    @overload
    def __getitem__(self, index: int) -> Slot: ...

    @overload
    def __getitem__(self, index: slice) -> list[Slot]: ...

    def __getitem__(self, index: int | slice) -> Slot | list[Slot]:
        if isinstance(index, slice):
            return list(self)[index]
        at = self._first + range(len(self))[index]
        return next(iter(Block(self._split, at, at + 1)))

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._pack().unpack())

    def __reduce__(self) -> tuple[object, ...]:
        return (_Packed.unpack, (self._pack(),))

    def _pack(self) -> _Packed:
        split, of, hashes = self._split, self._split.sources, list[tuple[str | None, str | None]]()
        chosen = split.positions[self.indices].tolist()
        keys = take(of.keys, chosen)
        if split.listing is not None:
            hashes = [split.hashes(i, key) for i, key in zip(self.indices.tolist(), keys, strict=True)]
        return _Packed(
            sources=Sources(
                root=of.root,
                keys=keys,
                images=take(of.images, chosen),
                columns={name: column.take(chosen) for name, column in of.columns.items()},
            ),
            copies=split.order.copies[self._first : self._last].tolist(),
            hashes=hashes,
        )


@dataclass(frozen=True)
class _Packed:
    """The places of a block as a worker gets them."""

    sources: Sources
    copies: list[int]
    hashes: list[tuple[str | None, str | None]] = field(default_factory=list)

    def unpack(self) -> list[Slot]:
        sources, hashes = self.sources, self.hashes or [UNKNOWN] * len(self.copies)
        return [
            Slot(
                key=sources.keys[i],
                copy=copy,
                image=str(sources.path(sources.images[i])),
                raw=sources.raw(i),
                sha256=sha256,
                mask_sha256=mask_sha256,
            )
            for i, (copy, (sha256, mask_sha256)) in enumerate(zip(self.copies, hashes, strict=True))
        ]
