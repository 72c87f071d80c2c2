"""Sources that cannot be used: listed with all the others, absent from all rows, their place kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError, BuildError, PipelineError
from tests.helpers.bad_sources import draw_with_bad, fragile, red_corners
from tests.helpers.small_datasets import draw_pairs, options, save, shard_hashes
from tests.helpers.stored_keys import keys_of


def test_all_bad_sources_are_listed_and_nothing_is_published(tmp_path: Path) -> None:
    folder, out = draw_with_bad(tmp_path / "data"), tmp_path / "out"
    with pytest.raises(BadSourcesError) as caught:
        precompute.build(folder, out, **options())
    text = str(caught.value)
    assert "3 of 24 sources are bad" in text
    for part in ("s002.png: cannot be decoded", "s007.png: is empty", "s011.png: is 5×5 pixels", "--skip-bad 3"):
        assert part in text
    assert not (out / "manifest.json").exists()
    listed = [json.loads(line) for line in (out / "errors.jsonl").read_text().splitlines()]
    assert sorted(entry["key"] for entry in listed) == ["s002", "s007", "s011"]


def test_five_are_shown_and_all_are_in_the_file(tmp_path: Path) -> None:
    folder, out = draw_pairs(tmp_path / "data", 24), tmp_path / "out"
    bad = [f"s{i:03d}" for i in range(3, 11)]
    for key in bad:
        (folder / "images" / f"{key}.png").write_bytes(b"")
    with pytest.raises(BadSourcesError, match="8 of 24 sources are bad") as caught:
        precompute.build(folder, out, **options())
    assert "8 × is empty" in str(caught.value)
    assert str(caught.value).count(".png\n") == 5
    assert "3 more" in str(caught.value)
    listed = [json.loads(line) for line in (out / "errors.jsonl").read_text().splitlines()]
    assert sorted(entry["key"] for entry in listed) == bad
    assert all("is empty" in entry["reason"] for entry in listed)


def test_accepted_bad_sources_are_absent_and_keep_their_places(tmp_path: Path) -> None:
    folder, out = draw_with_bad(tmp_path / "data"), tmp_path / "out"
    with pytest.raises(BadSourcesError, match="2 were accepted"):
        precompute.build(folder, out, **options(skip_bad="2"))
    precompute.build(folder, out, **options(skip_bad="3"))
    manifest = Manifest.load(out)
    assert sorted(entry["key"] for entry in manifest.skipped) == ["s002", "s007", "s011"]
    assert not (out / "errors.jsonl").exists()
    for split, listed in manifest.splits.items():
        skipped = sum(entry["split"] == split for entry in manifest.skipped)
        assert listed.num_records == listed.num_places - skipped
        for row in listed.rows:
            assert {"s002", "s007", "s011"}.isdisjoint(keys_of(out, split, row.row))
    # No other source moved: the order is that of a dataset in which nothing is bad, less those three.
    precompute.build(draw_pairs(tmp_path / "good", 24), tmp_path / "whole", **options())
    whole = [key for key in keys_of(tmp_path / "whole", "train", 1) if key not in ("s002", "s007", "s011")]
    assert keys_of(out, "train", 1) == whole


def test_more_than_were_accepted_stay_too_many_in_the_next_build(tmp_path: Path) -> None:
    folder, out = draw_with_bad(tmp_path / "data"), tmp_path / "out"
    for _ in range(2):
        with pytest.raises(BadSourcesError, match="3 of 24 sources are bad, 2 were accepted"):
            precompute.build(folder, out, **options(skip_bad="2"))
    good = draw_pairs(tmp_path / "good", 24)
    shutil.copyfile(good / "images" / "s002.png", folder / "images" / "s002.png")
    precompute.build(folder, out, **options(skip_bad="2"))
    assert sorted(entry["key"] for entry in Manifest.load(out).skipped) == ["s007", "s011"]


def test_percentage_is_of_all_sources(tmp_path: Path) -> None:
    folder = draw_with_bad(tmp_path / "data")
    with pytest.raises(BadSourcesError):
        precompute.build(folder, tmp_path / "out", **options(skip_bad="10%"))
    precompute.build(folder, tmp_path / "out", **options(skip_bad="13%"))


def test_fixed_sources_are_tried_again(tmp_path: Path) -> None:
    folder, out = draw_with_bad(tmp_path / "data"), tmp_path / "out"
    with pytest.raises(BadSourcesError):
        precompute.build(folder, out, **options())
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*.tfrecord-*")}
    draw_pairs(tmp_path / "data", 24)  # fixes all three
    precompute.build(folder, out, **options())
    precompute.build(draw_pairs(tmp_path / "good", 24), tmp_path / "whole" / "out", **options())
    assert shard_hashes(out) == shard_hashes(tmp_path / "whole" / "out")
    assert any(path.stat().st_mtime_ns == time for path, time in written.items()), "blocks without bad sources stay"


def test_source_that_fails_at_a_later_variant_falls_out_of_all_rows(tmp_path: Path) -> None:
    folder, out = draw_pairs(tmp_path / "data", 24), tmp_path / "out"
    red_corners(folder, ["s005", "s006"])
    plain = A.Compose([A.Resize(16, 16)])
    # Grow row by row until one of the red ones fails in a new row.
    given = options(pipeline={"train": fragile(), "validation": plain}, validation_split=0.0)
    variants = 1
    while True:
        try:
            precompute.build(folder, out, **{**given, "variants": variants})
        except BadSourcesError:
            break
        variants += 1
        assert variants < 20, "with this threshold one must fail soon"
    assert variants > 1, "the first row must be listed before one fails: choose another threshold"
    assert len(Manifest.load(out).splits["train"].rows) == variants - 1  # what was listed stays
    before = shard_hashes(out)
    inodes = {p.name: p.stat().st_ino for p in out.rglob("*.tfrecord-*")}
    precompute.build(folder, out, **{**given, "variants": variants, "skip_bad": "2"})
    manifest = Manifest.load(out)
    gone = {entry["key"] for entry in manifest.skipped}
    assert gone and gone <= {"s005", "s006"}
    for row in manifest.splits["train"].rows:
        assert gone.isdisjoint(keys_of(out, "train", row.row))
        assert row.num_records == 24 - len(gone)
    assert [row.row for row in manifest.splits["train"].rows] == list(range(variants))
    assert manifest.generation == "g0002"
    after = {name.replace("g0002", "g0001"): value for name, value in shard_hashes(out).items()}
    assert any(after[name] == value for name, value in before.items()), "blocks without the bad source keep their bytes"
    assert any(p.stat().st_ino == inodes.get(p.name) for p in out.rglob("*.tfrecord-*")), "and are linked"
    built_at_once = tmp_path / "once" / "out"
    precompute.build(folder, built_at_once, **{**given, "variants": variants, "skip_bad": "2"})
    mine = {Path(name).name: value for name, value in shard_hashes(out).items()}
    assert mine == {Path(name).name: value for name, value in shard_hashes(built_at_once).items()}


def test_pipeline_that_fails_on_everything_is_no_bad_source(tmp_path: Path) -> None:
    folder = draw_pairs(tmp_path / "data", 12)
    broken = A.Compose([A.RandomCrop(500, 500)])
    with pytest.raises(PipelineError, match="failed on all of the first"):
        precompute.build(folder, tmp_path / "out", **options(pipeline=broken))
    assert not (tmp_path / "out" / "data").exists()


def test_source_that_changes_during_growth_stops_it(tmp_path: Path) -> None:
    import os

    folder, out = draw_pairs(tmp_path / "data", 12), tmp_path / "out"
    precompute.build(folder, out, **options(variants=1))
    path = folder / "images" / "s004.png"
    earlier = path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(9)
    save(path, rng.integers(0, 255, (21, 22, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: len(content)].ljust(len(content), b"\0"))  # the size that is remembered
    os.utime(path, ns=(earlier, earlier))  # nor does its time betray it
    with pytest.raises((BadSourcesError, BuildError)) as caught:
        precompute.build(folder, out, **options(variants=2))
    assert "s004" in str(caught.value)
    assert len(Manifest.load(out).splits["train"].rows) == 1
