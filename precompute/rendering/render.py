"""One pure function makes a record: (source, pipeline, seed, variant, copy) → bytes.

The task, the preview, verification and making one record again all call it, so none of them can differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource
from precompute.fields.boxes import Boxes
from precompute.fields.instances import Instances
from precompute.images.encode import encode_image, encode_mask
from precompute.images.png import encode_png
from precompute.pipelines.instance_rules import large_enough
from precompute.pipelines.mask_rules import UnknownIds
from precompute.pipelines.pipeline import Pipeline, Target
from precompute.records.example import Value, encode_example
from precompute.records.features.boxes import AREA_KEY, box_features
from precompute.records.features.extras import extra_features
from precompute.records.features.keypoints import keypoint_features
from precompute.records.stored_masks import MASK_KEY
from precompute.rendering.decode import Decoded
from precompute.rendering.spec import RecordSpec

__all__ = ["PipelineFault", "augment", "encode_record", "instance_features", "render", "source_id"]

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
    features: dict[str, Value] = {
        "augment/copy": copy,
        "augment/key": source.key.encode(),
        "augment/seed": seed,
        "augment/variant": variant,
        "image/encoded": encode_image(image, spec.encoding, spec.quality),
        "image/filename": source.filename.encode(),
        "image/format": spec.encoding.encode(),
        "image/height": image.shape[0],
        "image/source_id": str(source_id(source.key)).encode(),
        "image/width": image.shape[1],
    }
    if source.extra is not None:
        features |= extra_features(source.extra)
    if isinstance(source.label, int):
        features["image/class/label"] = source.label
        features["image/class/text"] = spec.class_names[source.label].encode()
    elif source.label is not None:
        names = [spec.class_names[label].encode() for label in source.label]
        features["image/class/label"] = np.array(source.label, np.int64)
        features["image/class/text"] = np.array(names, object)  # an array keeps its type when it is empty
    size = {"height": image.shape[0], "width": image.shape[1]}
    if isinstance(target, Instances):
        features |= instance_features(target, spec.class_names, **size)
    elif isinstance(target, Boxes):
        has_boxes = spec.skeleton is None or spec.skeleton.boxed
        features |= box_features(target, spec.class_names, has_boxes=has_boxes, **size)
        features |= {} if spec.skeleton is None else keypoint_features(target, spec.skeleton)
    elif target is not None:
        features["image/segmentation/class/encoded"] = encode_mask(target, spec.mask_encoding)
        features["image/segmentation/class/format"] = spec.mask_encoding.encode()
    return encode_example(features)


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


def instance_features(instances: Instances, class_names: Sequence[str], *, height: int, width: int) -> dict[str, Value]:
    """Return the features of decoded objects: those of their boxes, and a PNG of one bit a pixel for each mask."""
    features = box_features(instances, class_names, height=height, width=width)
    encoded, areas = [], []
    for layer, number in instances.layer_index.tolist():
        mask = instances.layers[layer] == number  # type: ignore[index]  # they are decoded
        encoded.append(encode_png(mask))
        areas.append(np.count_nonzero(mask))
    features[MASK_KEY] = np.array([*encoded, None], object)[:-1]  # bytes are no sequence of numbers here
    features[AREA_KEY] = np.array(areas, np.float32)
    return features
