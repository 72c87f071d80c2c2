"""Datasets that an earlier version wrote, with the sources and options to grow them by.

`tests/golden/growing` holds them: `blocks` and `masks`, files that the sources are laid out from, and for each kind the
dataset and `pins.json`, what it decoded to as it was written, after each step of `STEPS`. Blocks of four pixels, halves
and flips come out alike on every processor.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import yaml

import precompute
from precompute.dataset.manifest import Manifest
from tests.helpers.golden_datasets import digest_of
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import save

GROWING = ROOT / "tests/golden/growing"
NUM_IMAGES = 9
SIZE = {"height": 16, "width": 32}
HOME = "/home-of-growing"  # stands in a kept manifest for the folder that sources and dataset lay in
NOT_PINNED = ("class",)  # JPEG, and a preset that turns by any angle: other processors round otherwise
STEPS = ("built", "grown", "repaired", "followed", "regenerated")

Given = dict[str, Any]


def draw_blocks() -> None:
    """Write the files that all sources are laid out from, once."""
    for i in range(NUM_IMAGES):
        rng = np.random.default_rng([3, i])
        pixels = rng.integers(0, 256, (4, 8, 4), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        save(GROWING / "blocks" / f"{i}.png", pixels[..., :3])
        save(GROWING / "blocks" / f"{i}-alpha.png", pixels)
        save(GROWING / "masks" / f"{i}.png", rng.integers(0, 3, (4, 8), dtype=np.uint8).repeat(4, 0).repeat(4, 1))
        one = np.zeros((16, 32), np.uint8)
        one[4:12, 4 * (i % 4) : 4 * (i % 4) + 12] = 255
        save(GROWING / "masks" / f"{i}-one.png", one)


def lay_out(kind: str, folder: Path) -> Given:
    """Write the sources of a kind; return what a build is given, `source` or lists among it."""
    folder.mkdir(parents=True, exist_ok=True)
    return {**COMMON, **LAYOUTS[kind](folder)}


def run_build(folder: Path, given: Given, **changes: Any) -> Path:
    """Build, or go on with, the dataset in `folder`."""
    given = {**given, **changes}
    precompute.build(given.pop("source", None), folder / "golden", **given)
    return folder / "golden"


def run_step(step: str, folder: Path, given: Given) -> str:
    """Do to the dataset in `folder` what a step stands for; return what it decodes to then."""
    out = folder / "golden"
    quietly: Given = {"backend": "sequential", "quiet": True}
    if step in ("built", "grown"):
        run_build(folder, given, variants={"built": 1, "grown": 3}[step])
    elif step == "repaired":
        shards = sorted((out / "data").rglob("*.tfrecord-*"))
        shards[0].unlink()
        shards[-1].write_bytes(shards[-1].read_bytes()[:-1])
        run_build(folder, given, variants=3, check="full")
    elif step == "followed":
        precompute.follow(out, keep=num_rows(out) + 1, rows=1, **quietly)
    elif step == "regenerated":
        precompute.regenerate(out, seed=9, **quietly)
    return digest_of(out)


def keep(kind: str, folder: Path) -> None:
    """Keep the dataset in `folder` as the golden one of its kind; where it was made tells nobody anything."""
    kept = GROWING / kind / "golden"
    shutil.copytree(folder / "golden", kept, ignore=shutil.ignore_patterns(".build", ".leases"))
    _replace(kept / "manifest.json", folder.as_posix(), HOME)


def restore(kind: str, folder: Path) -> Path:
    """Put the kept dataset of a kind beside sources that were laid out in `folder`."""
    out = shutil.copytree(GROWING / kind / "golden", folder / "golden")
    _replace(out / "manifest.json", HOME, folder.as_posix())
    return out


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def num_rows(out: Path) -> int:
    """Return how many rows train lists, the original one apart."""
    return sum(not row.original for row in Manifest.load(out).splits["train"].rows)


def pins_of(kind: str) -> dict[str, str]:
    pins: dict[str, str] = json.loads((GROWING / kind / "pins.json").read_text(encoding="utf-8"))
    return pins


def _copy(what: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(GROWING / what, path)


def _images(folder: Path, name: Callable[[int], str] = lambda i: f"{i}.png", *, alpha: bool = False) -> list[Path]:
    for i in range(NUM_IMAGES):
        _copy(f"blocks/{i}{'-alpha' * alpha}.png", folder / name(i))
    return [folder / name(i) for i in range(NUM_IMAGES)]


def _split(i: int) -> str:
    return ("train", "train", "train", "val", "test")[i % 5]


def _flips(*more: Any) -> A.Compose:
    return A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), *more, A.RandomCrop(16, 16)])


COMMON: Given = {
    "image_format": "raw",
    "seed": 7,
    "jobs": 1,
    "backend": "sequential",
    "quiet": True,
}


def _numbers(folder: Path) -> Given:
    """Class folders named by numbers; the pipeline's file names train alone."""
    _images(folder / "data", lambda i: f"{('0', '2', '10')[i % 3]}/{i}.png")
    (folder / "numbers.py").write_text(
        "import albumentations as A\n\ntrain = A.Compose([A.HorizontalFlip(p=0.5), A.RandomCrop(16, 16)])\n"
    )
    given = {"source": folder / "data", "pipeline": folder / "numbers.py", "image_format": "png"}
    return {**given, "validation_split": 0.3, "test_split": 0.2, "include_original": True}


FUNCTIONS = """import albumentations as A


def train(height, width):
    return A.Compose([A.HorizontalFlip(p=0.5), A.RandomCrop(height, width)])


def validation(height, width):
    pad = A.PadIfNeeded(height, width, border_mode=0)
    return A.Compose([A.LongestMaxSize(max(height, width), interpolation=0), pad])
"""


def _splits(folder: Path) -> Given:
    """Folders of splits, test among them; the pipeline's file has train and validation."""
    _images(folder / "data", lambda i: f"{_split(i)}/{('ant', 'bee')[i % 2]}/{i}.png")
    (folder / "functions.py").write_text(FUNCTIONS)
    return {"source": folder / "data", "pipeline": folder / "functions.py", "image_size": 16}


def _class(folder: Path) -> Given:
    """A preset, JPEG, copies of a rare class: what pixels come out depends on the processor."""
    _images(folder / "data", lambda i: f"{('ant', 'bee')[i % 2]}/{i}.png")
    copies = {"class_copies": {"bee": 2}, "validation_split": 0.2, "test_split": 0.2, "quality": 90}
    return {"source": folder / "data", "pipeline": "light", "image_size": (16, 24), "image_format": "jpeg", **copies}


def _multilabel(folder: Path) -> Given:
    """A table with several labels in a cell."""
    _images(folder / "photos")
    labels = ("ant", "ant|bee", "", "2|10", "bee")
    rows = [f"photos/{i}.png,{labels[i % 5]},{_split(i)}" for i in range(NUM_IMAGES)]
    (folder / "table.csv").write_text("\n".join(["image,labels,split", *rows]) + "\n")
    options = {"label_column": "labels", "label_separator": "|"}
    return {"source": folder / "table.csv", "pipeline": {"train": _flips(), "validation": _flips()}, **options}


def _columns(folder: Path) -> Given:
    """A table with a column a label, groups, weights, and values that travel along."""
    _images(folder / "photos")
    rows = [f"photos/{i}.png,{i % 2},{i // 2 % 2},g{i // 2},{i / 2},{i},ß{i}" for i in range(NUM_IMAGES)]
    heads = "image,ant,bee,patient,sample_weight,age,site"
    (folder / "table.csv").write_text("\n".join([heads, *rows]) + "\n", encoding="utf-8")
    options: Given = {"label_columns": ["ant", "bee"], "extra_columns": ["age", "site"], "group_column": "patient"}
    return {"source": folder / "table.csv", "pipeline": _flips(), "validation_split": 0.3, **options}


def _mask(folder: Path) -> Given:
    """Masks in folders of splits, filled with the ignore class; the pipelines from a YAML file."""
    _images(folder / "data" / "images", lambda i: f"{_split(i)}/{i}.png")
    for i in range(NUM_IMAGES):
        _copy(f"masks/{i}.png", folder / "data" / "masks" / _split(i) / f"{i}.png")
    pad = A.Compose([A.LongestMaxSize(16, interpolation=0), A.PadIfNeeded(16, 16, border_mode=0)])
    pipelines = {"train": _flips(A.CoarseDropout(hole_height_range=(2, 4), p=1)), "validation": pad}
    content = {split: compose.to_dict() for split, compose in pipelines.items()}
    (folder / "mask.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content))))
    options = {"ignore_class": 255, "mask_map": {2: 1}, "class_names": ["back", "front"]}
    return {"source": folder / "data", "pipeline": folder / "mask.yaml", **options}


def _colors(folder: Path) -> Given:
    """Masks that are colours."""
    _images(folder / "data" / "images")
    colors = np.array([[0, 0, 0], [250, 0, 0], [0, 0, 250]], np.uint8)
    for i in range(NUM_IMAGES):
        ids = np.random.default_rng([4, i]).integers(0, 3, (4, 8)).repeat(4, 0).repeat(4, 1)
        _write_bmp(folder / "data" / "masks" / f"{i}.bmp", colors[ids])
    content = {"#000000": "back", "#fa0000": "red", "#0000fa": "blue"}
    (folder / "colors.json").write_text(json.dumps(content))
    options = {"mask_colors": folder / "colors.json", "validation_split": 0.3}
    return {"source": folder / "data", "pipeline": {"train": _flips(), "test": _flips()}, **options}


def _write_bmp(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    save(path, pixels)  # BMP: no library compresses it otherwise, so that its bytes stay


def _coco(folder: Path) -> Given:
    """COCO as a site exports it: category 0 is the project, no object is of it."""
    _images(folder / "data" / "images")
    names = ("insects", "ant", "bee")
    categories = [{"id": k, "name": names[k], "supercategory": "none" if k == 0 else "insects"} for k in range(3)]
    images = [{"id": i, "file_name": f"{i}.png", **SIZE} for i in range(NUM_IMAGES)]
    annotations = [
        {"id": 10 * i + k, "image_id": i, "category_id": 1 + (i + k) % 2, "bbox": [4 * k, 4, 12, 8], "iscrowd": 0}
        for i in range(NUM_IMAGES)
        for k in range(i % 3)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "data" / "annotations.json").write_text(json.dumps(content))
    return {"source": folder / "data", "pipeline": {"train": _flips()}, "validation_split": 0.3, "min_visibility": 0.1}


def _yolo(folder: Path) -> Given:
    """YOLO's files, with a test split and pipelines for train and validation."""
    for i, path in enumerate(_images(folder / "data" / "images", lambda i: f"{_split(i)}/{i}.png")):
        label = Path(str(path.with_suffix(".txt")).replace("images", "labels"))
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("".join(f"{(i + k) % 2} {0.25 + k / 4} 0.5 0.25 0.5\n" for k in range(i % 3)))
    splits = "".join(f"{split}: images/{split}\n" for split in ("train", "val", "test"))
    (folder / "data" / "data.yaml").write_text(f"{splits}names: [ant, bee]\n")
    pad = A.Compose([A.LongestMaxSize(16, interpolation=0), A.PadIfNeeded(16, 16, border_mode=0)])
    return {"source": folder / "data", "pipeline": {"train": _flips(), "validation": pad}}


def _dropout(folder: Path) -> Given:
    """Boxes from Python; a transform that asks for objects by their label."""
    images = _images(folder / "photos")
    boxes = [[(2, 2, 10, 9, "ant"), (12, 4, 30, 14, "bee", "crowd")][:: (-1) ** i][: i % 3] for i in range(NUM_IMAGES)]
    drop = A.ConstrainedCoarseDropout(num_holes_range=(1, 1), bbox_labels=[1], p=1)
    return {"images": images, "boxes": boxes, "pipeline": A.Compose([drop, A.VerticalFlip(p=0.5)])}


def _keypoints(folder: Path) -> Given:
    """Keypoints with names that say left and right without a separator, beside a pair that has one."""
    images = _images(folder / "photos")
    points = [[(i + 0.5, 2.5), (3, i + 1, 1), None, (9.5, i, 2), (4, 5, 1)] for i in range(NUM_IMAGES)]
    names = ["nose", "leftear", "rightear", "left_eye", "right_eye"]
    given = {"images": images, "keypoints": [[of_one] for of_one in points], "keypoint_names": names}
    boxes = [[(0, 0, 20, 12, "bird")] for _ in images]
    splits = [{"val": "validation"}.get(_split(i), _split(i)) for i in range(NUM_IMAGES)]
    return {**given, "boxes": boxes, "splits": splits, "flip_pairs": "auto", "pipeline": {"train": _flips()}}


def _instances(folder: Path) -> Given:
    """A mask file an object, in the layout of folders."""
    _images(folder / "data" / "images")
    for i in range(NUM_IMAGES):
        for k in range(1 + i % 2):
            _copy(f"masks/{(i + k) % NUM_IMAGES}-one.png", folder / "data" / "masks" / str(i) / f"{k}.png")
    return {
        "source": folder / "data",
        "pipeline": {"train": _flips(), "validation": _flips()},
        "class_names": ["cell"],
        "validation_split": 0.2,
        "test_split": 0.2,
        "min_area": 4,
    }


def _image(folder: Path) -> Given:
    """Images alone, grey, made smaller while they are decoded."""
    _images(folder / "data")
    options = {"target": "none", "color_mode": "grayscale", "max_source_size": 16, "limit": 7}
    crop = A.Compose([A.HorizontalFlip(p=0.5), A.RandomCrop(8, 8)])
    return {"source": folder / "data", "pipeline": crop, "test_split": 0.3, **options}


def _alpha(folder: Path) -> Given:
    """Images with alpha, kept."""
    _images(folder / "data", lambda i: f"{('ant', 'bee')[i % 2]}/{i}.png", alpha=True)
    return {"source": folder / "data", "pipeline": {"train": _flips()}, "color_mode": "rgba"}


LAYOUTS: dict[str, Callable[[Path], Given]] = {
    "numbers": _numbers,
    "splits": _splits,
    "class": _class,
    "multilabel": _multilabel,
    "columns": _columns,
    "mask": _mask,
    "colors": _colors,
    "coco": _coco,
    "yolo": _yolo,
    "dropout": _dropout,
    "keypoints": _keypoints,
    "instances": _instances,
    "image": _image,
    "alpha": _alpha,
}
KINDS = tuple(LAYOUTS)
