"""Options take NumPy's values, paths and text as on the command line; what they cannot take is refused with words."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import precompute
from precompute.errors import UsageError
from precompute.options.build_options import BuildOptions
from precompute.options.plain_values import kind_of
from tests.helpers.small_datasets import draw_classes, options, rows_of

FIELDS = dataclasses.fields(BuildOptions)
NUMBERS = [f.name for f in FIELDS if kind_of(f.type) in ("int", "float")]
DRY = ("runs", "epochs")


def make(**given: Any) -> BuildOptions:
    return BuildOptions(**{"dry_run": any(name in given for name in DRY), **given})


@given(
    st.sampled_from([name for name in NUMBERS if kind_of({f.name: f.type for f in FIELDS}[name]) == "int"]),
    st.sampled_from([np.int16, np.int32, np.int64, np.uint16, np.float64, np.array, str, float]),
)
def test_any_number_of_equal_value_gives_equal_options(name: str, kind: Any) -> None:
    value = {"shard_size": 4096}.get(name, 17)
    made = getattr(make(**{name: kind(value)}), name)
    assert made == getattr(make(**{name: value}), name) and type(made) is int


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.array, str])
@pytest.mark.parametrize("name", ["validation_split", "test_split", "min_visibility", "min_area", "task_timeout"])
def test_fractions(name: str, kind: Any) -> None:
    made = getattr(make(**{name: kind(0.25)}), name)
    assert made == 0.25 and type(made) is float


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("quiet", np.bool_(True), True),
        ("balance", np.array(True), True),
        ("shard_size", "128MiB", 128 * 2**20),
        ("skip_bad", np.int64(3), "3"),
        ("skip_bad", "5%", "5%"),
        ("image_size", np.array([16, 24]), (16, 24)),
        ("image_size", np.int64(16), (16, 16)),
        ("image_size", "16x24", (16, 24)),
        ("class_copies", "cat=2", {"cat": 2}),
        ("class_copies", {np.str_("cat"): np.int64(2)}, {"cat": 2}),
        ("mask_map", "255:1", {255: 1}),
        ("mask_map", {np.uint8(255): np.uint8(1)}, {255: 1}),
        ("class_names", "cat,dog", ["cat", "dog"]),
        ("class_names", np.array(["cat", "dog"]), ["cat", "dog"]),
        ("class_names", ("cat", np.str_("dog")), ["cat", "dog"]),
        ("class_names", {"dog", "cat"}, ["cat", "dog"]),
        ("images", Path("photos"), "photos"),
        ("image_format", np.str_("png"), "png"),
        ("image_format", None, "jpeg"),
        ("variants", None, 10),
        ("class_copies", None, {}),
        ("quiet", None, False),
    ],
)
def test_other_spellings(name: str, value: Any, expected: Any) -> None:
    made = getattr(make(**{name: value}), name)
    assert made == expected and type(made) is type(expected)


JUNK = st.sampled_from(
    [
        float("nan"),
        np.float64("nan"),
        1.5,
        "none of these",
        "",
        object(),
        b"x",
        [object()],
        {"a": object()},
        [[1]],
        -7,
        np.array(["x"]),
        np.datetime64("2020-01-01"),
        np.complex64(1j),
        True,
        (1, 2, 3),
        {1: 2},
    ]
)


@given(st.sampled_from([f.name for f in FIELDS if f.name != "pipeline"]), JUNK)
def test_junk_is_taken_or_refused_with_words(name: str, value: Any) -> None:
    try:
        make(**{name: value})
    except UsageError as error:
        assert name in str(error) or name in ("mask_colors",)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [True, np.bool_(True), float("nan"), "many"])
def test_no_number(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{name}: expected"):
        make(**{name: value})


@pytest.mark.parametrize("name", [name for name in NUMBERS if name not in ("validation_split", "test_split")])
def test_no_fraction_for_a_whole_number(name: str) -> None:
    if kind_of({f.name: f.type for f in FIELDS}[name]) == "int":
        with pytest.raises(UsageError, match=rf"{name}: expected .*integer.*, got 2\.5"):
            make(**{name: np.float32(2.5)})


def test_numpy_values_all_the_way(tmp_path: Path) -> None:
    data, out = draw_classes(tmp_path / "data"), tmp_path / "out"
    changes = {"seed": np.int64(3), "variants": np.int64(2), "validation_split": np.float32(0.25), "jobs": np.int8(1)}
    precompute.build(data, out, **options(**changes, class_copies={"cat": np.int64(2)}, quiet=np.bool_(True)))
    assert rows_of(out) == [(0, 3, 0), (1, 3, 1)]
    quietly: dict[str, Any] = {"backend": np.str_("sequential"), "quiet": np.bool_(True)}
    precompute.regenerate(out, seed=np.array(4), **quietly)
    followed = precompute.follow(out, keep=np.int32(3), rows="1", **quietly)
    assert followed.num_rows == 1
    precompute.drop(out, rows=np.array([2]))
    assert precompute.verify(out, jobs=np.int64(1), sources=np.int64(2), seed=np.int64(1)).problems == []
    (row, *_) = (row for row, *_ in rows_of(out))
    examples = list(precompute.read(out, row=np.int64(row), part=np.array([0, 1])))
    batches = list(
        precompute.load(out, batch_size=np.int64(4), rows=np.array([row]), shuffle=np.bool_(False), cache=False)
    )
    assert sum(len(images) for images, _ in batches) == len(examples)
    precompute.export(out, tmp_path / "files", row=np.int64(row), overwrite=np.bool_(False))
    json.loads((out / "manifest.json").read_text())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda out: precompute.verify(out, jobs=1.5), "jobs: expected an integer, got 1.5"),
        (lambda out: precompute.regenerate(out, seed=True), "seed: expected an integer"),
        (lambda out: precompute.follow(out, keep="four"), "keep: expected an integer, got 'four'"),
        (lambda out: precompute.load(out, batch_size=float("nan")), "batch_size: expected an integer, got nan"),
        (lambda out: precompute.load(3), "path: expected a path, got 3"),
        (lambda out: precompute.read(out, row=np.float64(0.5)), r"row: expected an integer, got 0\.5"),
        (lambda out: precompute.export(out, out, overwrite="yes"), "overwrite: expected True or False, got 'yes'"),
    ],
)
def test_functions_refuse_what_is_none(call: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        call(tmp_path)


def test_options_of_training_take_them_too() -> None:
    from train.options import FitOptions

    taken = FitOptions(epochs=np.int64(3), batch_size="8", learning_rate=np.float64(0.5), seed=None)
    assert taken == FitOptions(epochs=3, batch_size=8, learning_rate=0.5)
    assert json.loads(json.dumps(taken.to_dict()))["epochs"] == 3
    for wrong in (True, 2.5, float("nan"), "many", object()):
        with pytest.raises(UsageError, match="--epochs: expected an integer"):
            FitOptions(epochs=wrong)  # type: ignore[arg-type]
