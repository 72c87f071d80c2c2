"""Whether --max-source-size is worth setting: the saving where sources are much larger than their records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import mean, median

from precompute.errors import BadSourcesError
from precompute.images.decode import longer_side
from precompute.preflight.sample import SourceCost, measure, sample_of
from precompute.rendering.spec import RecordSpec
from precompute.table.sources import Sources

__all__ = ["Saving", "saving_of_size"]

NUM_SOURCES = 4
NUM_VARIANTS = 4
MARGIN = 4  # times the longer side of the output: crops of half a side still have twice the pixels that they need
MIN_FACTOR = 1.5  # below this factor there is little to win, whatever is measured


@dataclass(frozen=True, kw_only=True)
class Saving:
    """The time that shrinking sources while decoding would save, measured on a few of them.

    Attributes:
        max_source_size: The value that was tried.
        source_pixels: Median pixels of a source.
        record_pixels: Number of pixels of a record.
        before_s: Seconds of one core per record now, including its share of decoding.
        after_s: Seconds of one core per record with the tried value.
    """

    max_source_size: int
    source_pixels: int
    record_pixels: int
    before_s: float
    after_s: float

    @property
    def share(self) -> float:
        """Share of the time that is saved, 0 to 1."""
        return max(0.0, 1 - self.after_s / self.before_s)

    def sentence(self) -> str:
        """Return a sentence about the saving."""
        return (
            f"sources have {self.source_pixels / 1e6:.1f} megapixels and records {self.record_pixels / 1e6:.2f}: "
            f"--max-source-size {self.max_source_size} would save about {self.share:.0%} of the time "
            f"({self.after_s * 1000:.1f} ms a record, not {self.before_s * 1000:.1f}); pixels change: see a preview"
        )


def saving_of_size(
    sources: Sources, split: str, pickled: bytes, spec: RecordSpec, *, rows_a_task: int, seed: int
) -> Saving | None:
    """Try the option on a few sources.

    Args:
        spec: Specification of records, with height and width, without a limit on sources.
        rows_a_task: Number of rows that one decoding of a source is used for.

    Returns:
        The saving; None where sources are not much larger than their records, or cannot be used.
    """
    height, width = spec.height or 1, spec.width or 1
    size = MARGIN * max(height, width)
    sides = _longer_sides(sources, split)
    if not sides or median(sides) < MIN_FACTOR * size:
        return None

    def cost(limit: int | None) -> list[SourceCost]:
        spec_with = replace(spec, max_source_size=limit)
        return measure(
            sources, split, pickled, spec_with, num_sources=NUM_SOURCES, num_variants=NUM_VARIANTS, seed=seed
        )

    try:
        before, after = cost(None), cost(size)
    except BadSourcesError:
        return None
    means = [mean(c.record_s + c.decode_s / rows_a_task for c in costs) for costs in (before, after)]
    return Saving(
        max_source_size=size,
        source_pixels=int(median(c.height * c.width for c in before)),
        record_pixels=height * width,
        before_s=means[0],
        after_s=means[1],
    )


def _longer_sides(sources: Sources, split: str) -> list[int]:
    """Return the longer sides of a few sources in pixels, from the headers of their files."""
    paths = (sources.path(sources.images[i]) for i in sample_of(sources, split, NUM_SOURCES))
    return [side for path in paths if (side := longer_side(path)) is not None]
