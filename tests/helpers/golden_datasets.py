"""How the golden datasets were made, and what they are compared by."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np

import precompute
from precompute.dataset.manifest import Manifest
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import save

FORMATS = ROOT / "tests/golden"
GOLDEN = FORMATS / "format-1"
KINDS = (
    "class-png",
    "class-jpeg",
    "mask-png",
    "mask-raw",
    "copies-png",
    "multilabel-png",
    "boxes-png",
    "keypoints-png",
    "instances-png",
    "image-png",
    "extra-png",
    "grey-png",
)  # the last eight since 1.1
NEW = (
    *("class-jpeg", "class-png", "mask-raw", "boxes-png", "keypoints-png", "instances-png", "extra-png"),
    *("numbers-png", "further-png", "several-png"),
)
ENDS = (".png", ".npy", ".png")
OWN_NAMES = {"label": ["bee", "ant"], "coarse": ["sky", "sea", "land"], "objects": ["bee", "ant"]}
MOVES = {"depth": "mask", "range": "mask", "twin": "image"}
KEPT = [*(f"format-1/{kind}" for kind in KINDS), *(f"format-2/{kind}" for kind in NEW)]


def build_golden(kind: str, folder: Path) -> Path:
    """Build one of the golden datasets anew, in `folder`."""
    target, encoding = kind.split("-")
    for i in range(6):
        rng = np.random.default_rng(i)
        image = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        if target != "mask":
            save(folder / "data" / ("ant", "bee")[i % 2] / f"{i}.png", image)
        else:
            save(folder / "data" / "images" / f"{i}.png", image)
            save(folder / "data" / "masks" / f"{i}.png", rng.integers(0, 4, (12, 16), dtype=np.uint8))
    images = sorted((folder / "data").rglob("*.png"))
    several = {"images": images, "labels": [["ant", "bee"][: i % 3] for i in range(6)]}
    boxes = [[(i, 2, i + 4, 7, "ant"), (1, i, 9, i + 2, "bee", "crowd")][: i % 3] for i in range(6)]
    points = [[[(i + 0.5, 2.5), (3, i + 1, 1), None], [(9.5, i, 2), None, (4, 5, 1)]][: i % 3] for i in range(6)]
    boxed: dict[str, Any] = {"images": images, "boxes": boxes}
    extra = {"age": [i - 2 for i in range(6)], "dose": [i / 4 for i in range(6)], "site": [f"ß{i}" for i in range(6)]}
    weighed = {"labels": ["ant", "bee"] * 3, "weights": [i / 2 for i in range(6)], "extra": extra}
    numbers = {"age": [i + 0.5 for i in range(6)], "angle": [float("nan"), *range(-2, 3)]}
    lists: dict[str, Any] = {
        "multilabel": several,
        "boxes": boxed,
        "keypoints": {**boxed, "keypoints": points, "keypoint_names": ["left", "right", "tip"], "flip_pairs": "auto"},
        "instances": {"images": images, "instances": _draw_objects(folder / "objects")},
        "image": {"images": images},
        "extra": {"images": images, **weighed},
        "numbers": {"images": images, "values": numbers, "missing_values": "nan", "mirror_negates": ["angle"]},
        "several": {
            "images": images,
            "labels": ["ant", "bee"] * 3,
            "boxes": boxes,
            "values": {"age": numbers["age"]},
            "masks": _draw_masks(folder / "masks"),
            "mask_map": {"fine": {255: 1}},
            "class_names": OWN_NAMES,
        },
        "further": {"images": images, "extra_images": _draw_further(folder / "further")},
    }.get(target, {})
    moves = MOVES if target == "further" else None
    steps = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
    precompute.build(
        None if lists else folder / "data",
        folder / "golden",
        **lists,
        # Flips move pixels and change none, so that every processor gives the same.
        pipeline={
            "train": A.Compose(steps, additional_targets=moves),
            "validation": A.Compose([], additional_targets=moves),
        },
        variants=2,
        seed=7,
        validation_split=0.3,
        include_original=True,
        class_copies={"ant": 3} if target == "copies" else {},
        image_format=encoding,
        color_mode="grayscale" if target == "grey" else "rgb",
        jobs=1,
        backend="sequential",
        quiet=True,
    )
    return folder / "golden"


def _draw_objects(folder: Path) -> list[list[Any]]:
    """Write up to two masks that overlap for each of the six images; return them as a build takes them."""
    for i in range(6):
        for k in range(i % 3):
            mask = np.zeros((12, 16), np.uint8)
            mask[2 + k : 7, i : i + 5 + 2 * k] = 255
            save(folder / f"{i}-{k}.png", mask)
    names = [("ant",), ("bee", "crowd")]
    return [[(folder / f"{i}-{k}.png", *names[k]) for k in range(i % 3)] for i in range(6)]


def _draw_masks(folder: Path) -> dict[str, list[Path]]:
    """Write three masks for each of the six images, one of them of 0 and 255; return lists of them."""
    paths = {name: [folder / name / f"{i}.png" for i in range(6)] for name in ("mask", "fine", "coarse")}
    for i in range(6):
        rng = np.random.default_rng(i)
        save(paths["mask"][i], rng.integers(0, 5, (12, 16), dtype=np.uint8))
        save(paths["fine"][i], rng.integers(0, 2, (12, 16), dtype=np.uint8) * 255)
        save(paths["coarse"][i], rng.integers(0, 3, (12, 16), dtype=np.uint8))
    return paths


def _draw_further(folder: Path) -> dict[str, list[Path]]:
    """Write a depth map, fractions and another picture for each of the six images; return lists of them."""
    folder.mkdir(exist_ok=True)
    paths = {name: [folder / f"{name}-{i}{end}" for i in range(6)] for name, end in zip(MOVES, ENDS, strict=True)}
    for i in range(6):
        rng = np.random.default_rng(i)
        save(paths["depth"][i], rng.integers(0, 2**16, (12, 16), dtype=np.uint16))
        np.save(paths["range"][i], rng.integers(-99, 99, (12, 16)).astype(np.float32) / 8)
        save(paths["twin"][i], rng.integers(0, 255, (12, 16), dtype=np.uint8))
    return paths


def digest_of(out: Path) -> str:
    """Return a hash of all decoded records, in order: arrays, not encoded bytes, which other codecs write otherwise."""
    hashed = hashlib.sha256()
    for split, listed in Manifest.load(out).splits.items():
        for row in listed.rows:
            for example in precompute.read(out, split=split, row=row.row):
                for name in sorted(example):
                    hashed.update(f"{split} {row.row} {name} ".encode() + _bytes(example[name]))
    return hashed.hexdigest()


def _bytes(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes()
    return repr(value).encode()
