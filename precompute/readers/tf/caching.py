"""Whether the rows of a reader are held in memory: the rule behind `load(cache="auto")`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from precompute.dataset.manifest import Manifest, Row
from precompute.readers.tf.twins import make_twins

__all__ = ["CachePlan", "available_bytes", "plan_cache"]

# About 2,000 images of 256×256 with masks. TensorFlow Datasets holds what is below 250 MiB on the disk (4.9,
# `DatasetBuilder._should_cache_ds`), which may be ten times that in memory.
LIMIT_BYTES = 512 * 2**20
SHARE_OF_FREE = 1 / 4  # of the memory that is free now: the model and its batches need some, too
KEY_BYTES = 64  # of a key, roughly

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")  # as it is mounted inside a container


@dataclass(frozen=True, kw_only=True)
class CachePlan:
    """The decision whether rows are held in memory, and why.

    Attributes:
        holds: Rows are held, each from its first reading on (with `cache=True` from the start).
        num_bytes: What all rows of the reader take when they are decoded.
        num_rows: Number of different rows.
        room: Number of rows that there is room for.
        reason: Why the plan is as it is, in words.
    """

    holds: bool
    num_bytes: int
    num_rows: int
    room: int
    reason: str


def plan_cache(cache: bool | str, manifest: Manifest, rows: Sequence[Row], *, reads_part: bool) -> CachePlan:
    """Decide whether rows are held in memory.

    Args:
        cache: ``"auto"``, or what the user has decided.
        manifest: The manifest, which says how large an example is.
        rows: All rows that the reader may come to.
        reads_part: Whether only a part of each row is read: to hold whole ones, all of it would have to be.
    """
    different = {row.row: row.num_records * _example_bytes(manifest) for row in rows}
    num_bytes, num_rows = sum(different.values()), len(different)
    if isinstance(cache, bool):
        reason = "asked for" if cache else "turned off"
        return CachePlan(holds=cache, num_bytes=num_bytes, num_rows=num_rows, room=num_rows, reason=reason)
    free = available_bytes()
    limit = LIMIT_BYTES if free is None else min(LIMIT_BYTES, int(free * SHARE_OF_FREE))
    reason = f"{_megabytes(num_bytes)} decoded, limit {_megabytes(limit)}"
    if limit < LIMIT_BYTES:
        reason += f", a quarter of the memory that is free ({_megabytes(free or 0)})"
    if reads_part:
        reason = "only parts of rows are read"
    return CachePlan(
        holds=num_bytes <= limit and not reads_part,
        num_bytes=num_bytes,
        num_rows=num_rows,
        room=limit // max(different.values()),
        reason=reason,
    )


def available_bytes() -> int | None:
    """Return the memory that can be used without swapping, as far as the system says; None where it does not.

    Source: proc(5), MemAvailable; Linux, Documentation/admin-guide/cgroup-v2, memory.max and memory.current.
    """
    found = []
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        found.append(max(0, int(limit) - int(used)))
    except (OSError, ValueError, KeyError):
        pass  # another system, or no limit: what was found until then counts
    return min(found, default=None)


def _example_bytes(manifest: Manifest) -> int:
    twins = make_twins(manifest, manifest.schema)
    return sum(twin.num_bytes for twin in twins.values()) + KEY_BYTES


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes >= 10e6 else f"{num_bytes / 1e6:.1f} MB"
