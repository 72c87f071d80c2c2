"""`precompute diff --against-installed`: what changed is found, and what did not is cleared."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.cli import main
from precompute.comparing.diff import diff
from precompute.comparing.page import page_of
from precompute.errors import DatasetError, PipelineError, UsageError
from precompute.pages.blocks import Pictures, Table
from precompute.rendering import render as rendering
from tests.helpers.golden_datasets import FORMATS, build_golden
from tests.helpers.small_datasets import draw_classes, draw_pairs, options

SIZED = A.Resize(16, 16)
PIPELINE = A.Compose(
    [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.OneOf([A.Rotate(p=1), A.Blur(p=1)], p=0.5), SIZED]
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    given = options(pipeline=PIPELINE, include_original=True, variants=4)
    precompute.build(draw_pairs(folder / "sources"), folder / "out", **given)
    return folder / "out"


def brighten(monkeypatch: pytest.MonkeyPatch, transform: type) -> None:
    """Let a transform make images brighter by two levels, as if another version of it were installed."""
    apply = transform.apply  # type: ignore[attr-defined]

    def brighter(self: Any, img: Any, *args: Any, **params: Any) -> Any:
        made = apply(self, img, *args, **params)
        return made if made.ndim == 2 else np.clip(made.astype(int) + 2, 0, 255).astype(np.uint8)  # not masks

    monkeypatch.setattr(transform, "apply", brighter)


def test_what_is_installed_makes_the_same(out: Path) -> None:
    found = diff(out, against_installed=True)
    assert found.are_equal and found.pairs == [] and found.suspects == [] and found.num_unexplained == 0
    assert found.num_records == found.num_equal == 5 * 9 + 3
    assert found.summary().endswith("48 equal byte for byte, 0 with other values\nEQUAL")
    assert diff(out, against_installed=True, num_pairs=7).num_records == 7
    assert diff(out, against_installed=True, rows="1,2").num_records == 2 * 9


@pytest.mark.parametrize("kind", ["multilabel-png", "boxes-png", "keypoints-png", "instances-png", "numbers-png"])
def test_any_field_is_made_again_and_a_flip_that_is_none_is_found(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = build_golden(kind, tmp_path)
    assert diff(out, against_installed=True).are_equal
    monkeypatch.setattr(A.HorizontalFlip, "apply", lambda self, img, **params: img)
    found = diff(out, against_installed=True)
    assert [one.name for one in found.suspects] == ["HorizontalFlip"] and not found.are_equal


@pytest.mark.parametrize(("transform", "name"), [(A.VerticalFlip, "VerticalFlip"), (A.Rotate, "OneOf › Rotate")])
def test_the_transform_that_changed_is_the_suspect(
    out: Path, monkeypatch: pytest.MonkeyPatch, transform: type, name: str
) -> None:
    brighten(monkeypatch, transform)
    found = diff(out, against_installed=True)
    assert [one.name for one in found.suspects] == [name] and not found.are_equal and found.num_unexplained == 0
    [suspect] = found.suspects
    assert suspect.num_applied == suspect.num_different == len(found.pairs) > 5 and suspect.num_others_different == 0
    assert suspect.levels == pytest.approx(2, abs=0.3)
    assert {one.name for one in found.transforms if one.is_cleared} == {one.name for one in found.transforms} - {name}
    assert [value.name for value in found.values] == ["image"]
    text = found.summary()
    assert f"suspect: {name}; every record" in text and "evidence, and no proof" in text


def test_another_processor_is_noted(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precompute.verifying.reproduced.cv2.getCPUFeaturesLine", lambda: "other")
    assert "this processor has other features" in diff(out, against_installed=True, num_pairs=1).notes[0]


def test_what_always_happens_cannot_be_told_from_decoding_and_encoding(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brighten(monkeypatch, A.Resize)
    found = diff(out, against_installed=True)
    assert len(found.pairs) == found.num_records == found.num_unexplained and found.suspects == []
    assert not any(one.is_cleared for one in found.transforms)
    assert "48 records differ without a suspect: decoding, encoding, Resize?" in found.summary()


def test_other_bytes_of_the_same_pixels_are_no_other_values(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(image: Any, *_: Any) -> bytes:
        content = io.BytesIO()
        Image.fromarray(image).save(content, "png", compress_level=1)
        return content.getvalue()

    monkeypatch.setattr(rendering, "encode_image", encode)
    found = diff(out, against_installed=True)
    assert found.pairs == [] and found.num_unexplained == 0 and found.num_equal == 0 and not found.are_equal
    assert "0 equal byte for byte, 48 with the same values in other bytes" in found.summary()


def test_the_command_writes_json_and_a_page(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", str(out), "--against-installed"]) == 0
    capsys.readouterr()
    brighten(monkeypatch, A.VerticalFlip)
    given = ["--json", str(tmp_path / "diff.json"), "--output", str(tmp_path / "diff.html")]
    assert main(["diff", str(out), "--against-installed", *given]) == 5
    assert capsys.readouterr().out.endswith("\nDIFFERENT\n")
    content = json.loads((tmp_path / "diff.json").read_text())
    assert list(content) == [
        *("equal", "dataset", "versions", "num_records", "num_equal", "num_different", "num_unexplained", "values"),
        *("transforms", "pairs", "failed", "notes"),
    ]
    assert [one["name"] for one in content["transforms"] if one["suspect"]] == ["VerticalFlip"]
    assert "made again" in (tmp_path / "diff.html").read_text()
    found = diff(out, against_installed=True)
    assert content == found.to_dict()
    pixels, transforms = page_of(found).sections
    assert [type(block) for block in pixels.blocks][1:] == [Table, Pictures]
    assert [row[0] for row in transforms.blocks[0].rows if row[-1] == "suspect"] == ["VerticalFlip"]
    assert found._repr_html_().count("<img") >= 5 * 2


def test_sources_that_changed_or_went_are_told(out: Path, tmp_path: Path) -> None:
    root = Path(json.loads((out / "manifest.json").read_text())["settings"]["dataset"]["root"])
    shutil.copytree(root, tmp_path / "moved")
    found = diff(out, against_installed=True, source=tmp_path / "moved")
    assert found.are_equal
    path = next((tmp_path / "moved/images").glob("s000*"))
    path.unlink()
    found = diff(out, against_installed=True, source=tmp_path / "moved")
    assert not found.are_equal and found.num_equal == found.num_records < 48
    assert len(found.failed) == 48 - found.num_records and "s000" in found.failed[0]
    assert "could not be made again:" in found.summary()
    with pytest.raises(DatasetError, match="of 48 records none could be made again, e.g. "):
        diff(out, against_installed=True, source=tmp_path / "nowhere")


class Own(A.ImageOnlyTransform):
    def apply(self, img: Any, **params: Any) -> Any:
        return 255 - img


def test_a_pipeline_of_the_users_own_has_to_be_given(tmp_path: Path) -> None:
    own = A.Compose([Own(p=0.5), A.Resize(16, 16)])
    precompute.build(draw_classes(tmp_path / "sources"), tmp_path / "out", **options(pipeline=own))
    with pytest.raises(PipelineError, match="Pass the file that it was built with: --pipeline FILE"):
        diff(tmp_path / "out", against_installed=True)
    assert diff(tmp_path / "out", against_installed=True, pipeline=own).are_equal


def test_arguments_that_do_not_go_together_are_refused(out: Path) -> None:
    for given, message in (
        ({"b": out}, "b: does not go with --against-installed"),
        ({"rows": "0", "rows_b": "1"}, "rows_b: does not go with --against-installed"),
        ({"seed": 0, "seed_b": 1}, "seed_b: does not go with --against-installed"),
    ):
        with pytest.raises(UsageError, match=message):
            diff(out, against_installed=True, **given)
    with pytest.raises(UsageError, match="pipeline, source: go with --against-installed"):
        diff(out, out, source="here")


def test_old_formats_name_versions_that_are_not_installed(tmp_path: Path) -> None:
    golden = FORMATS / "format-1/class-png/golden"
    with pytest.raises((DatasetError, PipelineError)):  # their sources are gone
        diff(golden, against_installed=True)
