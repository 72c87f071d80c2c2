"""Bytes of image files ↔ arrays of pixels. Owns Pillow and, for encoding, OpenCV.

Pillow decodes: it reads palette masks as indices, applies EXIF orientation to image and mask alike, and refuses
truncated files that OpenCV fills with grey. OpenCV encodes: faster, in the same libraries' formats.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from precompute.errors import RejectedSource

__all__ = ["decode_image", "decode_mask", "encode_image", "encode_mask"]

MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 2**27)  # Pillow's own limit, above which it speaks of a bomb
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TIFF_BITS_PER_SAMPLE = 258  # Source: TIFF 6.0, section 8


def decode_image(content: bytes) -> NDArray[np.uint8]:
    """Return the pixels of an image file, decoded by content whatever its name says.

    Returns:
        uint8 [H, W, 3], RGB, turned as its EXIF orientation says. Grey, palette, 1-bit and CMYK become RGB.

    Raises:
        RejectedSource: It is not a whole image, has an alpha channel, or more than 8 bits a channel.
    """
    picture = _open(content)
    if _bits(picture, content) > 8:
        raise RejectedSource(
            "has 16 or more bits a channel; records hold 8, and cutting would be silent: convert it to 8 bits first"
        )
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        raise RejectedSource("has an alpha channel; records hold RGB: flatten it on a background first")
    return np.asarray(picture.convert("RGB"))


def decode_mask(content: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the class ids of a mask file.

    Palette images give their indices, 1-bit images 0 and 1, and grey images of 2 or 4 bits their stored values.

    Returns:
        uint8 or uint16 [H, W].

    Raises:
        RejectedSource: It is not a whole image, is lossy, or holds colours.
    """
    picture = _open(content)
    if picture.format == "JPEG":
        raise RejectedSource("is a JPEG: lossy compression changes class ids; save masks as PNG")
    if picture.mode in ("RGB", "RGBA", "LA", "PA", "CMYK", "F"):
        return _single_channel(picture)
    ids = np.asarray(picture)
    if ids.dtype == np.bool_:
        return ids.astype(np.uint8)
    bits = _bits(picture, content)
    if picture.mode == "L" and bits in (2, 4):
        return ids // np.uint8(255 // (2**bits - 1))  # Pillow stretches these to 0…255
    if ids.dtype in (np.uint8, np.uint16):
        return ids
    if ids.min() < 0 or ids.max() > 65_535:
        raise RejectedSource(f"holds ids from {ids.min()} to {ids.max()}; class ids go from 0 to 65535")
    return ids.astype(np.uint16)


def encode_image(image: NDArray[np.uint8], encoding: str, quality: int) -> bytes:
    """Return uint8 [H, W, 3] RGB as JPEG, PNG or raw bytes."""
    if encoding == "raw":
        return image.tobytes()
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality] if encoding == "jpeg" else []
    return _encode(".jpg" if encoding == "jpeg" else ".png", bgr, parameters)


def encode_mask(mask: NDArray[Any], encoding: str) -> bytes:
    """Return uint8 or uint16 [H, W] as a PNG of one channel, or raw bytes in little-endian order."""
    if encoding == "raw":
        return mask.astype(mask.dtype.newbyteorder("<"), copy=False).tobytes()
    return _encode(".png", mask, [])


def _encode(suffix: str, pixels: NDArray[Any], parameters: list[int]) -> bytes:
    done, encoded = cv2.imencode(suffix, pixels, parameters)
    if not done:
        raise RejectedSource(f"OpenCV could not encode {pixels.shape} {pixels.dtype} as {suffix}")
    return encoded.tobytes()


def _open(content: bytes) -> Image.Image:
    if not content:
        raise RejectedSource("is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the limit on dimensions is checked here
            picture = Image.open(io.BytesIO(content))
            if picture.width * picture.height > MAX_PIXELS:
                raise RejectedSource(f"claims {picture.width}×{picture.height} pixels; the limit is {MAX_PIXELS:,}")
            picture.load()
            return _upright(picture)
    except RejectedSource:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise RejectedSource(f"cannot be decoded: it is damaged, cut short, or no image ({error})") from error


def _upright(picture: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(picture)
    upright.format = picture.format
    return upright


def _bits(picture: Image.Image, content: bytes) -> int:
    """Return the bits a channel that the file stores, which Pillow's mode does not always tell."""
    if content.startswith(PNG_SIGNATURE):
        return content[24]  # Source: PNG specification, IHDR: width, height, then bit depth
    stored = getattr(picture, "tag_v2", {}).get(TIFF_BITS_PER_SAMPLE)
    if stored:
        return int(max(stored)) if isinstance(stored, tuple) else int(stored)
    return {"1": 1, "I": 32, "F": 32}.get(picture.mode, 16 if picture.mode.startswith("I;16") else 8)


def _single_channel(picture: Image.Image) -> NDArray[np.uint8]:
    if picture.mode == "RGB":
        channels = np.asarray(picture)
        if (channels[..., :1] == channels).all():
            return np.ascontiguousarray(channels[..., 0])
    raise RejectedSource(
        f"holds colours (mode {picture.mode}) where class ids are expected: one channel, the id in each pixel"
    )
