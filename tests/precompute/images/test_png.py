"""PNG files that are written here, read by others."""

from __future__ import annotations

import io
import zlib
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from precompute.images.png import SIGNATURE, encode_png

SIDES = st.integers(1, 40)


@st.composite
def pictures(draw: st.DrawFn) -> NDArray[Any]:
    channels = draw(st.sampled_from([(), (1,), (3,), (4,)]))
    shape = (draw(SIDES), draw(SIDES), *channels)
    values = st.integers(0, 255) if draw(st.booleans()) else st.sampled_from([0, 1, 255])
    return draw(arrays(np.uint8, shape, elements=values))


@given(pixels=pictures())
def test_any_picture_is_read_by_pillow_and_tensorflow(pixels: NDArray[np.uint8]) -> None:
    encoded = encode_png(pixels)
    shape = (*pixels.shape, 1) if pixels.ndim == 2 else pixels.shape
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded))).reshape(shape), pixels.reshape(shape))
    assert np.array_equal(tf.io.decode_png(encoded).numpy(), pixels.reshape(shape))


@given(ids=st.tuples(SIDES, SIDES).flatmap(lambda shape: arrays(np.uint16, shape)))
def test_any_mask_of_16_bits_is_read_by_opencv_and_tensorflow(ids: NDArray[np.uint16]) -> None:
    encoded = encode_png(ids)
    assert np.array_equal(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED), ids)
    assert np.array_equal(tf.io.decode_png(encoded, dtype=tf.uint16).numpy()[..., 0], ids)


@given(mask=st.tuples(SIDES, SIDES).flatmap(lambda shape: arrays(np.bool_, shape)))
def test_any_mask_of_one_bit_is_read(mask: NDArray[np.bool_]) -> None:
    encoded = encode_png(mask)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded))), mask)
    assert np.array_equal(tf.io.decode_png(encoded).numpy()[..., 0] > 0, mask)


def test_pixels_that_are_not_contiguous_are_stored_as_they_are_seen() -> None:
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(30, 20, 3).transpose(1, 0, 2)[:, ::-1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(pixels)))), pixels)


def test_the_file_is_whole_and_its_rows_are_what_deflate_holds() -> None:
    encoded = encode_png(np.full((5, 7), 9, np.uint8))
    Image.open(io.BytesIO(encoded)).verify()  # all checksums
    size = int.from_bytes(encoded[33:37], "big")
    rows = np.frombuffer(zlib.decompress(encoded[41 : 41 + size]), np.uint8).reshape(5, 8)
    assert encoded.startswith(SIGNATURE) and encoded.endswith(b"IEND\xaeB`\x82")
    assert (rows[:, 0] == 2).all()
    assert (rows[1:, 1:] == 0).all()
