"""Reading the files of a source: its image, and the values of its fields, checked against the image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.fields.column import digest_of_fields
from precompute.images.decode import decode_shrunk
from precompute.images.source_files import read_file
from precompute.rendering.fields.renderer import SourceImage
from precompute.rendering.spec import RecordSpec

__all__ = ["Decoded", "decode_source", "files_beside"]

IMAGE = "image"
OPAQUE_ALPHA, TURNED = "opaque_alpha", "turned"  # what is counted, beside what becomes of fields


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded source.

    Attributes:
        key: The source's key.
        filename: Name of the image file.
        image: uint8 [H, W, C], grey, RGB or RGBA; shrunk if it was larger than the spec allows.
        values: Name of each other field → its value, shrunk like the image.
        hashes: Name of each field with files, the image included → sha256 of its files.
        full_size: Height and width of a shrunk source before it was shrunk; None for others.
        counters: Name of a counter, such as objects without a pixel → count.
    """

    key: str
    filename: str
    image: NDArray[np.uint8]
    values: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    full_size: tuple[int, int] | None = None
    counters: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def memory(self) -> dict[str, dict[Any, Any]]:
        """Field's name → cached facts about its value, since one source is used for many records."""
        return {name: {} for name in self.values}

    def class_ids(self, spec: RecordSpec) -> dict[str, NDArray[np.int64]]:
        """Return the class ids in each of the source's masks, ascending, by the names of their fields."""
        there = (one for one in spec.fields if one.has_class_ids and one.name in self.values)
        return {one.name: one.class_ids(self.values[one.name], self.memory[one.name]) for one in there}

    def converted(self, spec: RecordSpec) -> Decoded:
        """Return the source, which was loaded for a spec with other types of masks, in the types of this spec."""
        values = {one.name: one.converted(self.values[one.name]) for one in spec.fields if one.name in self.values}
        return replace(self, values=values)

    @property
    def sha256(self) -> str:
        """SHA-256 of the image file."""
        return self.hashes[IMAGE]

    @property
    def mask_sha256(self) -> str | None:
        """SHA-256 of the other fields' files; None without files."""
        return digest_of_fields({name: sha256 for name, sha256 in self.hashes.items() if name != IMAGE})


def decode_source(key: str, image: Path, raw: Mapping[str, Any], spec: RecordSpec) -> Decoded:
    """Read and decode one source.

    Args:
        key: Key of the source.
        image: Path of its image file.
        raw: Name of each field → raw value; empty for images to predict.
        spec: Specification of records.

    Raises:
        RejectedSource: A file is missing or not usable; the message names it.
    """
    content, (pixels, full_size, opaque_alpha) = read_file(
        image,
        lambda content: decode_shrunk(content, spec.max_source_size, spec.color_mode, spec.scale, spec.alpha),
    )
    size = (pixels.shape[0], pixels.shape[1])
    source = SourceImage(path=image, content=content, full_size=full_size, size=size, alpha=spec.alpha)
    loaded = {one.name: one.load(raw[one.name], source) for one in spec.fields if one.name in raw}
    counters = {what: number for one in loaded.values() for what, number in one.counters.items()}
    turned = any(one.is_turned for one in loaded.values())
    files = {name: one.sha256 for name, one in loaded.items() if one.sha256 is not None}
    return Decoded(
        key=key,
        filename=image.name,
        image=pixels,
        values={name: one.value for name, one in loaded.items()},
        hashes={IMAGE: hashlib.sha256(content).hexdigest(), **files},
        full_size=full_size if full_size != size else None,
        counters=counters | ({OPAQUE_ALPHA: 1} if opaque_alpha else {}) | ({TURNED: 1} if turned else {}),
    )


def files_beside(source: Decoded, raw: Mapping[str, Any], image: str | Path) -> str:
    """Return the name in messages of the files beside the image of a source with these raw values."""
    values = [raw[name] for name in source.hashes if name != IMAGE]
    return " or ".join(value if isinstance(value, str) else f"masks of {image}" for value in values)
