"""The base of renderers, the twins of fields that make records; a renderer is found by its field's class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, singledispatch
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from precompute.fields.feature import Value
from precompute.fields.field import Field
from precompute.images.decode import orientation_of
from precompute.options.build_options import BuildOptions
from precompute.pipelines.mirror_triangles import was_mirrored
from precompute.pipelines.pipeline import Pipeline

__all__ = ["Loaded", "Renderer", "SourceImage", "renderer_type"]

NO_IDS = np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class SourceImage:
    """The decoded image of a source, which the values of its other fields belong to.

    Attributes:
        path: Path of the file.
        content: Bytes of the file.
        full_size: Height and width before it was shrunk.
        size: Height and width after it was shrunk.
        alpha: How alpha channels of files are handled where images have none.
    """

    path: Path
    content: bytes
    full_size: tuple[int, int]
    size: tuple[int, int]
    alpha: str

    @cached_property
    def orientation(self) -> int:
        """EXIF orientation of the file, 1 for upright."""
        return orientation_of(self.content)

    def is_turned(self, content: bytes = b"") -> bool:
        """Return whether EXIF turns the image, and not alike the file of a value, where that has one."""
        return self.orientation not in (1, orientation_of(content))


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The loaded value of a field of a source.

    Attributes:
        value: The decoded value.
        sha256: SHA-256 of its files; None without files.
        counters: Name of a counter, such as objects without a pixel → count.
        is_turned: Whether it was made for an image that EXIF turns.
    """

    value: Any
    sha256: str | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    is_turned: bool = False


@dataclass(frozen=True, kw_only=True)
class Renderer:
    """Brings the values of one field into records. This class itself serves values that travel along unchanged, or that
    change their sign where the image was mirrored in the end.

    Attributes:
        field: The field.
    """

    has_class_ids: ClassVar[bool] = False  # values hold a class id a pixel, of which some may be void
    field: Field

    @classmethod
    def settings(cls, field: Field, options: BuildOptions) -> dict[str, Any]:
        """Return the options that decide the field's pixels, as JSON; options that are off are not named."""
        return {}

    @classmethod
    def of_settings(cls, field: Field, pixels: Mapping[str, Any]) -> Self:
        """Return the renderer of a field, from what `settings` returned for all fields."""
        return cls(field=field)

    @property
    def name(self) -> str:
        """The field's name."""
        return self.field.name

    @property
    def pipeline_rules(self) -> dict[str, Any]:
        """Arguments of `prepare` that a pipeline needs for the field."""
        return {"tells_mirroring": True} if self.field.mirror_negates else {}

    @property
    def further_targets(self) -> dict[str, str]:
        """Its targets that Albumentations does not know by name → the known target that each moves like."""
        return {}

    @property
    def declared_targets(self) -> tuple[str, ...]:
        """Its targets of which the pipeline itself has to say what they move like."""
        return ()

    def targets(self, pipeline: Pipeline) -> tuple[str, ...]:
        """Return the names of the targets of `hand_over`, without labels of boxes and points."""
        return ("keypoints",) if pipeline.probe else ()

    def check_pipeline(self, pickled: bytes, split: str) -> None:
        """Refuse a prepared pipeline that cannot keep the meaning of values.

        Raises:
            PipelineError: The pipeline cannot.
        """

    def check_sample(self, values: Mapping[str, Any], split: str) -> None:
        """Refuse values of a sample that are probably a mistake.

        Args:
            values: Key → value of each source of a sample.
            split: The split of the sample, for messages.

        Raises:
            SourceError: They are probably a mistake.
        """

    def counters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return counts of the values of a sample, key → value, in the form of the manifest's counters."""
        return {}

    def measured(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return the field's attributes that a sample of its values tells, as JSON; empty if it tells none.

        Raises:
            PrecomputeError: The values do not fit together.
        """
        return {}

    @property
    def ignore_class(self) -> int | None:
        """The class id of pixels that do not count, or None."""
        return None

    def load(self, raw: Any, image: SourceImage) -> Loaded:
        """Read the value of a source, from its files if it has any.

        Raises:
            RejectedSource: A file is missing or not usable, or does not fit the image; the message names it.
        """
        return Loaded(value=raw)

    def hand_over(self, value: Any, image: NDArray[np.uint8], pipeline: Pipeline) -> dict[str, Any]:
        """Return the targets for Albumentations beside the image: target → array, and labels of boxes or points.

        Args:
            value: Value from `load`; None for an image without one, such as one to predict.
            image: uint8 [H, W, C], which the value belongs to.
            pipeline: Pipeline; it tells what its Compose was prepared for.
        """
        return pipeline.probe.hand_over(image) if self.field.mirror_negates and pipeline.probe else {}

    def take_back(self, value: Any, made: Mapping[str, Any], pipeline: Pipeline) -> Any:
        """Return the value after the pipeline.

        Args:
            value: The value that was handed over.
            made: Albumentations' result for all targets.
            pipeline: The same pipeline as in `hand_over`.
        """
        return 0.0 - value if self.field.mirror_negates and was_mirrored(made) else value  # 0 stays 0

    def fault(self, value: Any, size: tuple[int, int]) -> str | None:
        """Return what is wrong with the form of the moved value, for an image of this height and width; or None."""
        return None

    def invention(self, loaded: Any, moved: Any, pipeline: Pipeline, memory: dict[Any, Any]) -> str | None:
        """Return what the moved value holds that neither the source nor a fill has; or None.

        Args:
            loaded: The source's value.
            moved: The value after the pipeline.
            pipeline: The pipeline that moved it.
            memory: Cached facts about the source's value, which is used for many records.
        """
        return None

    def class_ids(self, value: Any, memory: dict[Any, Any]) -> NDArray[np.int64]:
        """Return the class ids in the pixels of a source's value, ascending."""
        return NO_IDS

    def converted(self, value: Any) -> Any:
        """Return a value that a renderer for other, or unknown, types of numbers has loaded, in this one's type."""
        return value

    def advice(self, channels: int) -> str:
        """Return advice where a pipeline fails on sources; empty for none.

        Args:
            channels: Number of channels of images.
        """
        return ""

    def record_values(self, value: Any, size: tuple[int, int], png_deflate: str | None) -> dict[str, Value]:
        """Return the content of a record: key → what stands there.

        Args:
            value: The value after the pipeline.
            size: Height and width of the stored image.
            png_deflate: How PNGs are deflated, as `encode_png` takes it.
        """
        return self.field.record_values(value, size)


@singledispatch
def renderer_type(field: Field) -> type[Renderer]:
    """Return the renderer class of a type of field; other modules register those that move values or read files."""
    return Renderer
