"""Class ids that come out of a pipeline are among those that went in, or what its transforms fill with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import PipelineError, SettingsError
from precompute.pipelines.load import PRESETS, load_pipelines
from precompute.pipelines.mask_rules import AllowedIds, UnknownIds, blending_transforms, mask_fills
from precompute.pipelines.pipeline import Pipeline, prepare, rebuild
from precompute.rendering.decode import Decoded
from precompute.rendering.render import augment
from precompute.rendering.spec import RecordSpec
from precompute.verifying.verify import verify
from tests.helpers.decoded_sources import mask_spec, some_sources
from tests.helpers.small_datasets import draw_pairs, options

IDS = st.sets(st.one_of(st.integers(0, 8), st.integers(250, 260), st.integers(0, 65_535)), min_size=1, max_size=6)


def made_pipeline(*transforms: Any, **given: Any) -> Pipeline:
    return Pipeline(prepare(A.Compose([*transforms], **given), "train").pickled)


def source_of(ids: list[int], dtype: str = "uint8") -> tuple[Decoded, RecordSpec]:
    """A source whose mask is a chequer of these ids, and what its records are."""
    source = some_sources(1)[0]
    chosen = np.random.default_rng(0).integers(0, len(ids), (24, 20))
    return replace(source, values={"mask": np.array(ids, dtype)[chosen]}), mask_spec(dtype=dtype)


# The check itself, with sets as the judge.


@settings(max_examples=200)
@given(inside=IDS, others=IDS, out=IDS, wide=st.booleans())
def test_the_check_agrees_with_sets(inside: set[int], others: set[int], out: set[int], wide: bool) -> None:
    if not wide:
        inside, out = {i % 256 for i in inside}, {i % 256 for i in out}
    dtype = np.uint16 if wide else np.uint8
    allowed = AllowedIds.of(inside | others)
    assert allowed.unknown(np.array([sorted(out)], dtype)) == sorted(out - inside - others)


@settings(max_examples=40)
@given(
    ids=st.lists(st.integers(0, 255), min_size=1, max_size=5, unique=True),
    fill=st.integers(0, 255),
    variant=st.integers(0, 10**6),
    border=st.sampled_from([cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101]),
)
def test_nearest_pipelines_pass_whatever_the_ids(ids: list[int], fill: int, variant: int, border: int) -> None:
    source, spec = source_of(ids)
    pipeline = made_pipeline(
        A.OneOf([A.Affine(rotate=(-90, 90), fill_mask=fill, border_mode=border, p=1), A.ElasticTransform(p=1)], p=1),
        A.PadIfNeeded(30, 30, fill_mask=fill),
        A.CoarseDropout(fill_mask=fill, p=0.5),
        A.Resize(17, 13),
    )
    mask = augment(source, pipeline, spec, seed=0, variant=variant)[1]["mask"]
    assert mask is not None
    assert set(np.unique(mask).tolist()) <= {*ids, fill, 0}


@settings(max_examples=25)
@given(low=st.integers(0, 100), distance=st.integers(20, 155))
def test_blended_ids_are_always_refused(low: int, distance: int) -> None:
    source, spec = source_of([low, low + distance])
    pipeline = made_pipeline(A.Resize(37, 41, mask_interpolation=cv2.INTER_LINEAR))
    with pytest.raises(UnknownIds, match=r"made class ids that its mask does not hold: \d+.*mask_interpolation"):
        augment(source, pipeline, spec, seed=0, variant=0)


def test_wide_masks_are_checked_too() -> None:
    source, spec = source_of([3, 700], "uint16")
    augment(source, made_pipeline(A.HorizontalFlip(p=1)), spec, seed=0, variant=0)
    with pytest.raises(UnknownIds):
        blending = made_pipeline(A.Resize(37, 41, mask_interpolation=cv2.INTER_LINEAR))
        augment(source, blending, spec, seed=0, variant=0)


def test_the_ignore_class_may_always_appear() -> None:
    source, spec = source_of([0, 1])

    def void(mask: np.ndarray[Any, Any], **_: Any) -> np.ndarray[Any, Any]:
        return np.full_like(mask, 255)

    pipeline = made_pipeline(A.Lambda(mask=void, name="void"))
    with pytest.raises(UnknownIds, match="does not hold: 255"):
        augment(source, pipeline, spec, seed=0, variant=0)
    augment(source, pipeline, mask_spec(ignore=255), seed=0, variant=0)


def test_what_a_pipeline_states() -> None:
    compose = A.Compose(
        [
            A.OneOf([A.Affine(fill_mask=4), A.Rotate(fill_mask=4)]),
            A.PadIfNeeded(64, 64, fill_mask=(7,)),
            A.PixelDropout(mask_drop_value=9),
            A.CoarseDropout(),
            A.Perspective(fill_mask=5, border_mode=cv2.BORDER_REFLECT),  # borders are mirrored: 5 is never used
            A.RandomCrop(8, 8, fill_mask=6),  # nothing is padded unless asked for
            A.Pad(fill_mask=2.5),
        ]
    )
    assert mask_fills(compose) == {0: "the default", 4: "Affine", 7: "PadIfNeeded", 9: "PixelDropout"}
    assert blending_transforms(compose) == []
    linear = A.Compose([A.Rotate(), A.HorizontalFlip()], mask_interpolation=cv2.INTER_LINEAR)
    assert blending_transforms(linear) == ["Rotate"]


# What fills where the pipeline does not say it.


def filled_with(transform: Any, mask_fill: int | None) -> set[int]:
    """Ids that come of a mask of ones."""
    source, _ = source_of([1])
    pipeline = Pipeline(prepare(A.Compose([transform, A.Resize(20, 20)]), "train", mask_fill=mask_fill).pickled)
    masks = [augment(source, pipeline, mask_spec(ignore=255), seed=0, variant=v)[1]["mask"] for v in range(6)]
    return {int(i) for mask in masks if mask is not None for i in np.unique(mask)}


def zeros(mask: np.ndarray[Any, Any], **_: Any) -> np.ndarray[Any, Any]:
    return np.zeros_like(mask)


@pytest.mark.parametrize(
    "transform",
    [
        A.Rotate(limit=(45, 45), p=1),
        A.SafeRotate(limit=(45, 45), p=1),
        A.Affine(translate_px=9, p=1),
        A.Perspective(scale=(0.2, 0.2), fit_output=True, p=1),
        A.PadIfNeeded(40, 40, p=1),
        A.CropAndPad(px=5, p=1),
        A.RandomCrop(40, 40, pad_if_needed=True, p=1),
        A.OpticalDistortion(distort_limit=(0.9, 0.9), p=1),
        A.OneOf([A.Sequential([A.Rotate(limit=(45, 45), fill_mask=0, p=1)])], p=1),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_a_fill_at_its_default_becomes_the_ignore_class(transform: Any) -> None:
    assert filled_with(transform, None) == {0, 1}
    assert filled_with(transform, 255) == {1, 255}


@pytest.mark.parametrize(
    ("transform", "ids"),
    [
        (A.Rotate(limit=(45, 45), fill_mask=7, p=1), {1, 7}),
        (A.CoarseDropout(fill_mask=0, p=1), {0, 1}),  # by default it leaves masks alone: this 0 was given
        (A.CoarseDropout(p=1), {1}),
        (A.Rotate(limit=(45, 45), border_mode=cv2.BORDER_REFLECT_101, p=1), {1}),
        (A.Lambda(mask=zeros, name="zeros", p=1), {0}),
    ],
)
def test_a_fill_that_was_given_stays(transform: Any, ids: set[int]) -> None:
    prepared = prepare(A.Compose([transform]), "train", mask_fill=255)
    assert (prepared.notes, prepared.description) == ([], prepare(A.Compose([transform]), "train").description)
    assert filled_with(transform, 255) == ids


def test_the_users_own_pipeline_stays_as_it_is_and_the_note_says_what_changed() -> None:
    compose = A.Compose([A.Rotate(), A.OneOf([A.Rotate(), A.PadIfNeeded(64, 64)])])
    (note,) = prepare(compose, "train", mask_fill=255).notes
    assert note.startswith("pipeline of train: Rotate, PadIfNeeded fill masks with the ignore class, 255, where")
    assert mask_fills(compose) == {0: "the default"}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_fill_with_the_ignore_class(preset: str) -> None:
    """Also where they fill what is hidden: of masks without a background, class 0 may be the road."""
    source, _ = source_of([1])
    for mask_fill, fill in ((255, 255), (None, 0)):
        given = load_pipelines(preset, (16, 16), mask_fill=mask_fill)["train"]
        prepared = prepare(given, "train", mask_fill=mask_fill)
        made = Pipeline(prepared.pickled)
        masks = [augment(source, made, mask_spec(ignore=255), seed=0, variant=v)[1]["mask"] for v in range(40)]
        assert {int(i) for mask in masks if mask is not None for i in np.unique(mask)} == {1, fill}
        assert (prepared.notes, rebuild(prepared.description) is not None) == ([], True)


# In a build.


def built(tmp_path: Path, *transforms: Any, **changes: Any) -> Any:
    draw_pairs(tmp_path / "data")
    pipeline = A.Compose([*transforms, A.Resize(16, 16)])
    return precompute.build(tmp_path / "data", tmp_path / "out", **options(pipeline=pipeline, variants=1, **changes))


@pytest.mark.parametrize(
    "blending",
    [
        A.Affine(rotate=10, mask_interpolation=cv2.INTER_LINEAR, p=1),
        A.OneOf([A.RandomScale(mask_interpolation=cv2.INTER_AREA)], p=0.01),
    ],
)
def test_a_pipeline_that_blends_is_refused_before_the_job(tmp_path: Path, blending: Any) -> None:
    with pytest.raises(PipelineError, match="would blend class ids.*Leave mask_interpolation at cv2.INTER_NEAREST"):
        built(tmp_path, blending)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_code_that_makes_ids_is_refused_before_the_job(tmp_path: Path) -> None:
    def shift(mask: np.ndarray[Any, Any], **_: Any) -> np.ndarray[Any, Any]:
        return mask + np.uint8(1)

    with pytest.raises(PipelineError, match=r"pipeline of train: .*ids that its mask does not hold: 3\..*--mask-map"):
        built(tmp_path, A.Lambda(mask=shift, name="shift"))


def test_a_fill_that_is_no_class_is_refused_where_classes_are_known(tmp_path: Path) -> None:
    fill = A.Affine(translate_px=8, fill_mask=9, p=1)
    for num_classes in (3, 9):
        with pytest.raises(PipelineError, match="Affine fills masks with 9, and classes go from 0 to"):
            built(tmp_path, fill, num_classes=num_classes)
    assert built(tmp_path, fill, num_classes=10).manifest.target.num_classes == 10


def test_a_fill_that_makes_a_class_is_counted_and_said(tmp_path: Path) -> None:
    result = built(tmp_path, A.Affine(translate_px=8, fill_mask=9, p=1))
    (warning,) = [text for text in result.warnings() if "fills" in text]
    assert warning.startswith("Affine fills masks with 9, which no source holds: it counts as a class of its own (10")
    assert Manifest.load(tmp_path / "out").target.num_classes == 10
    assert verify(tmp_path / "out", sources=5).problems == []


@pytest.mark.parametrize("changes", [{"ignore_class": 9}, {"num_classes": 12}])
def test_a_fill_that_was_spoken_of_is_no_news(tmp_path: Path, changes: dict[str, Any]) -> None:
    result = built(tmp_path, A.Affine(translate_px=8, fill_mask=9, p=1), **changes)
    assert [text for text in result.warnings() if "fills" in text] == []
    assert result.manifest.target.num_classes == changes.get("num_classes", 3)
    assert verify(tmp_path / "out").problems == []


def test_a_fill_beyond_one_byte_makes_wide_masks(tmp_path: Path) -> None:
    result = built(tmp_path, A.PadIfNeeded(40, 40, fill_mask=300))
    assert (result.manifest.target.dtype, result.manifest.target.num_classes) == ("uint16", 301)
    assert {300} < {int(i) for example in precompute.read(tmp_path / "out") for i in np.unique(example["mask"])}


def ids_of(out: Path) -> set[int]:
    return {int(i) for example in precompute.read(out) for i in np.unique(example["mask"])}


@pytest.mark.slow
def test_corners_are_void_where_there_is_an_ignore_class(tmp_path: Path) -> None:
    ones = {"mask_map": {0: 1, 2: 1}}  # so that a 0 can only be invented
    rotate, filled = A.Rotate(limit=(45, 45), p=1), A.Rotate(limit=(45, 45), fill_mask=1, p=1)
    built(tmp_path / "void", rotate, ignore_class=255, **ones)
    assert ids_of(tmp_path / "void" / "out") == {1, 255}
    built(tmp_path / "filled", filled, ignore_class=255, **ones)
    assert ids_of(tmp_path / "filled" / "out") == {1}
    built(tmp_path / "plain", rotate, **ones)
    assert ids_of(tmp_path / "plain" / "out") == {0, 1}
    built(tmp_path / "kept", rotate, ignore_class=255, mask_fill="as-written", **ones)
    assert ids_of(tmp_path / "kept" / "out") == {0, 1}


@pytest.mark.parametrize("mask_fill", ["ignore", "as-written"])
def test_what_fills_is_known_to_whoever_makes_records_again(tmp_path: Path, mask_fill: str) -> None:
    rotate, out = A.Rotate(limit=(45, 45), p=1), tmp_path / "out"
    built(tmp_path, rotate, ignore_class=255, mask_fill=mask_fill)
    assert verify(out, sources=20).problems == []  # by the manifest's own pipeline
    assert verify(out, sources=20, pipeline=A.Compose([rotate, A.Resize(16, 16)])).problems == []
    other = {"ignore": "as-written", "as-written": "ignore"}[mask_fill]
    with pytest.raises(SettingsError, match=r"pipeline of train › Rotate › fill_mask: \d+ in the dataset, \d+ now"):
        built(tmp_path, rotate, ignore_class=255, mask_fill=other)
