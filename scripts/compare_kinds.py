"""The data sets of a comparison that have classes, labels, masks, or images alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
from compare_data import NUM_IMAGES, Drawn, ids_of, photo, photos, save, split_of, write, write_pipelines, write_table


def _folders(folder: Path) -> Drawn:
    """Nested class folders, copies of a rare class, pixels that a reader normalizes."""
    names = ("animals/cat", "animals/dog", "10", "animals/cat")
    images = photos(folder / "data", lambda i: f"{names[i % 4]}/p{i:02d}.png")
    text = """import albumentations as A

train = A.Compose([A.HorizontalFlip(p=0.5), A.RandomCrop(20, 28), A.HueSaturationValue(p=0.5), A.Normalize()])
validation = A.Compose([A.CenterCrop(20, 28), A.Normalize()])
"""
    options = {"pipeline": write_pipelines(folder, text), "class_copies": "10=2", "validation_split": 0.3}
    return Drawn(images=images, source=folder / "data", options=options)


def _split_folders(folder: Path) -> Drawn:
    """Folders of splits, classes that come equally often, a preset."""
    images = photos(folder / "data", lambda i: f"{split_of(i)}/{('cat', 'cat', 'dog')[i % 3]}/p{i:02d}.png")
    options: dict[str, Any] = {"pipeline": "medium", "image_size": 24, "balance": True, "no_mirroring": True}
    return Drawn(images=images, source=folder / "data", options=options)


def _deep(folder: Path) -> Drawn:
    """Images of 16 bits and of one channel, and pipelines that are functions."""
    text = """import albumentations as A


def train(height, width):
    return A.Compose([A.Transpose(p=0.5), A.GaussNoise(p=0.5), A.Resize(height, width)])
"""
    paths = [folder / "data" / ("dark", "bright")[i % 2] / f"p{i:02d}.png" for i in range(NUM_IMAGES)]
    images = [save(path, photo(i)[..., 0].astype(np.uint16) * 16 + i) for i, path in enumerate(paths)]
    options = {"pipeline": write_pipelines(folder, text), "image_size": 24, "scale": "0:4095", "test_split": 0.3}
    return Drawn(images=images, source=folder / "data", options={**options, "color_mode": "grayscale"})


def _alpha(folder: Path) -> Drawn:
    """Images with alpha, which is kept; JPEG cannot."""
    paths = [folder / "data" / ("cat", "dog")[i % 2] / f"p{i:02d}.png" for i in range(NUM_IMAGES)]
    images = [save(path, photo(i, 4)) for i, path in enumerate(paths)]
    options = {"pipeline": write_pipelines(folder), "validation_split": 0.25, "color_mode": "rgba"}
    return Drawn(images=images, source=folder / "data", options=options)


def _multilabel(folder: Path) -> Drawn:
    """A table with several labels in a cell, or none."""
    images = photos(folder / "photos")
    labels = ("cat", "cat|dog", "", "dog|10", "10")
    rows = [(f"photos/p{i:02d}.png", labels[i % 5], split_of(i)) for i in range(NUM_IMAGES)]
    table = write_table(folder / "table.csv", ("image", "labels", "split"), rows)
    options = {"pipeline": write_pipelines(folder), "label_column": "labels", "label_separator": "|"}
    return Drawn(images=images, source=table, options=options)


def _columns(folder: Path) -> Drawn:
    """A table with a column a label, groups, weights, and values that travel along."""
    images = photos(folder / "photos")
    heads = ("image", "ant", "bee", "patient", "sample_weight", "age", "dose", "site")
    rows = [
        (f"photos/p{i:02d}.png", i % 2, i // 2 % 2, f"g{i // 2}", i / 2, i - 2, i / 8, f"ß{i}")
        for i in range(NUM_IMAGES)
    ]
    table = write_table(folder / "table.csv", heads, rows)
    options = {"pipeline": write_pipelines(folder), "label_columns": "ant,bee", "extra_columns": "age,dose,site"}
    return Drawn(images=images, source=table, options={**options, "group_column": "patient", "validation_split": 0.3})


def _masks(folder: Path) -> Drawn:
    """Masks in folders of splits, filled with the ignore class; pipelines in a JSON that Albumentations writes."""
    images = photos(folder / "data" / "images", lambda i: f"{split_of(i)}/p{i:02d}.png")
    for i in range(NUM_IMAGES):
        save(folder / "data" / "masks" / split_of(i) / f"p{i:02d}.png", ids_of(i))
    holes = A.CoarseDropout(hole_height_range=(2, 6), hole_width_range=(2, 6), fill_mask=0, p=0.7)
    train = A.Compose([A.HorizontalFlip(p=0.5), A.Rotate(limit=30, p=1), holes, A.Resize(24, 32)])
    content = {"train": train.to_dict(), "validation": A.Compose([A.Resize(24, 32)]).to_dict()}
    options = {"pipeline": write(folder / "pipelines.json", json.dumps(content)), "mask_map": "2:1"}
    return Drawn(images=images, source=folder / "data", options={**options, "ignore_class": 255, "class_names": "a,b"})


def _wide_masks(folder: Path) -> Drawn:
    """Masks beside their images, with more ids than a byte holds."""
    images = photos(folder / "data")
    for i in range(NUM_IMAGES):
        save(folder / "data" / f"p{i:02d}_mask.png", ids_of(i).astype(np.uint16) * 150)
    options = {"pipeline": write_pipelines(folder), "mask_suffix": "_mask", "validation_split": 0.3}
    return Drawn(images=images, source=folder / "data", options=options)


def _color_masks(folder: Path) -> Drawn:
    """Masks that are colours."""
    images = photos(folder / "data" / "images")
    colors = np.array([[0, 0, 0], [250, 0, 0], [0, 0, 250]], np.uint8)
    for i in range(NUM_IMAGES):
        save(folder / "data" / "masks" / f"p{i:02d}.png", colors[ids_of(i)])
    names = write(folder / "colors.json", json.dumps({"#000000": "back", "#fa0000": "red", "#0000fa": "blue"}))
    options = {"pipeline": write_pipelines(folder), "mask_colors": names, "validation_split": 0.3}
    return Drawn(images=images, source=folder / "data", options=options)


def _images(folder: Path) -> Drawn:
    """Images alone, made smaller while they are decoded."""
    images = photos(folder / "data")
    options = {"pipeline": write_pipelines(folder), "target": "none", "max_source_size": 32, "test_split": 0.3}
    return Drawn(images=images, source=folder / "data", options=options)


def _lists(folder: Path) -> Drawn:
    """Lists and arrays from Python, with weights and groups."""
    images = photos(folder / "photos")

    def given() -> dict[str, Any]:
        labels = np.array([("cat", "dog", "owl")[i % 3] for i in range(NUM_IMAGES)])
        groups = [f"g{i // 2}" for i in range(NUM_IMAGES)]
        pipeline = A.Compose([A.VerticalFlip(p=0.5), A.Affine(rotate=(-20, 20), p=0.5), A.Resize(24, 32)])
        weights = np.linspace(0.5, 2, NUM_IMAGES)
        return {"images": images, "labels": labels, "groups": groups, "weights": weights, "pipeline": pipeline}

    return Drawn(
        images=images, options={"validation_split": 0.3, "class_names": ["owl", "cat", "dog"]}, make_given=given
    )


def _sources(folder: Path) -> Drawn:
    """An iterable of `precompute.Source` with several labels, splits and values that travel along."""
    images = photos(folder / "photos")

    def given() -> dict[str, Any]:
        import precompute

        splits = ("train", "train", "validation", "train", "test")
        pipeline = {"train": A.Compose([A.HorizontalFlip(p=0.5), A.Resize(24, 32)])}
        sources = [
            precompute.Source(
                f"s/{i}", path, label=["cat", "dog"][: i % 3], split=splits[i % 5], weight=i / 4, extra={"age": i}
            )
            for i, path in enumerate(images)
        ]
        return {"source": sources, "pipeline": pipeline}

    return Drawn(images=images, make_given=given)


def _further_images(folder: Path) -> Drawn:
    """Masks, and further images beside them: of 16 bits, of fractions, and one that gets noise as the image does."""
    images = photos(folder / "data" / "images")
    for i in range(NUM_IMAGES):
        save(folder / "data" / "masks" / f"p{i:02d}.png", ids_of(i))
        save(folder / "data" / "depth" / f"p{i:02d}.png", photo(i)[..., 0].astype(np.uint16) * 200)
        save(folder / "data" / "twin" / f"p{i:02d}.png", 255 - photo(i))
        save(folder / "data" / "range" / f"p{i:02d}.tiff", photo(i)[..., 1].astype(np.float32) / 3)
    text = """import albumentations as A

moves = {"depth": "mask", "range": "mask", "twin": "image"}
steps = [A.HorizontalFlip(p=0.5), A.Rotate(limit=20, p=0.5), A.GaussNoise(p=0.5), A.Resize(24, 32)]
train = A.Compose(steps, additional_targets=moves)
"""
    further = ["depth=depth", "range=range", "twin=twin"]
    options = {"pipeline": write_pipelines(folder, text), "extra_images": further, "validation_split": 0.3}
    return Drawn(images=images, source=folder / "data", options=options)


def _several_targets(folder: Path) -> Drawn:
    """Class folders with two masks of each image, of which one is mapped and the other has names."""
    images = photos(folder / "data" / "images", lambda i: f"{('cat', 'dog')[i % 2]}/p{i:02d}.png")
    for i in range(NUM_IMAGES):
        place = f"{('cat', 'dog')[i % 2]}/p{i:02d}.png"
        save(folder / "data" / "fine" / place, ids_of(i))
        save(folder / "data" / "coarse" / place, (ids_of(i) > 0).astype(np.uint8) * 255)
    options = {"target": "label,mask", "masks": ["fine=fine", "coarse=coarse"], "mask_map": "coarse=255:1"}
    more = {"pipeline": write_pipelines(folder), "validation_split": 0.3, "class_names": ["label=dog,cat"]}
    return Drawn(images=images, source=folder / "data", options=options | more)


KINDS: dict[str, Callable[[Path], Drawn]] = {
    "folders": _folders,
    "split-folders": _split_folders,
    "lists": _lists,
    "deep": _deep,
    "alpha": _alpha,
    "multilabel": _multilabel,
    "columns": _columns,
    "sources": _sources,
    "masks": _masks,
    "wide-masks": _wide_masks,
    "color-masks": _color_masks,
    "images": _images,
    "further-images": _further_images,
    "several-targets": _several_targets,
}
