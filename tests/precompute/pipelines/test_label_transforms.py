"""Transforms that look at labels see the class of each box, whatever its place among the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.errors import PipelineError
from precompute.fields.boxes import Boxes
from precompute.pipelines.box_rules import BoxRules
from precompute.pipelines.pipeline import Pipeline, prepare
from tests.helpers.decoded_sources import put_through
from tests.helpers.growing_datasets import lay_out, restore, run_build
from tests.helpers.small_datasets import options, save

BOXES: dict[str, tuple[int, int, int, int]] = {"ant": (4, 4, 28, 28), "bee": (34, 34, 60, 60)}
CLASSES = ["ant", "bee"]


class CountsClasses(A.DualTransform):  # type: ignore[misc]
    """Writes the labels that it sees into the first pixels, plus one."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        return {
            "boxes": [row[4] for row in data.get("bboxes", ())],
            "points": [row[5] for row in data.get("keypoints", ())],
        }

    def apply(self, img: Any, **params: Any) -> Any:
        img = img.copy()
        for row, values in enumerate((params["boxes"], params["points"])):
            seen = [int(value) + 1 for value in values if value >= 0]
            img[row, : len(seen)] = np.array(seen, np.uint8)[:, None]
        return img

    def apply_to_bboxes(self, bboxes: Any, **params: Any) -> Any:
        return bboxes

    def apply_to_keypoints(self, keypoints: Any, **params: Any) -> Any:
        return keypoints


def dropping(labels: list[Any], **params: Any) -> A.Compose:
    drop = A.ConstrainedCoarseDropout(
        num_holes_range=(2, 2), hole_height_range=(0.3, 0.3), hole_width_range=(0.3, 0.3), bbox_labels=labels, p=1
    )
    return A.Compose([drop], **params)


@pytest.fixture
def white(tmp_path: Path) -> dict[str, Any]:
    """White images with both classes, whose boxes stand in either order."""
    for i in range(4):
        save(tmp_path / f"i{i}.png", np.full((64, 64, 3), 255, np.uint8))
    rows = [(*box, name) for name, box in BOXES.items()]
    return {"images": [tmp_path / f"i{i}.png" for i in range(4)], "boxes": [rows, rows[::-1]] * 2}


def holes_in(example: dict[str, Any]) -> set[str]:
    image = example["image"]
    return {name for name, (x0, y0, x1, y1) in BOXES.items() if (image[y0:y1, x0:x1] == 0).any()}


@pytest.mark.parametrize("label", [1, 1.0, "bee"])
@pytest.mark.parametrize("kind", ["boxes", "instances"])
def test_holes_are_in_boxes_of_the_class_that_is_named(
    label: Any, kind: str, white: dict[str, Any], tmp_path: Path
) -> None:
    if kind == "instances":
        white["instances"] = [[write_mask(tmp_path, row) for row in rows] for rows in white.pop("boxes")]
    out = tmp_path / "out"
    given = options(pipeline={"train": dropping([label]), "validation": A.Compose([A.NoOp()])}, variants=2)
    precompute.build(output=out, **white, **given)
    examples = list(precompute.read(out, split="train"))
    assert [holes_in(example) for example in examples] == [{"bee"}] * len(examples)
    assert [sorted(example["class_names"]) for example in examples] == [CLASSES] * len(examples)
    assert precompute.verify(out, jobs=1).problems == []


def write_mask(folder: Path, row: tuple[Any, ...]) -> tuple[Any, str]:
    x0, y0, x1, y1, name = row
    mask = np.zeros((64, 64), np.uint8)
    mask[y0:y1, x0:x1] = 1
    save(folder / f"{name}.png", mask)
    return folder / f"{name}.png", name


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["wasp"], "there is no class 'wasp'; the classes are:\n  0: ant"),
        ([2], "2 is no class index; give names or indices of"),
        ([-1], "-1 is no class index"),
    ],
)
def test_classes_that_are_not_there_are_refused(labels: list[Any], words: str) -> None:
    with pytest.raises(PipelineError, match=words.replace("(", r"\(")):
        prepare(dropping(labels), "train", box_rules=BoxRules(), class_names=CLASSES)


def test_number_that_is_both_a_name_and_the_index_of_another_is_refused() -> None:
    with pytest.raises(PipelineError, match="1 is the index of '2', and there is a class named '1'. Give the name"):
        prepare(dropping([1]), "train", box_rules=BoxRules(), class_names=["1", "2"])
    prepare(dropping(["1"]), "train", box_rules=BoxRules(), class_names=["1", "2"])


@pytest.mark.parametrize("field", [None, "class_labels", "image"])
def test_own_code_sees_classes_and_places_in_the_skeleton(field: str | None) -> None:
    given = {} if field is None else {"bbox_params": A.BboxParams("pascal_voc", label_fields=[field])}
    points = np.array([[[4, 4, 2], [5, 5, 0], [6, 6, 2]], [[40, 40, 1], [41, 41, 2], [50, 50, 0]]], np.float32)
    boxes = Boxes(
        corners=np.array([BOXES["bee"], BOXES["ant"]], np.float32),
        labels=np.array([5, 3], np.int32),
        flags=np.zeros(2, np.uint8),
        size=(64, 64),
        points=points,
    )
    compose = A.Compose([CountsClasses(p=1)], **given)
    prepared = prepare(compose, "train", box_rules=BoxRules(points=True), class_names=list("abcdef"))
    image = np.zeros((64, 64, 3), np.uint8)
    made, moved = put_through(Pipeline(prepared.pickled), image, boxes, seed=0, key="a", variant=0, copy=0)
    assert made[0, :4, 0].tolist() == [6, 4, 0, 0]
    assert made[1, :5, 0].tolist() == [1, 3, 1, 2, 0]
    assert moved.labels.tolist() == [5, 3]
    assert (moved.points[..., 2] == points[..., 2]).all()


def test_pipelines_that_look_at_no_label_are_prepared_as_ever() -> None:
    for transform in (A.HorizontalFlip(), A.CoarseDropout(), A.Mosaic(), A.Lambda(name="l", image=str)):
        prepared = prepare(A.Compose([transform]), "train", box_rules=BoxRules())
        assert prepared.description["transform"]["bbox_params"]["label_fields"] == ["box_index"]
        assert prepared.earlier is None


def test_dataset_from_before_keeps_what_it_handed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, out = lay_out("dropout", tmp_path), restore("dropout", tmp_path)
    run_build(tmp_path, given, variants=3, quiet=False)
    said = capsys.readouterr().err
    assert "handed the number of each box in its image in place of its class" in said
    assert precompute.verify(out, jobs=1).problems == []
