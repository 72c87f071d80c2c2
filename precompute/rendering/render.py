"""One pure function makes a record: (source, pipeline, seed, variant, copy) → bytes.

The task, the preview, verification and making one record again all call it, so none of them can differ.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource
from precompute.fields.boxes import Boxes
from precompute.fields.instances import Instances
from precompute.fields.label import LabelField
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.fields.record import origin_values
from precompute.fields.value import ValueField
from precompute.images.encode import encode_image, encode_mask
from precompute.images.png import encode_png
from precompute.pipelines.instance_rules import large_enough
from precompute.pipelines.mask_rules import UnknownIds
from precompute.pipelines.pipeline import Pipeline, Target
from precompute.records.example import encode_example
from precompute.rendering.decode import Decoded
from precompute.rendering.spec import RecordSpec

__all__ = ["PipelineFault", "augment", "encode_record", "render", "source_id"]

SOURCE_ID_PERSON = b"augonce-source-1"
NUM_SOURCE_IDS = 2**53  # what a float64 holds exactly


class PipelineFault(RejectedSource):
    """A pipeline failed on a source, or what it gave is not what records are.

    Attributes:
        fault: What happened, in words that name no variant.
    """

    def __init__(self, message: str, *, fault: str = "") -> None:
        super().__init__(message)
        self.fault = fault or message


def augment(
    source: Decoded, pipeline: Pipeline, spec: RecordSpec, *, seed: int, variant: int, copy: int = 0
) -> tuple[NDArray[np.uint8], Any]:
    """Return image and mask, or image and boxes, of one variant, checked against what records must be.

    Raises:
        PipelineFault: The pipeline failed on this source, or gave another size or type.
        UnknownIds: It made class ids that the source does not hold.
    """
    try:
        image, target = pipeline.apply(
            source.image, source.target, seed=seed, key=source.key, variant=variant, copy=copy
        )
    except Exception as error:  # a transform may raise anything
        message = f"{type(error).__name__}: {error}"
        raise PipelineFault(
            f"{source.filename}: the pipeline failed at variant {variant} (seed {seed}): {message}",
            fault=f"failed: {message}",
        ) from error
    if isinstance(target, Boxes) and spec.skeleton is not None:
        target = target.flipped(spec.skeleton.flip_pairs)
    if spec.channels == 1 and isinstance(image, np.ndarray) and image.ndim == 2:
        image = image[..., None]
    if isinstance(target, Instances):
        target = large_enough(target, spec.min_area)
    mask = None if isinstance(target, Boxes) else target
    wrong = _wrong_output(image, mask, spec)
    if wrong:
        raise PipelineFault(
            f"{source.filename}: at variant {variant} (seed {seed}) the pipeline gave {wrong}", fault=f"gave {wrong}"
        )
    if mask is not None:
        _check_ids(source, mask, pipeline, spec, f"{source.filename}: at variant {variant} (seed {seed})")
    return image, target


def _check_ids(source: Decoded, mask: NDArray[Any], pipeline: Pipeline, spec: RecordSpec, where: str) -> None:
    fills = pipeline.mask_fills if spec.ignore_class is None else pipeline.mask_fills | {spec.ignore_class}
    unknown = source.allowed_ids(fills).unknown(mask)
    if unknown:
        raise UnknownIds(
            f"{where} the pipeline made class ids that its mask does not hold: {', '.join(map(str, unknown[:5]))}"
            f"{' …' if len(unknown) > 5 else ''}. Interpolation other than nearest blends ids "
            "(mask_interpolation); a transform that fills says so in fill_mask; to change ids, use --mask-map"
        )


def render(source: Decoded, pipeline: Pipeline, spec: RecordSpec, *, seed: int, variant: int, copy: int = 0) -> bytes:
    """Return the record of one variant of a source, as serialized tf.train.Example.

    Raises:
        RejectedSource: The pipeline failed on this source, or gave another size or type.
    """
    image, target = augment(source, pipeline, spec, seed=seed, variant=variant, copy=copy)
    return encode_record(source, image, target, spec, seed=seed, variant=variant, copy=copy)


def encode_record(
    source: Decoded,
    image: NDArray[np.uint8],
    target: Target,
    spec: RecordSpec,
    *,
    seed: int,
    variant: int,
    copy: int = 0,
) -> bytes:
    """Return the record of what `augment` gave for a source."""
    size = image.shape[:2]
    values = origin_values(
        key=source.key,
        filename=source.filename,
        source_id=source_id(source.key),
        seed=seed,
        variant=variant,
        copy=copy,
        size=size,
    )
    moved: Any = target
    label: Any = source.label
    for name, value in (source.extra or {}).items():
        values |= ValueField(name=name, dtype="").record_values(value, size)
    for field in spec.schema.values():
        if isinstance(field, ObjectsField):
            values |= field.record_values(moved, size, encode_png)
        elif isinstance(field, MaskField):
            values |= field.record_values(encode_mask(moved, spec.mask_encoding), size)
        elif isinstance(field, LabelField):
            values |= field.record_values(label, size)
        else:
            values |= field.record_values(encode_image(image, spec.encoding, spec.quality), size)
    return encode_example(values)


def source_id(key: str) -> int:
    """Return the number that stands for a key: some readers parse `image/source_id` as a number."""
    hashed = hashlib.blake2b(key.encode(), digest_size=8, person=SOURCE_ID_PERSON).digest()
    return int.from_bytes(hashed, "little") % NUM_SOURCE_IDS


def _wrong_output(image: Any, mask: Any, spec: RecordSpec) -> str | None:
    """Return what is wrong with a pipeline's output, or None."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        return f"an image of type {getattr(image, 'dtype', type(image).__name__)} where uint8 is expected"
    if image.ndim != 3 or image.shape[2] != spec.channels:
        return f"an image of shape {image.shape} where [height, width, {spec.channels}] is expected"
    expected = (spec.height or image.shape[0], spec.width or image.shape[1])
    if image.shape[:2] != expected:
        return (
            f"{image.shape[0]}×{image.shape[1]} pixels where {expected[0]}×{expected[1]} (height × width) are expected"
        )
    if mask is not None and (mask.shape != expected or mask.dtype != np.dtype(spec.mask_dtype)):
        return f"a mask of shape {mask.shape} and type {mask.dtype} where {expected} and {spec.mask_dtype} are expected"
    return None
