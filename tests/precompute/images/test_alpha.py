"""Alpha channels in each of their forms: taken off where opaque, else as --alpha says, from files to records."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.errors import BadSourcesError, RejectedSource, UsageError
from precompute.images.color_modes import parse_scale
from precompute.images.decode import decode_colors, decode_mask
from tests.helpers.decoded_sources import random_pixels, saved
from tests.helpers.decoding import decode_image
from tests.helpers.small_datasets import options

COLOURS, GREY = random_pixels(6, 5, 3), random_pixels(6, 5, seed=1)
SOME = random_pixels(6, 5, seed=2)
OPAQUE = np.full((6, 5), 255, np.uint8)
UNMOVED = A.Compose([A.NoOp()])


def forms(alpha: np.ndarray) -> dict[str, bytes]:
    rgba = np.dstack([COLOURS, alpha])
    return {
        "PNG": saved(rgba),
        "TIFF": saved(rgba, "TIFF"),
        "WebP": saved(rgba, "WEBP", lossless=True, exact=True),
    }


def laid_on(ground: int, colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colours * share + ground * (1 - share)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WebP"])
def test_each_choice_gives_its_pixels(form: str) -> None:
    content = forms(SOME)[form]
    with pytest.raises(RejectedSource, match=r"not opaque everywhere.*--alpha .*drop, white or black"):
        decode_image(content)
    np.testing.assert_array_equal(decode_image(content, alpha="drop"), COLOURS)
    for choice, ground in (("white", 255), ("black", 0)):
        found = decode_image(content, alpha=choice)
        assert np.abs(found - laid_on(ground, COLOURS, SOME)).max() <= 1
        grey = decode_image(content, "grayscale", alpha=choice)
        np.testing.assert_array_equal(grey[..., 0], np.asarray(Image.fromarray(found).convert("L")))
    for choice in ("opaque", "drop", "white", "black"):
        np.testing.assert_array_equal(decode_image(forms(OPAQUE)[form], alpha=choice), COLOURS)


def test_grey_with_alpha_stays_grey() -> None:
    opaque, some = (saved(Image.fromarray(np.dstack([GREY, alpha]), "LA")) for alpha in (OPAQUE, SOME))
    np.testing.assert_array_equal(decode_image(opaque, "grayscale")[..., 0], GREY)
    np.testing.assert_array_equal(decode_image(some, "grayscale", alpha="drop")[..., 0], GREY)
    white = decode_image(some, "grayscale", alpha="white")
    assert np.abs(white - laid_on(255, GREY[..., None], SOME)).max() <= 1


def test_a_transparent_colour_counts_only_where_a_pixel_has_it() -> None:
    key = tuple(COLOURS[0, 0].tolist())
    content = saved(Image.fromarray(COLOURS), transparency=key)
    with pytest.raises(RejectedSource, match="--alpha"):
        decode_image(content)
    np.testing.assert_array_equal(decode_image(content, alpha="drop"), COLOURS)
    white = COLOURS.copy()
    white[(key == COLOURS).all(axis=-1)] = 255
    np.testing.assert_array_equal(decode_image(content, alpha="white"), white)
    unused = saved(Image.fromarray(np.minimum(COLOURS, 250)), transparency=(255, 0, 0))
    np.testing.assert_array_equal(decode_image(unused), np.minimum(COLOURS, 250))


def test_palettes_with_transparency() -> None:
    palette = Image.fromarray(COLOURS).quantize(4)
    plain = np.asarray(palette.convert("RGB"))
    for file_format in ("PNG", "GIF"):
        content = saved(palette, file_format, transparency=int(np.asarray(palette)[0, 0]))
        with pytest.raises(RejectedSource, match="--alpha"):
            decode_image(content)
        black = decode_image(content, alpha="black")
        holes = np.asarray(palette) == np.asarray(palette)[0, 0]
        assert (black[holes] == 0).all() and (black[~holes] == plain[~holes]).all()
        np.testing.assert_array_equal(decode_image(content, alpha="drop"), plain)


def test_masks_lose_an_opaque_channel_and_are_laid_on_nothing() -> None:
    ids = random_pixels(6, 5, high=4)
    for mode, channels in (("LA", [ids]), ("RGBA", [ids] * 3)):
        opaque, some = (saved(Image.fromarray(np.dstack([*channels, alpha]), mode)) for alpha in (OPAQUE, SOME))
        np.testing.assert_array_equal(decode_mask(opaque), ids)
        np.testing.assert_array_equal(decode_mask(some, "drop"), ids)
        for choice in ("opaque", "white", "black"):
            with pytest.raises(RejectedSource, match=r"transparent pixels.*--alpha drop"):
                decode_mask(some, choice)
    np.testing.assert_array_equal(decode_colors(saved(np.dstack([COLOURS, OPAQUE]))), COLOURS)
    np.testing.assert_array_equal(decode_colors(saved(np.dstack([COLOURS, SOME])), "drop"), COLOURS)


def folder_of(path: Path, alpha: np.ndarray) -> Path:
    for i in range(4):
        (path / f"c{i % 2}").mkdir(parents=True, exist_ok=True)
        (path / f"c{i % 2}/{i}.png").write_bytes(saved(np.dstack([COLOURS + np.uint8(i), alpha])))
    return path


def build(data: Path, out: Path, **given: Any) -> Any:
    fixed = {"pipeline": UNMOVED, "variants": 1, "validation_split": 0.0, "image_format": "png"}
    return precompute.build(data, out, **options(**{**fixed, **given}))


def test_opaque_alpha_is_taken_off_and_counted(tmp_path: Path) -> None:
    result = build(folder_of(tmp_path / "data", OPAQUE), tmp_path / "out")
    assert "4 alpha channels that are 255 everywhere were taken off, of 4 sources" in "\n".join(result.warnings())
    assert precompute.inspect(tmp_path / "out").manifest.counters["opaque_alpha"]["num_sources"] == 4
    assert "alpha" not in precompute.inspect(tmp_path / "out").manifest.settings["pixels"]
    assert {e["image"].shape for e in precompute.read(tmp_path / "out")} == {(6, 5, 3)}


def test_what_was_chosen_goes_on(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", SOME)
    with pytest.raises(BadSourcesError, match="--alpha"):
        build(data, tmp_path / "out")
    build(data, tmp_path / "out", alpha="white")
    assert precompute.inspect(tmp_path / "out").manifest.settings["pixels"]["alpha"] == "white"
    assert precompute.verify(tmp_path / "out", sources=4, jobs=1).problems == []
    precompute.regenerate(tmp_path / "out", seed=5, jobs=1, backend="sequential")
    for example in precompute.read(tmp_path / "out"):
        source = COLOURS + np.uint8(int(example["key"][-1]))
        assert np.abs(example["image"] - laid_on(255, source, SOME)).max() <= 1
    prepared = precompute.prepare_images(tmp_path / "out", [data])
    assert [item.problem for item in prepared] == [None] * 4
    (dropped, *_) = precompute.prepare_images(tmp_path / "out", [data], alpha="drop")
    np.testing.assert_array_equal(dropped.source, COLOURS)


def test_rgba_keeps_what_alpha_would_take_off() -> None:
    with pytest.raises(UsageError, match="color_mode .*keeps it"):
        precompute.options.build_options.BuildOptions(color_mode="rgba", image_format="png", alpha="white")


@pytest.mark.skipif("PRECOMPUTE_TEST_DATA" not in os.environ, reason="needs PRECOMPUTE_TEST_DATA")
def test_nuclei_build_as_they_come(tmp_path: Path) -> None:
    data = Path(os.environ["PRECOMPUTE_TEST_DATA"]) / "nuclei_instances"
    result = build(data, tmp_path / "out", pipeline=A.Compose([A.Resize(64, 64)]))
    assert "12 alpha channels" in "\n".join(result.warnings())
    examples = list(precompute.read(tmp_path / "out"))
    assert {example["image"].shape for example in examples} == {(64, 64, 3)} and len(examples) == 12
    assert all(len(example["masks"]) for example in examples)


# Colours that are multiplied by their alpha: TIFF with associated alpha.


def tiff(pixels: np.ndarray, extra: int) -> bytes:
    """Return a TIFF of uint8 or uint16 [H, W, channels], the last one alpha of the kind that `extra` says.

    Source: TIFF 6.0, sections 2, 8 and 18.
    """
    height, width, channels = pixels.shape
    data, bits = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes(), 8 * pixels.itemsize
    many = struct.pack(f"<{channels}H", *[bits] * channels)
    places = 8 + len(data) + len(many)
    where = 8 + len(data) if len(many) > 4 else int.from_bytes(many, "little")
    tags = [
        *((256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, where), (259, 3, 1, 1)),
        *((262, 3, 1, 2 if channels == 4 else 1), (273, 4, 1, 8), (277, 3, 1, channels), (278, 3, 1, height)),
        *((279, 4, 1, len(data)), (338, 3, 1, extra)),
    ]
    listed = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<4sI", b"II*\0", places) + data + many + struct.pack("<H", len(tags)) + listed + bytes(4)


def premultiplied(pixels: np.ndarray, most: int = 255) -> np.ndarray:
    colours = np.rint(pixels[..., :-1] * (pixels[..., -1:] / most)).astype(pixels.dtype)
    return np.concatenate([colours, pixels[..., -1:]], axis=-1)


STEPS = np.repeat(np.array([[255, 128, 85, 51, 0]], np.uint8), 6, axis=0)
CHOICES = [("rgb", "drop"), ("rgb", "white"), ("rgb", "black"), ("rgba", "opaque"), ("grayscale", "drop")]


@pytest.mark.parametrize(("mode", "alpha"), CHOICES)
@pytest.mark.parametrize("base", [COLOURS, GREY[..., None]], ids=["colours", "grey"])
def test_colours_that_are_multiplied_by_their_alpha_are_as_those_that_are_not(
    base: np.ndarray, mode: str, alpha: str
) -> None:
    plain = np.dstack([base, STEPS])
    found = decode_image(tiff(premultiplied(plain), 1), mode, alpha=alpha)
    wanted = decode_image(tiff(plain, 2), mode, alpha=alpha)
    seen = STEPS > 0  # of what is transparent altogether, nothing is left
    error = 1 if alpha in ("white", "black") else 4  # of 8 bits times a fifth, a step is five
    assert np.abs(found[seen].astype(int) - wanted[seen]).max() <= error
    if alpha in ("drop", "opaque"):
        assert found[~seen].max() == 0
    else:
        np.testing.assert_array_equal(found[~seen], np.full_like(found[~seen], 255 if alpha == "white" else 0))
    with pytest.raises(RejectedSource, match="is not opaque everywhere"):
        decode_image(tiff(premultiplied(plain), 1))


@pytest.mark.parametrize(("mode", "alpha"), CHOICES)
def test_sixteen_bits_that_are_multiplied_by_their_alpha(mode: str, alpha: str) -> None:
    plain = np.dstack([COLOURS, STEPS]).astype(np.uint16) * 257
    scale = parse_scale("0:65535")
    found = decode_image(tiff(premultiplied(plain, 65_535), 1), mode, scale, alpha)
    wanted = decode_image(tiff(plain, 2), mode, scale, alpha)
    seen = STEPS > 0
    assert np.abs(found[seen].astype(int) - wanted[seen]).max() <= 1
    np.testing.assert_array_equal(decode_image(tiff(plain, 2), "rgba", scale), np.dstack([COLOURS, STEPS]))


def test_masks_whose_ids_are_multiplied_by_alpha_are_refused() -> None:
    opaque, some = (premultiplied(np.dstack([GREY, alpha])) for alpha in (OPAQUE, STEPS))
    np.testing.assert_array_equal(decode_mask(tiff(opaque, 1)), GREY)
    np.testing.assert_array_equal(decode_mask(tiff(np.dstack([GREY, STEPS]), 2), alpha="drop"), GREY)
    for alpha in ("opaque", "drop"):
        with pytest.raises(RejectedSource, match="multiplied by their alpha, which does not give them back"):
            decode_mask(tiff(some, 1), alpha=alpha)
        with pytest.raises(RejectedSource, match="multiplied by their alpha"):
            decode_colors(tiff(premultiplied(np.dstack([COLOURS, STEPS])), 1), alpha=alpha)
