"""What records cost, and from when on they pay."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cost", "SplitCost", "TransformCost"]


@dataclass(frozen=True, kw_only=True)
class TransformCost:
    """Time of a transform.

    Attributes:
        name: Name, with the compositions around it.
        run_ms: Mean milliseconds of a run.
        record_ms: Mean milliseconds a record, with or without a run.
    """

    name: str
    run_ms: float
    record_ms: float


@dataclass(frozen=True, kw_only=True)
class SplitCost:
    """Bytes and time of a split, of one core.

    Attributes:
        split: Name of the split.
        row_bytes: Mean bytes a row.
        record_bytes: Mean bytes a record.
        decode_ms: Mean milliseconds to read and decode a source; None where sources are not there.
        augment_ms: Mean milliseconds of the pipeline a record.
        encode_ms: Mean milliseconds to encode a record.
        read_ms: Mean milliseconds to decode a stored record.
        row_s: Seconds of one core to make a row, sources decoded once for all rows.
        transforms: Transforms, the dearest first.
    """

    split: str
    row_bytes: int
    record_bytes: int
    decode_ms: float | None
    augment_ms: float | None
    encode_ms: float | None
    read_ms: float
    row_s: float | None
    transforms: tuple[TransformCost, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What it cost, and from when on it pays.

    Attributes:
        splits: Each split.
        num_bytes: Bytes of all that is listed.
        old_bytes: Bytes of generations that are not listed any more.
        online_ms: Milliseconds of one core that an image would cost if it were decoded and augmented in training; None
            where not known.
        stored_ms: Milliseconds to read it from a record.
        pays_from: Epoch from which on records have cost less, counted over all trainings; None: never, or not known.
        meaning: One sentence.
    """

    splits: tuple[SplitCost, ...]
    num_bytes: int
    old_bytes: int
    online_ms: float | None
    stored_ms: float | None
    pays_from: int | None
    meaning: str
