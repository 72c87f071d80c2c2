"""Near pairs by bands, against comparing each with each; and what makes hashes of images near."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from precompute.errors import RejectedSource
from precompute.images.perceptual_hash import MIRRORED, NUM_BITS, perceptual_hash
from precompute.reporting.near_duplicates import MAX_DISTANCE, mirrored_pairs, near_pairs

# Few different bits, so that many pairs are near.
HASHES = st.lists(
    st.tuples(st.integers(0, 2**NUM_BITS - 1), st.lists(st.integers(0, NUM_BITS - 1), max_size=8)), max_size=12
)


def with_flips(made: list[tuple[int, list[int]]]) -> list[int]:
    """Hashes, and the same with a few bits flipped; each once."""
    found = {}
    for value, flipped in made:
        found[value] = None
        for bit in flipped:
            value ^= 1 << bit
            found[value] = None
    return sorted(found)


@settings(max_examples=100)
@given(made=HASHES, max_distance=st.integers(0, 8))
def test_pairs_are_those_of_comparing_each_with_each(made: list[tuple[int, list[int]]], max_distance: int) -> None:
    values = with_flips(made)
    pairs, distances = near_pairs(np.array(values, np.uint64), max_distance)
    found = {(i, j): distance for (i, j), distance in zip(pairs.tolist(), distances.tolist(), strict=True)}
    assert len(found) == len(pairs), "a pair comes twice"
    assert found == {
        (i, j): (a ^ b).bit_count()
        for i, a in enumerate(values)
        for j, b in enumerate(values)
        if i < j and (a ^ b).bit_count() <= max_distance
    }
    assert distances.tolist() == sorted(distances.tolist())


@settings(max_examples=60)
@given(made=HASHES, max_distance=st.integers(0, 8))
def test_mirrored_pairs_are_those_of_comparing_each_with_each_mirrored(
    made: list[tuple[int, list[int]]], max_distance: int
) -> None:
    values = with_flips([*made, *((value ^ MIRRORED, flipped) for value, flipped in made)])
    pairs, distances = mirrored_pairs(np.array(values, np.uint64), max_distance)
    found = {(i, j): distance for (i, j), distance in zip(pairs.tolist(), distances.tolist(), strict=True)}
    assert len(found) == len(pairs), "a pair comes twice"
    assert found == {
        (i, j): (a ^ b ^ MIRRORED).bit_count()
        for i, a in enumerate(values)
        for j, b in enumerate(values)
        if i < j and (a ^ b ^ MIRRORED).bit_count() <= max_distance < (a ^ b).bit_count()
    }


# Hashes of images


def scene(seed: int) -> Image.Image:
    """A picture of a few large shapes, as photographs have them."""
    small = np.random.default_rng(seed).integers(30, 190, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC)


def content_of(picture: Image.Image, kind: str = "PNG", quality: int = 95) -> bytes:
    written = io.BytesIO()
    picture.save(written, kind, quality=quality)
    return written.getvalue()


def hash_of(picture: Image.Image, **kind: object) -> int:
    found = perceptual_hash(content_of(picture, **kind))  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("change", ["compressed", "half", "brighter", "duller", "grey"])
def test_changes_that_leave_a_picture_as_it_is_leave_its_hash_near(change: str) -> None:
    for seed in range(4):
        picture = scene(seed)
        changed = {
            "compressed": lambda p: Image.open(io.BytesIO(content_of(p, "JPEG", 30))),
            "half": lambda p: p.resize((80, 60)),
            "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.2),
            "duller": lambda p: ImageEnhance.Contrast(p).enhance(0.6),
            "grey": lambda p: p.convert("L"),
        }[change](picture)
        assert (hash_of(picture) ^ hash_of(changed)).bit_count() <= MAX_DISTANCE


def test_a_mirrored_picture_has_the_hash_with_the_bits_of_a_mirror_changed() -> None:
    for seed in range(8):
        changed = hash_of(scene(seed)) ^ hash_of(scene(seed).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        assert (changed ^ MIRRORED).bit_count() <= 2
        assert changed.bit_count() > MAX_DISTANCE


def test_other_pictures_have_hashes_far_away() -> None:
    hashes = [hash_of(scene(seed)) for seed in range(16)]
    assert min((a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]) > MAX_DISTANCE


def test_a_picture_of_one_colour_has_no_hash() -> None:
    assert perceptual_hash(content_of(Image.new("RGB", (40, 30), (10, 120, 30)))) is None


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(RejectedSource):
        perceptual_hash(b"text")
