"""Masks: read from files or merged from masks of single objects, moved with the pixels, checked, encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource, SourceError
from precompute.fields.boxes import Instances
from precompute.fields.counters import instance_ids_of, masks_of
from precompute.fields.feature import Value
from precompute.fields.field import FURTHER_MASKS, Field
from precompute.fields.mask import MASK, MaskField, mask_settings
from precompute.images.decode import decode_colors, decode_mask
from precompute.images.encode import encode_mask
from precompute.images.instance_masks import EMPTY, OVERLAP, load_instances, merge_instances
from precompute.images.mask_files import changed_ids, find_instance_ids, ids_of_colors, packed_colors
from precompute.images.shrink import shrink_mask
from precompute.images.source_files import check_same_size, read_file, with_path
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import of_field
from precompute.pipelines.mask_rules import AllowedIds, check_mask_rules
from precompute.pipelines.pipeline import Pipeline
from precompute.rendering.fields.renderer import Loaded, Renderer, SourceImage, renderer_type
from precompute.storage.paths import as_path

__all__ = ["MaskRenderer"]

IDS = "class ids"  # what is remembered of a source's mask, beside which ids each choice of fills allows


@dataclass(frozen=True, kw_only=True)
class MaskRenderer(Renderer):
    """Renders masks: one class id per pixel.

    Attributes:
        mask_map: Id in the file → class id.
        offset: Added to the ids in the file that the map does not name.
        colors: (packed colour, class id), sorted by colour, where files hold colours; else empty.
    """

    has_class_ids: ClassVar[bool] = True
    field: MaskField
    mask_map: tuple[tuple[int, int], ...] = ()
    offset: int = 0
    colors: tuple[tuple[int, int], ...] = ()

    @classmethod
    def settings(cls, field: Field, options: BuildOptions) -> dict[str, Any]:
        """Return the settings: the meaning of ids in files, and the type of ids in records.

        Those of the field that is called `mask` stand among all others, as in format 1; further ones under its name.
        """
        mask_map = of_field(options.mask_map, field.name) or {}
        offset, colors = of_field(options.mask_offset, field.name), of_field(options.mask_colors, field.name)
        pixels: dict[str, Any] = {
            "mask_map": {str(old): new for old, new in sorted(mask_map.items())},
            "mask_dtype": field.ids_dtype,
        }
        pixels |= {"mask_offset": offset} if offset else {}
        pixels |= {"mask_colors": colors.ids} if colors else {}
        return pixels if field.name == MASK else {FURTHER_MASKS: {field.name: pixels}}

    @classmethod
    def of_settings(cls, field: Field, pixels: Mapping[str, Any]) -> Self:
        """Return the renderer of settings; what they do not name (map, offset, colours) is not used."""
        own = mask_settings(pixels, field.name)
        return cls(
            field=field,  # type: ignore[arg-type]  # of masks it is one
            mask_map=tuple(sorted((int(old), new) for old, new in own.get("mask_map", {}).items())),
            offset=own.get("mask_offset", 0),
            colors=packed_colors(own.get("mask_colors")),
        )

    @property
    def max_class_id(self) -> int:
        """Largest id that a mask may hold, except for the ignore class."""
        return self.field.num_classes - 1

    @property
    def ignore_class(self) -> int | None:
        """Ignore class of the field."""
        return self.field.ignore_class

    @property
    def further_targets(self) -> dict[str, str]:
        """The field's name, where there may be another mask beside it."""
        return {} if self.name == MASK else {self.name: MASK}

    def targets(self, pipeline: Pipeline) -> tuple[str, ...]:
        """Return the field's name."""
        return (self.name,)

    def check_pipeline(self, pickled: bytes, split: str) -> None:
        """Refuse a pipeline that blends ids, or fills with an id that is no class."""
        check_mask_rules(pickled, split, max_class_id=self.max_class_id, ignore_class=self.field.ignore_class)

    def check_sample(self, values: Mapping[str, Any], split: str) -> None:
        """Refuse masks that hold only 0 and 255, where 255 is hardly class 255; and an offset that moves void ids."""
        ids = {int(i) for mask in values.values() for i in np.unique(mask)}
        void, offset = self.field.ignore_class, self.offset
        masks, of = masks_of(self.name)
        if void is not None and offset and void not in ids and void + offset in ids and void not in dict(self.mask_map):
            raise SourceError(
                f"{masks} hold the id {void}, which --mask-offset {of}{offset} makes {void + offset}, and none comes "
                f"out as --ignore-class {of}{void} (looked at {len(values)} of {split}). If {void} means void in the "
                f"files, keep it with --mask-map {of}{void}:{void}."
            )
        if self.mask_map or offset or self.colors or void == 255:
            return
        if 255 in ids and ids <= {0, 255}:
            raise SourceError(
                f"{masks} hold 0 and 255 alone (looked at {len(values)} of {split}): 255 would be class 255 "
                f"of 256. If it means foreground, pass --mask-map {of}255:1 (mask_map={self._in_python({255: 1})})."
            )

    def _in_python(self, value: Any) -> str:
        """Return how Python gives a value of an option for this field."""
        return repr(value if self.name == MASK else {self.name: value})

    def counters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Count masks whose ids seem to be numbers of objects; not where classes have names or colours."""
        if self.colors or self.field.class_names:
            return {}
        found = find_instance_ids(list(values.values()), self.field.ignore_class)
        if found is None:
            return {}
        keys = [[*values][position] for position in found.positions]
        largest = max(int(values[key].max()) for key in keys)
        counts = {"number": found.num_looked_at, "num_sources": len(keys), "examples": keys[:5], "largest": largest}
        return {instance_ids_of(self.name): counts}

    def load(self, raw: Any, image: SourceImage) -> Loaded:
        """Read a mask's file, or merge the masks of single objects."""
        return self._merge(raw, image) if isinstance(raw, Instances) else self._read(as_path(raw), image)

    def _read(self, path: Path, image: SourceImage) -> Loaded:
        decode = decode_colors if self.colors else decode_mask
        content, stored = read_file(path, lambda content: decode(content, image.alpha))
        ids = with_path(path, lambda: self._class_ids(stored))
        check_same_size(path, ids.shape, image.path, image.full_size)
        return Loaded(
            value=ids if image.size == image.full_size else shrink_mask(ids, image.size),
            sha256=hashlib.sha256(content).hexdigest(),
            is_turned=image.is_turned(content),
        )

    def _merge(self, raw: Instances, image: SourceImage) -> Loaded:
        loaded, sha256, num_empty = load_instances(image.path, raw, image.full_size, image.alpha)
        merged, overlap = merge_instances(loaded, self.field.ignore_class)
        ids = with_path(image.path, lambda: self._class_ids(merged))
        return Loaded(
            value=ids if image.size == image.full_size else shrink_mask(ids, image.size),
            sha256=sha256,
            counters={what: number for what, number in ((EMPTY, num_empty), (OVERLAP, overlap)) if number},
            is_turned=image.is_turned(),
        )

    def _class_ids(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the class ids of a decoded mask, in the dtype of records."""
        if self.colors:
            ids: NDArray[Any] = ids_of_colors(stored, self.colors)
        else:
            ids = changed_ids(stored, self.mask_map, self.offset)
        present = np.flatnonzero(np.bincount(ids.reshape(-1)))
        unknown = [int(i) for i in present if i > self.max_class_id and i != self.field.ignore_class]
        if unknown:
            raise RejectedSource(
                f"holds class ids {', '.join(map(str, unknown[:5]))}; expected ids up to {self.max_class_id}: "
                "give --num-classes, map them with --mask-map, or name one as --ignore-class"
            )
        return ids.astype(self.field.dtype, copy=False)

    def hand_over(self, value: Any, image: NDArray[np.uint8], pipeline: Pipeline) -> dict[str, Any]:
        """Return the value as a mask for Albumentations."""
        return {} if value is None else {self.name: value}

    def take_back(self, value: Any, made: Mapping[str, Any], pipeline: Pipeline) -> Any:
        """Return the mask."""
        return made[self.name]

    def fault(self, value: Any, size: tuple[int, int]) -> str | None:
        """Return what is wrong with the mask's size or type."""
        if value.shape == size and value.dtype == np.dtype(self.field.dtype):
            return None
        return f"a mask of shape {value.shape} and type {value.dtype} where {size} and {self.field.dtype} are expected"

    def invention(self, loaded: Any, moved: Any, pipeline: Pipeline, memory: dict[Any, Any]) -> str | None:
        """Return the ids that neither the source nor a fill has."""
        ignore = self.field.ignore_class
        fills = pipeline.mask_fills if ignore is None else pipeline.mask_fills | {ignore}
        if fills not in memory:
            memory[fills] = AllowedIds.of({*self.class_ids(loaded, memory).tolist(), *fills})
        unknown = memory[fills].unknown(moved)
        if not unknown:
            return None
        return (
            f"class ids that its mask does not hold: {', '.join(map(str, unknown[:5]))}"
            f"{' …' if len(unknown) > 5 else ''}. Interpolation other than nearest blends ids "
            "(mask_interpolation); a transform that fills says so in fill_mask; to change ids, use --mask-map"
        )

    def class_ids(self, value: Any, memory: dict[Any, Any]) -> NDArray[np.int64]:
        """Return the ids in the mask, ascending."""
        if IDS not in memory:
            memory[IDS] = np.flatnonzero(np.bincount(value.reshape(-1)))
        ids: NDArray[np.int64] = memory[IDS]
        return ids

    def converted(self, value: Any) -> Any:
        """Return the mask in the type of records, which can hold its ids."""
        return value.astype(self.field.dtype, copy=False)

    def record_values(self, value: Any, size: tuple[int, int], png_deflate: str | None) -> dict[str, Value]:
        """Return the mask as an encoded picture, and its encoding."""
        return self.field.record_values(encode_mask(value, self.field.encoding, png_deflate), size)


@renderer_type.register
def _(field: MaskField) -> type[Renderer]:
    return MaskRenderer
