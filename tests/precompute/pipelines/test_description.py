"""A pipeline's description: all that decides its pixels, the same wherever it is made."""

from __future__ import annotations

import inspect
import json
import warnings
from typing import Any

import albumentations as A
import cloudpickle
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.dataset.json_files import canonical_json
from precompute.pipelines.description import describe, rebuild
from precompute.pipelines.load import PRESETS
from precompute.pipelines.pipeline import Pipeline
from precompute.pipelines.transforms import leaves
from tests.helpers.decoded_sources import put_through, some_sources

SOURCE = some_sources(1, 48, 40)[0]
ABSTRACT = ("BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D")
ARGUMENTS: dict[str, dict[str, Any]] = {  # of those that cannot do without
    "CenterCrop": {"height": 20, "width": 16},
    "RandomCrop": {"height": 20, "width": 16},
    "CropAndPad": {"px": 3},
    "CropNonEmptyMaskIfExists": {"height": 20, "width": 16},
    "GridElasticDeform": {"num_grid_xy": (4, 4), "magnitude": 5},
    "LongestMaxSize": {"max_size": 40},
    "SmallestMaxSize": {"max_size": 30},
    "RandomResizedCrop": {"size": (30, 20)},
    "RandomSizedCrop": {"min_max_height": (10, 20), "size": (30, 20)},
    "Resize": {"height": 30, "width": 20},
}
NOT_FROM_JSON = {"FDA", "HistogramMatching", "PixelDistributionAdaptation", "Lambda"}  # hold functions


def all_transforms() -> dict[str, Any]:
    made = {}
    for name, cls in vars(A).items():
        if inspect.isclass(cls) and issubclass(cls, A.BasicTransform) and name not in ABSTRACT:
            try:
                made[name] = cls(**ARGUMENTS.get(name, {}))
            except Exception:  # needs more
                continue
    return made


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # some are said to be slow, or another one's alias
    TRANSFORMS = all_transforms()


def fresh(name: str) -> Any:
    return cloudpickle.loads(cloudpickle.dumps(TRANSFORMS[name]))  # a composition changes what it is given


def pixels(compose: Any, num: int = 3) -> list[bytes]:
    """What a pipeline makes of one source, or the error it fails with (it wants boxes, volumes …)."""
    pipeline = Pipeline(cloudpickle.dumps(compose))
    made = []
    for variant in range(num):
        try:
            image, mask = put_through(
                pipeline, SOURCE.image, SOURCE.values["mask"], seed=0, key="k", variant=variant, copy=0
            )
            made.append(image.tobytes() + mask.tobytes())
        except Exception as error:
            made.append(type(error).__name__.encode())
    return made


def check_rebuilt(compose: Any) -> None:
    description = describe(compose)
    read_back = json.loads(json.dumps(description, allow_nan=False))
    assert read_back == description
    rebuilt = rebuild(read_back)
    assert rebuilt is not None
    assert canonical_json(describe(rebuilt)) == canonical_json(description)
    assert not any(leaf.invalid_args for leaf in leaves(rebuilt))
    assert pixels(rebuilt) == pixels(compose)


def test_there_are_many() -> None:
    assert len(TRANSFORMS) > 100


@pytest.mark.filterwarnings("ignore:::albumentations")
@pytest.mark.parametrize("name", sorted(set(TRANSFORMS) - NOT_FROM_JSON - {"FromFloat"}))  # it wants float images
@pytest.mark.slow
def test_every_transform_can_be_rebuilt(name: str) -> None:
    transform = fresh(name)
    transform.p = 1.0
    check_rebuilt(A.Compose([transform]))


@pytest.mark.parametrize("name", sorted(NOT_FROM_JSON))
def test_what_cannot_be_rebuilt_says_so(name: str) -> None:
    description = describe(A.Compose([TRANSFORMS[name]]))
    assert json.loads(json.dumps(description)) == description
    assert rebuild(description) is None


def compositions() -> Any:
    transforms = st.sampled_from(sorted(set(TRANSFORMS) - NOT_FROM_JSON - {"FromFloat"})).map(fresh)
    p = st.sampled_from([0.3, 0.5, 1.0])

    def nest(inner: Any) -> Any:
        some = st.lists(inner, min_size=2, max_size=3)
        return st.one_of(
            st.builds(A.OneOf, some, p=p),
            st.builds(A.Sequential, some, p=p),
            st.builds(A.SomeOf, some, n=st.integers(1, 2), replace=st.booleans(), p=p),
            st.builds(A.RandomOrder, some, n=st.integers(1, 2), p=p),
            st.builds(lambda pair, p: A.OneOrOther(*pair[:2], p=p), some, p),
        )

    inner = st.recursive(transforms, nest, max_leaves=5)
    interpolation = st.sampled_from([None, cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT])
    return st.builds(A.Compose, st.lists(inner, max_size=3), mask_interpolation=interpolation)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:::albumentations")
@given(compositions())
@settings(max_examples=40)
def test_any_composition_can_be_rebuilt(compose: Any) -> None:
    check_rebuilt(compose)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_can_be_rebuilt(preset: str) -> None:
    check_rebuilt(PRESETS[preset](16, 16))


def test_what_albumentations_leaves_out() -> None:
    boxes = {"format": "yolo", "label_fields": ["labels"]}
    for plain, other in (
        (A.SelectiveChannelTransform([A.Blur()]), A.SelectiveChannelTransform([A.Blur()], channels=(0, 2))),
        (
            A.Compose([A.NoOp()], bbox_params=A.BboxParams(**boxes)),
            A.Compose([A.NoOp()], bbox_params=A.BboxParams(**boxes, filter_invalid_bboxes=True)),
        ),
    ):
        plain, other = (c if isinstance(c, A.Compose) else A.Compose([c]) for c in (plain, other))
        assert A.to_dict(plain) == A.to_dict(other)  # Albumentations sees no difference
        assert describe(plain) != describe(other)
        check_rebuilt(plain)
        check_rebuilt(other)
    assert describe(A.Compose([A.FDA(beta_limit=0.1)])) != describe(A.Compose([A.FDA(beta_limit=0.2)]))
    references = [np.zeros((4, 4, 3), np.uint8)], [np.ones((4, 4, 3), np.uint8)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated
        matching = [A.HistogramMatching(reference_images=r, read_fn=np.asarray) for r in references]
    assert describe(A.Compose([matching[0]])) != describe(A.Compose([matching[1]]))


def test_interpolation_of_masks() -> None:
    base = describe(A.Compose([A.Resize(8, 8)]))
    nested = [A.Resize(8, 8), A.OneOf([A.Rotate()])]
    compose = A.Compose(nested, mask_interpolation=cv2.INTER_NEAREST_EXACT)
    assert describe(A.Compose([A.Resize(8, 8)], mask_interpolation=cv2.INTER_NEAREST_EXACT)) != base
    check_rebuilt(compose)


def test_probabilities_of_one_of_are_kept_as_they_were_made() -> None:
    first, second = A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)
    compose = A.Compose([A.OneOf([first, second])])
    before = describe(compose)
    first.p = 1.0  # the choice was weighed when OneOf was made
    assert describe(compose) != before and rebuild(describe(compose)) is None


@pytest.mark.parametrize(
    "other",
    [
        A.Compose([A.Rotate(limit=16, p=0.5), A.OneOf([A.Blur(p=0.3), A.NoOp()]), A.Resize(8, 8)]),
        A.Compose([A.Rotate(limit=15, p=0.6), A.OneOf([A.Blur(p=0.3), A.NoOp()]), A.Resize(8, 8)]),
        A.Compose([A.Rotate(limit=15, p=0.5), A.OneOf([A.Blur(p=0.4), A.NoOp()]), A.Resize(8, 8)]),
        A.Compose([A.Rotate(limit=15, p=0.5), A.OneOf([A.Blur(p=0.3), A.NoOp()], p=0.6), A.Resize(8, 8)]),
        A.Compose([A.Rotate(limit=15, p=0.5), A.OneOf([A.NoOp(), A.Blur(p=0.3)]), A.Resize(8, 8)]),
        A.Compose([A.OneOf([A.Blur(p=0.3), A.NoOp()]), A.Rotate(limit=15, p=0.5), A.Resize(8, 8)]),
        A.Compose([A.Rotate(limit=15, p=0.5), A.SomeOf([A.Blur(p=0.3), A.NoOp()], n=1, p=0.5), A.Resize(8, 8)]),
        A.Compose([A.Rotate(limit=15, p=0.5), A.OneOf([A.Blur(p=0.3), A.NoOp()]), A.Resize(8, 8, interpolation=0)]),
    ],
)
def test_any_change_shows(other: Any) -> None:
    base = A.Compose([A.Rotate(limit=15, p=0.5), A.OneOf([A.Blur(p=0.3), A.NoOp()]), A.Resize(8, 8)])
    assert describe(other) != describe(base)


def test_what_decides_no_pixels_does_not_show() -> None:
    base = describe(A.Compose([A.HorizontalFlip(), A.Resize(8, 8)]))
    used = A.Compose([A.HorizontalFlip(), A.Resize(8, 8)], seed=3, strict=True, save_applied_params=True)
    used(image=np.array(SOURCE.image))
    assert describe(used) == base
