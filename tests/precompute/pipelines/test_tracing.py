"""Pipelines that tell what they did: the same records, chances that come true, parameters that were drawn."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from typing import Any

import albumentations as A
import cloudpickle
import numpy as np
import pytest

from precompute.pipelines.chances import chances
from precompute.pipelines.pipeline import Pipeline
from precompute.pipelines.tracing import TracingPipeline
from precompute.reporting.transforms import likely_counts

IMAGE = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
NUM = 1500

COMPOSITIONS: dict[str, Any] = {
    "in turn": [A.HorizontalFlip(p=0.3), A.VerticalFlip(p=1), A.Transpose(p=0)],
    "one of": [A.OneOf([A.HorizontalFlip(p=0.2), A.VerticalFlip(p=0.6)], p=0.5)],
    "nested": [A.OneOf([A.Sequential([A.HorizontalFlip(p=0.5), A.InvertImg(p=0.4)], p=0.1), A.ToGray(p=0.3)], p=0.8)],
    "some of": [A.SomeOf([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=1), A.ToGray(p=0.9)], n=2, p=0.7)],
    "some of, forced": [A.OneOf([A.SomeOf([A.HorizontalFlip(p=1), A.ToGray(p=1)], n=1, p=0.4)], p=1)],
    "one or other": [A.OneOrOther(A.ToSepia(p=0.1), A.InvertImg(p=0.1), p=0.25)],
    "channels": [A.SelectiveChannelTransform([A.InvertImg(p=0.5)], channels=(0, 1, 2), p=0.6)],
    "random order": [A.RandomOrder([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=1)], n=1, p=0.5)],
    "compose inside": [A.Compose([A.HorizontalFlip(p=0.5), A.Compose([A.ToGray(p=0.5)], p=0.5)], p=0.6)],
}


def draw(pipeline: Pipeline, variant: int) -> np.ndarray[Any, Any]:
    made: np.ndarray[Any, Any] = pipeline.apply(IMAGE, {}, seed=3, key="a", variant=variant, copy=0)["image"]
    return made


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_transforms_are_applied_as_often_as_their_chance_says(name: str) -> None:
    pipeline = TracingPipeline(cloudpickle.dumps(A.Compose(COMPOSITIONS[name])))
    applied = []
    for variant in range(NUM):
        draw(pipeline, variant)
        applied.append({firing.position for firing in pipeline.firings})
    for position, chance in enumerate(pipeline.chances):
        assert chance.share is not None
        low, high = likely_counts(NUM, chance.share)
        assert low <= sum(position in of_record for of_record in applied) <= high, chance.name


def test_records_are_those_of_a_pipeline_that_nobody_looks_at() -> None:
    compose = A.Compose([A.Affine(rotate=(-40, 40), p=0.7), A.CoarseDropout(p=0.5), A.GaussNoise(p=0.5)])
    traced, plain = (cls(cloudpickle.dumps(compose)) for cls in (TracingPipeline, Pipeline))
    for variant in range(30):
        assert np.array_equal(draw(traced, variant), draw(plain, variant))


def test_what_was_drawn_is_told_and_what_was_given_is_not() -> None:
    pipeline = TracingPipeline(cloudpickle.dumps(A.Compose([A.Affine(rotate=(10, 20), fill=7, p=1)])))
    draw(pipeline, 0)
    [firing] = pipeline.firings
    assert 10 <= float(firing.drawn["rotate"]) <= 20
    assert not {"fill", "shape", "interpolation"} & firing.drawn.keys()
    assert firing.seconds > 0


def drawn_by(*transforms: Any) -> dict[str, float | str]:
    """What the last of these transforms draws for `IMAGE`."""
    pipeline = TracingPipeline(cloudpickle.dumps(A.Compose(transforms)))
    draw(pipeline, 0)
    return dict(pipeline.firings[-1].drawn)


def test_a_rotation_is_its_angle() -> None:
    assert drawn_by(A.Rotate(limit=(20, 20), p=1)) == pytest.approx({"angle": 20})
    assert drawn_by(A.Rotate(limit=(20, 20), crop_border=True, p=1)).keys() == {
        "x_min",
        "x_max",
        "y_min",
        "y_max",
        "angle",
    }


def test_a_shift_is_that_of_the_middle() -> None:
    drawn = drawn_by(A.Affine(translate_px={"x": (5, 5), "y": (-3, -3)}, rotate=(30, 30), p=1))
    assert (drawn["rotate"], drawn["shift.x"], drawn["shift.y"]) == pytest.approx((30, 5, -3))
    assert "angle" not in drawn
    for turn in (A.Affine(rotate=(30, 30), fit_output=True, p=1), A.SafeRotate(limit=(20, 20), p=1)):
        assert not {name for name in drawn_by(turn) if name.startswith("shift")}


def test_a_crop_is_its_four_sides() -> None:
    assert drawn_by(A.CenterCrop(10, 12, p=1)) == {"left": 10, "top": 7, "right": 22, "bottom": 17}


def test_holes_are_their_number_and_their_size_and_no_seed_is_told() -> None:
    sizes = {"hole_height_range": (4, 4), "hole_width_range": (6, 6)}
    assert drawn_by(A.CoarseDropout(num_holes_range=(3, 3), **sizes, p=1)) == {
        "num_holes": 3,
        "hole_height": 4,
        "hole_width": 6,
    }
    assert "random_seed" not in drawn_by(A.ISONoise(p=1))
    assert drawn_by(A.XYMasking(num_masks_x=0, num_masks_y=0, p=1)) == {"num_holes": 0}


class Drawing(A.ImageOnlyTransform):
    """A transform of a user's own that draws what it was given."""

    def __init__(self, drawn: Any) -> None:
        super().__init__(p=1)
        self.drawn = drawn

    def get_params(self) -> dict[str, Any]:
        return dict(self.drawn)

    def apply(self, img: Any, **_: Any) -> Any:
        return img


@pytest.mark.parametrize("name", ["crop_coords", "holes", "matrix", "x_min"])
@pytest.mark.parametrize("value", [None, 3, "a", [], [1, 2], [[1], [2, 3]], np.eye(2), [{"a": 1}], np.array(["a"])])
def test_own_transforms_may_draw_other_things_by_names_that_are_known(name: str, value: Any) -> None:
    drawn = drawn_by(Drawing({name: value, "gain": 2.5}))
    assert drawn.pop("gain") == 2.5
    assert all(isinstance(one, float | str) for one in drawn.values())


def test_pixels_that_do_not_come_from_the_source_are_known() -> None:
    pipeline = TracingPipeline(cloudpickle.dumps(A.Compose([A.Affine(translate_px={"x": 8, "y": 0}, p=1)])))
    draw(pipeline, 0)
    assert pipeline.filled is not None
    assert pipeline.filled[:, :8].all()
    assert not pipeline.filled[:, 8:].any()


class Own(A.ImageOnlyTransform):
    """A transform that decides by itself whether it is applied."""

    def should_apply(self, force_apply: bool = False) -> bool:
        return False

    def apply(self, img: Any, **_: Any) -> Any:
        return img


class OwnOrder(A.SomeOf):
    """A composition of a user's own."""


def test_what_a_users_own_code_decides_has_no_chance() -> None:
    found = chances(A.Compose([Own(p=0.5), OwnOrder([A.HorizontalFlip(p=0.5)], n=1), A.VerticalFlip(p=0.5)]))
    assert [chance.share for chance in found] == [None, None, 0.5]


def test_a_transform_that_stands_in_a_pipeline_twice_has_no_chance() -> None:
    flip = A.HorizontalFlip(p=0.5)
    [chance] = chances(A.Compose([flip, flip]))
    assert chance.share is None


def test_what_carries_rules_for_boxes_that_nothing_moves_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compose = A.Compose([A.ToGray(p=1)], bbox_params=A.BboxParams("albumentations"))
    TracingPipeline(cloudpickle.dumps(compose))


def every_transform() -> list[Any]:
    """Albumentations' transforms that need no arguments."""
    found = []
    for cls in vars(A).values():
        if inspect.isclass(cls) and issubclass(cls, A.BasicTransform):
            with contextlib.suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(cls(p=0.7))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of transforms that find nothing to do
def test_no_transform_draws_otherwise_when_somebody_looks_at_it() -> None:
    small = np.random.default_rng(1).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    image = np.kron(small, np.ones((8, 8, 1), np.uint8))
    draws = [{"seed": 1, "key": "k", "variant": variant, "copy": 0} for variant in range(4)]
    num = 0
    for transform in every_transform():
        pickled = cloudpickle.dumps(A.Compose([transform, A.HorizontalFlip(p=0.5)]))
        handed = {"mask": (image[..., 0] > 120).astype(np.uint8)}
        try:
            plain = [Pipeline(pickled).apply(image, handed, **draw) for draw in draws]  # type: ignore[arg-type]
        except Exception:  # it needs other data
            continue
        traced = TracingPipeline(pickled)
        for draw, expected in zip(draws, plain, strict=True):
            made = traced.apply(image, handed, **draw)
            assert np.array_equal(made["image"], expected["image"]), transform
            assert np.array_equal(made["mask"], expected["mask"]), transform
        num += 1
    assert num > 60
