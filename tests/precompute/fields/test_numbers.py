"""Numbers as targets: from tables and from Python, missing ones, those that a mirror negates; built, read, verified."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.errors import SettingsError, SourceError, UsageError
from precompute.fields.value import ValueField
from precompute.pictures.sheet import cell_of
from tests.helpers.small_datasets import save

FLIP = {"train": A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]), "validation": A.Compose([])}
OPTIONS: dict[str, Any] = {"variants": 6, "jobs": 1, "backend": "sequential", "quiet": True, "image_format": "png"}
ANGLES = [0.0, 0.5, -1.25, 30.0, -7.5, 2.0, 9.0, -3.0]


def draw_images(folder: Path, number: int = 8) -> list[Path]:
    """Write images whose left and upper halves are bright, so that a mirror shows."""
    for i in range(number):
        image = np.random.default_rng(i).integers(0, 60, (12, 16, 3), dtype=np.uint8)
        image[:, :8] += 90
        image[:6] += 90
        save(folder / f"{i}.png", image)
    return [folder / f"{i}.png" for i in range(number)]


def build(folder: Path, **given: Any) -> Path:
    out = folder / "out"
    given = {"values": {"angle": ANGLES, "age": list(range(8))}, "pipeline": FLIP} | given
    precompute.build(None, out, images=draw_images(folder / "images"), **given, **OPTIONS)
    return out


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    return build(folder, mirror_negates=["angle"], weights=[1.0] * 8)


def is_mirrored(image: Any) -> bool:
    """Whether the bright half is on the right."""
    middle = image.shape[1] // 2
    return bool(image[:, middle:].mean() > image[:, :middle].mean())


def test_the_manifest_says_what_is_learnt(out: Path) -> None:
    schema = Manifest.load(out).schema
    assert list(schema.targets.values()) == [
        ValueField(name="angle", dtype="float", learnt=True, mirror_negates=True),
        ValueField(name="age", dtype="float", learnt=True),
    ]
    settings = Manifest.load(out).settings
    assert settings["pixels"]["mirror_negates"] == ["angle"]
    assert settings["dataset"]["extra"] == {"weight": "float"}
    assert precompute.verify(out).problems == []


def test_a_number_changes_its_sign_where_the_image_was_mirrored_in_sum(out: Path) -> None:
    seen = set()
    for row in range(6):
        for example in precompute.read(out, row=row):
            image, angle = example["image"], ANGLES[int(example["key"])]
            left_right, upside_down = is_mirrored(image), is_mirrored(image.transpose(1, 0, 2))
            assert example["values"]["age"] == int(example["key"])
            assert example["values"]["angle"] == (-angle if left_right != upside_down else angle)
            seen.add((left_right, upside_down))
    assert len(seen) == 4


def test_a_flip_along_one_axis_negates_and_nothing_else_does(tmp_path: Path) -> None:
    flip = {"train": A.Compose([A.HorizontalFlip(p=0.5)]), "validation": A.Compose([])}
    made = build(tmp_path, mirror_negates=["angle"], pipeline=flip)
    for row in range(6):
        for example in precompute.read(made, row=row):
            angle = ANGLES[int(example["key"])]
            assert example["values"]["angle"] == (-angle if is_mirrored(example["image"]) else angle)
            assert math.copysign(1, example["values"]["angle"]) == 1 or angle  # 0 stays 0


def test_pictures_say_the_sign_of_each_record(out: Path) -> None:
    schema = Manifest.load(out).schema
    for row in range(2):
        for example in precompute.read(out, row=row):
            cell = cell_of(example, schema)
            assert cell.caption == f"angle {example['values']['angle']:g}"
            assert cell.remarks == [f"age {example['values']['age']:g}", "weight 1"]


def test_pixels_are_those_of_a_dataset_without_such_numbers(out: Path, tmp_path: Path) -> None:
    plain = build(tmp_path)
    for a, b in zip(precompute.read(out, row=3), precompute.read(plain, row=3), strict=True):
        assert np.array_equal(a["image"], b["image"])


def test_load_hands_them_out(out: Path, tmp_path: Path) -> None:
    ((images, numbers, weights),) = precompute.load(out, batch_size=8, shuffle=False, cache=False)
    assert images.shape == (8, 12, 16, 3) and set(numbers) == set(weights) == {"angle", "age"}
    assert numbers["angle"].dtype == "float32" and numbers["angle"].shape == (8,)
    one = build(tmp_path, values={"age": [None, *range(1, 8)]}, missing_values="nan")
    ((_, ages),) = precompute.load(one, batch_size=8, shuffle=False, cache=False)
    assert sorted(ages.numpy()[~np.isnan(ages.numpy())]) == list(range(1, 8))
    assert precompute.verify(one).problems == []


def test_fresh_moves_change_the_sign_too(out: Path) -> None:
    (plain,) = precompute.load(out, batch_size=8, shuffle=False, cache=False)
    seen = set()
    for fresh in precompute.load(out, batch_size=8, shuffle=False, rows=[0], fresh=["horizontal"]).repeat(4):
        for before, after, a, b in zip(plain[0], fresh[0], plain[1]["angle"], fresh[1]["angle"], strict=True):
            turned = not np.array_equal(before, after)
            assert float(b) == (-float(a) if turned else float(a))
            seen.add(turned)
        assert np.array_equal(plain[1]["age"], fresh[1]["age"])
    assert seen == {True, False}


def test_a_dataset_grows_and_is_built_again_from_its_manifest(out: Path, tmp_path: Path) -> None:
    made = build(tmp_path, mirror_negates=["angle"])
    precompute.build(
        None,
        made,
        images=draw_images(tmp_path / "images"),
        values={"angle": ANGLES, "age": list(range(8))},
        mirror_negates=["angle"],
        pipeline=FLIP,
        **OPTIONS | {"variants": 7},
    )
    precompute.regenerate(made, seed=5, jobs=1, backend="sequential", quiet=True)
    assert precompute.verify(made).problems == []
    assert len(Manifest.load(made).splits["train"].rows) >= 7


def test_missing_numbers_are_no_fault_of_the_pipeline(tmp_path: Path) -> None:
    made = build(
        tmp_path,
        values={"age": [None] * 7 + [3.0], "angle": [math.nan, *ANGLES[1:]]},
        missing_values="nan",
        mirror_negates=["angle"],
        pipeline=FLIP | {"validation": A.Compose([A.Resize(6, 8)]), "train": A.Compose([A.Resize(6, 8)])},
        validation_split=0.5,
    )
    precompute.regenerate(made, seed=5, jobs=1, backend="sequential", quiet=True)
    assert precompute.verify(made, sources=4).problems == []


def test_a_number_that_changed_goes_by_its_name(tmp_path: Path) -> None:
    build(tmp_path)
    with pytest.raises(SettingsError, match=r"\n  0: age changed\n"):
        build(tmp_path, values={"angle": ANGLES, "age": [9, *range(1, 8)]})


TABLE = "image,age,angle\n" + "".join(f"images/{i}.png,{20 + i},{ANGLES[i]}\n" for i in range(8))


def test_a_table_of_numbers(tmp_path: Path) -> None:
    draw_images(tmp_path / "images")
    (tmp_path / "table.csv").write_text(TABLE)
    given = {"value_columns": ["age", "angle"], "mirror_negates": ["angle"], "pipeline": FLIP}
    precompute.build(tmp_path / "table.csv", tmp_path / "out", **given, **OPTIONS)
    numbers = {int(example["key"][-1]): example["values"] for example in precompute.read(tmp_path / "out")}
    assert {key: of_one["age"] for key, of_one in numbers.items()} == {i: 20.0 + i for i in range(8)}
    assert {key: abs(of_one["angle"]) for key, of_one in numbers.items()} == {i: abs(ANGLES[i]) for i in range(8)}


@pytest.mark.parametrize(
    ("table", "options", "error", "message"),
    [
        (
            "image,age\nimages/0.png,\nimages/1.png,3\n",
            {},
            SourceError,
            r"column age: 1 of 2 values are missing:\n  line 2",
        ),
        (
            "image,age\nimages/0.png,old\nimages/1.png,3\nimages/2.png,inf\n",
            {},
            SourceError,
            r"a finite number in each, .* 2 of 3 values are none:\n  line 2: 'old'\n  line 4: 'inf'\nCorrect them",
        ),
        ("image,age\nimages/0.png,NaN\n", {}, SourceError, r"csv: column age: 1 of 1 value is missing"),
        (TABLE, {"value_columns": ["age", "age"]}, UsageError, r"^age: it is named twice among the numbers"),
        (TABLE, {"class_names": ["young", "old"]}, UsageError, r"is for classes; these sources have none, but numbers"),
        (TABLE, {"extra_columns": ["age"]}, UsageError, r"^age: it is named twice among the numbers"),
        (TABLE, {"mirror_negates": ["tilt"]}, UsageError, r"'tilt' is no number that is learnt; these are: age"),
        (TABLE, {"value_columns": ["tilt"]}, UsageError, r"value_columns .* has no column 'tilt'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, table: str, options: Any, error: type, message: str) -> None:
    draw_images(tmp_path / "images")
    (tmp_path / "table.csv").write_text(table)
    with pytest.raises(error, match=message):
        precompute.build(
            tmp_path / "table.csv",
            tmp_path / "out",
            **{"value_columns": ["age"], "pipeline": FLIP} | options,
            **OPTIONS,
        )
    assert not (tmp_path / "out").exists()


def test_an_export_is_built_from_again_with_the_options_that_it_names(tmp_path: Path) -> None:
    values = {"angle": ANGLES, "seed": [None, *range(1, 8)]}
    made = build(tmp_path, values=values, missing_values="nan", mirror_negates=["angle"])
    exported = precompute.export(made, tmp_path / "files")
    assert exported.summary().endswith(
        "to build from labels.csv, give --value-columns angle,extra_seed --missing-values nan --mirror-negates angle"
    )
    precompute.build(
        tmp_path / "files" / "labels.csv",
        tmp_path / "again",
        pipeline={"train": A.Compose([])},
        value_columns=["angle", "extra_seed"],
        missing_values="nan",
        mirror_negates=["angle"],
        **OPTIONS | {"variants": 1},
    )
    stored = [
        {example["key"]: example["values"] for example in precompute.read(of)} for of in (made, tmp_path / "again")
    ]
    for key, first in stored[0].items():
        again = stored[1][key]
        assert np.array_equal([first["angle"], first["seed"]], [again["angle"], again["extra_seed"]], equal_nan=True)


@pytest.mark.parametrize("command", ["preview", "profile"])
def test_what_a_build_takes_can_be_looked_at_before(tmp_path: Path, command: str) -> None:
    draw_images(tmp_path / "images")
    (tmp_path / "table.csv").write_text(
        "image,age\n" + "".join(f"images/{i}.png,\n" for i in range(7)) + "images/7.png,1"
    )
    output = ["--output", str(tmp_path / "sheet.png")] if command == "preview" else ["--variants", "1"]
    given = ["--value-columns", "age", "--missing-values", "nan", "--mirror-negates", "age", "--image-size", "8"]
    assert main([command, str(tmp_path / "table.csv"), "--pipeline", "light", *given, *output]) == 0


def test_options_for_numbers_need_some(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing_values .*: is for numbers that are learnt; these sources have none"):
        build(tmp_path, values=None, missing_values="nan")
    with pytest.raises(UsageError, match=r"values: expected the same names|expected a dictionary"):
        build(tmp_path, values=[1, 2])
