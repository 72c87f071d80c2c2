"""Sources in memory and files of images, for tests of what comes after they were read, and of reading them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from precompute.fields.boxes import Instances
from precompute.fields.field import Field, Schema
from precompute.fields.image import ImageField
from precompute.fields.mask import MaskField
from precompute.pipelines.pipeline import Pipeline
from precompute.rendering.decode import Decoded
from precompute.rendering.spec import RecordSpec


def spec_of(*fields: Field, size: tuple[int, int] | None = None, **pixels: Any) -> RecordSpec:
    """What records of an image and these fields are, as PNGs unless settings say otherwise."""
    height, width = size or (0, 0)
    image = ImageField(height=height, width=width, channels=3, encoding="png")
    return RecordSpec.of_settings({"quality": None, **pixels}, Schema([image, *fields]))


def mask_spec(*, num_classes: int = 256, dtype: str = "uint8", ignore: int | None = None, **pixels: Any) -> RecordSpec:
    """What records of an image and a mask are."""
    mask = MaskField(name="mask", num_classes=num_classes, class_names=[], dtype=dtype, ignore_class=ignore)
    return spec_of(mask, **pixels)


SPEC = mask_spec()


def put_through(
    pipeline: Pipeline, image: Any, value: Any, *, seed: int = 0, key: str = "k", variant: int = 0, copy: int = 0
) -> tuple[Any, Any]:
    """What a pipeline makes of an image and of a mask, boxes or masks of single objects, or of an image alone."""
    draw: dict[str, Any] = {"seed": seed, "key": key, "variant": variant, "copy": copy}
    if value is None:
        return pipeline.apply(image, {}, **draw)["image"], None
    if isinstance(value, np.ndarray):
        made = pipeline.apply(image, {"mask": value}, **draw)
        return made["image"], made["mask"]
    mover = pipeline.points or (pipeline.instances if isinstance(value, Instances) else pipeline.boxes)
    made = pipeline.apply(image, mover.hand_over(image, value), **draw)
    return made["image"], mover.take_back(value, made)


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
                values={"mask": mask},
                hashes={"image": ""},
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
