"""What a dataset looks like: sources beside their variants, as pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precompute.fields.field import Schema
from precompute.fields.layers import Layers
from precompute.pictures.drawing import as_rgb, draw_layers, draw_overlay
from precompute.pictures.legend import Entry, legend_of
from precompute.pipelines.chances import Chance
from precompute.pipelines.tracing import Firing
from precompute.reporting.observing import Observed, StoredRecord, spread_out
from precompute.reporting.transforms import equals_original
from precompute.table.listing import Listing

__all__ = [
    "NOT_IN_JSON",
    "SIDE",
    "Fired",
    "GalleryTally",
    "Picture",
    "Sample",
    "Variant",
    "merge_legends",
    "picture_of",
]

NOT_IN_JSON = {"json": False}  # metadata of what holds pixels
SIDE = 384  # pixels, of a picture
MAX_VARIANTS = 6
SHOWN = {"train": 24}  # sources of a split; of others 8
OTHERS = 8


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
    beside: Mapping[str, NDArray[np.uint8]] = dataclasses.field(default_factory=dict)


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
    picture: Picture = dataclasses.field(metadata=NOT_IN_JSON, repr=False)


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
    picture: Picture | None = dataclasses.field(metadata=NOT_IN_JSON, repr=False)
    variants: tuple[Variant, ...]


class GalleryTally:
    """Draws the first sources of a sample, those of classes that were not there yet before others.

    Args:
        split: Name of the split.
        schema: Fields of the dataset.
        listing: Sources of the split.
        chances: Transforms of the split's pipeline; empty where records cannot be made again.

    Attributes:
        legend: Name of a field → what its colours in the pictures mean, each once.
    """

    def __init__(self, split: str, schema: Schema, listing: Listing, chances: list[Chance]) -> None:
        self._split, self._schema, self._listing, self._chances = split, schema, listing, chances
        self._room = SHOWN.get(split, OTHERS)
        self._samples: list[Sample] = []
        self._seen: set[str] = set()
        self.legend: dict[str, dict[Entry, None]] = {}

    def add(self, observed: Observed) -> None:
        """Draw a source with its records, if there is room."""
        classes = self._classes(observed)
        is_new = not self._seen.issuperset(classes)
        if len(self._samples) >= (self._room if is_new else self._room - self._kept_for_new()):
            return
        self._seen.update(classes)
        for record in observed.records:
            for name, drawn in self._schema.draw(record.example).items():
                self.legend.setdefault(name, {}).update(dict.fromkeys(legend_of([drawn])))
        source = observed.source
        layers = None if source is None else self._schema.draw_source(source.values, source.image.shape)
        texts = (
            _texts(layers or self._schema.draw(observed.records[0].example), remarks=True) if observed.records else ()
        )
        self._samples.append(
            Sample(
                key=observed.key,
                split=self._split,
                classes=classes,
                texts=texts,
                picture=None if source is None or layers is None else picture_of(source.image, layers),
                variants=tuple(
                    self._variant(record, observed) for record in spread_out(observed.records, MAX_VARIANTS)
                ),
            )
        )

    def _kept_for_new(self) -> int:
        """Return how many places are kept for classes that may still come."""
        known = {name for field in self._schema.targets.values() for name in field.classes}
        return min(len(known - self._seen), self._room // 2)

    def result(self) -> tuple[Sample, ...]:
        """Return the samples."""
        return tuple(self._samples)

    def _classes(self, observed: Observed) -> tuple[str, ...]:
        """Return the names of the classes in a source, of all its fields."""
        names: dict[str, None] = {}
        for name, field in self._schema.items():
            column = self._listing.columns.get(name)
            found = () if column is None else column.classes(observed.position)
            names |= dict.fromkeys(field.classes[index] for index in found if index < len(field.classes))
            for record in observed.records[:1]:
                contents = field.contents(record.example)
                names |= dict.fromkeys(contents.class_name(class_id) for class_id in contents.class_pixels)
        return tuple(names)

    def _variant(self, record: StoredRecord, observed: Observed) -> Variant:
        layers = self._schema.draw(record.example)
        return Variant(
            row=record.row.row,
            seed=record.row.seed,
            variant=record.row.variant,
            fired=None if record.trace is None else tuple(map(self._fired, record.trace.firings)),
            equals_original=equals_original(record, observed.plain),
            texts=_texts(layers, remarks=False),
            picture=picture_of(record.example["image"], layers),
        )

    def _fired(self, firing: Firing) -> Fired:
        drawn = {name: value if isinstance(value, str) else f"{value:.3g}" for name, value in firing.drawn.items()}
        return Fired(name=self._chances[firing.position].name, parameters=drawn)


def merge_legends(tallies: Iterable[GalleryTally]) -> dict[str, list[Entry]]:
    """Return what colours mean in the pictures of all splits, classes in their order before anything else."""
    merged: dict[str, dict[Entry, None]] = {}
    for tally in tallies:
        for name, entries in tally.legend.items():
            merged.setdefault(name, {}).update(entries)
    return {name: sorted(entries, key=_class_first) for name, entries in merged.items() if entries}


def _class_first(entry: Entry) -> tuple[bool, int]:
    return not entry.class_id, entry.class_id


def picture_of(image: NDArray[np.uint8], layers: Mapping[str, Layers]) -> Picture:
    """Return the picture of an image, uint8 [H, W, 1, 3 or 4], and what its fields draw over it and show beside it."""
    height, width = image.shape[:2]
    overlay = draw_overlay(height, width, layers.values(), SIDE)
    return Picture(
        plain=_shrunk(image),
        overlay=None if overlay is None else np.asarray(overlay),
        beside={name: _shrunk(one.beside) for name, one in layers.items() if one.beside.size},
    )


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image as uint8 [H, W, 3], in its own size where that is small enough."""
    return as_rgb(image) if max(image.shape[:2]) <= SIDE else np.asarray(draw_layers(image, (), SIDE))


def _texts(layers: Mapping[str, Layers], *, remarks: bool) -> tuple[str, ...]:
    texts = (text for layer in layers.values() for text in ((layer.remark, layer.text) if remarks else (layer.text,)))
    return tuple(text for text in texts if text)
