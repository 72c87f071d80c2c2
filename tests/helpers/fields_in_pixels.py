"""Records made by hand of several fields, whose pixels tell what each field must hold; and `load` without files."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from precompute.dataset.manifest import BoxCounts, Manifest, Row, Split
from precompute.fields.feature import Value
from precompute.fields.field import Field, Schema
from precompute.fields.image import ImageField
from precompute.fields.label import LabelField
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.fields.skeleton import Skeleton
from precompute.fields.value import ValueField
from precompute.readers.tf.batches import batch_finisher, batch_parser, choose_fields, make_twins
from precompute.readers.tf.fresh import move_drawer
from precompute.records.example import encode_example

HEIGHT, WIDTH = 32, 48  # a shift goes by up to 2 and 3 pixels
MARGIN = 5  # so far from the border is what is drawn: what a shift uncovers shows none of it once more
SKELETON = Skeleton(names=["left", "right"], flip_pairs=[[0, 1]])
IDS = [0, 1, 2]
MARKS = (100, 200)  # blue of the left keypoint, and of the right one
NUM_CLASSES = 3
CLASSES = {"num_classes": NUM_CLASSES, "class_names": ["a", "b", "c"]}

IMAGE = ImageField(name="image", height=HEIGHT, width=WIDTH, channels=3, encoding="raw")
LABEL = LabelField(name="label", **CLASSES)
MASK = MaskField(name="mask", **CLASSES, ignore_class=2)
OBJECTS = ObjectsField(name="objects", **CLASSES, keypoints=SKELETON)
AGE = ValueField(name="age", dtype="float", learnt=True)
SITE = ValueField(name="site", dtype="text")
WEIGHT = ValueField(name="weight", dtype="float")


# A record made by hand


def draw(number: int, most: int = 2) -> dict[str, Any]:
    """Return what a record holds: red is the mask's id, green an object's class, blue its keypoints."""
    rng = np.random.default_rng([5, number])
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    ids = rng.integers(0, len(IDS), (HEIGHT, WIDTH)).astype(np.uint8)
    pixels[..., 0] = 80 * ids
    objects = []
    for which in range(number % (most + 1)):
        left = MARGIN + 20 * which + int(rng.integers(0, 4))
        top = MARGIN + int(rng.integers(0, 8))
        right, bottom = left + int(rng.integers(4, 12)), top + int(rng.integers(3, 12))
        label = int(rng.integers(NUM_CLASSES))
        pixels[top:bottom, left:right, 1] = 50 + label
        points = []
        for k, place in enumerate(rng.permutation((right - left) * (bottom - top))[:2].tolist()):
            x, y = left + place % (right - left), top + place // (right - left)
            pixels[y, x, 2] = MARKS[k]
            points.append((x + 0.5, y + 0.5))
        objects.append({"box": (left, top, right, bottom), "label": label, "points": points})
    return {
        "image": pixels,
        "ids": ids,
        "objects": objects,
        "label": number % NUM_CLASSES,
        "labels": [i for i in range(NUM_CLASSES) if number >> i & 1],
        "age": number / 4,
        "site": f"söte {number}".encode(),
        "weight": number / 8,
    }


def png_of(pixels: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def encode(drawn: dict[str, Any], key: bytes, *, several: bool = False) -> bytes:
    """Return the record; all features are there, whichever fields are read of them."""
    objects = drawn["objects"]
    corners = np.array([one["box"] for one in objects], np.float32).reshape(-1, 4)
    points = np.array([one["points"] for one in objects], np.float32).reshape(-1, 2)
    features: dict[str, Value] = {
        "augment/key": key,
        "augment/weight": float(drawn["weight"]),
        "extra/age": float(drawn["age"]),
        "extra/site": drawn["site"],
        "image/class/label": drawn["labels"] if several else drawn["label"],
        "image/encoded": drawn["image"].tobytes(),
        "image/object/class/label": np.array([one["label"] for one in objects], np.int64),
        "image/object/difficult": np.zeros(len(objects), np.int64),
        "image/object/is_crowd": np.ones(len(objects), np.int64),
        "image/object/keypoint/visibility": np.full(len(points), 2, np.int64),
        "image/object/mask": np.array([png_of(_mask_of(box)) for box in corners.astype(int)], object),
        "image/segmentation/class/encoded": png_of(drawn["ids"]),
    }
    for i, side in enumerate(("xmin", "ymin", "xmax", "ymax")):
        features[f"image/object/bbox/{side}"] = corners[:, i] / (HEIGHT if i % 2 else WIDTH)
    features |= {f"image/object/keypoint/{axis}": points[:, i] / (WIDTH, HEIGHT)[i] for i, axis in enumerate("xy")}
    return encode_example(features)


def _mask_of(box: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    return mask


def manifest_of(fields: Sequence[Field]) -> Manifest:
    """Return the manifest of a dataset with these fields beside the image, as readers use it."""
    row = Row(
        row=0,
        seed=0,
        variant=0,
        original=False,
        num_records=8,
        num_bytes=8,
        sha256="",
        boxes=BoxCounts(num_boxes=8, most_boxes=2),
    )
    return Manifest(
        name="d",
        generation="g0001",
        fingerprint="",
        settings={},
        schema=Schema([IMAGE, *fields]),
        normalize={},
        splits={"train": Split(segments=[], num_records=8, sources_sha256="", next_row=1, rows=[row])},
        mirroring=["horizontal", "vertical"],
    )


def reader_of(fields: Sequence[Field], **changes: Any) -> Callable[[Sequence[bytes]], Any]:
    """Return a function from records to what `load` would hand out of them as a batch."""
    manifest = dataclasses.replace(manifest_of(fields), normalize={"train": changes.pop("normalizes", None)})
    asked = {name: changes.pop(name) for name in ("inputs", "targets", "sample_weights", "extra") if name in changes}
    chosen = choose_fields(manifest.schema, **asked)
    twins = make_twins(manifest, chosen.names)
    moves = move_drawer(manifest, changes.pop("fresh", "off"), seed=changes.pop("seed", 0), clean_from=None)
    defaults = {"class_weights": None, "normalize": False, "with_keys": False}
    finish = batch_finisher(manifest, "train", chosen, twins, moves, **{**defaults, **changes})
    parse = batch_parser(twins)
    epoch = tf.constant(1, tf.int64)
    return lambda records: finish(epoch, epoch, *parse(tf.constant(list(records))))


def value_at(value: Any, i: int) -> Any:
    return {name: part[i].numpy() for name, part in value.items()} if isinstance(value, dict) else value[i].numpy()


def check_example(
    pixels: np.ndarray[Any, Any], values: dict[str, Any], drawn: dict[str, Any], *, several: bool
) -> None:
    """Compare the fields with the pixels, and those that do not move with what was drawn."""
    for name in {"age", "site", "weight"} & set(values):
        assert values[name] == drawn[name]
    if "label" in values:
        there = np.isin(range(NUM_CLASSES), drawn["labels"]).astype(np.uint8)
        assert np.array_equal(values["label"], there if several else drawn["label"])
    if "mask" in values:
        assert values["mask"].dtype == np.uint8 and np.array_equal(pixels[..., 0], 80 * values["mask"])
    if "objects" in values:
        check_objects(pixels, values["objects"], drawn["objects"])


def check_objects(pixels: np.ndarray[Any, Any], found: dict[str, Any], drawn: list[dict[str, Any]]) -> None:
    there = found["mask"]
    assert there.tolist() == [i < len(drawn) for i in range(2)] == found["crowd"].tolist()
    assert found["labels"].tolist() == [*(one["label"] for one in drawn), *[-1] * (2 - len(drawn))]
    orders = set()
    for i, one in enumerate(drawn):
        if "boxes" in found:
            left, top, right, bottom = np.round(found["boxes"][i]).astype(int)
            assert (pixels[top:bottom, left:right, 1] == 50 + one["label"]).all()
            assert {right - left, bottom - top} == {one["box"][2] - one["box"][0], one["box"][3] - one["box"][1]}
        if "masks" in found:
            assert np.array_equal(np.argwhere(found["masks"][i]).min(0), [top, left])
            assert np.array_equal(np.argwhere(found["masks"][i]).max(0), [bottom - 1, right - 1])
        if "keypoints" in found:
            assert found["visibility"][i].tolist() == [2, 2]
            (x, y), (other_x, other_y) = found["keypoints"][i].astype(int)
            orders.add((int(pixels[y, x, 2]), int(pixels[other_y, other_x, 2])))
    assert orders in (set(), {MARKS}, {MARKS[::-1]})  # in a mirrored image what was left is right, of all objects
