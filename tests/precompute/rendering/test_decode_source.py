"""Pixels to bytes and back, and a source: image and mask together."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from precompute.errors import RejectedSource
from precompute.fields.label import LabelField
from precompute.images.decode import decode_mask
from precompute.images.encode import encode_image, encode_mask
from precompute.rendering.decode import decode_source
from precompute.rendering.spec import RecordSpec
from tests.helpers.decoded_sources import mask_spec, random_pixels, saved, smooth, spec_of
from tests.helpers.decoding import decode_image

# Encoding.


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))), st.sampled_from(["png", "raw"]))
@settings(max_examples=60)
def test_lossless_images_come_back(image: Any, encoding: str) -> None:
    content = encode_image(image, encoding, 95)
    got = np.frombuffer(content, np.uint8).reshape(image.shape) if encoding == "raw" else decode_image(content)
    np.testing.assert_array_equal(got, image)


@given(
    st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda dtype: arrays(dtype, st.tuples(st.integers(1, 9), st.integers(1, 9)))
    ),
    st.sampled_from(["png", "raw"]),
)
@settings(max_examples=60)
def test_masks_come_back(ids: Any, encoding: str) -> None:
    content = encode_mask(ids, encoding)
    little = ids.dtype.newbyteorder("<")
    got = np.frombuffer(content, little).reshape(ids.shape) if encoding == "raw" else decode_mask(content)
    np.testing.assert_array_equal(got, ids)


def test_tensorflow_sees_what_was_meant() -> None:
    tf = pytest.importorskip("tensorflow")
    image, ids = smooth(), random_pixels(48, 64, high=200)
    wide = random_pixels(48, 64, high=60_000, dtype=np.uint16)
    np.testing.assert_array_equal(tf.io.decode_png(encode_image(image, "png", 95)).numpy(), image)
    np.testing.assert_array_equal(tf.io.decode_png(encode_mask(ids, "png")).numpy()[..., 0], ids)
    np.testing.assert_array_equal(tf.io.decode_png(encode_mask(wide, "png"), dtype=tf.uint16).numpy()[..., 0], wide)
    jpeg = encode_image(image, "jpeg", 95)
    decoded = tf.io.decode_jpeg(jpeg).numpy().astype(int)
    assert np.abs(decoded - image).mean() < 2 and np.abs(decoded - decode_image(jpeg)).max() <= 4
    assert len(encode_image(image, "jpeg", 40)) < len(jpeg)


@given(
    st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda dtype: arrays(dtype, st.tuples(st.integers(1, 40), st.integers(1, 40)), fill=st.integers(0, 255))
    )
)
@settings(max_examples=40)
def test_a_mask_is_a_plain_grey_png_that_every_reader_gives_back(ids: Any) -> None:
    tf = pytest.importorskip("tensorflow")
    content = encode_mask(ids, "png")
    bits, kind = content[24:26]  # Source: PNG specification, IHDR: width, height, depth, colour type
    assert (bits, kind) == (8 * ids.itemsize, 0)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), ids)
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED), ids)
    decoded = tf.io.decode_png(content, channels=1, dtype=tf.as_dtype(ids.dtype)).numpy()
    np.testing.assert_array_equal(decoded[..., 0], ids)


# A source: image and mask together.


def label_spec() -> RecordSpec:
    return spec_of(LabelField(name="label", num_classes=1, class_names=["a"]))


def pair(folder: Path, mask: np.ndarray[Any, Any], shape: tuple[int, ...] = (5, 9, 3)) -> tuple[Path, Path]:
    image_path, mask_path = folder / "i.png", folder / "m.png"
    image_path.write_bytes(saved(random_pixels(*shape)))
    mask_path.write_bytes(saved(mask))
    return image_path, mask_path


def test_mask_map_and_ignored_ids(tmp_path: Path) -> None:
    mask = np.array([[0, 255, 7], [128, 128, 0]], np.uint8)
    image, mask = pair(tmp_path, mask, (2, 3, 3))
    mapped = mask_spec(mask_map={"128": 2, "255": 1}, num_classes=3, ignore=7)
    got = decode_source("k", image, {"mask": str(mask)}, mapped)
    assert got.values["mask"].tolist() == [[0, 1, 7], [2, 2, 0]] and got.values["mask"].dtype == np.uint8


def test_a_map_may_swap_ids(tmp_path: Path) -> None:
    image, mask = pair(tmp_path, np.array([[0, 1]], np.uint8), (1, 2, 3))
    got = decode_source("k", image, {"mask": str(mask)}, mask_spec(mask_map={"0": 1, "1": 0}))
    assert got.values["mask"].tolist() == [[1, 0]]


def test_ids_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    image, mask = pair(tmp_path, np.array([[0, 1, 5, 9]], np.uint8), (1, 4, 3))
    with pytest.raises(RejectedSource) as caught:
        decode_source("k", image, {"mask": str(mask)}, mask_spec(num_classes=3, ignore=9))
    message = str(caught.value)
    assert message.startswith(f"{mask}: holds class ids 5;") and "--num-classes" in message


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    image, mask = pair(tmp_path, random_pixels(5, 8, high=2))
    with pytest.raises(RejectedSource, match=r"m\.png: is 8×5 pixels, but its image .*i\.png is 9×5"):
        decode_source("k", image, {"mask": str(mask)}, mask_spec())


def test_messages_name_the_file(tmp_path: Path) -> None:
    image, mask = pair(tmp_path, random_pixels(5, 9, 3))
    with pytest.raises(RejectedSource, match=r"m\.png: holds colours"):
        decode_source("k", image, {"mask": str(mask)}, mask_spec())
    image.write_bytes(b"")
    with pytest.raises(RejectedSource, match=r"i\.png: is empty"):
        decode_source("k", image, {"label": 0}, label_spec())
    with pytest.raises(RejectedSource, match=r"none\.png: cannot be read: No such file"):
        decode_source("k", tmp_path / "none.png", {"label": 0}, label_spec())


def test_names_do_not_matter(tmp_path: Path) -> None:
    for i, file_format in enumerate(("GIF", "PNG", "BMP", "WEBP", "TIFF")):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(saved(smooth(), file_format))
        assert decode_source("k", path, {"label": 0}, label_spec()).image.shape == (48, 64, 3)


def test_decoded_images_cannot_be_written_into(tmp_path: Path) -> None:
    # One source serves many variants: a transform that writes into its input must not reach the next one.
    assert not decode_image(saved(smooth())).flags.writeable
