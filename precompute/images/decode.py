"""Bytes of image files → arrays of pixels. Owns Pillow.

Pillow decodes: it reads palette masks as indices, applies EXIF orientation to image and mask alike, and refuses
truncated files that OpenCV fills with grey.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from precompute.errors import RejectedSource
from precompute.images.alpha import bare_mask, has_alpha, is_opaque, straight, true_transparency, without_alpha
from precompute.images.color_modes import EXPECTED_SCALE, Scale
from precompute.images.file_kinds import FORMATS
from precompute.images.scaling import scaled_picture
from precompute.images.shrink import Shrinking, load_smaller, shrunk_size
from precompute.text.format import format_count, format_shape

__all__ = [
    "DecodedImage",
    "decode_as_stored",
    "decode_colors",
    "decode_mask",
    "decode_shrunk",
    "longer_side",
    "orientation_of",
]

LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 2**27)  # Pillow's own limit, above which it speaks of a bomb
# Deflate packs at most 1,032 : 1, so a PNG holds at most 8,256 pixels of one bit in a byte; others hold fewer. Memory
# is not asked for what a damaged header claims. Source: https://zlib.net/zlib_tech.html, "Maximum Compression Factor".
MAX_PIXELS_PER_BYTE = 10_000
UNBOUNDED = ("WEBP", "TIFF")  # one colour all over takes them hardly a byte
PILLOW_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
ORIENTATION = 0x0112  # Source: EXIF 2.32, tag Orientation: 1 is upright, 2 to 8 are turned or mirrored
ORIENTATION_MARKS = (b"Exif\0\0", b"eXIf", b"EXIF", b"tiff:Orientation")  # in JPEG, PNG, WebP, XMP
GREY_MODES = ("1", "L", "LA", "I", "F", "I;16")
NPY_SIGNATURE = b"\x93NUMPY"  # Source: numpy.lib.format, "Format Version 1.0"
STORED_TYPES = ("uint8", "uint16", "float32")
WIDER = {"bool": np.uint8, "float16": np.float32}  # types of NumPy that others hold without loss
TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TIFF_BITS_PER_SAMPLE, TIFF_SAMPLES_PER_PIXEL = 258, 277  # Source: TIFF 6.0, section 8
PPM_HEADER = re.compile(rb"P[2356](?:\s|#[^\n]*\n)++(?:\d++(?:\s|#[^\n]*\n)++){2}(\d++)")  # Source: ppm(5): the maximum


class DecodedImage(NamedTuple):
    """The pixels of an image file.

    Attributes:
        pixels: uint8 [H, W, C], C 1, 3 or 4, maybe made smaller.
        full_size: Height and width of the whole image, upright.
        opaque_alpha: Whether an alpha channel of 255 everywhere was removed.
    """

    pixels: NDArray[np.uint8]
    full_size: tuple[int, int]
    opaque_alpha: bool


def decode_shrunk(
    content: bytes,
    max_size: int | None,
    color_mode: str | None = "rgb",
    scale: Scale | None = None,
    alpha: str = "opaque",
) -> DecodedImage:
    """Return the pixels of an image file, made smaller while decoding if its longer side exceeds a number of pixels.

    Its content tells the format, not its name. A JPEG is decoded at a half, a quarter or an eighth where that is still
    large enough, which costs less than decoding all of it; then a filter that takes in all pixels makes it smaller.

    Args:
        content: Content of the file.
        max_size: Largest number of pixels of the longer side; None: any.
        color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``. None: the file's own, with alpha only where `alpha` is
            ``"opaque"`` and it is not opaque everywhere.
        scale: How more than 8 bits per channel become 8, of the whole picture, before it is made smaller; None: they
            are refused.
        alpha: What happens to an alpha channel if the mode has none: ``"opaque"``: it has to be 255 everywhere;
            ``"drop"``: it is removed; ``"white"`` or ``"black"``: the image is laid on this colour.

    Returns:
        Pixels that are turned as the EXIF orientation says; read-only. For RGB, grey, palette, 1-bit and CMYK images
        are converted; for grey, colours become their luminance (ITU-R 601); missing alpha becomes opaque.

    Raises:
        RejectedSource: It is not one whole image, has an alpha channel that `alpha` does not allow, more than 8 bits
            per channel without a scale, or indices that its palette has no colour for.
    """
    picture, shrinking = _open(content, max_size, first_frame=True)
    bits = _bits(picture, content)
    if bits > 8 and scale is None:
        raise RejectedSource(
            f"has {bits} bits a channel; records hold 8, and cutting would be silent: convert it to 8 bits first, or "
            f"say with --scale how: {EXPECTED_SCALE}"
        )
    true_transparency(picture, bits)
    if bits > 8 and "transparency" in picture.info:
        if color_mode == "rgba" or alpha != "drop":
            raise RejectedSource(
                f"has {bits} bits a channel and one transparent colour; give it an alpha channel first, or have the "
                "colour taken as any other with --alpha drop"
            )
        del picture.info["transparency"]
    if bits > 8 and scale is not None:
        picture = scaled_picture(picture, content, scale, upright=shrinking is None)
    _check_palette(picture)
    picture, opaque_alpha = straight(picture), False
    color_mode = color_mode or _own_mode(picture, alpha)
    if color_mode != "rgba" and has_alpha(picture):
        picture, opaque_alpha = without_alpha(picture, alpha)
    try:
        pixels = picture.convert(PILLOW_MODES[color_mode])
        full = (pixels.height, pixels.width)
        if shrinking is not None:
            pixels, full = shrinking.apply(pixels), shrinking.full
        array = np.asarray(pixels)
        return DecodedImage(array[..., None] if array.ndim == 2 else array, full, opaque_alpha)
    except ValueError as error:
        raise RejectedSource(
            f"has colours of a kind that is not read here (mode {picture.mode}); save it as RGB"
        ) from error


def _own_mode(picture: Image.Image, alpha: str) -> str:
    """Return the colour mode that holds what a picture holds, without alpha if that is opaque or to be removed."""
    if has_alpha(picture) and alpha == "opaque" and not is_opaque(picture):
        return "rgba"
    return "grayscale" if picture.mode in GREY_MODES else "rgb"


def decode_as_stored(content: bytes, alpha: str = "opaque") -> NDArray[Any]:
    """Return the values of a picture, or of an array in NumPy's format (.npy), unchanged.

    Args:
        content: Content of the file.
        alpha: ``"drop"`` removes an alpha channel; else it stays unless it is opaque everywhere. It is never laid on a
            colour.

    Returns:
        uint8 [H, W, 1, 3 or 4], uint16 or float32 [H, W, 1], turned as its EXIF orientation says.

    Raises:
        RejectedSource: It is not one whole image, holds other types of numbers, or some that are not finite.
    """
    values = _array_of(content) if content.startswith(NPY_SIGNATURE) else _numbers_of(content, alpha)
    values = values[..., None] if values.ndim == 2 else values
    if values.dtype.kind in "iu" and values.dtype != np.uint8:
        if values.min() < 0 or values.max() > 65_535:
            raise RejectedSource(f"holds {values.min()} to {values.max()}; whole numbers go from 0 to 65535")
        values = values.astype(np.uint16)
    values = values.astype(WIDER.get(values.dtype.name, values.dtype.newbyteorder("=")), copy=False)
    fits = values.ndim == 3 and values.shape[2] in ((1, 3, 4) if values.dtype == np.uint8 else (1,))
    if values.dtype.name not in STORED_TYPES or not fits or not values.size:
        narrower = "; save values.astype('float32')" if values.dtype == np.float64 else ""
        raise RejectedSource(
            f"holds {values.dtype} {format_shape(values.shape)}; expected uint8 of 1, 3 or 4 channels, or uint16 or "
            f"float32 of one channel{narrower}"
        )
    if values.dtype == np.float32 and not np.isfinite(values).all():
        number = int((~np.isfinite(values)).sum())
        found = format_count(number, "value that is", "values that are")
        raise RejectedSource(
            f"holds {found} not finite (NaN or infinite); fill {'it' if number == 1 else 'them'} first"
        )
    return values


def _array_of(content: bytes) -> NDArray[Any]:
    try:
        return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
    except Exception as error:  # damaged headers raise nearly anything
        raise RejectedSource(f"is no whole .npy file ({error})") from error


def _numbers_of(content: bytes, alpha: str) -> NDArray[Any]:
    picture, _ = _open(content, None)
    bits = _bits(picture, content)
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return np.asarray(picture)
    if bits > 8:
        raise RejectedSource(f"has {bits} bits in each of several channels; more than 8 are for one channel alone")
    true_transparency(picture, bits)
    _check_palette(picture)
    picture = straight(picture)
    return np.asarray(picture.convert(PILLOW_MODES[_own_mode(picture, "drop" if alpha == "drop" else "opaque")]))


def orientation_of(content: bytes) -> int:
    """Return the EXIF orientation of an image file, 1 to 8, without decoding it; 1 where there is none."""
    if not (content[:4] in TIFF_SIGNATURES or any(mark in content for mark in ORIENTATION_MARKS)):
        return 1
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # what is damaged is said when it is decoded
        return 1


def decode_mask(content: bytes, alpha: str = "opaque") -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the class ids of a mask file.

    The ids are the indices of palette images, 0 and 1 of 1-bit images, and the stored values of grey images of 2 or 4
    bits.

    Returns:
        uint8 or uint16 [H, W].

    Raises:
        RejectedSource: It is not one whole image, is lossy, or holds colours or fractions.
    """
    picture, bits = _open_mask(content, "class ids")
    picture = bare_mask(picture, alpha) if bits <= 8 else picture
    if picture.mode not in ("1", "L", "P", "I") and not picture.mode.startswith("I;16"):
        return _single_channel(picture, bits)
    ids = np.asarray(picture)
    if ids.dtype == np.bool_:
        return ids.astype(np.uint8)
    if picture.mode == "L" and bits in (2, 4):
        return ids // np.uint8(255 // (2**bits - 1))  # Pillow stretches these to 0…255
    if ids.dtype in (np.uint8, np.uint16):
        return ids
    if ids.min() < 0 or ids.max() > 65_535:
        raise RejectedSource(f"holds ids from {ids.min()} to {ids.max()}; class ids go from 0 to 65535")
    return ids.astype(np.uint16)


def decode_colors(content: bytes, alpha: str = "opaque") -> NDArray[np.uint8]:
    """Return the colours of a mask file whose classes are colours; palettes and grey become RGB.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        RejectedSource: It is not one whole image, is lossy, has more than 8 bits per channel, or transparent pixels.
    """
    picture, bits = _open_mask(content, "colours")
    if bits > 8:
        raise RejectedSource(f"has {bits} bits a channel; colours of classes have 8")
    picture = bare_mask(picture, alpha)
    _check_palette(picture)
    return np.asarray(picture.convert("RGB"))


def _open_mask(content: bytes, held: str) -> tuple[Image.Image, int]:
    """Return the picture of a mask, which lossy compression would spoil, and its bits per channel."""
    picture, _ = _open(content, None)
    lossy = _lossy(picture, content)
    if lossy:
        raise RejectedSource(f"is a {lossy}: lossy compression changes {held}; save masks as PNG")
    return picture, _bits(picture, content)


def longer_side(path: Path) -> int | None:
    """Return the longer side of an image file in pixels, from its header; None where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is large
            return max(Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS).size)
    except Exception:  # decoders of damaged files raise nearly anything; what is wrong is said when it is decoded
        return None


def _open(content: bytes, max_size: int | None, *, first_frame: bool = False) -> tuple[Image.Image, Shrinking | None]:
    """Return a picture: upright, or with the `Shrinking` that is left to do where it has to be made smaller."""
    if not content:
        raise RejectedSource("is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the limit on dimensions is checked here
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            _check_header(picture, len(content), first_frame=first_frame)
            size = shrunk_size(picture.size, max_size)
            if size != picture.size:
                return picture, load_smaller(picture, size)
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            return picture, None
    except RejectedSource:
        raise
    except UnidentifiedImageError as error:  # its own message names an address in memory
        raise RejectedSource(f"is damaged, or no image of a kind that is read here ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise RejectedSource(f"claims more pixels than the limit of {MAX_PIXELS:,}") from error
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise RejectedSource(f"cannot be decoded: it is damaged or cut short ({error})") from error


def _check_header(picture: Image.Image, num_bytes: int, *, first_frame: bool) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise RejectedSource(f"claims {picture.width}×{picture.height} pixels; the limit is {MAX_PIXELS:,}")
    if picture.format not in UNBOUNDED and picture.width * picture.height > MAX_PIXELS_PER_BYTE * num_bytes:
        raise RejectedSource(
            f"claims {picture.width}×{picture.height} pixels, more than {num_bytes:,} bytes can hold: it is damaged"
        )
    _check_strips(picture)
    num_frames = 1 if first_frame and picture.format == "GIF" else getattr(picture, "n_frames", 1)
    if num_frames > 1 and picture.format != "MPO":  # a camera's JPEG with a preview or depth beside the picture
        raise RejectedSource(f"holds {num_frames} pictures; a source is one: save each as a file of its own")
    num_channels = getattr(picture, "tag_v2", {}).get(TIFF_SAMPLES_PER_PIXEL, 1)
    if num_channels > len(picture.getbands()):  # Pillow passes over what has no place in its mode
        found = format_count(num_channels, "channel")
        raise RejectedSource(f"has {found}; records hold RGB: choose three of them first")


def _check_strips(picture: Image.Image) -> None:
    """Refuse a TIFF whose strips do not cover it: Pillow would leave the rest black without an error."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return
    covered = {strip[1] for strip in picture.tile}  # each plane covers the same ones again
    if sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in filter(None, covered)) < picture.width * picture.height:
        raise RejectedSource(
            f"holds fewer pixels than the {picture.width}×{picture.height} that it claims: it is damaged"
        )


def _check_palette(picture: Image.Image) -> None:
    """Refuse indices that a palette has no colour for: Pillow would make them black without an error."""
    if picture.mode != "P":
        return
    num_colours, highest = len(picture.getpalette() or ()) // 3, int(np.asarray(picture).max())
    if highest >= num_colours:
        raise RejectedSource(
            f"uses colour {highest} of a palette that ends at {num_colours - 1}: it is damaged; save it anew"
        )


def _bits(picture: Image.Image, content: bytes) -> int:
    """Return the bits per channel in the file, which Pillow's mode does not always tell."""
    if content.startswith(PNG_SIGNATURE):
        return content[24]  # Source: PNG specification, IHDR: width, height, then bit depth
    stored = getattr(picture, "tag_v2", {}).get(TIFF_BITS_PER_SAMPLE)
    if stored:
        return int(max(stored)) if isinstance(stored, tuple) else int(stored)
    header = PPM_HEADER.match(content)
    if header:
        return int(header[1]).bit_length()
    return {"1": 1, "I": 32, "F": 32}.get(picture.mode, 16 if picture.mode.startswith("I;16") else 8)


def _lossy(picture: Image.Image, content: bytes) -> str | None:
    """Return the name of a file's lossy format, which may have changed ids; None for others."""
    if picture.format in ("JPEG", "MPO"):
        return "JPEG"
    if picture.format == "WEBP" and b"VP8L" not in _webp_chunks(content):
        return "lossy WebP"
    if picture.format == "TIFF" and picture.info.get("compression") in LOSSY_TIFF:
        return f"TIFF with {picture.info['compression']} inside"
    return None


def _webp_chunks(content: bytes) -> Iterator[bytes]:
    # Source: WebP container specification: after 12 bytes chunks of a name, a length, and bytes padded to even.
    start = 12
    while start + 8 <= len(content):
        yield content[start : start + 4]
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        start += 8 + length + length % 2


def _single_channel(picture: Image.Image, bits: int) -> NDArray[np.uint8]:
    if picture.mode == "RGB" and bits <= 8:
        channels = np.asarray(picture)
        if (channels[..., :1] == channels).all():
            return np.ascontiguousarray(channels[..., 0])
    held = "fractions" if picture.mode == "F" else "colours"
    raise RejectedSource(
        f"holds {held} (mode {picture.mode}) where class ids are expected: one channel, the id in each pixel; "
        "for classes that are colours, say which is which with --mask-colors"
    )
