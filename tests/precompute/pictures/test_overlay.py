"""What fields draw as a transparent picture."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from precompute.fields.layers import Layers
from precompute.fields.skeleton import make_skeleton
from precompute.pictures.drawing import draw_layers, draw_overlay

HEIGHT, WIDTH = 48, 64
MASK = np.zeros((HEIGHT, WIDTH), np.uint8)
MASK[8:30, 10:40], MASK[20:44, 30:60], MASK[:5, :5] = 1, 90, 255  # 90 has a pattern
NUMBERS = (MASK > 0).astype(np.int32) * 3
BOXES = np.array([[4.0, 4.0, 30.0, 40.0], [20.0, 10.0, 60.0, 44.0]])
LAYERS = {
    "mask": Layers(mask=MASK, ignore_class=255),
    "instances": Layers(numbers=NUMBERS),
    "boxes": Layers(boxes=BOXES, labels=np.array([0, 85]), scores=np.array([0.5]), not_counted=np.array([True, False])),
    "points": Layers(
        points=np.array([[[10.0, 10.0], [50.0, 30.0]]]),
        visibility=np.array([[2, 1]]),
        skeleton=make_skeleton(["left", "right"], edges=[(0, 1)]),
    ),
    "text": Layers(text="cat"),
}


def laid_over(image: np.ndarray, overlay: Image.Image | None, size: int | None) -> np.ndarray:
    ground = draw_layers(image, (), size).convert("RGBA")
    return np.asarray(ground if overlay is None else Image.alpha_composite(ground, overlay))[..., :3].astype(int)


@pytest.mark.parametrize("size", [None, 40, 200])
@pytest.mark.parametrize("names", [*([name] for name in LAYERS), list(LAYERS)], ids="-".join)
def test_laid_over_an_image_it_looks_as_if_drawn_on_it(names: list[str], size: int | None) -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    layers = [LAYERS[name] for name in names]
    seen = laid_over(image, draw_overlay(HEIGHT, WIDTH, layers, size), size)
    assert np.abs(seen - np.asarray(draw_layers(image, layers, size))).max() <= 2


def test_what_is_not_drawn_on_is_transparent_and_no_drawing_is_no_picture() -> None:
    overlay = draw_overlay(HEIGHT, WIDTH, [LAYERS["boxes"]])
    assert overlay is not None
    opacity = np.asarray(overlay)[..., 3]
    assert 0 < (opacity > 0).mean() < 0.4 and opacity.max() == 255
    assert draw_overlay(HEIGHT, WIDTH, [LAYERS["text"]]) is None
    assert draw_overlay(HEIGHT, WIDTH, []) is None
    assert draw_overlay(HEIGHT, WIDTH, [Layers(beside=np.ones((HEIGHT, WIDTH, 1), np.uint8))]) is None


def test_each_thing_that_is_drawn_is_among_the_cases() -> None:
    arrays = {field.name for field in fields(Layers) if hasattr(getattr(Layers(), field.name), "shape")}
    assert all(any(getattr(layer, name).size for layer in LAYERS.values()) for name in arrays - {"beside"})
