"""What augmentation did to images, masks and objects."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BorderFill", "ClassPixels", "Effect", "Effects", "LostObjects"]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A figure of images, before and after augmentation.

    Attributes:
        name: ``"brightness"``, ``"contrast"``, ``"sharpness"``, ``"colour"``, or ``"object size"``.
        unit: What is counted, in words.
        edges: Edges of the bins of `before` and `after`.
        before: Number of unaugmented images (or objects) in each bin; empty where these are not known.
        after: Number of records (or objects in them) in each bin.
        before_quantiles: 5 %, 25 %, 50 %, 75 % and 95 % of them; empty where not known.
        after_quantiles: The same of records.
    """

    name: str
    unit: str
    edges: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    before_quantiles: tuple[float, ...]
    after_quantiles: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ClassPixels:
    """Pixels of one class of a mask.

    Attributes:
        field: Name of the mask.
        class_name: Name of the class, or its id.
        before: Share of all pixels of the unaugmented sources, 0 to 1; None where not known.
        after: Share of all pixels of records.
        num_before: Number of sources that have the class.
        num_after: Number of records that have it.
        num_expected: Number of records whose source has it.
        num_lost: Number of those that lack it.
    """

    field: str
    class_name: str
    before: float | None
    after: float
    num_before: int | None
    num_after: int
    num_expected: int | None
    num_lost: int | None


@dataclass(frozen=True, kw_only=True)
class LostObjects:
    """Objects that records lack, of one group.

    Attributes:
        field: Name of the objects' field.
        group: Name of a class, or of a size.
        by: ``"class"`` or ``"size"``.
        num_before: Number that records would have if none were lost.
        num_after: Number that they have.
    """

    field: str
    group: str
    by: str
    num_before: int
    num_after: int

    @property
    def share(self) -> float:
        """Share that was lost, 0 to 1."""
        return 1 - self.num_after / self.num_before if self.num_before else 0.0


@dataclass(frozen=True, kw_only=True)
class BorderFill:
    """Where pixels do not come from the source, but from filling.

    Attributes:
        share: Share of all pixels of records, 0 to 1.
        num_records: Number of records that were looked at.
        num_filled: Number of those with such pixels.
        grid: Share of filled pixels in each cell of the image, rows from the top: 16 × 16.
    """

    share: float
    num_records: int
    num_filled: int
    grid: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What augmentation did to the data of one split.

    Attributes:
        split: Name of the split.
        num_sources: Number of sources that were looked at.
        num_records: Number of their records.
        baseline: What records are compared with, in words; empty if with nothing.
        images: Figures of images, and of the sizes of objects.
        classes: Pixels of each class, for masks.
        lost: Objects lost by class and by size.
        num_emptied: Number of records without objects whose source has some; None where not known, or no objects are.
        fill: Where borders were filled; None where not known.
        meaning: One sentence.
    """

    split: str
    num_sources: int
    num_records: int
    baseline: str
    images: tuple[Effect, ...]
    classes: tuple[ClassPixels, ...] = ()
    lost: tuple[LostObjects, ...] = ()
    num_emptied: int | None = None
    fill: BorderFill | None = None
    meaning: str
