"""Are the records right that a transform gives? What the table of TRANSFORMS.md means by "works".

Images, masks, boxes and masks of objects are compared with what a Compose of one's own gives under the same draws.
Targets are compared with the pixels: a transform of the image alone leaves them as they were, and of all others each
pixel in the colour of an object lies under its mask and in its box, and each spot has its keypoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray
from transform_pictures import BODIES, HEIGHT, KINDS, NAMES, POINT_NAMES, SPOTS, WIDTH, Picture, label_of, labels_of

from precompute.pipelines.keypoint_rules import INEXACT
from precompute.pipelines.seeding import Draws

COLOR_TOLERANCE = 45  # levels of a channel: a pixel that is more than three quarters of one colour
TOLERANCE = 2  # pixels, between target and colour
FEWEST = 6  # pixels of a spot that is whole enough to say where it is
SIZE = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
TARGETS = dict(
    zip(
        KINDS,
        (
            {"label", "class_name"},
            {"labels", "class_names"},
            set[str](),
            {"mask"},
            {"boxes", "labels", "class_names", "crowd", "difficult", "truncated"},
            {"boxes", "labels", "class_names", "crowd", "difficult", "truncated"}
            | {"keypoints", "visibility", "keypoint_names"},
            {"boxes", "labels", "class_names", "crowd", "difficult", "truncated", "masks"},
        ),
        strict=True,
    )
)
ALWAYS = {"image", "key", "filename", "seed", "variant", "copy"}


def check_records(transform: Any, kind: str, examples: list[dict[str, Any]], pictures: list[Picture]) -> None:
    """Check what `precompute.read` gives.

    Args:
        transform: The first of the pipeline, before a Resize to the size of the pictures.
        kind: Of the targets.
        examples: Of any rows.
        pictures: The sources.

    Raises:
        AssertionError: A record is wrong.
    """
    compose, draws = _own_compose(transform), Draws()
    compose.set_random_state(draws.generator, draws.py_random)
    for example in examples:
        i = int(example["key"])
        where = f"{type(transform).__name__}, p={transform.p:g}, {kind}, source {i}, variant {example['variant']}"
        assert set(example) == ALWAYS | TARGETS[kind], where
        draws.set(example["seed"], example["key"], example["variant"], example["copy"])
        _compare(compose(**_handed(kind, pictures[i])), example, kind, where)
        _check_labels(example, kind, i, where)
        if isinstance(transform, A.ImageOnlyTransform):
            _check_unmoved(example, kind, pictures[i], where)
        else:
            check_objects(example, kind, where)
            if kind == "keypoints" and not is_rough(transform, kind):
                check_points(example, where)


def _own_compose(transform: Any) -> Any:
    params = A.BboxParams(
        "albumentations", label_fields=["names", "numbers"], clip=True, min_width=0.01, min_height=0.01
    )
    return A.Compose([transform, A.Resize(HEIGHT, WIDTH)], bbox_params=params)


def _handed(kind: str, picture: Picture) -> dict[str, Any]:
    """Return what a Compose of one's own is given."""
    handed: dict[str, Any] = {"image": picture.image}
    if kind == "mask":
        handed["mask"] = picture.mask
    if kind == "instances":
        singles = picture.masks if len(picture.masks) else np.zeros((1, HEIGHT, WIDTH), bool)
        handed["masks"] = singles.astype(np.uint8)
    boxes = picture.boxes if kind in ("boxes", "keypoints", "instances") else []
    corners = np.array([box[:4] for box in boxes], np.float64).reshape(-1, 4) / SIZE
    if kind == "instances":
        corners = corners.astype(np.float32)  # as boxes around masks are: a pixel more or less of where holes may be
    return {**handed, "bboxes": corners, "names": [box[4] for box in boxes], "numbers": list(range(len(boxes)))}


def _compare(made: dict[str, Any], example: dict[str, Any], kind: str, where: str) -> None:
    assert np.array_equal(made["image"], example["image"]), where
    if kind == "mask":
        assert np.array_equal(made["mask"], example["mask"]), where
    if kind == "boxes":
        assert list(made["names"]) == example["class_names"], where
        assert np.allclose(np.reshape(made["bboxes"], (-1, 4)) * SIZE, example["boxes"], atol=0.01), where
    if kind == "instances":
        recorded = dict(zip(example["class_names"], example["masks"], strict=True))
        left = {NAMES[int(number)] for number in made["numbers"]}
        for name, single in zip(NAMES, made["masks"], strict=False):
            # An object falls out with its last pixel, and where transforms look at boxes with its box.
            if name in recorded:
                assert np.array_equal(single.astype(bool), recorded[name]), where
            else:
                assert name not in left or not single.any(), where


def _check_labels(example: dict[str, Any], kind: str, i: int, where: str) -> None:
    if kind == "class":
        assert (example["label"], example["class_name"]) == ("ab".index(label_of(i)), label_of(i)), where
    elif kind == "several labels":
        assert example["class_names"] == labels_of(i), where
        assert list(example["labels"]) == ["ab".index(label) for label in labels_of(i)], where
    elif "class_names" in example:
        assert list(example["labels"]) == [NAMES.index(name) for name in example["class_names"]], where
    if kind == "keypoints":
        assert list(example["keypoint_names"]) == list(POINT_NAMES), where


def _check_unmoved(example: dict[str, Any], kind: str, picture: Picture, where: str) -> None:
    if kind == "mask":
        assert np.array_equal(example["mask"], picture.mask), where
    if "boxes" in example:
        assert np.allclose(example["boxes"], [box[:4] for box in picture.boxes] or np.zeros((0, 4)), atol=0.01), where
    if kind == "instances":
        assert np.array_equal(example["masks"], picture.masks), where
    if kind == "keypoints" and picture.points:
        found = np.dstack([example["keypoints"], example["visibility"]])
        assert np.allclose(found, picture.points, atol=0.01), where


def is_rough(transform: Any, kind: str) -> bool:
    """Return whether a transform is known, and said in every build, to move keypoints beside the pixels."""
    return kind == "keypoints" and isinstance(transform, INEXACT)


def check_objects(example: dict[str, Any], kind: str, where: str) -> None:
    """Compare masks and boxes of a record with the colours of its image.

    Raises:
        AssertionError: An object is seen where its target is not.
    """
    image = example["image"].astype(np.int64)
    for number, name in enumerate(NAMES):
        colored = _has_color(image, BODIES[number])
        for covered in _covered(example, kind, number):
            assert not (colored & ~_grown(covered)).any(), f"{where}: {name} is seen beside its target"


def check_points(example: dict[str, Any], where: str) -> None:
    """Compare keypoints of a record with the spots in its image.

    Raises:
        AssertionError: A keypoint lies beside its spot, or a spot that is seen whole has no keypoint.
    """
    image = example["image"].astype(np.int64)
    for number, name in enumerate(NAMES):
        for point, color in enumerate(SPOTS[number]):
            _check_point(example, number, point, _has_color(image, color), f"{where}: {name}, {POINT_NAMES[point]}")


def _has_color(image: NDArray[np.int64], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = (np.abs(image - color) <= COLOR_TOLERANCE).all(axis=2)
    return near


def _grown(covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    side = 2 * TOLERANCE + 1
    return cv2.dilate(covered.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)


def _covered(example: dict[str, Any], kind: str, number: int) -> Iterator[NDArray[np.bool_]]:
    """Yield the pixels that the mask, the masks or the boxes of a class cover."""
    if kind == "mask":
        yield example["mask"] == number + 1
    if kind == "instances":
        yield example["masks"][example["labels"] == number].any(axis=0)
    if "boxes" in example:
        inside = np.zeros((HEIGHT, WIDTH), bool)
        for x0, y0, x1, y1 in example["boxes"][example["labels"] == number]:
            inside[int(np.floor(y0)) : int(np.ceil(y1)), int(np.floor(x0)) : int(np.ceil(x1))] = True
        yield inside


def _check_point(example: dict[str, Any], number: int, point: int, spot: NDArray[np.bool_], where: str) -> None:
    """Check that a keypoint lies where its spot is, and that a spot which is seen whole has its keypoint."""
    of_class = np.flatnonzero(example["labels"] == number)
    visible = of_class[example["visibility"][of_class, point] > 0] if len(of_class) else of_class
    pixels = np.argwhere(spot)[:, ::-1] + 0.5
    places = example["keypoints"][visible, point].reshape(-1, 2)
    if len(pixels):
        for place in places:
            assert np.hypot(*(pixels - place).T).min() <= TOLERANCE, f"{where}: keypoint beside its spot"
    is_whole = len(pixels) >= FEWEST and not (spot[[0, -1]].any() or spot[:, [0, -1]].any())
    if is_whole and cv2.connectedComponents(spot.astype(np.uint8))[0] == 2:
        distances = np.hypot(*(places - pixels.mean(axis=0)).T)
        assert len(distances), f"{where}: spot without its keypoint"
        assert distances.min() <= TOLERANCE, f"{where}: spot away from its keypoint"
