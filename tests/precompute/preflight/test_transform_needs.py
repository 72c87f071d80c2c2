"""What a transform needs and is not handed, and what can never work, is refused before the job by the name of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.cli import main
from precompute.errors import PipelineError
from tests.helpers.small_datasets import draw_classes, options, save

RESIZE = A.Resize(24, 24)


class NeedsDepth(A.ImageOnlyTransform):  # type: ignore[misc]
    """Reads what it does not declare."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        return {"depth": data["depth"]}

    def apply(self, img: Any, **params: Any) -> Any:
        return img


class RefusesHalf(A.ImageOnlyTransform):  # type: ignore[misc]
    """Depends on its source."""

    def apply(self, img: Any, **params: Any) -> Any:
        if img[0, 0, 0] > 128:
            raise ValueError("too bright")
        return img


def build(folder: Path, *transforms: Any, **given: Any) -> Any:
    compose = A.Compose([*transforms, RESIZE])
    return precompute.build(folder, folder.parent / "out", **options(pipeline=compose, variants=1, **given))


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (A.Mosaic(p=0.3), "Mosaic: mosaic_metadata"),
        (A.OneOf([A.HorizontalFlip(), A.Sequential([A.OverlayElements(p=0.1)])]), "OverlayElements: overlay_metadata"),
        (A.MaskDropout(p=0.1), "MaskDropout: mask"),
        (A.CropNonEmptyMaskIfExists(8, 8, p=0.1), "CropNonEmptyMaskIfExists: mask or masks"),
        (A.RandomSizedBBoxSafeCrop(8, 8, p=0.1), "RandomSizedBBoxSafeCrop: bboxes"),
        (A.RandomCropNearBBox(cropping_bbox_key="hat", p=0.1), "RandomCropNearBBox: hat"),
        (A.ConstrainedCoarseDropout(mask_indices=[1], bbox_labels=[1], p=0.1), "Dropout: mask or bboxes"),
        (A.CenterCrop3D((4, 4, 4), p=0.1), "CenterCrop3D: volume"),
    ],
)
def test_what_is_not_handed_over_is_named(transform: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=rf"(?s)these transforms need .*there is image\).*{words}"):
        build(draw_classes(tmp_path / "in"), A.HorizontalFlip(), transform)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_the_command_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = draw_classes(tmp_path / "in")
    text = "import albumentations as A\ntrain = A.Compose([A.Mosaic(p=0.01), A.Resize(8, 8)])\n"
    (tmp_path / "p.py").write_text(text)
    assert (
        main(["build", str(source), str(tmp_path / "out"), "--pipeline", str(tmp_path / "p.py"), "--skip-bad=9"]) == 1
    )
    assert "Mosaic: mosaic_metadata" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (NeedsDepth(p=0.01), "NeedsDepth: .*KeyError: 'depth'"),
        (A.RandomCrop(500, 500, p=0.01), "RandomCrop: .*Crop size"),
        (A.OneOf([A.Blur(), A.ToFloat(p=0.01)], p=0.1), "ToFloat: .*float32 where uint8 is expected"),
    ],
)
def test_what_works_on_no_source_is_named(transform: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=f"(?s)where these transforms run, none of the first.*{words}"):
        build(draw_classes(tmp_path / "in"), A.HorizontalFlip(), transform)


def test_size_that_varies_seldom_is_found(tmp_path: Path) -> None:
    source = draw_classes(tmp_path / "in")
    compose = A.Compose([RESIZE, A.RandomCrop(8, 8, p=0.001)])
    with pytest.raises(PipelineError, match=r"(?s)the size of its output varies.*RandomCrop"):
        precompute.build(source, tmp_path / "out", **options(pipeline=compose, variants=1))


def test_failure_of_some_sources_stays_a_bad_source(tmp_path: Path) -> None:
    for i in range(6):
        save(tmp_path / "in" / "cat" / f"{i}.png", np.full((32, 32, 3), 40 * i, np.uint8))
    result = build(tmp_path / "in", RefusesHalf(p=0.999), skip_bad=3)
    assert len(result.manifest.skipped) == 2


def test_transform_that_works_once_the_pipeline_has_sized_images(tmp_path: Path) -> None:
    source = draw_classes(tmp_path / "in")
    compose = A.Compose([A.Resize(90, 90), A.OneOf([A.RandomCrop(64, 64), A.CenterCrop(64, 64)], p=1)])
    precompute.build(source, tmp_path / "out", **options(pipeline=compose, variants=1))
    assert {example["image"].shape for example in precompute.read(tmp_path / "out", split="train")} == {(64, 64, 3)}
