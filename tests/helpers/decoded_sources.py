"""Sources in memory and files of images, for tests of what comes after they were read, and of reading them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from precompute.rendering.decode import Decoded
from precompute.rendering.spec import RecordSpec

SPEC = RecordSpec(height=None, width=None, encoding="png", quality=95, kind="mask")


def some_sources(num: int, height: int = 24, width: int = 20) -> list[Decoded]:
    """Sources of noise with masks of the ids 0, 1, 2; read-only, as they are when they were read from files."""
    sources = []
    for i in range(num):
        rng = np.random.default_rng(i)
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        mask = rng.integers(0, 3, (height, width), dtype=np.uint8)
        image.flags.writeable = mask.flags.writeable = False
        sources.append(
            Decoded(
                key=f"folder/source{i}",
                filename=f"source{i}.png",
                image=image,
                mask=mask,
                label=None,
                sha256="",
                mask_sha256=None,
            )
        )
    return sources


def random_pixels(*shape: int, high: int = 256, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def saved(pixels: Any, file_format: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, file_format, **options)
    return buffer.getvalue()


def smooth(height: int = 48, width: int = 64) -> np.ndarray[Any, Any]:
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 3, y * 4, x + y]).astype(np.uint8)
