"""Pictures and arrays whose values are kept as they are, and images in their own channels."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from precompute.errors import RejectedSource
from precompute.images.decode import decode_as_stored, decode_shrunk
from tests.helpers.decoded_sources import random_pixels, saved


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def written(suffix: str, values: Any) -> bytes:
    """A file of more bits than Pillow writes."""
    return bytes(cv2.imencode(suffix, values)[1])


WIDE = np.array([[0, 65_535, 7], [256, 3, 1]], np.uint16)
FRACTIONS = np.array([[0.0, -1.5, 1e9], [1 / 3, 3, 1]], np.float32)


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (saved(random_pixels(4, 6), "PNG"), random_pixels(4, 6)),
        (saved(random_pixels(4, 6, 3), "PNG"), random_pixels(4, 6, 3)),
        (saved(random_pixels(4, 6, 4), "PNG"), random_pixels(4, 6, 4)),
        (saved(WIDE, "PNG"), WIDE),
        (saved(WIDE, "TIFF"), WIDE),
        (saved(WIDE.astype(np.int32), "TIFF"), WIDE),
        (saved(FRACTIONS, "TIFF"), FRACTIONS),
        (npy(FRACTIONS), FRACTIONS),
        (npy(FRACTIONS[..., None]), FRACTIONS),
        (npy(FRACTIONS.astype(">f4")), FRACTIONS),
        (npy(np.array([[0.5]], np.float16)), np.array([[0.5]], np.float32)),
        (npy(WIDE), WIDE),
        (npy(WIDE.astype(np.int64)), WIDE),
        (npy(np.array([[True, False]])), np.array([[1, 0]], np.uint8)),
        (npy(random_pixels(4, 6, 4)), random_pixels(4, 6, 4)),
    ],
)
def test_values_are_kept(content: bytes, values: Any) -> None:
    found = decode_as_stored(content)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values if values.ndim == 3 else values[..., None])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            npy(np.array([[1.0]])),
            r"holds float64 1×1×1; expected uint8 .* or float32 of one channel; save values",
        ),
        (npy(np.zeros((2, 2, 2), np.uint8)), "holds uint8 2×2×2"),
        (npy(np.zeros((2, 2, 3), np.float32)), "holds float32 2×2×3"),
        (npy(np.zeros(3, np.float32)), "holds float32 3"),
        (npy(np.zeros((0, 3), np.uint8)), "holds uint8 0×3×1"),
        (npy(np.array([[70_000]])), "holds 70000 to 70000; whole numbers go from 0 to 65535"),
        (npy(np.array([[-1]], np.int16)), "holds -1 to -1"),
        (npy(np.array([[np.nan, np.inf, 1]], np.float32)), "holds 2 values that are not finite .*; fill them first"),
        (npy(FRACTIONS)[:-3], r"is no whole \.npy file"),
        (npy(np.array([[{}]])), r"is no whole \.npy file"),
        (written(".png", np.zeros((2, 2, 3), np.uint16)), "has 16 bits in each of several channels"),
        (b"", "is empty"),
        (saved(random_pixels(4, 6), "PNG")[:-30], "cannot be decoded"),
    ],
)
def test_what_cannot_be_kept_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(RejectedSource, match=message):
        decode_as_stored(content)


def test_alpha_stays_unless_it_is_opaque_or_dropped() -> None:
    pixels = random_pixels(4, 6, 4)
    opaque = np.concatenate([pixels[..., :3], np.full((4, 6, 1), 255, np.uint8)], axis=-1)
    np.testing.assert_array_equal(decode_as_stored(saved(opaque, "PNG")), pixels[..., :3])
    np.testing.assert_array_equal(decode_as_stored(saved(pixels, "PNG"), "drop"), pixels[..., :3])
    np.testing.assert_array_equal(decode_as_stored(saved(pixels, "PNG"), "white"), pixels)


def test_an_image_may_keep_its_own_channels() -> None:
    grey, clear = random_pixels(4, 6), random_pixels(4, 6, 4)
    assert decode_shrunk(saved(grey, "PNG"), None, None).pixels.shape == (4, 6, 1)
    assert decode_shrunk(saved(clear[..., :3], "PNG"), None, None).pixels.shape == (4, 6, 3)
    assert decode_shrunk(saved(clear, "PNG"), None, None).pixels.shape == (4, 6, 4)
    assert decode_shrunk(saved(clear, "PNG"), None, None, alpha="white").pixels.shape == (4, 6, 3)
    palette = Image.fromarray(clear[..., :3]).quantize(4)
    file = io.BytesIO()
    palette.save(file, "PNG")
    assert decode_shrunk(file.getvalue(), None, None).pixels.shape == (4, 6, 3)
