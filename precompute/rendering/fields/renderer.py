"""What a field does on the way from a source to its record; one renderer a type of field, found by its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, singledispatch
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource
from precompute.fields.feature import Value
from precompute.fields.field import Field
from precompute.images.decode import orientation_of
from precompute.images.mask_files import UnlistedColors
from precompute.options.build_options import BuildOptions
from precompute.pipelines.mirror_triangles import was_mirrored
from precompute.pipelines.pipeline import Pipeline

__all__ = ["Loaded", "Renderer", "SourceImage", "read_file", "renderer_type", "with_path"]

NO_IDS = np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class SourceImage:
    """The image of a source, decoded, to which the values of its other fields belong.

    Attributes:
        path: Path of the file.
        content: Bytes of the file.
        full_size: Height and width before it was shrunk.
        size: Height and width after that.
        alpha: What becomes of an alpha channel of files where images have none.
    """

    path: Path
    content: bytes
    full_size: tuple[int, int]
    size: tuple[int, int]
    alpha: str

    @cached_property
    def orientation(self) -> int:
        """The orientation that EXIF says, 1 for upright."""
        return orientation_of(self.content)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What was read of a field of a source.

    Attributes:
        value: Decoded.
        sha256: Hash of what its files hold; None without files.
        counters: What is to be counted, such as objects without a pixel: what → how many.
        is_turned: It was made for an image that EXIF turns.
    """

    value: Any
    sha256: str | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    is_turned: bool = False


@dataclass(frozen=True, kw_only=True)
class Renderer:
    """How the values of one field come into records. As it stands, for a value that travels along unchanged, or changes
    its sign where the image was mirrored in sum, as flip pairs of keypoints know it.

    Attributes:
        field: The field.
    """

    has_class_ids: ClassVar[bool] = False  # values hold a class id a pixel, of which some may be void
    field: Field

    @classmethod
    def settings(cls, field: Field, options: BuildOptions) -> dict[str, Any]:
        """Return what of a build's options decides the pixels of a field, as JSON; what is off is not named."""
        return {}

    @classmethod
    def of_settings(cls, field: Field, pixels: Mapping[str, Any]) -> Self:
        """Return the renderer of a field by what `settings` returned for all fields."""
        return cls(field=field)

    @property
    def name(self) -> str:
        """The field's name."""
        return self.field.name

    @property
    def pipeline_rules(self) -> dict[str, Any]:
        """What a pipeline is prepared for because of the field: arguments of `prepare`."""
        return {"tells_mirroring": True} if self.field.mirror_negates else {}

    @property
    def further_targets(self) -> dict[str, str]:
        """Those of its targets that Albumentations does not know by name, and the known one that each moves like."""
        return {}

    def targets(self, pipeline: Pipeline) -> tuple[str, ...]:
        """Return the names of what `hand_over` hands over, labels of boxes and points apart."""
        return ("keypoints",) if pipeline.probe else ()

    def check_pipeline(self, pickled: bytes, split: str) -> None:
        """Refuse a prepared pipeline that cannot keep what values mean.

        Raises:
            PipelineError: It is one.
        """

    def check_sample(self, values: Mapping[str, Any], split: str) -> None:
        """Refuse values that are hardly meant so.

        Args:
            values: Key → value of each source of a sample.
            split: The split of the sample, for messages.

        Raises:
            SourceError: They are.
        """

    def counters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is to be said of the values of a sample, key → value, in the form of the manifest's counters."""
        return {}

    @property
    def ignore_class(self) -> int | None:
        """The class id that is void, or None."""
        return None

    def load(self, raw: Any, image: SourceImage) -> Loaded:
        """Read the value of a source, from its files if it has any.

        Raises:
            RejectedSource: A file is missing or not usable, or does not fit the image; the message names it.
        """
        return Loaded(value=raw)

    def hand_over(self, value: Any, image: NDArray[np.uint8], pipeline: Pipeline) -> dict[str, Any]:
        """Return what Albumentations is handed beside the image: target → array, and labels of boxes or points.

        Args:
            value: As `load` gives it; None for an image without, such as one to predict.
            image: uint8 [H, W, C], which the value belongs to.
            pipeline: Says what its Compose was prepared for.
        """
        return pipeline.probe.hand_over(image) if self.field.mirror_negates and pipeline.probe else {}

    def take_back(self, value: Any, made: Mapping[str, Any], pipeline: Pipeline) -> Any:
        """Return what became of a value.

        Args:
            value: As it was handed over.
            made: What Albumentations made of all that it was handed.
            pipeline: As for `hand_over`.
        """
        return 0.0 - value if self.field.mirror_negates and was_mirrored(made) else value  # 0 stays 0

    def fault(self, value: Any, size: tuple[int, int]) -> str | None:
        """Return what is wrong with the form of what came back, beside an image of this height and width, or None."""
        return None

    def invention(self, loaded: Any, moved: Any, pipeline: Pipeline, memory: dict[Any, Any]) -> str | None:
        """Return what came back that neither was handed over nor may be filled in, or None.

        Args:
            loaded: The source's value.
            moved: What came back.
            pipeline: That moved it.
            memory: What was learnt of the source's value before; one source serves many records.
        """
        return None

    def class_ids(self, value: Any, memory: dict[Any, Any]) -> NDArray[np.int64]:
        """Return the class ids that a source's value holds a pixel each, ascending."""
        return NO_IDS

    def converted(self, value: Any) -> Any:
        """Return a value that a renderer of another type of numbers has loaded, in the type of records."""
        return value

    def record_values(self, value: Any, size: tuple[int, int], png_deflate: str | None) -> dict[str, Value]:
        """Return what stands in a record, by key.

        Args:
            value: As it came back from the pipeline.
            size: Height and width of the stored image.
            png_deflate: How PNGs are deflated, as `encode_png` takes it.
        """
        return self.field.record_values(value, size)


@singledispatch
def renderer_type(field: Field) -> type[Renderer]:
    """Return the renderer of a field's type; modules register those of fields that move or are read from files."""
    return Renderer


def read_file(path: Path, decode: Callable[[bytes], Any]) -> tuple[bytes, Any]:
    """Return what a file holds, and that decoded.

    Raises:
        RejectedSource: It cannot be read or decoded; the message names it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RejectedSource(f"{path}: cannot be read: {error.strerror}") from error
    return content, with_path(path, lambda: decode(content))


def with_path(path: Path, function: Callable[[], Any]) -> Any:
    """Return what a function returns, and let the messages of what it raises begin with a path."""
    try:
        return function()
    except UnlistedColors as error:
        raise UnlistedColors(error.counts, where=f"{path}: ") from error
    except RejectedSource as error:
        raise RejectedSource(f"{path}: {error}") from error
