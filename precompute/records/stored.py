"""Stored records → arrays, without TensorFlow and without OpenCV: a reader needs Pillow alone.

Everything is taken from the record itself; `difference` then compares it with what the manifest promises.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from precompute.dataset.manifest import OBJECTS, Manifest, Target
from precompute.errors import DatasetError
from precompute.records.example import decode_example
from precompute.records.features.boxes import LABEL_KEY as BOX_LABEL_KEY
from precompute.records.features.boxes import decode_boxes
from precompute.records.features.extras import decode_extra, extra_difference
from precompute.records.features.keypoints import POINT_KEY, decode_keypoints, keypoints_difference
from precompute.records.stored_masks import MASK_KEY, box_around, decode_masks
from precompute.text.format import format_count

__all__ = ["decode_record", "difference"]

Example = dict[str, Any]
CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}  # of Pillow's modes
MAX_PIXELS = 2**28
MAX_DIGITS = 20
ENCODINGS = ("jpeg", "png")  # no others: Pillow hands some formats to programs of their own


def decode_record(record: bytes, *, multilabel: bool = False) -> Example:
    """Return one stored record as Python and NumPy values.

    Args:
        record: The record's bytes.
        multilabel: Whether it has any number of labels: a list of one looks like a class otherwise.

    Returns:
        `key` and `filename` (str), `image` (uint8 [H, W, C], of 1 channel grey, of 3 RGB, of 4 RGBA), `seed`,
        `variant` (−1 in the original row), `copy` and `source_id` (int), `format` (str) and `encoded` (bytes), of the
        image; then `label` (int) and `class_name` (str), or `labels` (list of int) and `class_names` (list of str), or
        `mask` (uint8 or uint16 [H, W], class ids) with `mask_format` and `mask_encoded`, or what `decode_boxes`
        returns, maybe with that of `decode_keypoints`, or with `masks` (bool [N, H, W]) of objects that have some; and
        what `decode_extra` returns.

    Raises:
        DatasetError: It is not a record of this format, or its image or mask cannot be decoded.
    """
    features = decode_example(record)
    shape = (_integer(features, "image/height"), _integer(features, "image/width"))
    if min(shape) < 1 or shape[0] * shape[1] > MAX_PIXELS:
        raise DatasetError(f"image/height and image/width: {_shown(shape)} is no size of an image.")
    encoding = _text(features, "image/format")
    example: Example = {
        "key": _text(features, "augment/key"),
        "image": _decode_image(_bytes(features, "image/encoded"), encoding, shape),
        "seed": _integer(features, "augment/seed"),
        "variant": _integer(features, "augment/variant"),
        "copy": _integer(features, "augment/copy"),
        "filename": _text(features, "image/filename"),
        "source_id": _number(features, "image/source_id"),
        "format": encoding,
        "encoded": _bytes(features, "image/encoded"),
    }
    if multilabel:
        example["labels"] = _values(features, "image/class/label", int)
        example["class_names"] = [
            _decoded(name, "image/class/text") for name in _values(features, "image/class/text", bytes)
        ]
    elif "image/class/label" in features:
        example["label"] = _integer(features, "image/class/label")
        example["class_name"] = _text(features, "image/class/text")
    example |= decode_extra(features)
    if BOX_LABEL_KEY in features:
        example |= decode_boxes(features, height=shape[0], width=shape[1])
    if f"{POINT_KEY}x" in features:
        num = len(example.get("labels", ()))
        example |= decode_keypoints(features, num_objects=num, height=shape[0], width=shape[1])
    if MASK_KEY in features:
        example["masks"] = decode_masks(features, height=shape[0], width=shape[1])
    if "image/segmentation/class/encoded" in features:
        key = "image/segmentation/class/encoded"
        mask_encoding = _text(features, "image/segmentation/class/format")
        example["mask"] = _decode(_bytes(features, key), mask_encoding, shape, key)
        example |= {"mask_format": mask_encoding, "mask_encoded": _bytes(features, key)}
    return example


def difference(example: Example, manifest: Manifest) -> str | None:
    """Return how an example differs from what the manifest says of all records, or None."""
    image, target = manifest.image, manifest.target
    expected = (image.height, image.width, image.channels)
    if example["image"].shape != expected:
        return f"its image is {_shown(example['image'].shape)}, expected {_shown(expected)}"
    if example["format"] != image.encoding:
        return f"its image is stored as {example['format']}, expected {image.encoding}"
    other = extra_difference(example, manifest.extra)
    if other:
        return other
    if target.kind == "mask":
        return _mask_difference(example.get("mask"), manifest)
    if target.kind == "multilabel":
        return _labels_difference(example, target)
    if target.kind == "instances":
        return _boxes_difference(example, target) or _masks_difference(example)
    if target.kind in OBJECTS:
        points = None if target.keypoints is None else keypoints_difference(example, target.keypoints)
        return points or _boxes_difference(example, target)
    if target.image_only:
        return None
    label = example.get("label")
    if label is None or not 0 <= label < target.num_classes:
        return f"its class is {label}, expected 0 to {target.num_classes - 1}"
    name = target.class_names[label] if label < len(target.class_names) else None
    return None if example["class_name"] == name else f"class {label} is {example['class_name']!r}, expected {name!r}"


def _labels_difference(example: Example, target: Target) -> str | None:
    labels = example.get("labels")
    if labels is None or labels != sorted(set(labels)) or not all(0 <= label < target.num_classes for label in labels):
        return f"its labels are {labels}, expected ascending ones from 0 to {target.num_classes - 1}"
    names = [name for label in labels for name in target.class_names[label : label + 1]]
    found = example["class_names"]
    return None if found == names else f"the labels {labels} are named {found}, expected {names}"


def _boxes_difference(example: Example, target: Target) -> str | None:
    if "boxes" not in example and "keypoints" not in example:
        return "it has no boxes, not even an empty list of them"
    labels = example["labels"].tolist()
    if not all(0 <= label < target.num_classes for label in labels):
        return f"its boxes are of the classes {sorted(set(labels))}, expected 0 to {target.num_classes - 1}"
    names = [name for label in labels for name in target.class_names[label : label + 1]]
    found = example["class_names"]
    return None if found == names else f"boxes of the classes {labels} are named {found}, expected {names}"


def _masks_difference(example: Example) -> str | None:
    masks, boxes = example.get("masks"), example["boxes"]
    if masks is None or len(masks) != len(boxes):
        there = "no masks" if masks is None else format_count(len(masks), "mask")
        return f"it has {there} for {format_count(len(boxes), 'box')}"
    for i, mask in enumerate(masks):
        around = box_around(mask)
        if around is None:
            return f"the mask of object {i} is empty"
        if not np.allclose(around, boxes[i], atol=0.01):
            return f"the mask of object {i} lies in {around}, its box is {boxes[i].tolist()}"
    return None


def _mask_difference(mask: NDArray[Any] | None, manifest: Manifest) -> str | None:
    target, expected = manifest.target, (manifest.image.height, manifest.image.width)
    if mask is None:
        return "it has no mask"
    if mask.shape != expected or mask.dtype != np.dtype(target.dtype or "uint8"):
        return f"its mask is {mask.dtype} {_shown(mask.shape)}, expected {target.dtype} {_shown(expected)}"
    highest = int(mask.max(initial=0, where=mask != target.ignore_class if target.ignore_class is not None else True))
    if highest >= target.num_classes:
        return f"its mask holds the class id {highest}, expected ids up to {target.num_classes - 1}"
    return None


def _shown(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _decode_image(content: bytes, encoding: str, size: tuple[int, int]) -> NDArray[Any]:
    """Return uint8 [H, W, 1, 3 or 4], whichever the content has."""
    if encoding == "raw":
        channels = len(content) // (size[0] * size[1])
        return _decode(content, encoding, (*size, channels if channels in CHANNELS.values() else 3), "image/encoded")
    pixels = _decode_file(content, encoding, (*size, 3), "image/encoded")
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _decode(content: bytes, encoding: str, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    pixels = _decode_raw(content, shape) if encoding == "raw" else _decode_file(content, encoding, shape, name)
    if pixels.shape != shape:
        raise _other_size(pixels.shape, shape, name)
    return pixels


def _other_size(found: tuple[int, ...], shape: tuple[int, ...], name: str) -> DatasetError:
    return DatasetError(f"{name}: decodes to {_shown(found)}, image/height and width say {_shown(shape)}.")


def _decode_raw(content: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
    size = int(np.prod(shape))
    wide = len(shape) == 2 and len(content) == 2 * size  # class ids above 255
    pixels = np.frombuffer(content, "<u2" if wide else "u1")
    return pixels.reshape(shape).astype("u2" if wide else "u1") if pixels.size == size else pixels


def _decode_file(content: bytes, encoding: str, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    if encoding not in ENCODINGS:
        raise DatasetError(f"{name}: expected {', '.join(ENCODINGS)} or raw, got {encoding!r:.60}.")
    try:
        with Image.open(io.BytesIO(content), formats=[encoding.upper()]) as picture:
            if (picture.height, picture.width) != shape[:2]:  # said before memory is asked for
                raise _other_size((picture.height, picture.width), shape, name)
            if len(shape) == 3:
                return np.array(picture if picture.mode in CHANNELS else picture.convert("RGB"))
            ids = np.array(picture)
    except DatasetError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise DatasetError(f"{name}: not a whole {encoding} ({error}).") from error
    # Pillow gives some PNGs of 16 bits as int32.
    return ids if ids.dtype == np.uint8 else ids.astype(np.uint16)


def _value(features: dict[str, Any], key: str, kind: type) -> Any:
    values = features.get(key)
    if values is None or len(values) != 1 or not isinstance(values[0], kind):
        raise DatasetError(f"{key}: expected one value of type {kind.__name__}, got {values!r:.60}.")
    return values[0]


def _values(features: dict[str, Any], key: str, kind: type) -> list[Any]:
    values = features.get(key)
    if values is None or not all(isinstance(value, kind) for value in values):
        raise DatasetError(f"{key}: expected a list of type {kind.__name__}, got {values!r:.60}.")
    return list(values)


def _bytes(features: dict[str, Any], key: str) -> bytes:
    value: bytes = _value(features, key, bytes)
    return value


def _integer(features: dict[str, Any], key: str) -> int:
    value: int = _value(features, key, int)
    return value


def _text(features: dict[str, Any], key: str) -> str:
    return _decoded(_bytes(features, key), key)


def _decoded(content: bytes, key: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{key}: expected text in UTF-8, got {content!r:.60}.") from error


def _number(features: dict[str, Any], key: str) -> int:
    text = _text(features, key)
    if not text.isdecimal() or len(text) > MAX_DIGITS:
        raise DatasetError(f"{key}: expected a decimal number, got {text!r:.60}.")
    return int(text)
