"""A cell of the table of TRANSFORMS.md: what becomes of a transform, at a probability, on a kind of target.

It is built into a dataset of a few tiny pictures. "works" is said of records that are right, "works roughly" where
keypoints alone lie beside the pixels and a build says so, "refused" of a build that ends before the job, names the
transform and leaves nothing. Whatever else happens is a fault.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import albumentations as A
from transform_pictures import HEIGHT, WIDTH, Picture, as_sources
from transform_records import check_records, is_rough

import precompute
from precompute.errors import PipelineError

PROBABILITIES = (1.0, 0.1)
NUM_VARIANTS = 2
BASES = (A.BaseCompose, A.Lambda)  # compositions, and one that does what it is told
ABSTRACT = {"BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D"}
VOLUME = {"size": (4, 4, 4)}
# Of those that cannot be made without.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "AtLeastOneBBoxRandomCrop": {"height": 24, "width": 24},
    "BBoxSafeRandomCrop": {},
    "CenterCrop": {"height": 24, "width": 24},
    "CenterCrop3D": VOLUME,
    "ConstrainedCoarseDropout": {"mask_indices": [1], "bbox_labels": ["ant"]},
    "Crop": {"x_min": 2, "y_min": 3, "x_max": 40, "y_max": 44},
    "CropAndPad": {"px": 4},
    "CropNonEmptyMaskIfExists": {"height": 24, "width": 24},
    "GridElasticDeform": {"num_grid_xy": (4, 4), "magnitude": 3},
    "LongestMaxSize": {"max_size": 32},
    "Pad": {"padding": 4},
    "Pad3D": {"padding": 2},
    "PadIfNeeded": {"min_height": 64, "min_width": 64},
    "PadIfNeeded3D": {"min_zyx": (4, 4, 4)},
    "RandomCrop": {"height": 24, "width": 24},
    "RandomCrop3D": VOLUME,
    "RandomResizedCrop": {"size": (24, 24)},
    "RandomSizedBBoxSafeCrop": {"height": 24, "width": 24},
    "RandomSizedCrop": {"min_max_height": (20, 30), "size": (24, 24)},
    "Resize": {"height": 32, "width": 40},
    "SmallestMaxSize": {"max_size": 32},
    "TextImage": {"font_path": "nowhere.ttf"},
    "XYMasking": {"num_masks_x": 1, "num_masks_y": 1, "mask_x_length": 8, "mask_y_length": 8},
}
ARGUMENTS |= {"Superpixels": {"n_segments": 10}}  # by default it takes 25 times as long as others
SLOW = ("PiecewiseAffine",)  # goes over pixels in Python
# How the table puts what a refusal says.
REASONS = (
    (r"\n  \w+: ([^\n]*)\nLeave them out, or let a transform", r"refused: needs \1"),
    (r"cannot move (\w+)", r"refused: cannot move \1"),
    (r"gave an image of type (\w+) where uint8 is expected", r"refused: gives \1"),
)


def exported() -> dict[str, type]:
    """Return name → class of the transforms that Albumentations exports."""
    found = {name: value for name, value in vars(A).items() if isinstance(value, type) and name not in ABSTRACT}
    return {
        name: cls
        for name, cls in sorted(found.items())
        if issubclass(cls, A.BasicTransform) and not issubclass(cls, BASES)
    }


def pairwise(names: Sequence[str], kinds: Sequence[str]) -> list[tuple[str, str, float]]:
    """Return a choice of cells in which each two of transform, kind and probability come together.

    Each transform meets each kind, so half of all cells is the least that there can be of two probabilities. What is
    slow runs always with one kind alone.
    """
    return [
        (name, kind, PROBABILITIES[min(j, 1) if name in SLOW else (i + j) % 2])
        for (i, name), (j, kind) in itertools.product(enumerate(names), enumerate(kinds))
    ]


def outcome(name: str, kind: str, p: float, pictures: list[Picture], out: Path) -> str:
    """Build a transform into a dataset; return ``"works"``, ``"works roughly"`` or ``"refused: …"``.

    Args:
        name: Of the transform.
        kind: Of targets.
        p: Of the transform.
        pictures: The sources.
        out: Folder for the dataset, new.

    Raises:
        PrecomputeError: It is neither: good sources were called bad.
        AssertionError: The records are wrong, or a refusal does not name the transform or leaves something behind.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transform = getattr(A, name)(**ARGUMENTS.get(name, {}), p=p)
        try:
            precompute.build(
                output=out,
                **as_sources(pictures, kind),
                pipeline=A.Compose([transform, A.Resize(HEIGHT, WIDTH)]),
                variants=NUM_VARIANTS,
                image_format="png",
                backend="sequential",
                quiet=True,
            )
        except PipelineError as error:
            message = str(error)
            assert re.search(rf"\b{name}\b", message), f"{name}, {kind}, p={p:g}: refused without its name: {message}"
            assert not out.exists() or not any(out.iterdir()), f"{name}, {kind}, p={p:g}: a refusal leaves files"
            return _reason(message)
        examples = itertools.chain.from_iterable(
            precompute.read(out, split="train", row=row) for row in range(NUM_VARIANTS)
        )
        check_records(transform, kind, list(examples), pictures)
    return "works roughly" if is_rough(transform, kind) else "works"


def _reason(message: str) -> str:
    """Return the words that the table has for what a refusal says."""
    for pattern, words in REASONS:
        found = re.search(pattern, message)
        if found:
            return found.expand(words)
    raise AssertionError(f"a refusal without words here: {message}")
