"""What a dataset looks like: sources beside their variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOT_IN_JSON", "Fired", "Picture", "Sample", "Variant"]


NOT_IN_JSON = {"json": False}  # metadata of what holds pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture for people, at most 384 pixels a side.

    Attributes:
        plain: uint8 [H, W, 3], the image; a small one in its own size.
        overlay: uint8 [h, w, 4], what fields draw over it, in the same proportions, transparent elsewhere; None where
            they draw nothing.
        beside: Name of a field → uint8 [H, W, 3], the picture of its own that it shows beside.
    """

    plain: NDArray[np.uint8]
    overlay: NDArray[np.uint8] | None = None
    beside: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fired:
    """A transform that was applied.

    Attributes:
        name: Name of the transform, with the compositions around it: ``"OneOf › Blur"``.
        parameters: Name → value in words, of what it drew.
    """

    name: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One stored record of a source.

    Attributes:
        row: Number of the row.
        seed: Augmentation seed.
        variant: Variant; None in the original row.
        fired: Transforms that were applied, in their order; None where the record could not be made again.
        equals_original: Whether its pixels are those of the unaugmented source; None where that is not known.
        texts: Lines under the picture: what fields say of this record.
        picture: The stored record.
    """

    row: int
    seed: int
    variant: int | None
    fired: tuple[Fired, ...] | None
    equals_original: bool | None
    texts: tuple[str, ...] = ()
    picture: Picture = field(metadata=NOT_IN_JSON, repr=False)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A source of the gallery, with its variants.

    Attributes:
        key: Key of the source.
        split: Name of the split.
        classes: Names of the classes in it, for a filter.
        texts: What fields say of the source: its label, its number of objects.
        picture: The source itself; None where it is not there any more, or has changed.
        variants: Its stored records, of several rows.
    """

    key: str
    split: str
    classes: tuple[str, ...]
    texts: tuple[str, ...]
    picture: Picture | None = field(metadata=NOT_IN_JSON, repr=False)
    variants: tuple[Variant, ...]
