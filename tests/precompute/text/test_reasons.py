"""Reasons of many bad files: told by their kinds, each with its number and its first files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError
from precompute.text.reasons import describe_reasons, group_reasons
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save

SIXTEEN = "has 16 bits a channel"


def spoil(folder: Path, *, deep: int, cut: int, sized: int) -> Path:
    """Draw pairs, and make sources of three kinds of them that cannot be used."""
    draw_pairs(folder, 40)
    for i in range(deep):
        Image.fromarray(np.full((20, 18), 9, np.uint16)).save(folder / "images" / f"s{i:03d}.png")
    for i in range(deep, deep + cut):
        (folder / "images" / f"s{i:03d}.png").write_bytes(b"")
    for i in range(deep + cut, deep + cut + sized):
        save(folder / "masks" / f"s{i:03d}.png", np.zeros((5 + i, 5), np.uint8))
    return folder


def test_an_error_tells_all_kinds_with_their_numbers_and_first_files(tmp_path: Path) -> None:
    folder = spoil(tmp_path / "data", deep=9, cut=7, sized=6)
    with pytest.raises(BadSourcesError, match="22 of 40 sources are bad") as caught:
        precompute.build(folder, tmp_path / "out", **options())
    lines = str(caught.value).splitlines()
    heads = [line.strip() for line in lines if " × " in line]
    assert [head[: head.index("×")] for head in heads] == ["9 ", "7 ", "6 "]
    assert SIXTEEN in heads[0] and "is empty (0 bytes)" in heads[1]
    assert "is …×… pixels" not in heads[2] and "pixels, but its image … is" in heads[2]
    assert (
        sum(line.startswith("    ") and line.endswith(".png") for line in lines) == 10
    )  # five of each, as files alone
    assert "… and 4 more (9 in total)" in str(caught.value)


def test_a_build_that_leaves_sources_out_counts_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = spoil(tmp_path / "data", deep=9, cut=3, sized=1), tmp_path / "out"
    result = precompute.build(folder, out, **options(skip_bad="60%", validation_split=0.0))
    listed = Manifest.load(out).splits["train"]
    assert result.num_records == 27 * 3 == sum(row.num_records for row in listed.rows)
    text = result.summary()
    assert "wrote 81 records" in text and "train: 27 sources × 3 rows" in text
    assert "13 bad sources left out of all rows:" in text
    for kind in (f"9 × {SIXTEEN}", "3 × is empty", "1 × is 5×17 pixels"):
        assert kind in text
    assert main(["inspect", str(out)]) == 0
    said = capsys.readouterr().out
    assert "left out" in said.splitlines()[said.splitlines().index("") + 1]  # a column of the table
    assert "13 left out as bad" in said and f"9 × {SIXTEEN}" in said and "s000.png" in said


def test_a_build_without_bad_sources_says_nothing_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = precompute.build(draw_classes(tmp_path / "data"), tmp_path / "out", **options())
    assert main(["inspect", str(tmp_path / "out")]) == 0
    assert "left out" not in result.summary() + capsys.readouterr().out


def test_numbers_that_say_what_is_wrong_stay_apart() -> None:
    reasons = [f"{i}.png: has {16 if i < 18 else 32} bits a channel" for i in range(27)]
    assert [(kind.what, len(kind.reasons)) for kind in group_reasons(reasons)] == [
        ("has 16 bits a channel", 18),
        ("has 32 bits a channel", 9),
    ]


def test_reasons_that_name_other_files_and_sizes_are_one_kind() -> None:
    reasons = [f"/d/m{i}.png: is {i}×5 pixels, but its image /d/i{i}.png is 20×{i}; fix 'a{i}'" for i in range(9)]
    (kind,) = group_reasons(reasons)
    assert kind.what == "is …×5 pixels, but its image … is 20×…; fix …"
    shown = describe_reasons(reasons)
    assert reasons[4] in shown and reasons[5] not in shown and "… and 4 more (9 in total)" in shown


@given(st.lists(st.text(max_size=30), max_size=60))
def test_no_reason_is_lost(reasons: Sequence[str]) -> None:
    kinds = group_reasons(reasons)
    assert sorted(reason for kind in kinds for reason in kind.reasons) == sorted(reasons)
    assert describe_reasons(reasons).count("\n") < 200
