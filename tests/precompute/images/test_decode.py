"""Files to pixels and back: what is read exactly, and what is refused rather than read wrongly."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from precompute.errors import RejectedSource
from precompute.images.decode import decode_mask
from tests.helpers.decoded_sources import random_pixels, saved, smooth
from tests.helpers.decoding import decode_image

EXIF_ORIENTATION = 274
UPRIGHT: dict[int, Callable[[Any], Any]] = {  # stored pixels → upright ones. Source: EXIF 2.32, Orientation
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(a[::-1, ::-1], 0, 1),
    8: lambda a: np.rot90(a),
}


def make_png(width: int, height: int, depth: int, kind: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand, for what Pillow does not write. Kinds: 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def packed(ids: np.ndarray[Any, Any], bits: int) -> bytes:
    """Rows of a PNG: a filter byte, then the ids, `bits` each, the first in the highest bits."""
    as_bits = np.unpackbits(ids.astype(np.uint8)[..., None], axis=-1)[..., -bits:].reshape(len(ids), -1)
    return b"".join(b"\0" + np.packbits(row).tobytes() for row in as_bits)


# Orientation.


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_orientation_turns_image_and_mask_alike(orientation: int, file_format: str) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    image, mask = random_pixels(4, 6, 3), random_pixels(4, 6, high=5)
    lossless = {"lossless": True} if file_format == "WEBP" else {}
    np.testing.assert_array_equal(
        decode_image(saved(image, file_format, exif=exif, **lossless)), UPRIGHT[orientation](image)
    )
    np.testing.assert_array_equal(
        decode_mask(saved(mask, file_format, exif=exif, **lossless)), UPRIGHT[orientation](mask)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_jpeg(orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    image = np.repeat(np.repeat(random_pixels(2, 3, 3), 16, axis=0), 16, axis=1)
    got = decode_image(saved(image, "JPEG", exif=exif, quality=100, subsampling=0)).astype(int)
    assert np.abs(got - UPRIGHT[orientation](image)).max() < 12


@pytest.mark.parametrize("kind", ["Landscape", "Portrait"])
def test_photographs_of_every_orientation_are_one_picture(real_data: Path, kind: str) -> None:
    pictures = [decode_image((real_data / "odd" / "exif" / f"{kind}_{i}.jpg").read_bytes()) for i in range(9)]
    assert {picture.shape for picture in pictures} == {(300, 450, 3) if kind == "Landscape" else (450, 300, 3)}
    for picture in pictures[1:]:  # the number is painted on each, and each was compressed anew
        assert np.abs(picture.astype(int) - pictures[0]).mean() < 12
        assert np.abs(picture[::-1].astype(int) - pictures[0]).mean() > 30


# Masks: ids come out as they went in.


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", ["grey", "palette"])
def test_ids_of_every_depth(bits: int, kind: str) -> None:
    ids = random_pixels(5, 9, high=2**bits)
    ids[0, 0], ids[-1, -1] = 0, 2**bits - 1
    palette = [(b"PLTE", random_pixels(2**bits, 3).tobytes())] if kind == "palette" else []
    got = decode_mask(make_png(9, 5, bits, 3 if palette else 0, packed(ids, bits), *palette))
    np.testing.assert_array_equal(got, ids)
    assert got.dtype == np.uint8


def test_ids_of_16_bits() -> None:
    ids = random_pixels(5, 9, high=65_536, dtype=np.uint16)
    for content in (saved(ids), saved(ids, "TIFF"), saved(ids.astype(">u2"), "TIFF")):
        got = decode_mask(content)
        np.testing.assert_array_equal(got, ids)
        assert got.dtype == np.uint16 and got.dtype.isnative


def test_ids_of_other_containers() -> None:
    ids = random_pixels(5, 9, high=7)
    for content in (saved(ids, "BMP"), saved(ids, "TIFF"), saved(ids, "GIF"), saved(ids, "WEBP", lossless=True)):
        np.testing.assert_array_equal(decode_mask(content), ids)
    np.testing.assert_array_equal(decode_mask(saved(ids > 3, "TIFF")), ids > 3)
    np.testing.assert_array_equal(decode_mask(saved(ids.astype(np.int32), "TIFF")), ids)


def test_transparency_of_a_palette_says_nothing_about_ids() -> None:
    ids = random_pixels(5, 9, high=4)
    picture = Image.fromarray(ids, "L").convert("L")
    picture.putpalette(random_pixels(256, 3).tobytes())
    np.testing.assert_array_equal(decode_mask(saved(picture, transparency=0)), ids)


def test_grey_stored_as_colours() -> None:
    ids = random_pixels(5, 9, high=4)
    np.testing.assert_array_equal(decode_mask(saved(np.dstack([ids] * 3))), ids)


def refusal(decode: Callable[[bytes], Any], content: bytes) -> str:
    with pytest.raises(RejectedSource) as caught:
        decode(content)
    return str(caught.value)


def test_masks_that_are_no_class_ids_are_refused() -> None:
    grey, colours = random_pixels(8, 8, high=3), random_pixels(8, 8, 3)
    wide = np.zeros((2, 2, 3), ">u2") + np.uint16(258)  # grey in 16-bit colours: 8 of the bits would be lost
    wide_rows = b"".join(b"\0" + row.tobytes() for row in wide)
    assert "holds colours (mode RGB)" in refusal(decode_mask, saved(colours))
    assert "holds colours (mode RGB)" in refusal(decode_mask, make_png(2, 2, 16, 2, wide_rows))
    assert "has transparent pixels" in refusal(decode_mask, saved(np.dstack([colours, grey])))
    assert "has transparent pixels" in refusal(decode_mask, saved(Image.fromarray(np.dstack([grey, grey]), "LA")))
    assert "holds fractions (mode F)" in refusal(decode_mask, saved(grey.astype(np.float32), "TIFF"))
    assert "ids from -3 to" in refusal(decode_mask, saved(grey.astype(np.int32) - 3, "TIFF"))
    assert "ids from 0 to 70000" in refusal(decode_mask, saved(np.array([[0, 70_000]], np.int32), "TIFF"))


def test_lossy_masks_are_refused() -> None:
    grey = random_pixels(8, 8, high=3)
    assert "is a JPEG: lossy compression changes class ids; save masks as PNG" in refusal(
        decode_mask, saved(grey, "JPEG")
    )
    assert "is a lossy WebP" in refusal(decode_mask, saved(grey, "WEBP"))
    assert "is a TIFF with jpeg inside" in refusal(decode_mask, saved(grey, "TIFF", compression="jpeg"))


# Images: RGB, 8 bits, or refused.


def test_everything_of_8_bits_becomes_rgb() -> None:
    colours, grey = random_pixels(5, 9, 3), random_pixels(5, 9)
    for content in (saved(colours), saved(colours, "BMP"), saved(colours, "TIFF"), saved(colours, "PPM")):
        np.testing.assert_array_equal(decode_image(content), colours)
    for content in (saved(grey), saved(grey, "TIFF"), saved(grey, "GIF"), saved(grey, "PPM")):
        np.testing.assert_array_equal(decode_image(content), np.dstack([grey] * 3))
    np.testing.assert_array_equal(decode_image(saved(grey > 99)), np.dstack([(grey > 99) * np.uint8(255)] * 3))
    palette = random_pixels(256, 3)
    with_palette = make_png(9, 5, 8, 3, packed(grey, 8), (b"PLTE", palette.tobytes()))
    np.testing.assert_array_equal(decode_image(with_palette), palette[grey])


def test_cmyk_becomes_rgb() -> None:
    flat = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    for file_format, options in (("JPEG", {"quality": 100}), ("TIFF", {})):
        got = decode_image(saved(flat, file_format, mode="CMYK", **options)).astype(int)
        assert got.shape == flat.shape and np.abs(got - flat).max() < 4


def test_alpha_is_refused_in_each_of_its_forms() -> None:
    colours, grey = random_pixels(5, 9, 3), random_pixels(5, 9, high=4)
    palette = (b"PLTE", random_pixels(4, 3).tobytes())
    forms = {
        "RGBA": saved(np.dstack([colours, grey])),
        "LA": saved(Image.fromarray(np.dstack([grey, grey]), "LA")),
        "tRNS on RGB": saved(Image.fromarray(colours), transparency=tuple(colours[0, 0].tolist())),
        "tRNS on grey": saved(Image.fromarray(grey), transparency=int(grey[0, 0])),
        "tRNS on a palette": make_png(9, 5, 2, 3, packed(grey, 2), palette, (b"tRNS", b"\0\x80")),
        "GIF": saved(Image.fromarray(grey).convert("P"), "GIF", transparency=int(grey[0, 0])),
        "WebP": saved(np.dstack([colours, grey]), "WEBP"),
        "TIFF": saved(np.dstack([colours, grey]), "TIFF"),
    }
    for name, content in forms.items():
        assert "an alpha channel, or a transparent colour, and is not opaque" in refusal(decode_image, content), name


@pytest.mark.parametrize(
    "chunks", [[], [(b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")]]
)
def test_an_index_that_the_palette_has_no_colour_for_is_refused(chunks: list[tuple[bytes, bytes]]) -> None:
    """Pillow would make it black; as a class id it is as good as any."""
    ids, palette = random_pixels(5, 9, high=3), random_pixels(3, 3)
    ids[0, 0] = 2
    content = make_png(9, 5, 8, 3, packed(ids, 8), (b"PLTE", palette.tobytes()), *chunks)
    np.testing.assert_array_equal(decode_image(content), palette[UPRIGHT[6](ids) if chunks else ids])
    ids[0, 0] = 3
    content = make_png(9, 5, 8, 3, packed(ids, 8), (b"PLTE", palette.tobytes()), *chunks)
    assert "uses colour 3 of a palette that ends at 2" in refusal(decode_image, content)
    np.testing.assert_array_equal(decode_mask(content), UPRIGHT[6](ids) if chunks else ids)


def tiff_16_bits(num_channels: int, orientation: int = 1) -> bytes:
    """A little-endian TIFF of one strip, which Pillow cannot write at this depth."""
    pixels = random_pixels(4, 4, num_channels, high=65_536, dtype="<u2").tobytes()
    depths = struct.pack(f"<{num_channels}H", *[16] * num_channels)
    end = 8 + len(pixels) + len(depths)
    entries = [
        *((256, 4, 1, 4), (257, 4, 1, 4), (258, 3, num_channels, 8 + len(pixels)), (259, 3, 1, 1)),
        *((262, 3, 1, 2), (273, 4, 1, 8), (274, 3, 1, orientation), (277, 3, 1, num_channels)),
        *((278, 4, 1, 4), (279, 4, 1, len(pixels))),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", end) + pixels + depths + directory + bytes(4)


def test_16_bits_are_refused_also_where_pillow_cuts_them_in_silence() -> None:
    wide = random_pixels(4, 4, high=65_536, dtype=np.uint16)
    rows = b"".join(b"\0" + row.tobytes() for row in random_pixels(4, 4, 3, high=65_536, dtype=">u2"))
    forms = {
        "PNG grey": saved(wide),
        "PNG RGB": make_png(4, 4, 16, 2, rows),
        "TIFF grey": saved(wide, "TIFF"),
        "TIFF RGB": tiff_16_bits(3),
        "TIFF RGB, turned": tiff_16_bits(3, orientation=6),
        "PPM RGB": b"P6 # made by hand\n2 2\n65535\n" + bytes(24),
    }
    for name, content in forms.items():
        assert "has 16 bits a channel; records hold 8" in refusal(decode_image, content), name
    for name in ("PNG RGB", "TIFF RGB"):  # Pillow's own view, which makes the check necessary
        assert Image.open(io.BytesIO(forms[name])).mode == "RGB"
    assert "has 32 bits a channel" in refusal(decode_image, saved(wide.astype(np.float32), "TIFF"))
    assert "has 32 bits a channel" in refusal(decode_image, saved(wide.astype(np.int32), "TIFF"))


def test_more_channels_than_three() -> None:
    bands = [Image.fromarray(random_pixels(4, 4, seed=i)) for i in range(4)]
    near_infrared = saved(Image.merge("RGBX", bands), "TIFF")
    assert Image.open(io.BytesIO(near_infrared)).mode == "RGB"  # Pillow would pass over the fourth
    assert "has 4 channels; records hold RGB" in refusal(decode_image, near_infrared)
    assert "of a kind that is read here" in refusal(decode_image, tiff_16_bits(5))


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_several_pictures_in_one_file_are_refused(file_format: str) -> None:
    frames = [Image.fromarray(random_pixels(8, 8, 3, seed=i)) for i in range(3)]
    content = saved(frames[0], file_format, save_all=True, append_images=frames[1:], lossless=True)
    if file_format == "GIF":
        assert decode_image(content).shape == (8, 8, 3)  # the first one
    else:
        assert "holds 3 pictures" in refusal(decode_image, content)
    assert "holds 3 pictures" in refusal(decode_mask, content)


def test_a_camera_file_with_a_preview_gives_its_picture() -> None:
    frames = [Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (200, 10)]
    content = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert decode_image(content).min() > 190
    assert "is a JPEG" in refusal(decode_mask, content)


# Damage.


def test_empty_and_foreign_files() -> None:
    assert refusal(decode_image, b"") == "is empty (0 bytes)"
    for content in (
        b"Thumbs",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        bytes(100),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
    ):
        for decode in (decode_image, decode_mask):
            assert "damaged" in refusal(decode, content)
            assert "0x" not in refusal(decode, content)  # an address would differ from run to run


@pytest.mark.parametrize(
    ("file_format", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {})],
)
def test_cut_short_anywhere(file_format: str, options: dict[str, Any]) -> None:
    content = saved(smooth() ^ random_pixels(48, 64, 3, high=32), file_format, **options)
    whole = decode_image(content)
    for length in np.linspace(1, len(content) - 1, 60).astype(int):
        try:
            got = decode_image(content[:length])
        except RejectedSource:
            continue
        np.testing.assert_array_equal(got, whole)  # what is lacking was no pixels
        assert length > 0.9 * len(content)


@pytest.mark.parametrize("claimed", [(60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_from_its_header(claimed: tuple[int, int]) -> None:
    for content in (make_png(*claimed, 1, 0, b""), b"P5 %d %d 255\n" % claimed):
        assert "claims" in refusal(decode_image, content) and "178,956,970" in refusal(decode_image, content)
        assert "claims" in refusal(decode_mask, content)


def test_a_tiff_that_claims_more_rows_than_its_strips_hold_is_refused() -> None:
    content = saved(random_pixels(9, 7, high=5), "TIFF")
    height = struct.pack("<HHII", 257, 4, 1, 9)
    assert content.count(height) == 1
    longer = content.replace(height, struct.pack("<HHII", 257, 4, 1, 20))
    assert Image.open(io.BytesIO(longer)).convert("RGB").size == (7, 20)  # Pillow's own view: black below
    for decode in (decode_image, decode_mask):
        assert "holds fewer pixels than the 7×20 that it claims" in refusal(decode, longer)


def test_memory_is_not_asked_for_what_a_header_claims() -> None:
    content = make_png(12_000, 12_000, 8, 0, bytes(100))
    for decode in (decode_image, decode_mask):
        assert "claims 12000×12000 pixels, more than" in refusal(decode, content)
    blank = make_png(8_000, 8_000, 1, 0, bytes(1001 * 8_000))  # as small as a real one can be
    assert decode_mask(blank).shape == (8_000, 8_000)


# Every odd file is read or refused.


def test_every_odd_file_is_read_or_refused(real_data: Path) -> None:
    num_read, num_refused = 0, 0
    for path in sorted((real_data / "odd").rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        try:
            image = decode_image(content)
        except RejectedSource:
            num_refused += 1
            continue
        num_read += 1
        stored = Image.open(path)
        assert image.dtype == np.uint8 and image.shape[2] == 3
        assert np.asarray(stored.convert("RGBA"))[..., 3].min() == 255, path
        assert not content.startswith(b"\x89PNG") or content[24] <= 8, path
    assert num_read > 60 and num_refused > 100


def test_odd_masks_keep_what_is_stored(real_data: Path) -> None:
    suite = real_data / "odd" / "png" / "pngsuite"
    for path in sorted(suite.glob("*.png")):
        content = path.read_bytes()
        depth, kind = content[24], content[25]
        if kind in (0, 3):  # grey and palette
            ids = decode_mask(content)
            assert ids.max() < 2**depth and ids.dtype == (np.uint16 if depth == 16 else np.uint8), path
        else:
            says = "has transparent pixels" if kind in (4, 6) and depth == 8 else "holds colours"
            assert says in refusal(decode_mask, content)
