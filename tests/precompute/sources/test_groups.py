"""Groups from a pattern in the keys; and images that are there twice with different answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.errors import SettingsError, SourceError, UsageError
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from tests.helpers.decoded_sources import random_pixels
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save

PATIENTS = r"^(patient\d+)_"


def draw_patients(folder: Path, patients: int = 8, slices: int = 5) -> Path:
    for patient in range(patients):
        for i in range(slices):
            name = f"patient{patient}_slice{i}.png"
            save(folder / "images" / name, random_pixels(20, 20, 3, seed=100 * patient + i))
            save(folder / "masks" / name, random_pixels(20, 20, high=2, seed=i))
    return folder


def entries(out: Path) -> list[dict[str, str]]:
    files = sorted(out.glob("data/g*/sources-*.jsonl"))
    return [{**json.loads(line), "split": file.stem.partition("-")[2]} for file in files for line in file.open()]


@pytest.mark.parametrize("seed", [0, 1])
def test_splits_never_tear_a_group_apart(tmp_path: Path, seed: int) -> None:
    source = draw_patients(tmp_path / "data")
    precompute.build(source, tmp_path / "out", **options(group_by=PATIENTS, seed=seed, variants=1, test_split=0.25))
    found = {(entry["group"], entry["split"]) for entry in entries(tmp_path / "out")}
    assert len(found) == 8 and {split for _, split in found} == {"train", "validation", "test"}
    assert all(entry["key"].startswith(entry["group"] + "_") for entry in entries(tmp_path / "out"))
    assert Manifest.load(tmp_path / "out").settings["dataset"]["group_by"] == PATIENTS


def test_without_it_nothing_is_recorded(tmp_path: Path) -> None:
    source = draw_patients(tmp_path / "data", slices=2)
    precompute.build(source, tmp_path / "out", **options(variants=1))
    assert "group_by" not in Manifest.load(tmp_path / "out").settings["dataset"]
    assert not any("group" in entry for entry in entries(tmp_path / "out"))
    with pytest.raises(SourceError, match="stored in another split than their group"):
        precompute.build(source, tmp_path / "out", **options(variants=1, group_by=PATIENTS))
    precompute.build(source, tmp_path / "whole", **options(variants=1, validation_split=0.0))
    with pytest.raises(SettingsError, match=r"dataset\.group_by: none in the dataset"):
        precompute.build(source, tmp_path / "whole", **options(variants=1, validation_split=0.0, group_by=PATIENTS))


def test_rows_are_added_to_groups(tmp_path: Path) -> None:
    source = draw_patients(tmp_path / "data", slices=2)
    for variants in (1, 2):
        precompute.build(source, tmp_path / "out", **options(variants=variants, group_by=PATIENTS))
    precompute.regenerate(tmp_path / "out", seed=3, jobs=1, backend="sequential", quiet=True)
    assert precompute.verify(tmp_path / "out", jobs=1).problems == []


def test_what_a_pattern_finds(tmp_path: Path) -> None:
    source = draw_patients(tmp_path / "data", patients=2, slices=2)

    def groups(pattern: str) -> list[str | None]:
        found = find(source, BuildOptions(group_by=pattern)).groups
        assert found is not None
        return list(found)

    assert groups(r"patient\d+") == ["patient0", "patient0", "patient1", "patient1"]
    assert groups(r"t(\d+)_slice(\d+)") == ["0/0", "0/1", "1/0", "1/1"]
    assert groups(r"(patient0)_|(.+)") == ["patient0", "patient0", "patient1_slice0", "patient1_slice1"]
    (note,) = find(source, BuildOptions(group_by=".+")).notes
    assert "EACH SOURCE IS ALONE" in note


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("(patient", UsageError, "is no regular expression .*unterminated"),
        ("*_slice", UsageError, "is no regular expression .*do not stand for file names"),
        ("", UsageError, "expected a regular expression"),
        (r"^(scene\d+)", SourceError, r"finds no group in 40 of 40 keys:\n  patient0_slice0"),
        (r"^(patient[0-6])_", SourceError, r"finds no group in 5 of 40 keys:\n  patient7_slice0"),
        (r"^(x?)patient", SourceError, "finds no group in 40 of 40 keys"),
    ],
)
def test_patterns_that_find_no_groups(
    tmp_path: Path, pattern: str, error: type[precompute.PrecomputeError], message: str
) -> None:
    with pytest.raises(error, match=message):
        precompute.build(draw_patients(tmp_path / "data"), tmp_path / "out", **options(group_by=pattern))
    assert not (tmp_path / "out/manifest.json").exists()


def test_the_command_line_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["build", str(draw_patients(tmp_path / "data")), str(tmp_path / "out"), "--pipeline", "light"]
    assert main([*given, "--image-size", "16", "--group-by", "(patient"]) == 2
    assert "group_by (--group-by): '(patient' is no regular expression" in capsys.readouterr().err


def test_sources_with_groups_of_their_own(tmp_path: Path) -> None:
    source = draw_patients(tmp_path / "data", patients=2, slices=2)
    items = [
        precompute.Source(path.stem, path, mask=source / "masks" / path.name, group="a")
        for path in sorted((source / "images").iterdir())
    ]
    with pytest.raises(UsageError, match="come with groups of their own"):
        precompute.build(items, tmp_path / "out", **options(group_by=PATIENTS))


# The same image twice, with different answers.


def test_one_image_in_two_classes_is_reported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = draw_classes(tmp_path / "data")
    shutil.copy(folder / "cat/cat001.png", folder / "dog/again.png")
    shutil.copy(folder / "cat/cat002.png", folder / "cat/same.png")  # twice, and no contradiction
    result = precompute.build(folder, tmp_path / "out", **options(validation_split=0.0, quiet=False, variants=1))
    assert result.manifest is not None
    assert result.manifest.conflicts == {"num_sources": 2, "examples": [["cat/cat001", "dog/again"]]}
    said = "2 sources hold the same image as another one with another label, e.g. cat/cat001 = dog/again"
    assert said in capfd.readouterr().err
    assert main(["inspect", str(tmp_path / "out")]) == 0
    assert "warning: 2 sources hold the same image as another one with another label:\n  cat/cat001 = dog/again" in (
        capfd.readouterr().out
    )


def test_one_image_with_two_masks_is_reported(tmp_path: Path) -> None:
    folder = draw_pairs(tmp_path / "data")
    shutil.copy(folder / "images/s000.png", folder / "images/s003.png")
    shutil.copy(folder / "images/s001.png", folder / "images/s004.png")
    shutil.copy(folder / "masks/s001.png", folder / "masks/s004.png")
    for name in ("images", "masks"):  # of one size
        shutil.copy(folder / name / "s000.png", folder / name / "t.png")
    save(folder / "masks/s003.png", random_pixels(20, 18, high=2))
    result = precompute.build(folder, tmp_path / "out", **options(variants=1))
    assert result.manifest is not None
    assert result.manifest.conflicts == {"num_sources": 2, "examples": [["s000", "s003"]]}


def test_no_conflicts_are_none(tmp_path: Path) -> None:
    result = precompute.build(draw_classes(tmp_path / "data"), tmp_path / "out", **options(variants=1))
    assert result.manifest is not None and result.manifest.conflicts == {}
