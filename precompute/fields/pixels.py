"""Stored pictures → pixels, with Pillow, so that a reader needs neither TensorFlow nor OpenCV.

Pillow is imported when the first picture is decoded.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import DatasetError
from precompute.fields.feature import Size
from precompute.text.format import format_count, format_shape

__all__ = ["GREY_LEVELS", "JPEG_GREY_LEVELS", "box_around", "decode_class_ids", "decode_object_masks", "decode_pixels"]

CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}  # of Pillow's modes
ENCODINGS = ("jpeg", "png")  # no others: Pillow hands some formats to programs of their own
MAX_MASK_PIXELS = 2**30  # of all masks of a record
# The most that pixels may differ because another processor rounds differently.
GREY_LEVELS = 1  # of any pixel
JPEG_GREY_LEVELS = 2  # in the mean: single levels before encoding became up to 11, 1.1 in the mean (quality 95)


def decode_pixels(content: bytes, encoding: str, size: Size, key: str) -> NDArray[Any]:
    """Return the pixels of an encoded picture, uint8 [H, W, C] with the 1, 3 or 4 channels that it has.

    Args:
        content: The encoded picture.
        encoding: ``"jpeg"``, ``"png"`` or ``"raw"``.
        size: Height and width that the picture should have.
        key: Key of the record, for messages.

    Raises:
        DatasetError: It cannot be decoded, or is of another size.
    """
    if encoding == "raw":
        channels = len(content) // (size[0] * size[1])
        return _decode(content, encoding, (*size, channels if channels in CHANNELS.values() else 3), key)
    pixels = _decode_file(content, encoding, (*size, 3), key)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def decode_class_ids(content: bytes, encoding: str, size: Size, key: str) -> NDArray[Any]:
    """Return the class ids of an encoded mask, uint8 or uint16 [H, W]; arguments and errors as in `decode_pixels`."""
    return _decode(content, encoding, size, key)


def _decode(content: bytes, encoding: str, shape: tuple[int, ...], key: str) -> NDArray[Any]:
    pixels = _decode_raw(content, shape) if encoding == "raw" else _decode_file(content, encoding, shape, key)
    if pixels.shape != shape:
        raise _other_size(pixels.shape, shape, key)
    return pixels


def _other_size(found: tuple[int, ...], shape: tuple[int, ...], key: str) -> DatasetError:
    return DatasetError(f"{key}: decodes to {format_shape(found)}, image/height and width say {format_shape(shape)}.")


def _decode_raw(content: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
    size = int(np.prod(shape))
    wide = len(shape) == 2 and len(content) == 2 * size  # class ids above 255
    pixels = np.frombuffer(content, "<u2" if wide else "u1")
    return pixels.reshape(shape).astype("u2" if wide else "u1") if pixels.size == size else pixels


def _decode_file(content: bytes, encoding: str, shape: tuple[int, ...], key: str) -> NDArray[Any]:
    from PIL import Image

    if encoding not in ENCODINGS:
        raise DatasetError(f"{key}: expected {', '.join(ENCODINGS)} or raw, got {encoding!r:.60}.")
    try:
        with Image.open(io.BytesIO(content), formats=[encoding.upper()]) as picture:
            if (picture.height, picture.width) != shape[:2]:  # said before memory is asked for
                raise _other_size((picture.height, picture.width), shape, key)
            if len(shape) == 3:
                return np.array(picture if picture.mode in CHANNELS else picture.convert("RGB"))
            ids = np.array(picture)
    except DatasetError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise DatasetError(f"{key}: not a whole {encoding} ({error}).") from error
    # Pillow gives some PNGs of 16 bits as int32.
    return ids if ids.dtype == np.uint8 else ids.astype(np.uint16)


# Masks of single objects: one PNG each; every value above 0 is inside the object
# Source: https://github.com/tensorflow/models/blob/master/research/object_detection/data_decoders/tf_example_decoder.py


def decode_object_masks(contents: list[bytes], size: Size, key: str) -> NDArray[np.bool_]:
    """Return the masks of a record's objects, bool [N, H, W].

    Raises:
        DatasetError: A mask is no PNG of that size, or there are more masks than a record can hold.
    """
    height, width = size
    if len(contents) * height * width > MAX_MASK_PIXELS:
        raise DatasetError(
            f"{key}: {format_count(len(contents), 'mask')} of {format_shape(size)}: more than can be meant."
        )
    masks = np.zeros((len(contents), height, width), bool)
    for i, content in enumerate(contents):
        masks[i] = _decode_object_mask(content, size, key)
    return masks


def _decode_object_mask(content: bytes, size: Size, key: str) -> NDArray[np.bool_]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if (picture.height, picture.width) != size:
                raise DatasetError(
                    f"{key}: a mask of {picture.height}×{picture.width}, image/height and width say "
                    f"{format_shape(size)}."
                )
            return np.asarray(picture) > 0
    except DatasetError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise DatasetError(f"{key}: not a whole PNG ({error}).") from error


def box_around(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Return x_min, y_min, x_max, y_max of the box around a mask, by edges; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
