"""--dry-run: what it tells, and that it writes nothing."""

from __future__ import annotations

import re
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.building import space
from precompute.building.result import BuildResult
from precompute.cli import main
from precompute.errors import BadSourcesError, UsageError
from tests.helpers.small_datasets import draw_classes, draw_pairs, options


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("pairs"), 20)


def planned(source: Path, out: Path, **changes: Any) -> BuildResult:
    return precompute.build(source, out, **options(dry_run=True, **changes))


def test_it_tells_what_the_build_then_writes(pairs: Path, tmp_path: Path) -> None:
    result = planned(pairs, tmp_path / "new" / "out", variants=4)
    assert not (tmp_path / "new").exists()
    built = precompute.build(pairs, tmp_path / "out", **options(variants=4))
    assert result.estimate is not None and built.manifest is not None
    splits = built.manifest.splits
    assert result.estimate.num_records == built.num_records == 65
    assert result.estimate.num_shards == sum(s.num_blocks * len(s.rows) for s in splits.values())
    for split, listed in splits.items():
        got = result.estimate.split_bytes[split]
        written = sum(row.num_bytes for row in listed.rows)
        assert got.mean == pytest.approx(written, rel=0.02)


def test_the_text_says_all_of_it(pairs: Path, tmp_path: Path) -> None:
    text = planned(pairs, tmp_path / "out", runs=5, epochs=60).summary()
    for pattern in (
        r"train: 15 sources × 3 new rows in 3 shards, about [\d.]+ kB \([\d.]+ kB to [\d.]+ kB\)",
        r"validation: 5 sources × 1 new row in 1 shard, about ",
        r"together: 50 records in 4 shards, about ",
        r"disk: [\d.,]+ \w+ free: they fit",
        r"time: about [\d.]+ s \([\d.]+ s to [\d.]+ s\) on 1 worker, .* ms of one core a record, \d+% of it decodes",
        r"augmented while training: [\d.]+ \w+ of one core for 5 runs of 60 epochs, [\d.]+ ms an image",
        r"from records: [\d.]+ \w+ of one core, [\d.]+ \w+ to write them once and [\d.]+ \w+ to read them, ",
        r"records (do not pay here|would pay from epoch|pay from epoch)",
    ):
        assert re.search(pattern, text), (pattern, text)


def test_defaults_are_one_run_of_100_epochs(pairs: Path, tmp_path: Path) -> None:
    online = planned(pairs, tmp_path / "out").estimate.online  # type: ignore[union-attr]
    assert online is not None and (online.runs, online.epochs, online.num_sources) == (1, 100, 15)


def test_rows_that_are_there_are_not_counted(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "out", **options(variants=2))
    files = sorted(tmp_path.rglob("*"))
    grown = planned(pairs, tmp_path / "out", variants=5)
    assert grown.estimate is not None and grown.estimate.num_records == 45
    assert list(grown.estimate.split_bytes) == ["train"]
    nothing = planned(pairs, tmp_path / "out", variants=2)
    assert nothing.estimate is None and "all rows are there: nothing to do" in nothing.summary()
    assert sorted(tmp_path.rglob("*")) == files


def test_a_disk_that_is_too_small_is_said(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    asked: list[Path] = []

    def disk_usage(folder: Path) -> Any:
        asked.append(Path(folder))
        return usage(10**6, 0, 1000)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    result = planned(pairs, tmp_path / "not" / "there" / "out")
    assert asked == [tmp_path]
    assert re.search(r"disk: 1\.0 kB free: NOT ENOUGH, [\d.]+ kB are missing", result.summary())


def test_runs_and_epochs_are_for_dry_runs_alone(pairs: Path, tmp_path: Path) -> None:
    for changes in ({"runs": 2}, {"epochs": 30}):
        with pytest.raises(UsageError, match=rf"{next(iter(changes))}: only a dry run uses it"):
            precompute.build(pairs, tmp_path / "out", **options(**changes))
        with pytest.raises(UsageError, match="expected an integer of 1 or more, got 0"):
            planned(pairs, tmp_path / "out", **dict.fromkeys(changes, 0))


def test_sources_that_fail_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(A.ImageOnlyTransform):
        def apply(self, img: Any, **params: Any) -> Any:
            if img[0, 0, 0] % 2:
                raise ValueError("odd")
            return img

    source = draw_classes(tmp_path / "data")
    for number, path in enumerate(sorted(source.rglob("*.png"))):
        pixels = np.array(Image.open(path))
        pixels[0, 0, 0] = number % 2
        Image.fromarray(pixels).save(path)
    given = {"pipeline": {"train": A.Compose([Refusing(p=1), A.Resize(16, 16)])}, "validation_split": 0.0}
    seen: list[int] = []
    measure = space.measure
    monkeypatch.setattr(space, "measure", lambda *a, **k: seen.append(len(got := measure(*a, **k))) or got)
    planned(source, tmp_path / "out", **given)
    assert seen == [6]  # of twelve


def test_a_sample_without_one_good_source_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = draw_pairs(tmp_path / "data", 8)
    broken = space.measure

    def measure(*args: Any, **given: Any) -> Any:
        for path in (source / "images").iterdir():
            path.write_bytes(b"nothing")
        return broken(*args, **given)

    monkeypatch.setattr(space, "measure", measure)
    with pytest.raises(BadSourcesError, match="train: none of 6 sources to measure can be used"):
        planned(source, tmp_path / "out")


# What --max-source-size would save.


def draw_large(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(4):
        small = Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8))
        (folder / "a").mkdir(parents=True, exist_ok=True)
        small.resize((900, 600), Image.Resampling.BICUBIC).save(folder / "a" / f"{i}.jpg")
    return folder


def said(source: Path, out: Path, capfd: pytest.CaptureFixture[str], **changes: Any) -> str:
    planned(source, out, quiet=False, validation_split=0.0, **changes)
    return capfd.readouterr().err


def test_large_sources_get_the_offer_with_what_it_saves(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("precompute.building.build.WORTH_SAYING", 0.0)  # whatever this machine measures
    source = draw_large(tmp_path / "data")
    text = said(source, tmp_path / "out", capfd)
    assert re.search(
        r"note: sources have 0\.5 megapixels and records 0\.00: --max-source-size 64 would save about \d+% of the "
        r"time \([\d.]+ ms a record, not [\d.]+\)",
        text,
    )
    assert "--max-source-size" not in said(source, tmp_path / "out", capfd, max_source_size=64)


def test_small_sources_get_none(pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "--max-source-size" not in said(pairs, tmp_path / "out", capfd)


def test_a_limit_below_the_output_is_warned_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = said(
        draw_large(tmp_path / "data"),
        tmp_path / "out",
        capfd,
        pipeline=A.Compose([A.Resize(40, 40)]),
        max_source_size=32,
    )
    assert "warning: --max-source-size 32 is below the 40×40 of records: they are made larger again." in text


def test_real_data_from_the_command_line(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = "--pipeline light --image-size 128 --mask-map 255:1 --limit 40 --dry-run --runs 3 --epochs 50"
    code = main(["build", str(real_data / "nuclei"), str(tmp_path / "out"), *given.split()])
    text = capsys.readouterr().out
    assert code == 0 and "for 3 runs of 50 epochs" in text and "train: 40 sources × 10 new rows" in text
    assert not (tmp_path / "out").exists()
