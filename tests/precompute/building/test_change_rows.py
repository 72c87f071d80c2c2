"""Rows come and go: regenerate and drop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.dataset.rows import describe_numbers, parse_row_ranges
from precompute.errors import BuildError, DatasetError, PipelineError, SettingsError, UsageError
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, rows_of, shard_hashes


@pytest.fixture
def out(tmp_path: Path) -> Path:
    precompute.build(draw_pairs(tmp_path / "data", 16), tmp_path / "out", **options())
    return tmp_path / "out"


def again(out: Path, **given: Any) -> Any:
    return precompute.regenerate(out, backend="sequential", quiet=True, **given)


def test_regenerate_replaces_rows_by_as_many(out: Path, tmp_path: Path) -> None:
    validation = [path for path in shard_hashes(out).items() if "validation" in path[0]]
    again(out, seed=1)
    assert rows_of(out) == [(3, 1, 0), (4, 1, 1), (5, 1, 2)]
    assert rows_of(out, "validation") == [(0, 0, 0)]
    assert not [name for name in shard_hashes(out) if "train_r0000" in name]
    assert [path for path in shard_hashes(out).items() if "validation" in path[0]] == validation
    # The bytes are those of a build under that seed, apart from the numbers in the names.
    precompute.build(tmp_path / "data", tmp_path / "fresh" / "out", **options(seed=1))
    renumbered = {
        name.replace(f"r000{3 + i}", f"r000{i}"): h for name, h in shard_hashes(out).items() for i in range(3)
    }
    for name, value in shard_hashes(tmp_path / "fresh" / "out").items():
        if "train" in name:
            assert renumbered[name] == value


def test_regenerate_twice_does_nothing_more(out: Path) -> None:
    again(out, seed=1)
    before = shard_hashes(out)
    assert "complete already" in again(out, seed=1).summary()
    assert shard_hashes(out) == before


def test_regenerate_leaves_a_mixed_dataset_under_one_seed(out: Path, tmp_path: Path) -> None:
    precompute.build(tmp_path / "data", out, **options(variants=1, seed=5))
    again(out, seed=5)
    assert [(seed, variant) for _, seed, variant in rows_of(out)] == [(5, 0), (5, 1), (5, 2), (5, 3)]


def test_regenerate_with_own_code_asks_for_the_pipeline(tmp_path: Path) -> None:
    def brighter(image: np.ndarray[Any, Any], **_: Any) -> np.ndarray[Any, Any]:
        return np.clip(image.astype(int) + 20, 0, 255).astype(np.uint8)

    own = A.Compose([A.HorizontalFlip(p=0.5), A.Lambda(image=brighter, name="brighter"), A.Resize(16, 16)])
    precompute.build(draw_classes(tmp_path / "data"), tmp_path / "out", **options(pipeline=own))
    with pytest.raises(PipelineError, match="Pass the file that it was built with: --pipeline FILE"):
        again(tmp_path / "out", seed=1)
    with pytest.raises(PipelineError, match="this is not the one that the dataset was made with"):
        again(tmp_path / "out", seed=1, pipeline=A.Compose([A.Resize(16, 16)]))
    again(tmp_path / "out", seed=1, pipeline=own)
    assert {seed for _, seed, _ in rows_of(tmp_path / "out")} == {1}


def test_regenerate_finds_moved_sources(out: Path, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(SettingsError, match="cannot be used any more"):
        again(out, seed=1)
    again(out, seed=1, source=tmp_path / "moved")
    assert {seed for _, seed, _ in rows_of(out)} == {1}


def test_other_versions_are_refused_with_both_shown(out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from precompute.plan import versions

    monkeypatch.setattr(versions, "_version", lambda package: "99.9")
    with pytest.raises(SettingsError, match=r"version of albumentations: '[\d.]+' in the dataset, '99\.9' now"):
        again(out, seed=1)
    with pytest.raises(SettingsError, match=r"version of numpy: '[\d.]+' in the dataset, '99\.9' now"):
        precompute.build(tmp_path / "data", out, **options(variants=9))


def test_drop_takes_rows_and_their_numbers_away_for_good(out: Path, tmp_path: Path) -> None:
    dropped = precompute.drop(out, rows="0-1")
    assert dropped.rows == [0, 1] and dropped.num_bytes > 0
    assert rows_of(out) == [(2, 0, 2)]
    assert sorted({name.split("-")[1][:11] for name in shard_hashes(out)}) == ["train_r0002", "validation_"]
    precompute.build(tmp_path / "data", out, **options())
    assert rows_of(out) == [(2, 0, 2), (3, 0, 0), (4, 0, 1)]


def test_drop_refuses_what_it_cannot_do(out: Path, tmp_path: Path) -> None:
    for rows, message in (
        ("0-2", "train would have none left"),
        ("7", r"expected row numbers that train lists \(0-2\), got \[7\]"),
        ("2-0", "expected numbers and inclusive ranges such as 0-3,7, got '2-0'"),
        ("all", "expected numbers"),
    ):
        with pytest.raises(UsageError, match=message):
            precompute.drop(out, rows=rows)
    with pytest.raises(UsageError, match="split: .* has train, validation; got 'test'"):
        precompute.drop(out, rows="0", split="test")
    with pytest.raises(DatasetError, match="there is no such file"):
        precompute.drop(tmp_path / "nothing", rows="0")
    assert not (tmp_path / "nothing").exists()
    assert len(Manifest.load(out).splits["train"].rows) == 3


def test_regenerate_is_refused_while_a_build_lives(out: Path) -> None:
    from precompute.building.folder import write_lock

    with write_lock(out), pytest.raises(BuildError, match="another build is writing here"):
        again(out, seed=1)


def test_row_ranges() -> None:
    assert parse_row_ranges("0-3,7") == [0, 1, 2, 3, 7]
    assert parse_row_ranges("5") == [5]
    assert describe_numbers([7, 0, 1, 2]) == "0-2, 7"
    assert describe_numbers([]) == "none"
