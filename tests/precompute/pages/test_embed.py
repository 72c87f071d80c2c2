"""Pictures as data in a page."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image, features

from precompute.pages.embed import data_uri, embed, embed_shares


def opened(uri: str) -> Image.Image:
    head, _, content = uri.partition(",")
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert head == f"data:image/{str(picture.format).lower()};base64"
    return picture


IMAGE = np.random.default_rng(0).integers(0, 256, (60, 120, 3), np.uint8)
OVERLAY = np.zeros((60, 120, 4), np.uint8)
OVERLAY[10:30, 10:30] = (255, 0, 0, 128)


def test_large_images_are_shrunk_and_their_overlays_with_them() -> None:
    made = embed(IMAGE, OVERLAY, size=40)
    assert (made.height, made.width, made.is_enlarged) == (20, 40, False)
    assert opened(made.photo).size == opened(made.overlay).size == (40, 20)
    assert made.num_bytes == len(made.photo) + len(made.overlay)


def test_small_images_are_stored_as_they_are_and_shown_larger() -> None:
    made = embed(IMAGE, OVERLAY, size=240)
    assert (made.height, made.width, made.is_enlarged) == (120, 240, True)
    assert opened(made.photo).size == (120, 60)
    assert not embed(IMAGE, size=200).is_enlarged


@pytest.mark.parametrize("has_webp", [True, False])
def test_overlays_lose_nothing_and_photos_little(monkeypatch: pytest.MonkeyPatch, has_webp: bool) -> None:
    if has_webp and not features.check("webp"):
        pytest.skip("this Pillow has no WebP")
    monkeypatch.setattr(features, "check", lambda _: has_webp)
    smooth = np.tile(np.arange(120, dtype=np.uint8)[None, :, None] * 2, (60, 1, 3))
    made = embed(smooth, OVERLAY, size=120)
    drawn = np.asarray(opened(made.overlay).convert("RGBA"))
    np.testing.assert_array_equal(drawn[..., 3], OVERLAY[..., 3])
    np.testing.assert_array_equal(drawn[OVERLAY[..., 3] > 0], OVERLAY[OVERLAY[..., 3] > 0])
    assert np.abs(np.asarray(opened(made.photo).convert("RGB")).astype(int) - smooth).mean() < 3
    assert len(embed(IMAGE, size=120, quality=30).photo) < len(embed(IMAGE, size=120).photo)


def test_shares_are_as_opaque_as_they_are_large() -> None:
    made = embed_shares(np.array([[0.0, 0.5], [1.0, 2.0]]), (10, 20, 30), size=100)
    pixels = np.asarray(opened(made.photo).convert("RGBA"))
    assert pixels[..., 3].tolist() == [[0, 128], [255, 255]]
    assert pixels[1, 1, :3].tolist() == [10, 20, 30]
    assert (made.height, made.width, made.is_enlarged) == (100, 100, True)


def test_a_picture_without_quality_loses_nothing() -> None:
    np.testing.assert_array_equal(np.asarray(opened(data_uri(Image.fromarray(IMAGE)))), IMAGE)
