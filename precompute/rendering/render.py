"""One pure function makes a record: (source, pipeline, seed, variant, copy) → bytes.

Tasks, the preview, verification and rebuilding of single records all call it, so their results cannot differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource
from precompute.fields.feature import origin_values
from precompute.images.encode import encode_image
from precompute.pipelines.mask_rules import UnknownIds
from precompute.pipelines.pipeline import Pipeline
from precompute.records.example import encode_example
from precompute.rendering.decode import Decoded
from precompute.rendering.spec import RecordSpec

__all__ = ["PipelineFault", "augment", "encode_record", "move", "render", "source_id"]

SOURCE_ID_PERSON = b"augonce-source-1"
NUM_SOURCE_IDS = 2**53  # what a float64 holds exactly


class PipelineFault(RejectedSource):
    """A pipeline failed on a source, or its output cannot be a record.

    Attributes:
        fault: What happened, without naming the variant.
    """

    def __init__(self, message: str, *, fault: str = "") -> None:
        super().__init__(message)
        self.fault = fault or message


def augment(
    source: Decoded, pipeline: Pipeline, spec: RecordSpec, *, seed: int, variant: int, copy: int = 0
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Return the image and the values of all fields in one variant, checked against what records must be.

    Raises:
        PipelineFault: The pipeline failed on this source, or its output has another size or type.
        UnknownIds: It made class ids that the source does not hold.
    """
    try:
        image, values = move(source, pipeline, spec, seed=seed, variant=variant, copy=copy)
    except Exception as error:  # a transform may raise anything
        message = f"{type(error).__name__}: {error}"
        raise PipelineFault(
            f"{source.filename}: the pipeline failed at variant {variant} (seed {seed}): {message}",
            fault=f"failed: {message}",
        ) from error
    if spec.channels == 1 and isinstance(image, np.ndarray) and image.ndim == 2:
        image = image[..., None]
    where = f"{source.filename}: at variant {variant} (seed {seed})"
    wrong = _wrong_output(image, values, spec)
    if wrong:
        raise PipelineFault(f"{where} the pipeline gave {wrong}", fault=f"gave {wrong}")
    for one in spec.fields:
        if one.name in values:
            loaded, memory = source.values[one.name], source.memory[one.name]
            invented = one.invention(loaded, values[one.name], pipeline, memory)
            if invented is not None:
                raise UnknownIds(f"{where} the pipeline made {invented}")
    return image, values


def move(
    source: Decoded, pipeline: Pipeline, spec: RecordSpec, *, seed: int, variant: int, copy: int = 0
) -> tuple[Any, dict[str, Any]]:
    """Return a pipeline's result for an image and the values of all fields, unchecked; it may raise anything."""
    handed: dict[str, Any] = {}
    for one in spec.fields:
        handed |= one.hand_over(source.values.get(one.name), source.image, pipeline)
    made = pipeline.apply(source.image, handed, seed=seed, key=source.key, variant=variant, copy=copy)
    there = (one for one in spec.fields if one.name in source.values)
    return made["image"], {one.name: one.take_back(source.values[one.name], made, pipeline) for one in there}


def render(source: Decoded, pipeline: Pipeline, spec: RecordSpec, *, seed: int, variant: int, copy: int = 0) -> bytes:
    """Return the record of one variant of a source, as serialized tf.train.Example.

    Raises:
        RejectedSource: The pipeline failed on this source, or its output has another size or type.
    """
    image, values = augment(source, pipeline, spec, seed=seed, variant=variant, copy=copy)
    return encode_record(source, image, values, spec, seed=seed, variant=variant, copy=copy)


def encode_record(
    source: Decoded,
    image: NDArray[np.uint8],
    values: Mapping[str, Any],
    spec: RecordSpec,
    *,
    seed: int,
    variant: int,
    copy: int = 0,
) -> bytes:
    """Return the record for the result of `augment`."""
    size = (image.shape[0], image.shape[1])
    stored = origin_values(
        key=source.key,
        filename=source.filename,
        source_id=source_id(source.key),
        seed=seed,
        variant=variant,
        copy=copy,
        size=size,
    )
    encoded = encode_image(image, spec.encoding, spec.quality, spec.png_deflate)
    stored |= spec.image.record_values(encoded, size)
    for one in spec.fields:
        stored |= one.record_values(values[one.name], size, spec.png_deflate)
    return encode_example(stored)


def source_id(key: str) -> int:
    """Return a number for a key, since some readers parse `image/source_id` as a number."""
    hashed = hashlib.blake2b(key.encode(), digest_size=8, person=SOURCE_ID_PERSON).digest()
    return int.from_bytes(hashed, "little") % NUM_SOURCE_IDS


def _wrong_output(image: Any, values: Mapping[str, Any], spec: RecordSpec) -> str | None:
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
    faults = (one.fault(values[one.name], expected) for one in spec.fields if one.name in values)
    return next((fault for fault in faults if fault is not None), None)
