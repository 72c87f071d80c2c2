"""Draws the data of the demo: cells under a microscope with masks, and paper cuttings in class folders.

    python scripts/demo_data.py cells FOLDER --num-images 160 --seed 0     images/ and masks/
    python scripts/demo_data.py shapes FOLDER --num-images 240 --seed 0    train/<class>/ and validation/<class>/

Each picture depends on the seed and on its own number alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]  # of floats, and of no one precision

ROUND, SPINDLE = 1, 2
ROUND_COLOR = (0.32, 0.50, 1.00)  # a nucleus stained blue
SPINDLE_COLOR = (0.25, 1.00, 0.45)  # a fibre stained green
SUBPIXEL_BITS = 4  # OpenCV draws polygons at sixteenths of a pixel


def draw_cells(folder: Path, num_images: int, seed: int = 0) -> None:
    """Draw a segmentation set into images/ and masks/: 176 to 232 pixels; 0 background, 1 round, 2 spindle."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(num_images):
        image, mask = draw_cell_picture(np.random.default_rng([seed, 1, index]))
        _write(folder / "images" / f"cells_{index:03d}.png", image)
        _write(folder / "masks" / f"cells_{index:03d}.png", mask)


def draw_cell_picture(rng: Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an image, uint8 [H, W, 3] RGB, and its class ids, uint8 [H, W]."""
    height, width = (int(size) for size in rng.integers(22, 30, 2) * 8)
    light = _haze(rng, height, width)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(2, 6)):  # cells above and below the focus: seen, but not to be segmented
        glow, _ = _draw_cell(rng, (height, width), _anywhere(rng, height, width), rng.random() < 0.5)
        light += cv2.GaussianBlur(glow, (0, 0), float(rng.uniform(7, 11))) * 0.45
    share_round = rng.uniform(0.35, 0.75)
    for center in _spread(rng, height, width, count=int(rng.integers(9, 22)), distance=27):
        is_round = bool(rng.random() < share_round)
        glow, alpha = _draw_cell(rng, (height, width), center, is_round)
        light = light * (1 - 0.85 * alpha[..., None]) + glow
        mask[alpha > 0.5] = ROUND if is_round else SPINDLE
    return _expose(rng, cv2.GaussianBlur(light, (0, 0), 0.8)), mask


def _draw_cell(rng: Generator, size: tuple[int, int], center: Array, is_round: bool) -> tuple[Array, Array]:
    """Return the light of one cell, [H, W, 3], and where it is, [H, W] from 0 to 1."""
    angle = rng.uniform(0, np.pi)
    outline, spine, half_width = _round_outline(rng) if is_round else _spindle_outline(rng)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    alpha = _fill(size, outline @ turn + center)
    if is_round:
        clumps = _noise(rng, size, 1.5) * _noise(rng, size, 4.0)  # of chromatin
        body = _dome(alpha, 0.5) * (0.55 + 2.6 * clumps)
    else:
        body = _dome(alpha, 0.35) * 0.75 + _fibres(rng, size, spine @ turn + center, half_width) * alpha
        nucleus = _fill(size, _ellipse(half_width * 0.9, half_width * 0.55) @ turn + center)
        body *= 1 - 0.55 * nucleus
    color = np.array(ROUND_COLOR if is_round else SPINDLE_COLOR, np.float32) + rng.normal(0, 0.05, 3)
    brightness = rng.uniform(0.6, 1.05)
    return (brightness * (body * alpha)[..., None] * np.clip(color, 0, 1)).astype(np.float32), alpha


def _round_outline(rng: Generator) -> tuple[Array, Array, float]:
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = rng.uniform(9, 16) * np.ones_like(angle)
    for waves in (2, 3, 4, 5):
        radius *= 1 + rng.normal(0, 0.3 / waves**2) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle) * rng.uniform(0.75, 1)], 1)
    return outline.astype(np.float32), np.zeros((1, 2), np.float32), 0.0


def _spindle_outline(rng: Generator) -> tuple[Array, Array, float]:
    """Return a bent, tapering outline, the line through its middle, and half its greatest width."""
    along = np.linspace(-1, 1, 48)
    length, half_width = rng.uniform(22, 40), rng.uniform(5, 8.5)
    spine = np.stack([along * length, rng.uniform(-9, 9) * along**2 + rng.uniform(-4, 4) * along**3], 1)
    taper = half_width * (1 - np.abs(along) ** 1.7) ** 0.8 + 0.6
    offset = np.stack([np.zeros_like(along), taper], 1)
    return (
        np.concatenate([spine + offset, (spine - offset)[::-1]]).astype(np.float32),
        spine.astype(np.float32),
        half_width,
    )


def _fibres(rng: Generator, size: tuple[int, int], spine: Array, half_width: float) -> Array:
    canvas = np.zeros(size, np.uint8)
    normal = np.gradient(spine, axis=0)[:, ::-1] * (1, -1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    for _ in range(7):
        shift = rng.uniform(-0.8, 0.8) * half_width * (1 - np.linspace(-1, 1, len(spine)) ** 2)
        line = _subpixels(spine + normal * shift[:, None])
        cv2.polylines(canvas, [line], False, float(rng.uniform(60, 200)), 1, cv2.LINE_AA, SUBPIXEL_BITS)
    return cv2.GaussianBlur(canvas, (0, 0), 0.7).astype(np.float32) / 255


def _haze(rng: Generator, height: int, width: int) -> Array:
    """Return the dim, cloudy background: [H, W, 3]."""
    color = np.array([0.06, 0.09, 0.15]) * rng.uniform(0.6, 1.3)
    return ((0.4 + _noise(rng, (height, width), 26.0))[..., None] * color).astype(np.float32)


def _expose(rng: Generator, light: Array) -> NDArray[np.uint8]:
    """Light the slide unevenly and add the camera's noise: that of counting photons, and that of reading them."""
    height, width = light.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    center_y, center_x = rng.uniform(-0.4, 0.4, 2)
    uneven = 1.1 - 0.28 * ((y - center_y) ** 2 + (x - center_x) ** 2)
    photons = rng.uniform(90, 220)
    counted = rng.poisson(np.clip(light * uneven[..., None], 0, None) * photons) / photons
    seen = np.clip(counted + rng.normal(0.01, 0.012, light.shape), 0, 1) ** 0.8
    return (seen * 255).round().astype(np.uint8)


PAPER_COLORS = ((214, 84, 62), (233, 171, 52), (74, 138, 96), (56, 116, 160), (140, 90, 150), (70, 70, 84))


def draw_shapes(folder: Path, num_images: int, seed: int = 0, validation_fraction: float = 0.2) -> None:
    """Draw a classification set: `folder`/train/<class>/… and `folder`/validation/<class>/…, as many of each class."""
    for index in range(num_images):
        name = sorted(CLASSES)[index % len(CLASSES)]
        number = index // len(CLASSES)
        is_validation = number < round(validation_fraction * num_images / len(CLASSES))
        path = folder / ("validation" if is_validation else "train") / name / f"{name}_{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, draw_shape_picture(np.random.default_rng([seed, 2, index]), name))


def draw_shape_picture(rng: Generator, name: str) -> NDArray[np.uint8]:
    """Return a paper cutting on paper: uint8 [H, W, 3] RGB, 128 to 176 pixels; colours say nothing about the class."""
    size = int(rng.integers(16, 23)) * 8
    ground, paper = rng.permutation(len(PAPER_COLORS))[:2]
    picture = _paper(rng, size, np.array(PAPER_COLORS[ground]) * 0.35 + 160)
    for scrap in range(int(rng.integers(3, 9))):
        color = np.array(PAPER_COLORS[scrap % len(PAPER_COLORS)])
        where = _ellipse(*rng.uniform(2, 6, 2)) + _anywhere(rng, size, size)
        picture = _lay(rng, picture, _fill((size, size), where), color, lift=1.0)
    body, folds = CLASSES[name](rng, size)
    return _lay(rng, picture, body, np.array(PAPER_COLORS[paper]), lift=3.5, folds=folds).round().astype(np.uint8)


def _lay(
    rng: Generator, picture: Array, shape: Array, color: Array, *, lift: float, folds: Array | None = None
) -> Array:
    """Lay a cut piece of paper on the picture, with its shadow."""
    size = len(picture)
    shadow = cv2.GaussianBlur(np.roll(shape, (round(lift), round(lift)), (0, 1)), (0, 0), lift)
    sheet = _paper(rng, size, color)
    if folds is not None:
        sheet = sheet * (1 - 0.28 * cv2.GaussianBlur(folds, (0, 0), 0.6)[..., None])
    picture = picture * (1 - 0.45 * shadow[..., None])
    return np.clip(picture * (1 - shape[..., None]) + sheet * shape[..., None], 0, 255).astype(np.float32)


def _paper(rng: Generator, size: int, color: Array) -> Array:
    grain = rng.normal(0, 5, (size, size)) + (_noise(rng, (size, size), 2.0) - 0.5) * 22
    slope = np.linspace(-1, 1, size) * rng.uniform(-18, 18) + np.linspace(-1, 1, size)[:, None] * rng.uniform(-18, 18)
    return np.clip(color + (grain + slope)[..., None], 0, 255).astype(np.float32)


def _pose(rng: Generator, size: int, points: Array) -> Array:
    """Turn, scale and shift a figure drawn in −1 … 1 onto the canvas."""
    angle, radius = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.24, 0.4)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (points @ turn * radius + size / 2 + rng.uniform(-0.08, 0.08, 2) * size).astype(np.float32)


def _leaf(rng: Generator, size: int) -> tuple[Array, Array]:
    along = np.linspace(-1, 1, 60)
    width = rng.uniform(0.35, 0.55) * (1 - along**2) ** 0.8 * (1 + 0.25 * along)
    width *= 1 + 0.07 * np.abs(np.sin(along * rng.integers(12, 20)))
    bend = rng.uniform(-0.2, 0.2) * (1 - along**2)
    sides = [np.stack([along, bend + width], 1), np.stack([along, bend - width], 1)[::-1]]
    veins = [np.stack([along, bend], 1)]
    for start in np.linspace(-0.75, 0.55, 7):
        at, reach = np.searchsorted(along, start), 0.85 * np.interp(start + 0.2, along, width)
        veins += [np.array([[start, bend[at]], [start + 0.3, bend[at] + side * reach]]) for side in (-1, 1)]
    figure = _pose(rng, size, np.concatenate([*sides, *veins]))
    outline, lines = figure[:120], np.split(figure[120:], np.cumsum([len(vein) for vein in veins])[:-1])
    return _fill((size, size), outline), _stroke(size, lines)


def _star(rng: Generator, size: int) -> tuple[Array, Array]:
    points = int(rng.integers(5, 8))
    angle = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False)
    radius = np.where(np.arange(2 * points) % 2, rng.uniform(0.38, 0.52), 1.0) * rng.normal(1, 0.03, 2 * points)
    corners = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    figure = _pose(rng, size, np.concatenate([corners, np.zeros((1, 2))]))
    return _fill((size, size), figure[:-1]), _stroke(size, [np.stack([figure[-1], c]) for c in figure[:-1]])


def _ring(rng: Generator, size: int) -> tuple[Array, Array]:
    flat, hole = rng.uniform(0.8, 1), rng.uniform(0.45, 0.7)
    circle = _ellipse(1, flat)
    figure = _pose(rng, size, np.concatenate([circle, circle * hole, circle * (1 + hole) / 2]))
    outer, inner, middle = np.split(figure, 3)
    return _fill((size, size), outer) * (1 - _fill((size, size), inner)), _stroke(size, [middle])


def _spiral(rng: Generator, size: int) -> tuple[Array, Array]:
    angle = np.linspace(0, 2 * np.pi * rng.uniform(1.9, 2.4), 160)
    radius = 0.12 + 0.8 * (angle / angle[-1]) ** 1.1
    half = 0.05 + 0.1 * angle / angle[-1]
    direction = np.stack([np.cos(angle), np.sin(angle) * rng.choice([-1, 1])], 1)
    rims = [direction * (radius + half)[:, None], (direction * (radius - half)[:, None])[::-1]]
    figure = _pose(rng, size, np.concatenate([*rims, direction * radius[:, None]]))
    return _fill((size, size), figure[:320]), _stroke(size, [figure[320:]])


# A figure is where the paper is, and where its folds are: both [size, size] from 0 to 1.
CLASSES: dict[str, Callable[[Generator, int], tuple[Array, Array]]] = {
    "leaves": _leaf,
    "rings": _ring,
    "spirals": _spiral,
    "stars": _star,
}


def _ellipse(a: float, b: float) -> Array:
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return np.stack([a * np.cos(angle), b * np.sin(angle)], 1).astype(np.float32)


def _fill(size: tuple[int, int], outline: Array) -> Array:
    canvas = np.zeros(size, np.uint8)
    cv2.fillPoly(canvas, [_subpixels(outline)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas.astype(np.float32) / 255


def _stroke(size: int, lines: list[Array]) -> Array:
    canvas = np.zeros((size, size), np.uint8)
    cv2.polylines(canvas, [_subpixels(line) for line in lines], False, 255, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas.astype(np.float32) / 255


def _subpixels(points: Array) -> NDArray[np.int32]:
    return (points * (1 << SUBPIXEL_BITS)).round().astype(np.int32)


def _dome(alpha: Array, rim: float) -> Array:
    """Return brightness that falls from 1 in the middle to `rim` at the edge."""
    depth = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    return (rim + (1 - rim) * np.sqrt(depth / max(float(depth.max()), 1.0))).astype(np.float32)


def _noise(rng: Generator, size: tuple[int, int], sigma: float) -> Array:
    """Return soft noise from 0 to 1, its grains about `sigma` pixels wide."""
    blurred = cv2.GaussianBlur(rng.random(size, np.float32), (0, 0), sigma)
    return (blurred - blurred.min()) / (blurred.max() - blurred.min())


def _anywhere(rng: Generator, height: int, width: int) -> Array:
    return (rng.random(2) * (width, height)).astype(np.float32)


def _spread(rng: Generator, height: int, width: int, count: int, distance: float) -> list[Array]:
    """Return up to `count` points, none nearer to another than `distance`."""
    points: list[Array] = []
    for _ in range(20 * count):
        point = _anywhere(rng, height, width)
        if len(points) < count and all(np.hypot(*(point - other)) > distance for other in points):
            points.append(point)
    return points


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image):
        raise OSError(f"{path}: cannot be written.")


def main() -> None:
    """Draw the set that the command line asks for."""
    parser = argparse.ArgumentParser(description="Draw the data of the demo.")
    parser.add_argument("kind", choices=["cells", "shapes"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--num-images", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = draw_cells if options.kind == "cells" else draw_shapes
    draw(options.folder, options.num_images, options.seed)


if __name__ == "__main__":
    main()
