"""What becomes of each transform that Albumentations exports, on each kind of target: the table of TRANSFORMS.md.

    scripts/transform_table.py --write      tries all of them, at p=1 and p=0.1, and writes the table

Each is built into a dataset of a few tiny images. Where that works, the records are compared with what a Compose of
one's own gives under the same draws. Bad sources are never an outcome.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np

import precompute
from precompute.errors import PipelineError
from precompute.record.seeding import Draws

PAGE = Path(precompute.__file__).parent / "TRANSFORMS.md"
KINDS = ("class", "multilabel", "image", "mask", "boxes", "keypoints", "instances")
SHOWN = ("class", *KINDS[3:])  # labels and no target at all are alike
PROBABILITIES = (1.0, 0.1)
SIZE = 48  # pixels, of sources and records
NUM_IMAGES = 3
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
REASONS = (
    (r"\n  \w+: ([^\n]*)\nLeave them out, or let a transform", r"refused: needs \1"),
    (r"cannot move (\w+)", r"refused: cannot move \1"),
    (r"would blend", "refused: would blend masks"),
    (r"resize\.cpp", "refused: gives floats"),
    (r"(float\d+|int\d+) where uint8 is expected", r"refused: gives \1"),
    (r"the pipeline made class ids", "refused: makes class ids"),
    (r"needs? grayscale|do not take", "refused: other channels"),
    (r"must be uint8|uint8", "refused: takes other than uint8"),
    (r"made values in masks", "refused: mixes masks"),
)


def exported() -> dict[str, type]:
    """Return name → class of the transforms that Albumentations exports."""
    found = {name: value for name, value in vars(A).items() if isinstance(value, type) and name not in ABSTRACT}
    return {
        name: cls
        for name, cls in sorted(found.items())
        if issubclass(cls, A.BasicTransform) and not issubclass(cls, BASES)
    }


def write_sources(folder: Path) -> dict[str, dict[str, Any]]:
    """Write images and masks; return kind → what a build is given."""
    rng, images, masks, objects = np.random.default_rng(3), [], [], []
    for i in range(NUM_IMAGES):
        image = cv2.blur(rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8), (3, 3))
        boxes = [(4 + i, 5, 20, 22 + i, "ant"), (22, 20 + i, 44, 42, "bee")]
        mask = np.zeros((SIZE, SIZE), np.uint8)
        for label, (left, top, right, bottom, _) in enumerate(boxes):
            mask[top:bottom, left:right] = label + 1
            cv2.imwrite(str(folder / f"{i}_{label}.png"), (mask == label + 1).astype(np.uint8))
        cv2.imwrite(str(folder / f"{i}.png"), image)
        cv2.imwrite(str(folder / f"{i}_mask.png"), mask)
        images.append(folder / f"{i}.png")
        masks.append(folder / f"{i}_mask.png")
        objects.append(boxes)
    points = [[[((b[0] + b[2]) / 2, (b[1] + b[3]) / 2, 2), (b[0] + 3, b[1] + 3, 2)] for b in of] for of in objects]
    singles = [[(folder / f"{i}_{label}.png", b[4]) for label, b in enumerate(of)] for i, of in enumerate(objects)]
    given: dict[str, dict[str, Any]] = {
        "class": {"labels": ["a", "b", "a"]},
        "multilabel": {"labels": [["a"], ["a", "b"], []]},
        "image": {},
        "mask": {"masks": masks},
        "boxes": {"boxes": objects},
        "keypoints": {"boxes": objects, "keypoints": points, "keypoint_names": ["middle", "corner"]},
        "instances": {"instances": singles},
    }
    return {kind: {"images": images, "keys": [str(i) for i in range(NUM_IMAGES)], **of} for kind, of in given.items()}


def outcome(cls: type, kind: str, p: float, sources: dict[str, Any], out: Path) -> str:
    """Return ``"works"``, or ``"refused: …"``.

    Raises:
        PrecomputeError: It is neither: good sources were called bad.
        AssertionError: The records are wrong.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transform = cls(**ARGUMENTS.get(cls.__name__, {}), p=p)
        pipeline = A.Compose([transform, A.NoOp(), A.Resize(SIZE, SIZE)])
        try:
            precompute.build(
                output=out,
                **sources,
                pipeline=pipeline,
                variants=2,
                image_format="png",
                backend="sequential",
                quiet=True,
            )
        except PipelineError as error:
            return reason(str(error), kind)
        check_records(cls.__name__, kind, p, sources, out)
    return "works"


def reason(said: str, kind: str) -> str:
    """Return the words that the table has for what a refusal said."""
    for pattern, words in REASONS:
        found = re.search(pattern, said)
        if found:
            return found.expand(words)
    raise ValueError(f"{kind}: a reason without words here: {said}")


def check_records(name: str, kind: str, p: float, sources: dict[str, Any], out: Path) -> None:
    """Compare records with what a Compose of one's own gives under the same draws.

    Keypoints and masks of single objects are handed over in ways of our own: `tests` look at where they go.
    """
    if kind in ("keypoints", "instances"):
        return
    compose, draws = _own_compose(name, kind, p), Draws()
    compose.set_random_state(draws.generator, draws.py_random)
    for variant in range(2):
        for example in precompute.read(out, split="train", row=variant):
            draws.set(0, example["key"], variant, 0)
            made = compose(**_handed(kind, sources, int(example["key"])))
            where = (name, kind, p, example["key"])
            assert np.array_equal(made["image"], example["image"]), where
            if kind == "mask":
                assert np.array_equal(made["mask"], example["mask"]), where
            if kind == "boxes":
                boxes = np.reshape(made["bboxes"], (-1, 4)) * SIZE
                assert list(made["names"]) == example["class_names"], where
                assert np.allclose(boxes, example["boxes"], atol=0.01), where


def _own_compose(name: str, kind: str, p: float) -> Any:
    arguments = dict(ARGUMENTS.get(name, {}))
    given = {
        "bbox_params": A.BboxParams(
            "albumentations", label_fields=["names"], clip=True, min_width=0.01, min_height=0.01
        )
    }
    transforms = [getattr(A, name)(**arguments, p=p), A.NoOp(), A.Resize(SIZE, SIZE)]
    return A.Compose(transforms, **(given if kind == "boxes" else {}))


def _handed(kind: str, sources: dict[str, Any], i: int) -> dict[str, Any]:
    handed: dict[str, Any] = {"image": cv2.cvtColor(cv2.imread(str(sources["images"][i])), cv2.COLOR_BGR2RGB)}
    if kind == "mask":
        handed["mask"] = cv2.imread(str(sources["masks"][i]), cv2.IMREAD_UNCHANGED)
    if kind == "boxes":
        rows = sources["boxes"][i]
        handed |= {"bboxes": np.array([row[:4] for row in rows], np.float64) / SIZE, "names": [row[4] for row in rows]}
    return handed


def cell(cls: type, kind: str, sources: dict[str, Any], folder: Path) -> str:
    """Return what becomes of a transform, at every probability."""
    found = [outcome(cls, kind, p, sources, folder / f"{cls.__name__}-{kind}-{p}") for p in PROBABILITIES]
    return (
        found[0]
        if len(set(found)) == 1
        else "; ".join(f"p={p}: {o}" for p, o in zip(PROBABILITIES, found, strict=True))
    )


def rows(folder: Path) -> Iterator[list[str]]:
    """Yield the lines of the table, each as its cells."""
    sources = write_sources(folder)
    for name, cls in exported().items():
        cells = {kind: cell(cls, kind, sources[kind], folder) for kind in KINDS}
        if len({cells[kind] for kind in KINDS[:3]}) > 1:
            raise ValueError(f"{name}: other for labels than for images alone: {cells}")
        yield [f"`{name}`", *(cells[kind] for kind in SHOWN)]


def read_page() -> dict[str, dict[str, str]]:
    """Return transform → kind → outcome of the page."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    split = [[part.strip() for part in line.strip("| ").split(" | ")] for line in lines]
    return {name.strip("`"): dict(zip(SHOWN, cells, strict=True)) for name, *cells in split}


def main() -> None:
    """Print the table; write it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table into TRANSFORMS.md")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as folder:
        lines = ["| " + " | ".join(row) + " |" for row in rows(Path(folder))]
    table = "\n".join(lines) + "\n"
    print(table)
    if write:
        text = PAGE.read_text(encoding="utf-8")
        head, rule = text.index("\n|---"), text.index("\n", text.index("\n|---") + 1)
        PAGE.write_text(text[:head] + text[head:rule] + "\n" + table, encoding="utf-8")


if __name__ == "__main__":
    main()
