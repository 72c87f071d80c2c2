"""What refused commands are given: sources, tables, pipelines and datasets that are wrong in a way each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from compare_commands import run_program
from compare_data import PIPELINES, coco_of, ids_of, photo, photos, save, write

PIPELINE_FILES = {
    "broken.py": "import albumentations as A\n\ntrain = A.Compose([A.HorizontalFilp()])\n",
    "empty.py": "import albumentations as A\n",
    "unseeded.py": """import albumentations as A
import numpy as np


def noise(image, **kwargs):
    return (image + np.random.randint(0, 9)).astype(np.uint8)


train = A.Compose([A.Lambda(image=noise), A.Resize(16, 16)])
""",
    "sizes.py": "import albumentations as A\n\ntrain = A.Compose([A.RandomScale(p=1)])\n",
    "floats.py": "import albumentations as A\n\ntrain = A.Compose([A.ToFloat(), A.Resize(16, 16)])\n",
    "mixing.py": "import albumentations as A\n\ntrain = A.Compose([A.MixUp(p=1), A.Resize(16, 16)])\n",
    "wrong.yaml": "train: [1, 2\n",
    "good.py": PIPELINES,
}


def lay_out(folder: Path) -> None:
    """Write everything below a folder."""
    for name, text in PIPELINE_FILES.items():
        write(folder / "pipelines" / name, text)
    _draw_classes(folder)
    _draw_masks(folder)
    _write_tables(folder / "tables")
    _write_annotations(folder)
    write(folder / "other" / "notes.txt", "mine")
    _build_datasets(folder)


def _draw_classes(folder: Path) -> None:
    for i in range(9):
        save(folder / "classes" / ("blue", "green", "red")[i % 3] / f"p{i}.png", photo(i))
        save(folder / "flat" / f"p{i}.png", photo(i))
    (folder / "empty").mkdir(parents=True)
    for ending in ("png", "jpg"):
        save(folder / "twice" / "blue" / f"p.{ending}", photo(0))
    save(folder / "mixed" / "blue" / "whole.png", photo(0))
    save(folder / "mixed" / "blue" / "clear.png", photo(1, 4))
    save(folder / "mixed" / "blue" / "deep.png", photo(3)[..., 0].astype(np.uint16) * 9)
    write(folder / "mixed" / "blue" / "text.png", "no image")
    write(folder / "mixed" / "blue" / "nothing.jpg", "")


def _draw_masks(folder: Path) -> None:
    for i in range(8):
        for name in ("masks", "unpaired", "sizes", "colored"):
            save(folder / name / "images" / f"p{i}.png", photo(i))
        save(folder / "masks" / "masks" / f"p{i}.png", ids_of(i))
        save(folder / "unpaired" / "masks" / f"{'pq'[i % 2]}{i}.png", ids_of(i))
        save(folder / "sizes" / "masks" / f"p{i}.png", ids_of(i)[: -(i % 3) or None])
        save(folder / "colored" / "masks" / f"p{i}.png", np.dstack([ids_of(i), ids_of(i), ids_of(i) * 2]))


def _write_tables(folder: Path) -> None:
    photos(folder / "photos")
    rows = [f"photos/p{i:02d}.png,{('cat', 'dog')[i % 2]}\n" for i in range(8)]
    good = "image,label\n" + "".join(rows)
    texts = {
        "good.csv": good,
        "empty.csv": "",
        "header.csv": "image,label\n",
        "cells.csv": good + "photos/p08.png\nphotos/p09.png,cat,dog\nphotos/p10.png,\n",
        "doubled.csv": good + rows[0],
        "lost.csv": good + "photos/lost.png,cat\n",
        "lines.jsonl": '{"image": "photos/p00.png", "label": "cat"}\n{"image": \n[1]\n',
        "file.parquet": "PAR1 nothing",
    }
    for name, text in texts.items():
        write(folder / name, text)
    (folder / "latin.csv").write_bytes(good.replace("dog", "dög").encode("latin-1"))


def _write_annotations(folder: Path) -> None:
    """Write boxes and keypoints of each layout with some mistakes."""
    for name in ("coco", "yolo", "points"):
        photos(folder / name / "images")
    photos(folder / "voc" / "JPEGImages")
    content = json.loads(coco_of(lambda i, k: {}))
    for k, changes in enumerate(({"category_id": 77}, {"image_id": 7}, {"bbox": [1, 2, -3, 4]}, {"bbox": "none"})):
        content["annotations"][k] |= changes
    write(folder / "coco" / "annotations" / "instances_all.json", json.dumps(content))
    write(folder / "yolo" / "data.yaml", "names: [a, b]\n")
    for i, line in enumerate(("0 0.5 0.5 0.2 0.2", "5 0.5 0.5 0.2 0.2", "0 0.5 0.5", "0 1.5 0.5 0.2 0.2", "x 0 0 1 1")):
        write(folder / "yolo" / "labels" / f"p{i:02d}.txt", line + "\n")
    for i, text in enumerate(("<annotation>", "<annotation><object><name>a</name></object></annotation>", "")):
        write(folder / "voc" / "Annotations" / f"p{i:02d}.xml", text)
    lines = [
        "image,nose_x,nose_y,nose_v,tail_x",
        "images/p00.png,1,2,2,",
        "images/p01.png,1,,2,",
        "images/p02.png,a,1,9,",
    ]
    write(folder / "points" / "points.csv", "\n".join(lines) + "\n")


def _build_datasets(folder: Path) -> None:
    """Build the dataset `data`, and copies of it: one with altered shards, two with manifests of others."""
    words = ["--pipeline", "pipelines/good.py", "--variants", 2, "--backend", "sequential", "--jobs", 1]
    ended = run_program("precompute", ["build", "classes", "data", *words], folder)
    if ended.code:
        raise RuntimeError(f"The dataset for commands that are refused was not built: {ended.err}")
    shutil.rmtree(folder / "data" / ".build")  # as in a copy of what readers need
    for name in ("altered", "strange", "newer"):
        shutil.copytree(folder / "data", folder / name)
    first, second, *_ = sorted((folder / "altered" / "data").rglob("*.tfrecord-*"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-3])
    write(folder / "strange" / "manifest.json", '{"format": "another"}')
    manifest = json.loads((folder / "newer" / "manifest.json").read_text(encoding="utf-8"))
    write(folder / "newer" / "manifest.json", json.dumps({**manifest, "version": [9, 0]}))


def calls_refused(folder: Path) -> dict[str, Callable[[], Any]]:
    """Return calls from Python that are refused, by what is wrong with them."""
    images = sorted((folder / "flat").glob("*.png"))
    labels = ["cat", "dog", "owl"] * 3

    def build(**given: Any) -> Callable[[], Any]:
        def call() -> Any:
            import precompute

            options = {"pipeline": "light", "image_size": 16, "jobs": 1, "backend": "sequential", "quiet": True}
            return precompute.build(given.pop("source", None), folder / "new" / "out", **{**options, **given})

        return call

    def read(**arguments: Any) -> Callable[[], Any]:
        def call() -> Any:
            import precompute

            return list(precompute.read(folder / "data", **arguments))

        return call

    boxes: list[Any] = [[(1, 2, 9, 9, "a")] for _ in images]
    points: list[Any] = [[[(1, 2), (3, 4)]] for _ in images]
    return {
        "no sources": build(),
        "unknown option": build(images=images, labels=labels, variant=3),
        "lists of unequal length": build(images=images, labels=labels[:-1]),
        "an image twice": build(images=[images[0], *images[:-1]], labels=labels),
        "an image that is not there": build(images=[folder / "lost.png", *images[1:]], labels=labels),
        "labels of two types": build(images=images, labels=["cat", 1, *labels[2:]]),
        "two kinds of objects": build(images=images, boxes=boxes, instances=[[] for _ in images]),
        "targets that some lack": build(images=images, labels=[None, *labels[1:]], masks=images),
        "an unknown split": build(images=images, labels=labels, splits=["tset", *["train"] * 8]),
        "a weight below 0": build(images=images, labels=labels, weights=[-1, *[1] * 8]),
        "extra values of two types": build(images=images, labels=labels, extra={"age": [1, "2", *[3] * 7]}),
        "an extra value that is missing": build(images=images, labels=labels, extra={"age": [None, *[1] * 8]}),
        "a box without a class": build(images=images, boxes=[[(1, 2, 9, 9)], *boxes[1:]]),
        "a box outside": build(images=images, boxes=[[(1, 2, 900, 9, "a")], *boxes[1:]]),
        "a box of no width": build(images=images, boxes=[[(9, 2, 9, 9, "a")], *boxes[1:]]),
        "an unknown mark": build(images=images, boxes=[[(1, 2, 9, 9, "a", "croud")], *boxes[1:]]),
        "keypoints without names": build(images=images, keypoints=points),
        "keypoints that lack one": build(images=images, keypoints=[[[(1, 2)]], *points[1:]], keypoint_names=["a", "b"]),
        "an object's mask that is not there": build(images=images, instances=[[(folder / "m.png", "a")]] * 9),
        "a pipeline of another type": build(images=images, labels=labels, pipeline=7),
        "no pipeline": build(images=images, labels=labels, pipeline=None),
        "read, a split that is not there": read(split="tset"),
        "read, a row that is not there": read(row=77),
        "read, a row and an epoch": read(row=0, epoch=1),
        "read, a part too many": read(part=(2, 2)),
        "read, a seed below 0": read(shuffle_seed=-1),
    }
