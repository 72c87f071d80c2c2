"""How different the variants of a source are from one another, and from the source."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.reporting.observing import Observed, StoredRecord
from precompute.reporting.sections.transforms import Variants

__all__ = ["VarietyTally", "equals_original"]

MEANING = "A record with the pixels of an earlier variant, or of its unaugmented source, teaches a model nothing new."


class VarietyTally:
    """Counts different records.

    Args:
        split: Name of the split.
    """

    def __init__(self, split: str) -> None:
        self._split = split
        self._num_sources = self._num_records = self._num_distinct = self._num_equal = self._num_compared = 0

    def add(self, observed: Observed) -> None:
        """Count the records of a source."""
        augmented = [record for record in observed.records if not record.row.original]
        self._num_sources += 1
        self._num_records += len(augmented)
        self._num_distinct += len({_digest(record.example["image"]) for record in augmented})
        equal = [equals_original(record, observed.plain) for record in augmented]
        self._num_compared += sum(known is not None for known in equal)
        self._num_equal += sum(known is True for known in equal)

    def result(self) -> Variants | None:
        """Return the section; None without augmented records."""
        if not self._num_records:
            return None
        return Variants(
            split=self._split,
            num_sources=self._num_sources,
            num_records=self._num_records,
            num_distinct=self._num_distinct,
            num_equal_original=self._num_equal if self._num_compared == self._num_records else None,
            meaning=MEANING,
        )


def equals_original(record: StoredRecord, plain: NDArray[np.uint8] | None) -> bool | None:
    """Return whether a record has the pixels of the unaugmented source; None where these are not known.

    Args:
        record: The record.
        plain: The unaugmented source in the size of a record, before it is encoded where the record was made again.
    """
    if plain is None:
        return None
    made = record.example["image"] if record.trace is None else record.trace.image
    return bool(np.array_equal(made, plain))


def _digest(pixels: NDArray[Any]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()
