"""What the table of TRANSFORMS.md says of each transform that Albumentations exports is what becomes of it."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.errors import PipelineError
from tests.helpers.project import ROOT

SCRIPTS = ROOT / "scripts"
sys.path.append(str(SCRIPTS))

import transform_cells as cells  # noqa: E402
import transform_pictures as pictures  # noqa: E402
import transform_records as records  # noqa: E402
import transform_table as table  # noqa: E402

sys.path.remove(str(SCRIPTS))

CHOICE = cells.pairwise(list(cells.exported()), pictures.KINDS)


def test_each_exported_transform_has_its_line_and_each_kind_its_column() -> None:
    page = table.read_page()
    assert list(page) == list(cells.exported())
    assert {tuple(row) for row in page.values()} == {pictures.KINDS}
    found = [table.outcome_in(text, p) for row in page.values() for text in row.values() for p in cells.PROBABILITIES]
    assert {one for one in found if not one.startswith(("works", "refused: "))} == set()


def test_in_the_choice_each_two_of_transform_kind_and_probability_come_together() -> None:
    factors = [list(cells.exported()), pictures.KINDS, cells.PROBABILITIES]
    for a, b in itertools.combinations(range(3), 2):
        assert {(cell[a], cell[b]) for cell in CHOICE} == set(itertools.product(factors[a], factors[b]))
    assert len(CHOICE) == len(factors[0]) * len(factors[1]), "fewer there cannot be"
    assert cells.pairwise(list(cells.exported()), pictures.KINDS) == CHOICE


@pytest.mark.slow
@pytest.mark.parametrize("kind", pictures.KINDS)
def test_table_holds_of_a_pairwise_choice(kind: str, tmp_path: Path) -> None:
    page, drawn = table.read_page(), pictures.draw_pictures(tmp_path)
    expected = {(name, p): table.outcome_in(page[name][kind], p) for name, of, p in CHOICE if of == kind}
    found = {(name, p): cells.outcome(name, kind, p, drawn, tmp_path / name) for name, p in expected}
    assert found == expected


def test_cells_are_read_as_they_are_written() -> None:
    alike, other = {1.0: "works", 0.1: "works"}, {1.0: "refused: gives float32", 0.1: "works"}
    assert (table.text_of(alike), table.text_of(other)) == ("works", "p=1: refused: gives float32; p=0.1: works")
    for found in (alike, other):
        assert {p: table.outcome_in(table.text_of(found), p) for p in found} == found


# Records that are wrong are found to be so.


def flipped(kind: str, folder: Path, **changes: Any) -> None:
    """Check records of a flip; changes: feature → function that spoils it in the first record with objects."""
    drawn, transform = pictures.draw_pictures(folder), A.HorizontalFlip(p=1)
    precompute.build(
        output=folder / "out",
        **pictures.as_sources(drawn, kind),
        pipeline=A.Compose([transform, A.Resize(pictures.HEIGHT, pictures.WIDTH)]),
        variants=1,
        image_format="png",
        backend="sequential",
        quiet=True,
    )
    examples = list(precompute.read(folder / "out", split="train"))
    spoiled = next(example for example in examples if example["key"] != "3")
    for name, change in changes.items():
        spoiled[name] = change(spoiled[name])
    records.check_records(transform, kind, examples, drawn)


@pytest.mark.parametrize(
    ("kind", "feature", "change"),
    [
        ("class", "image", lambda image: image[:, ::-1]),
        ("class", "label", lambda label: 1 - label),
        ("several labels", "labels", lambda labels: [*labels, 1]),
        ("mask", "mask", lambda mask: mask[:, ::-1]),
        ("boxes", "boxes", lambda boxes: boxes + 1),
        ("boxes", "labels", lambda labels: labels[::-1]),
        ("keypoints", "boxes", lambda boxes: boxes + 4),
        ("keypoints", "keypoints", lambda points: points[:, ::-1]),
        ("keypoints", "keypoints", lambda points: points + 6),
        ("keypoints", "visibility", np.zeros_like),
        ("instances", "masks", lambda masks: masks[:, :, ::-1]),
        ("instances", "boxes", lambda boxes: boxes[::-1]),
    ],
)
def test_wrong_records_are_found(kind: str, feature: str, change: Any, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=f"HorizontalFlip, p=1, {kind}, source [0-2]"):
        flipped(kind, tmp_path, **{feature: change})


def test_objects_and_points_beside_the_pixels_are_found(tmp_path: Path) -> None:
    """Also where a Compose of one's own would make the same mistake."""
    picture = pictures.draw_pictures(tmp_path)[0]
    ids = np.arange(2)
    example = {
        "image": picture.image,
        "mask": picture.mask,
        "masks": picture.masks,
        "boxes": np.array([box[:4] for box in picture.boxes], np.float32),
        "labels": ids,
        "keypoints": np.array(picture.points)[..., :2],
        "visibility": np.full((2, 2), 2),
    }
    for kind in ("mask", "boxes", "instances"):
        records.check_objects(example, kind, "")
    records.check_points(example, "")
    mirrored = {**example, "image": picture.image[:, ::-1]}
    for kind in ("mask", "boxes", "instances"):
        with pytest.raises(AssertionError, match="is seen beside its target"):
            records.check_objects(mirrored, kind, "")
    with pytest.raises(AssertionError, match="keypoint beside its spot"):
        records.check_points(mirrored, "")
    with pytest.raises(AssertionError, match="spot without its keypoint"):
        records.check_points({**example, "visibility": np.zeros((2, 2))}, "")


def test_a_refusal_that_does_not_name_the_transform_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = pictures.draw_pictures(tmp_path)
    assert cells.outcome("FDA", "class", 1.0, drawn, tmp_path / "out") == "refused: needs fda_metadata"

    def refuse(**given: Any) -> None:
        raise PipelineError("cannot move boxes")

    monkeypatch.setattr(precompute, "build", refuse)
    with pytest.raises(AssertionError, match="refused without its name"):
        cells.outcome("FDA", "class", 1.0, drawn, tmp_path / "out")
