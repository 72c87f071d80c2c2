"""Pipelines made ready, and their draws: each record's own, whatever ran before."""

from __future__ import annotations

import threading
from typing import Any

import albumentations as A
import numpy as np
import pytest

from precompute.errors import PipelineError
from precompute.pipelines.box_rules import BoxRules
from precompute.pipelines.pipeline import Pipeline, prepare, resize
from tests.helpers.decoded_sources import put_through, some_sources

IMAGE = some_sources(1)[0].image
MASK = some_sources(1)[0].values["mask"]


class ToTensorV2(A.ImageOnlyTransform):
    """Stands for that of albumentations.pytorch where torch is not installed."""


def apply(pipeline: Pipeline, key: str = "k", seed: int = 0, variant: int = 0, copy: int = 0) -> tuple[bytes, bytes]:
    image, mask = put_through(pipeline, IMAGE, MASK, seed=seed, key=key, variant=variant, copy=copy)
    return image.tobytes(), mask.tobytes()


def refusal(pipeline: Any) -> str:
    with pytest.raises(PipelineError) as caught:
        prepare(pipeline, "train")
    return str(caught.value)


# Prepared for work offline.


def test_what_may_be_a_pipeline() -> None:
    for given_as in (A.Compose([A.Resize(8, 8)]), A.Sequential([A.Resize(8, 8)], p=1), A.Resize(8, 8), resize(8, 8)):
        image, _ = put_through(
            Pipeline(prepare(given_as, "train").pickled), IMAGE, MASK, seed=0, key="k", variant=0, copy=0
        )
        assert image.shape == (8, 8, 3)
    assert "expected an albumentations.Compose, got list ([Resize(" in refusal([A.Resize(8, 8)])
    assert "expected an albumentations.Compose, got SerializableMeta (<class" in refusal(A.Compose)


@pytest.mark.parametrize(
    ("end", "taken_off", "numbers"),
    [
        ([A.Normalize()], 1, ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 255.0)),
        ([A.Normalize(mean=0.5, std=0.25, max_pixel_value=128), ToTensorV2()], 2, ([0.5], [0.25], 128.0)),
        ([A.ToFloat()], 1, ([0.0], [1.0], 255.0)),
        ([A.ToFloat(max_value=100)], 1, ([0.0], [1.0], 100.0)),
        ([A.ToFloat(max_value=100), A.Normalize(mean=0.5, std=0.5, max_pixel_value=1.0)], 2, ([0.5], [0.5], 100.0)),
        ([ToTensorV2(p=1)], 1, None),
        ([], 0, None),
    ],
)
def test_what_belongs_in_the_model_is_taken_off(end: Any, taken_off: int, numbers: Any) -> None:
    given_by_user = A.Compose([A.HorizontalFlip(p=0.5), *end])
    prepared = prepare(given_by_user, "validation")
    assert prepared.description == prepare(A.Compose([A.HorizontalFlip(p=0.5)]), "train").description
    names = [type(transform).__name__ for transform in end]
    assert prepared.notes == [
        f"pipeline of validation: {name} was taken off its end: it belongs in the model." for name in names
    ]
    if numbers is None:
        assert prepared.normalize is None
    else:
        mean, std, top = numbers
        assert prepared.normalize == {"mean": pytest.approx(mean), "std": pytest.approx(std), "max_pixel_value": top}
    assert len(given_by_user.transforms) == 1 + taken_off  # the user's own object stays as it is


@pytest.mark.parametrize(
    "end",
    [
        [A.Normalize()],
        [A.Normalize(mean=(0.1, 0.2, 0.3), std=(1, 2, 3), max_pixel_value=99)],
        [A.ToFloat(max_value=200)],
        [A.ToFloat(), A.Normalize(mean=0.5, std=0.5, max_pixel_value=1.0)],
    ],
)
def test_the_numbers_give_what_the_pipeline_would_have_given(end: Any) -> None:
    numbers = prepare(A.Compose(end), "train").normalize
    assert numbers is not None
    top = numbers["max_pixel_value"]
    got = (IMAGE - np.array(numbers["mean"]) * top) / (np.array(numbers["std"]) * top)
    np.testing.assert_allclose(got, A.Compose(end)(image=IMAGE)["image"], atol=1e-5)


def test_normalizing_that_cannot_be_taken_off() -> None:
    assert "Normalize with normalization='image' depends on each image" in refusal(A.Normalize(normalization="image"))
    assert "Normalize has p=0.5, so some records would be without it" in refusal(A.Normalize(p=0.5))
    assert "ends with Normalize, Normalize; keep one" in refusal(A.Compose([A.Normalize(), A.Normalize()]))


@pytest.mark.filterwarnings("ignore:Argument")
@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: A.OneOf([A.NoOp(), A.Sequential([t])])])
def test_unknown_arguments(wrap: Any) -> None:
    message = refusal(A.Compose([wrap(A.ElasticTransform(alpha_affine=50)), A.Resize(8, 8)]))
    assert message == (
        "pipeline of train: ElasticTransform does not know the argument alpha_affine: it would run without. "
        "ElasticTransform knows: alpha, sigma, interpolation, approximate, same_dxdy, mask_interpolation, "
        "noise_distribution, keypoint_remapping_method, border_mode, fill, fill_mask, p."
    )
    message = refusal(A.Compose([wrap(A.CoarseDropout(max_holes=8, max_height=4))]))
    assert "CoarseDropout does not know the arguments max_holes, max_height" in message
    assert "Normalize does not know the argument means" in refusal(A.Compose([wrap(A.Normalize(means=0))]))


def test_a_root_that_is_sometimes_left_out() -> None:
    for root in (A.Compose([A.Resize(8, 8)], p=0.9), A.Sequential([A.Resize(8, 8)], p=0.9)):
        assert f"its root, a {type(root).__name__}, has p=0.9: sometimes the whole pipeline" in refusal(root)
    prepare(A.Compose([A.Sequential([A.HorizontalFlip()], p=0.5), A.Resize(8, 8)]), "train")
    prepare(A.OneOf([A.HorizontalFlip(), A.VerticalFlip()], p=0.5), "train")


def test_a_seed_is_overridden_with_a_note() -> None:
    seeded = prepare(A.Compose([A.HorizontalFlip(p=0.5)], seed=3), "train")
    assert seeded.notes == ["pipeline of train: seed= of Compose is not used; a record's draws follow from --seed."]
    plain = prepare(A.Compose([A.HorizontalFlip(p=0.5)]), "train")
    assert seeded.description == plain.description
    for variant in range(8):
        assert apply(Pipeline(seeded.pickled), variant=variant) == apply(Pipeline(plain.pickled), variant=variant)


def test_what_cannot_be_pickled() -> None:
    class Locked(A.ImageOnlyTransform):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

    assert "it cannot be handed to worker processes: TypeError: cannot pickle" in refusal(Locked())


@pytest.mark.parametrize("side", [32, 40, 64, 128])
def test_resized_masks_stay_on_their_images(side: int) -> None:
    y, x = np.mgrid[:200, :200]
    disc = ((y - 93.5) ** 2 + (x - 110.5) ** 2 < 50**2).astype(np.uint8)
    compose = resize(side, side)
    found = compose(image=np.repeat(disc[..., None] * 255, 3, axis=2), mask=disc)

    def middle(weights: Any) -> Any:
        return np.array([(np.arange(side) * weights.sum(axis)).sum() for axis in (1, 0)]) / weights.sum()

    shift = middle(found["mask"].astype(float)) - middle(found["image"][..., 0].astype(float))
    assert np.abs(shift).max() < 0.12, shift  # pixels; with INTER_NEAREST up to 0.56


# What never runs, and parameters of what is not there


class Dated(A.ImageOnlyTransform):
    """Written for Albumentations 1: what it hands over as always_apply is taken for p."""

    def __init__(self, always_apply: bool = False, p: float = 0.5) -> None:
        super().__init__(always_apply, p)  # type: ignore[arg-type]

    def apply(self, img: Any, **_: Any) -> Any:
        return 255 - img


def test_a_transform_that_never_runs_is_named() -> None:
    (note,) = prepare(A.Compose([Dated(p=0.5)]), "train").notes
    assert "Dated NEVER RUNS: its p is 0" in note and "super().__init__(p=p)" in note
    nested = A.Compose([A.HorizontalFlip(p=0), A.OneOf([A.Blur(p=0), A.NoOp()]), A.Sequential([A.Blur(p=1)], p=0)])
    (note,) = prepare(nested, "train").notes
    assert "HorizontalFlip, OneOf › Blur, Sequential can never run: p or n is 0" in note
    assert prepare(A.Compose([A.HorizontalFlip(p=0.01), A.SomeOf([A.Blur(), A.NoOp()], n=1)]), "train").notes == []


def test_params_of_what_is_not_there_are_left_out() -> None:
    boxes, points = A.BboxParams("coco", label_fields=["labels"]), A.KeypointParams("xy", label_fields=["names"])
    inner = A.Compose([A.VerticalFlip(p=1)], bbox_params=boxes)
    prepared = prepare(A.Compose([A.HorizontalFlip(p=1), inner], bbox_params=boxes, keypoint_params=points), "train")
    note = "pipeline of train: its bbox_params and keypoint_params were left out: there are none here."
    assert prepared.notes == [note]
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    made, _ = put_through(Pipeline(prepared.pickled), image, None, seed=0, key="a", variant=0, copy=0)
    assert np.array_equal(made, image[::-1, ::-1])
    only_boxes = prepare(A.Compose([A.HorizontalFlip(p=1)], keypoint_params=points), "train", box_rules=BoxRules())
    assert only_boxes.notes == ["pipeline of train: its keypoint_params was left out: there are none here."]
