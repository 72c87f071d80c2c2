"""Decoded values of pairs of records: how many pixels and numbers differ, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.fields.field import Schema

__all__ = ["Change", "Light", "ValueChanges", "compare_values", "flat_values", "light_of", "summarize"]

ORIGIN = ("key", "filename", "seed", "variant", "copy", "source_id")


@dataclass(frozen=True, kw_only=True)
class Change:
    """How one value of a record differs from that of another record.

    Attributes:
        share: Share of its pixels or numbers that differ, 0 to 1; 1 where shapes or texts do.
        mean: Mean absolute difference over all of them; None for other shapes, for texts, and for whole numbers such as
            classes, which are no more than equal or not.
        largest: Largest difference; None likewise.
        has_other_shape: Whether there are more or fewer of them, such as another number of objects.
    """

    share: float
    mean: float | None = None
    largest: float | None = None
    has_other_shape: bool = False


@dataclass(frozen=True, kw_only=True)
class ValueChanges:
    """How one value differs over a sample of pairs of records.

    Attributes:
        name: Name of the value, such as ``"image"``, ``"mask"``, ``"boxes"``.
        num_pairs: Number of pairs in the sample.
        num_different: Number of pairs in which it differs.
        num_other_shape: Number of pairs in which its shape differs, such as the number of objects.
        share: Mean share of pixels or numbers that differ, over the pairs in which it differs.
        mean: Mean absolute difference over all pixels or numbers of these pairs; None where none can be compared.
        largest: Largest difference; None likewise.
    """

    name: str
    num_pairs: int
    num_different: int
    num_other_shape: int
    share: float
    mean: float | None
    largest: float | None


@dataclass(frozen=True, kw_only=True)
class Light:
    """Brightness and contrast of images.

    Attributes:
        brightness: Mean of all pixels and channels, 0 to 255.
        contrast: Standard deviation of an image's pixels, the mean of all images.
    """

    brightness: float
    contrast: float


def compare_values(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Change]:
    """Return name of each value that differs → how, for two flat examples; what only one has is not named."""
    found = {name: _change(a[name], b[name]) for name in a if name in b}
    return {name: change for name, change in found.items() if change is not None}


def flat_values(example: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the values of a decoded record's fields by name, those of shared entries as ``"extra.name"``."""
    left_out = {*ORIGIN, *(name for field in schema.values() for name in field.stored_entries)}
    return dict(_flat({name: value for name, value in example.items() if name not in left_out}))


def _flat(values: Mapping[str, Any], around: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{around}{name}.")
        else:
            yield around + name, value


def _change(a: Any, b: Any) -> Change | None:
    one, other = np.asarray(a), np.asarray(b)
    if one.shape != other.shape:
        return Change(share=1.0, has_other_shape=True)
    differs = (one != other) & ~((one != one) & (other != other))  # NaN equals NaN
    if not differs.any():
        return None
    share = float(differs.mean())
    if not all(values.dtype.kind == "f" or (values.dtype == np.uint8 and values.ndim == 3) for values in (one, other)):
        return Change(share=share)
    distance = np.abs(one.astype(np.float64) - other.astype(np.float64))
    finite = distance[np.isfinite(distance)]
    return (
        Change(share=share, mean=float(finite.mean()), largest=float(finite.max()))
        if finite.size
        else Change(share=share)
    )


def summarize(changes: Sequence[Mapping[str, Change]]) -> list[ValueChanges]:
    """Return each value that differs in some pairs of a sample, the image first."""
    names = dict.fromkeys(name for of_pair in changes for name in of_pair)
    return [
        _summarized(name, [of_pair[name] for of_pair in changes if name in of_pair], len(changes)) for name in names
    ]


def _summarized(name: str, found: Sequence[Change], num_pairs: int) -> ValueChanges:
    means = [change.mean for change in found if change.mean is not None]
    largest = [change.largest for change in found if change.largest is not None]
    return ValueChanges(
        name=name,
        num_pairs=num_pairs,
        num_different=len(found),
        num_other_shape=sum(change.has_other_shape for change in found),
        share=sum(change.share for change in found) / len(found),
        mean=sum(means) / len(means) if means else None,
        largest=max(largest, default=None),
    )


def light_of(images: Sequence[NDArray[np.uint8]]) -> Light:
    """Return brightness and contrast of some images, at least one."""
    return Light(
        brightness=float(np.mean([image.mean() for image in images])),
        contrast=float(np.mean([image.std() for image in images])),
    )
