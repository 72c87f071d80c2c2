"""What a profile holds: stages of the work with their times, and what follows for the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["GROUPS", "Profile", "Stage"]

GROUPS = ("source", "pipeline", "record", "shard")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the work.

    Attributes:
        group: One of GROUPS: a source is read once for several records; the others are a record's.
        name: For people; of a transform with the compositions around it.
        is_transform: Whether it is a transform of the pipeline.
        p: Of a transform.
        ran: Share of the records that a transform was applied to, 0 to 1; None for other stages.
        pixels: Mean pixels of the images that a transform was given; None for others, and where it never ran.
        median_ms: Milliseconds when it runs, of one core.
        p90_ms: Likewise, what nine of ten runs stay below.
        record_ms: Mean milliseconds a record: where it does not run counts as well, and what a source costs is shared.
    """

    group: str
    name: str
    is_transform: bool = False
    p: float | None = None
    ran: float | None = None
    pixels: float | None = None
    median_ms: float
    p90_ms: float
    record_ms: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Where the time of a build goes.

    Attributes:
        split: Whose pipeline.
        num_sources: Sources that were measured.
        num_variants: Variants that were measured of each.
        num_rejected: Sources of the sample that were passed over, for a build would reject them.
        num_places: Records a row of this split.
        num_rows: Rows that a build would write, which share the decoding of a source.
        source_pixels: Median pixels of a source.
        height: Of records, pixels.
        width: Likewise.
        image_format: Encoding of their images.
        num_workers: Processes that a build would start.
        stages: In the order of the work.
        advice: What would make it quicker, with what it would save; empty where nothing stands out.
    """

    split: str
    num_sources: int
    num_variants: int
    num_rejected: int
    num_places: int
    num_rows: int
    source_pixels: int
    height: int
    width: int
    image_format: str
    num_workers: int
    stages: tuple[Stage, ...]
    advice: tuple[str, ...] = ()

    @property
    def record_ms(self) -> float:
        """Milliseconds of one core a record."""
        return sum(stage.record_ms for stage in self.stages)

    @property
    def records_per_s(self) -> float:
        """Records a second of one core."""
        return 1000 / self.record_ms

    @property
    def build_s(self) -> float:
        """Seconds that all rows take on all workers, as long as these do not slow each other."""
        return self.num_places * self.num_rows * self.record_ms / 1000 / self.num_workers

    def share(self, stage: Stage) -> float:
        """Return the share of a stage in the time of a record, 0 to 1."""
        return stage.record_ms / self.record_ms

    def of_group(self, group: str) -> Iterator[Stage]:
        """Yield the stages of one group."""
        return (stage for stage in self.stages if stage.group == group)

    def group_share(self, group: str) -> float:
        """Return the share of a group in the time of a record, 0 to 1."""
        return sum(self.share(stage) for stage in self.of_group(group))

    def report(self) -> str:
        """Return the table, what follows for the whole, and the advice."""
        from precompute.look.profile_text import report  # which knows this class

        return report(self)
