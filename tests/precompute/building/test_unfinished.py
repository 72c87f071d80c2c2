"""An unfinished build without a whole row gives way to other settings; what has whole rows does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError, SettingsError
from tests.helpers.small_datasets import draw_pairs, options, save, shard_hashes


def draw_colors(folder: Path) -> Path:
    """Draw pairs of which most masks are colours, and some that hold ids after all."""
    draw_pairs(folder, 40)
    for i in range(3, 40):
        colors = np.zeros((20 + i % 3, 18 + i % 5, 3), np.uint8)
        colors[4:9, 4:9] = (255, 0, 0)
        save(folder / "masks" / f"s{i:03d}.png", colors)
    for i in range(3):
        save(folder / "masks" / f"s{i:03d}.png", np.zeros((20 + i % 3, 18 + i % 5, 3), np.uint8))
    return folder


@pytest.mark.parametrize("split", [0.0, 0.25])
def test_masks_of_colours_need_no_replace_after_the_first_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], split: float
) -> None:
    folder, out = draw_pairs(tmp_path / "data", 40), tmp_path / "out"
    plain = options(validation_split=split, pipeline=A.Compose([A.HorizontalFlip(p=0.5), A.Resize(16, 16)]))
    for i in (7, 21, 30):
        colors = np.zeros((20 + i % 3, 18 + i % 5, 3), np.uint8)
        colors[4:9, 4:9] = (255, 0, 0)
        save(folder / "masks" / f"s{i:03d}.png", colors)
    with pytest.raises(BadSourcesError, match="--mask-colors"):
        precompute.build(folder, out, **plain)
    draw_colors(folder)
    given: dict[str, Any] = {**plain, "mask_colors": {(0, 0, 0): 0, (255, 0, 0): 1}, "quiet": False}
    precompute.build(folder, out, **given)
    assert "the unfinished build had other settings and no whole row, and begins anew (" in capsys.readouterr().err
    assert Manifest.load(out).target.num_classes == 2
    precompute.build(folder, tmp_path / "new" / "out", **{**given, "quiet": True})
    mine = {name.replace(Manifest.load(out).generation, "g0001"): value for name, value in shard_hashes(out).items()}
    assert mine == shard_hashes(tmp_path / "new" / "out")


def test_an_unfinished_build_with_a_whole_row_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from precompute.building import write

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    folder, out = draw_pairs(tmp_path / "data", 12), tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(write, "start_manifest", interrupted)  # all is written, and nothing is listed yet
        precompute.build(folder, out, **options())
    before = shard_hashes(out)
    with pytest.raises(SettingsError, match="unfinished build was made with other settings"):
        precompute.build(folder, out, **options(image_format="jpeg"))
    assert shard_hashes(out) == before
    precompute.build(folder, out, **options())
    assert shard_hashes(out) == before


def test_a_listed_dataset_stays_whatever_is_unfinished(tmp_path: Path) -> None:
    folder, out = draw_pairs(tmp_path / "data", 12), tmp_path / "out"
    precompute.build(folder, out, **options())
    before = Manifest.load(out)
    with pytest.raises(SettingsError, match="dataset was made with other settings"):
        precompute.build(folder, out, **options(image_format="jpeg"))
    assert Manifest.load(out) == before


def test_a_job_whose_sources_nearly_all_fail_for_one_reason_does_not_begin(tmp_path: Path) -> None:
    folder, out = draw_colors(tmp_path / "data"), tmp_path / "out"
    for i in range(3):
        save(folder / "masks" / f"s{i:03d}.png", np.ones((20 + i % 3, 18 + i % 5), np.uint8))
    with pytest.raises(BadSourcesError, match="37 of the first 40 sources of train cannot be used") as caught:
        precompute.build(folder, out, **options(validation_split=0.0))
    assert "37 × holds colours" in str(caught.value) and "--mask-colors" in str(caught.value)
    assert not any(out.rglob("*.tfrecord-*"))
    with pytest.raises(BadSourcesError, match="37 of the first 40"):
        precompute.build(folder, out, **options(validation_split=0.0, skip_bad="50%"))
    made = precompute.build(folder, out, **options(validation_split=0.0, skip_bad="95%"))
    assert made.num_records == 3 * 3


def test_sources_that_fail_for_several_reasons_are_all_gone_through(tmp_path: Path) -> None:
    folder = draw_pairs(tmp_path / "data", 40)
    for i in range(20):
        (folder / "images" / f"s{i:03d}.png").write_bytes(b"")
    for i in range(20, 38):
        save(folder / "masks" / f"s{i:03d}.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(BadSourcesError, match="38 of 40 sources are bad"):
        precompute.build(folder, tmp_path / "out", **options(validation_split=0.0))


def test_a_pipeline_that_fails_on_nearly_all_is_told_before_the_job(tmp_path: Path) -> None:
    folder, out = draw_pairs(tmp_path / "data", 40), tmp_path / "out"
    save(folder / "images" / "s004.png", np.zeros((64, 64, 3), np.uint8))
    save(folder / "masks" / "s004.png", np.zeros((64, 64), np.uint8))
    crop = {"train": A.Compose([A.RandomCrop(30, 30), A.Resize(16, 16)]), "validation": A.Compose([A.Resize(16, 16)])}
    with pytest.raises(precompute.PrecomputeError, match="it failed in 78 of the first 80 images"):
        precompute.build(folder, out, **options(pipeline=crop, validation_split=0.0))
    assert not any(out.rglob("*.tfrecord-*"))
