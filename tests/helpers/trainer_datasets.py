"""Tiny datasets for the trainer's tests, written straight to the format."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from precompute.dataset.manifest import Manifest, Row, Segment, Split, Target
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import RowFile, Shard
from precompute.fields.extra_image import ExtraImageField
from precompute.fields.field import Schema
from precompute.fields.image import ImageField
from precompute.fields.label import LabelField
from precompute.fields.mask import MaskField
from precompute.fields.value import ValueField, field_name
from precompute.images.png import encode_png
from tests.helpers.schemas import schema_of

SIZE = 32


CLASSES = ["blue", "green", "red"]
IMAGE = {"height": SIZE, "width": SIZE, "channels": 3, "encoding": "raw"}


def _feature(value):
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _write_split(root: Path, name: str, split: str, rows: list[list[dict]]) -> Split:
    paths, listed = DatasetPaths(root), []
    for number, examples in enumerate(rows):
        shard = paths.shard(name, "g0001", split, number, 0, 1)
        shard.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(shard)) as writer:
            for example in examples:
                features = tf.train.Features(feature={key: _feature(value) for key, value in example.items()})
                writer.write(tf.train.Example(features=features).SerializeToString())
        content = shard.read_bytes()
        facts = Shard(num_records=len(examples), num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        draw = {"row": number, "seed": 0, "variant": number, "original": False}
        row_file = RowFile(generation="g0001", split=split, shards=[facts], **draw).to_bytes()
        path = paths.row_file("g0001", split, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row_file)
        sha256 = hashlib.sha256(row_file).hexdigest()
        listed.append(Row(num_records=len(examples), num_bytes=len(content), sha256=sha256, **draw))
    return Split(
        segments=[Segment(num_places=len(rows[0]), num_blocks=1)],
        num_records=len(rows[0]),
        sources_sha256=hashlib.sha256(f"{split} {len(rows[0])}".encode()).hexdigest(),
        next_row=len(rows),
        rows=listed,
    )


def _write(root: Path, target: Target | None, make, *, sizes: dict[str, int], num_rows: int, **manifest) -> Path:
    generator = np.random.default_rng(0)
    splits = {}
    for split, size in sizes.items():
        num = num_rows if split == "train" else 1
        rows = [[make(generator, i) | {"augment/key": f"{split}{i}".encode()} for i in range(size)] for _ in range(num)]
        splits[split] = _write_split(root, "tiny", split, rows)
    facts = {
        "name": "tiny",
        "generation": "g0001",
        "fingerprint": "f" * 64,
        "settings": {"pixels": {"pipelines": {}, "versions": {}, "quality": None}, "dataset": {}},
        "schema": None if target is None else schema_of(target, **IMAGE),
        "normalize": {},
        "splits": splits,
    }
    DatasetPaths(root).manifest.write_bytes(Manifest(**facts | manifest).to_bytes())
    return root


def write_masks(
    root: Path, *, sizes=None, num_rows=2, num_classes=2, border=0, ignore_class=None, class_names=(), **manifest
) -> Path:
    """Write images with a bright square, class 1; with `border`, its edge has that class id."""

    def make(generator, index):
        image = generator.integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        top, left = generator.integers(2, 14, 2)
        if border:
            mask[top - 1 : top + 15, left - 1 : left + 15] = border
        mask[top : top + 14, left : left + 14] = 1 + index % (num_classes - 1)
        image[mask == mask[top, left]] += np.uint8(120 + 40 * (index % (num_classes - 1)))
        return {"image/encoded": image.tobytes(), "image/segmentation/class/encoded": mask.tobytes()}

    target = Target(
        kind="mask",
        num_classes=num_classes,
        class_names=list(class_names),
        encoding="raw",
        dtype="uint8",
        ignore_class=ignore_class,
    )
    return _write(root, target, make, sizes=sizes or {"train": 12, "validation": 6}, num_rows=num_rows, **manifest)


def write_classes(root: Path, *, sizes=None, num_rows=2, **manifest) -> Path:
    """Write images of one color each, their class."""

    def make(generator, index):
        image = generator.integers(0, 100, (SIZE, SIZE, 3), dtype=np.uint8)
        image[..., 2 - index % 3] += 120
        return {"image/encoded": image.tobytes(), "image/class/label": index % 3}

    target = Target(kind="class", num_classes=3, class_names=CLASSES)
    return _write(root, target, make, sizes=sizes or {"train": 24, "validation": 9}, num_rows=num_rows, **manifest)


def write_values(
    root: Path, *, units=None, missing=(), weights=None, sizes=None, num_rows=2, offset=1000.0, **manifest
) -> Path:
    """Write images of one grey each, whose values follow from it.

    Args:
        root: Folder of the dataset.
        units: Value -> what it grows by from black to white.
        missing: Numbers of the images, of each split, whose values are NaN.
        weights: Weight of an image, by its number; None: the dataset has no weights.
        sizes: Images by split.
        num_rows: Rows of train, the values of which are the same.
        offset: What all values of a black image are.
    """
    units = {"age": 10.0} if units is None else units

    def make(generator, index):
        grey = 20 + 67 * index % 200
        image = generator.integers(grey, grey + 20, (SIZE, SIZE, 3), dtype=np.uint8)
        known = float("nan") if index in missing else grey / 220
        values = {f"extra/{name}": offset + unit * known for name, unit in units.items()}
        return {"image/encoded": image.tobytes()} | values | ({"augment/weight": weights(index)} if weights else {})

    fields = [
        ImageField(name="image", **IMAGE),
        *(ValueField(name=field_name(n), dtype="float", learnt=True) for n in units),
    ]
    fields += [ValueField(name="weight", dtype="float")] if weights else []
    facts = {"sizes": sizes or {"train": 24, "validation": 10}, "schema": Schema(fields)}
    return _write(root, None, make, num_rows=num_rows, **facts | manifest)


def write_pairs(root: Path, *, dtype="uint8", channels=1, sizes=None, num_rows=2, **manifest) -> Path:
    """Write smooth images with noise, with a further image, clean: the same without noise, in values of a type.

    Those of uint16 are 1000 to 5000, those of float32 −2 to 2. Each image has a label, too.
    """

    encoding = "raw" if dtype == "float32" else "png"

    def make(generator, index):
        waves = np.sin(np.arange(SIZE) * (0.1 + 0.05 * (index % 5)))
        smooth = (waves[:, None] + waves[None, :]) / 2  # -1 to 1
        noisy = 127.5 + 100 * smooth[..., None] + generator.normal(0, 25, (SIZE, SIZE, 3))
        unit = {"uint8": (127.5, 100), "uint16": (3000, 2000), "float32": (0, 2)}[dtype]
        clean = np.repeat((unit[0] + unit[1] * smooth)[..., None], channels, axis=2).astype(dtype)
        return {
            "image/encoded": noisy.clip(0, 255).astype(np.uint8).tobytes(),
            "extra_image/clean/encoded": clean.tobytes() if encoding == "raw" else encode_png(clean),
            "extra_image/clean/format": encoding.encode(),
            "image/class/label": index % 3,
            "augment/weight": 1.0 + index % 2,
        }

    fields = [
        ImageField(name="image", **IMAGE),
        LabelField(name="label", several=False, num_classes=3, class_names=CLASSES),
        ExtraImageField(name="clean", channels=channels, dtype=dtype, encoding=encoding, moves_as="mask"),
        ValueField(name="weight", dtype="float"),
    ]
    facts = {"sizes": sizes or {"train": 24, "validation": 9}, "schema": Schema(fields)}
    return _write(root, None, make, num_rows=num_rows, **facts | manifest)


def write_several(root: Path, *, sizes=None, num_rows=2, ignore_class=None, **manifest) -> Path:
    """Write images of one color each, their class, with a bright square, their mask, as high as their age.

    Targets are label, mask, fine (a mask of three classes) and age, which is missing in image 1 of each split.
    """

    def make(generator, index):
        image = generator.integers(0, 100, (SIZE, SIZE, 3), dtype=np.uint8)
        image[..., 2 - index % 3] += 60
        side = 6 + index % 5 * 4
        mask, fine = np.zeros((2, SIZE, SIZE), np.uint8)
        top, left = generator.integers(2, 30 - side, 2)
        mask[top : top + side, left : left + side] = 1
        fine[mask > 0] = 1
        fine[top + side // 2 : top + side, left : left + side] = 2
        image[mask > 0] = 230
        return {
            "image/encoded": image.tobytes(),
            "image/class/label": index % 3,
            "image/segmentation/class/encoded": mask.tobytes(),
            "image/segmentation/fine/encoded": fine.tobytes(),
            "extra/age": float("nan") if index == 1 else float(side),
            "augment/weight": 1.0 + index % 2,
        }

    masks = {"encoding": "raw", "ignore_class": ignore_class}
    fields = [
        ImageField(name="image", **IMAGE),
        LabelField(name="label", several=False, num_classes=3, class_names=CLASSES),
        MaskField(name="mask", num_classes=2, class_names=[], **masks),
        MaskField(name="fine", num_classes=3, class_names=["ground", "upper", "lower"], **masks),
        ValueField(name="age", dtype="float", learnt=True),
        ValueField(name="weight", dtype="float"),
    ]
    facts = {"sizes": sizes or {"train": 24, "validation": 9}, "schema": Schema(fields)}
    return _write(root, None, make, num_rows=num_rows, **facts | manifest)
