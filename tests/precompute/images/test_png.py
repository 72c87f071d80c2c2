"""PNG files that are written here: read by others, and equal wherever they are written."""

from __future__ import annotations

import io
import itertools
import os
import platform
import subprocess
import sys
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image

from precompute.images.png import SIGNATURE, SYNC_FLUSH, encode_png
from tests.helpers.project import ROOT
from tests.helpers.repeating_pictures import DEFLATES, pictures

SIDES = st.integers(1, 20)
# Others do not hash from an address: they have no such code.
has_fault = pytest.mark.skipif(platform.machine() != "x86_64", reason="the fault is in code for x86-64")

# Read by others


@st.composite
def any_pictures(draw: st.DrawFn) -> NDArray[Any]:
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.bool_]))
    channels = draw(st.sampled_from([(), (1,), (3,), (4,)])) if dtype != np.bool_ else ()
    highest = 1 if dtype == np.bool_ else np.iinfo(dtype).max
    values = st.integers(0, highest) if draw(st.booleans()) else st.sampled_from([0, 1, highest])
    return draw(arrays(dtype, (draw(SIDES), draw(SIDES), *channels), elements=values.map(dtype)))


def decoded_by_others(encoded: bytes, dtype: Any) -> Iterator[NDArray[Any]]:
    """Yield [H, W, C] as TensorFlow, OpenCV and Pillow decode a file."""
    yield tf.io.decode_png(encoded, dtype=tf.uint16 if dtype == np.uint16 else tf.uint8).numpy()
    found = np.atleast_3d(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED))
    yield found[..., {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[found.shape[2]]]
    if dtype != np.uint16 or found.shape[2] == 1:  # Pillow has colours of 8 bits alone
        yield np.atleast_3d(np.asarray(Image.open(io.BytesIO(encoded))))


@pytest.mark.parametrize("deflate", [pytest.param(None, marks=pytest.mark.slow), "sync_flush"])
@example(pixels=np.full((1, 1), 7, np.uint8))
@example(pixels=np.full((1, 1, 4), 7, np.uint8))
@example(pixels=np.full((1, 1), 700, np.uint16))
@example(pixels=np.full((1, 1), True))
@given(pixels=any_pictures())
def test_any_picture_is_read_by_others(deflate: str | None, pixels: NDArray[Any]) -> None:
    for decoded in decoded_by_others(encode_png(pixels, deflate), pixels.dtype):
        assert np.array_equal(decoded > 0 if pixels.dtype == np.bool_ else decoded, np.atleast_3d(pixels))


def test_pixels_that_are_not_contiguous_are_stored_as_they_are_seen() -> None:
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(30, 20, 3).transpose(1, 0, 2)[:, ::-1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(pixels)))), pixels)


@pytest.mark.parametrize("deflate", DEFLATES)
def test_the_file_is_whole_and_its_rows_are_what_deflate_holds(deflate: str | None) -> None:
    encoded = encode_png(np.full((5, 7), 9, np.uint8), deflate)
    Image.open(io.BytesIO(encoded)).verify()  # all checksums
    size = int.from_bytes(encoded[33:37], "big")
    rows = np.frombuffer(zlib.decompress(encoded[41 : 41 + size]), np.uint8).reshape(5, 8)
    assert encoded.startswith(SIGNATURE) and encoded.endswith(b"IEND\xaeB`\x82")
    assert (rows[:, 0] == 2).all()
    assert (rows[1:, 1:] == 0).all()


# Equal wherever they are written


def num_ambiguous(results: Any) -> int:
    """Return how many pictures have several results: of lists of all pictures' files, in one order."""
    return sum(len(set(files)) > 1 for files in zip(*results, strict=True))


@pytest.mark.slow
@has_fault
def test_any_stack_gives_the_same_bytes_and_once_gave_others() -> None:
    drawn, number = list(pictures()), 50
    all_running = threading.Barrier(number)

    def encode_all(deflate: str | None) -> list[bytes]:
        all_running.wait()  # so that no thread gets the stack of another
        return [encode_png(pixels, deflate) for pixels in drawn]

    with ThreadPoolExecutor(number) as pool:
        found = {deflate: list(pool.map(encode_all, [deflate] * number)) for deflate in DEFLATES}
    assert num_ambiguous(found[SYNC_FLUSH]) == 0
    assert num_ambiguous(found[None]) > 0


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Compressors live on for a while, so that each lies elsewhere; where, is gathered, in units of 64 KiB."""
    make, found = isal_zlib.compressobj, set[int]()
    living = deque[Any](maxlen=1996)  # and one that is made: a prime, so that a picture does not get the same ones

    def compressobj(level: int) -> Any:
        living.append(make(level))
        found.add(id(living[-1]) >> 16)
        return living[-1]

    def compress(content: Any, level: int) -> bytes:
        stream = compressobj(level)
        return bytes(stream.compress(content) + stream.flush())

    monkeypatch.setattr(isal_zlib, "compressobj", compressobj)
    monkeypatch.setattr(isal_zlib, "compress", compress)
    return found


def test_any_place_in_memory_gives_the_same_bytes(places: set[int]) -> None:
    drawn = list(pictures())
    assert num_ambiguous([encode_png(pixels) for pixels in drawn] for _ in range(25)) == 0
    assert len(places) > 1000


@has_fault
@pytest.mark.slow
def test_without_the_flush_some_place_in_memory_gives_other_bytes(places: set[int]) -> None:
    drawn = list(pictures())
    first = [encode_png(pixels, None) for pixels in drawn]
    others = (encode_png(pixels, None) != file for pixels, file in itertools.cycle(zip(drawn, first, strict=True)))
    assert any(itertools.islice(others, 2_000_000))  # one in some ten thousand


@has_fault
@pytest.mark.slow
def test_any_process_gives_the_same_bytes_and_once_gave_others() -> None:
    found = []
    for i in range(60):
        moved = {**os.environ, "MOVES_THE_STACK": "x" * 977 * i}
        command = [sys.executable, "-m", "tests.helpers.repeating_pictures"]
        run = subprocess.run(command, cwd=ROOT, env=moved, capture_output=True, text=True, check=True)
        found.append(run.stdout.splitlines())
    now, once = (set(digests) for digests in zip(*found, strict=True))
    assert len(now) == 1
    assert len(once) > 1
