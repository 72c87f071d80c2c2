"""`precompute diff`: nothing where nothing differs, and each difference by its name."""

from __future__ import annotations

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
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, UsageError
from tests.helpers.golden_datasets import FORMATS, KEPT
from tests.helpers.object_stores import put_tree
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save, shard_hashes

BLOCKS: dict[str, dict[str, int]] = {"few": {}, "many": {"shard_size": 1024}}


def build(source: Path, out: Path, **changes: Any) -> Path:
    precompute.build(source, out, **options(**changes))
    return out


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def first(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(pairs, tmp_path_factory.mktemp("first") / "out")


@pytest.mark.parametrize("kind", KEPT)
def test_a_dataset_of_any_format_and_field_equals_its_copy(kind: str, tmp_path: Path) -> None:
    shutil.copytree(FORMATS / kind / "golden", tmp_path / "copy")
    found = diff(FORMATS / kind / "golden", tmp_path / "copy")
    assert found.are_equal and found.summary().endswith("EQUAL")
    assert found.sample.pairs == []


def test_nothing_is_read_of_equal_shards(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "copy")
    for shard in (tmp_path / "copy/data").rglob("*.tfrecord-*"):
        shard.unlink()
    assert diff(first, tmp_path / "copy").are_equal


def test_another_number_of_blocks_does_not_matter(tmp_path: Path) -> None:
    source = draw_pairs(tmp_path / "sources", 56)
    few, many = (build(source, tmp_path / name, variants=1, **given) for name, given in BLOCKS.items())
    assert Manifest.load(few).splits["train"].num_blocks < Manifest.load(many).splits["train"].num_blocks
    found = diff(few, many)
    assert sum(row.num_equal for row in found.rows) == 56 and sum(row.num_different for row in found.rows) == 0
    assert found.settings == ["dataset.shard_size: none in A, 1024 in B"]


def test_another_seed_has_other_rows_and_pixels(pairs: Path, first: Path, tmp_path: Path) -> None:
    found = diff(first, build(pairs, tmp_path / "out", seed=7))
    assert not found.are_equal and found.settings == [] and found.sources.are_equal
    assert sum(row.num_different for row in found.rows) == 3 * 9 + 3
    values = {value.name: value for value in found.sample.values}
    assert values.keys() == {"image", "mask"}
    assert values["image"].largest is not None and values["image"].largest > 10
    assert values["mask"].mean is None  # the difference of two class ids says nothing
    validation = [pair for pair in found.sample.pairs if pair.split == "validation"]
    assert len(validation) == 3 and all(pair.changes == {} for pair in validation)  # resized alone
    assert "train: rows 0-2 (seed 0) of A with rows 0-2 (seed 7) of B" in found.summary()


def test_two_seeds_and_two_ranges_of_rows_of_one(pairs: Path, tmp_path: Path) -> None:
    out = build(pairs, tmp_path / "out", variants=2, seed=0)
    build(pairs, out, variants=2, seed=5)
    of_seeds = diff(out, seed=0, seed_b=5)
    assert [(row.rows.a.row, row.rows.b.row) for row in of_seeds.rows] == [(0, 2), (1, 3)]
    of_rows = diff(out, rows="0-1", rows_b="2,3")
    assert of_rows.to_dict()["rows"] == of_seeds.to_dict()["rows"]
    assert [row.rows.split for row in of_rows.rows] == ["train", "train"] and not of_rows.are_equal
    assert diff(out, out, rows=[0, 1]).are_equal
    uneven = diff(out, rows=[0], rows_b=[1, 2])
    assert {split: [row.row for row in rows] for split, rows in uneven.only_b.items()} == {"train": [2]}


def test_rows_that_only_one_has_are_named(pairs: Path, first: Path, tmp_path: Path) -> None:
    found = diff(first, build(pairs, tmp_path / "out", variants=5))
    assert {split: [row.row for row in rows] for split, rows in found.only_b.items()} == {"train": [3, 4]}
    assert found.only_a == {} and not found.are_equal and all(row.are_equal for row in found.rows)
    assert "train: only in B: 3 (seed 0, variant 3), 4 (seed 0, variant 4)" in found.summary()


def test_other_settings_are_named(pairs: Path, first: Path, tmp_path: Path) -> None:
    pipeline = A.Compose([A.HorizontalFlip(p=0.9), A.Rotate(limit=25, p=0.5), A.Resize(16, 16)])
    found = diff(first, build(pairs, tmp_path / "out", pipeline=pipeline, image_format="jpeg"))
    text = found.summary()
    assert "pixels.quality: none in A, 95 in B" in text
    assert "pipeline of train: Compose[HorizontalFlip, Rotate, RandomBrightnessContrast, Resize] in A" in text
    assert any(line.startswith("image: encoding 'png' in A, 'jpeg' in B") for line in found.fields)


def test_sources_that_came_went_moved_or_changed(pairs: Path, first: Path, tmp_path: Path) -> None:
    source = tmp_path / "sources"
    shutil.copytree(pairs, source)
    listings = [
        [json.loads(line)["key"] for line in (first / f"data/g0001/sources-{split}.jsonl").read_text().splitlines()]
        for split in ("train", "validation")
    ]
    gone, changed, mask, renamed = listings[0][:4]
    for folder in ("images", "masks"):
        (source / folder / f"{gone}.png").unlink()
        (source / folder / f"{renamed}.png").rename(source / folder / f"new_{renamed}.png")
    pixels = np.asarray(Image.open(source / "images" / f"{changed}.png")).copy()
    pixels[0, 0] ^= 255
    save(source / "images" / f"{changed}.png", pixels)
    ids = np.asarray(Image.open(source / "masks" / f"{mask}.png")).copy()
    ids[:3] = 1
    save(source / "masks" / f"{mask}.png", ids)
    save(source / "images" / "z_new.png", np.asarray(Image.open(source / "images" / f"{mask}.png"))[::-1])
    save(source / "masks" / "z_new.png", ids)
    splits = {key: split for split, keys in zip(("train", "validation"), listings, strict=True) for key in keys}
    moved = listings[1][0]
    splits |= {moved: "train", f"new_{renamed}": "train", "z_new": "train"}
    images = sorted((source / "images").glob("*.png"))
    out = tmp_path / "out"
    lists = {
        "images": images,
        "masks": [source / "masks" / path.name for path in images],
        "splits": [splits[path.stem] for path in images],
    }
    precompute.build(output=out, **options(validation_split=0.0), **lists)
    found = diff(first, out)
    assert (found.sources.added, found.sources.removed) == (["z_new"], [gone])
    assert found.sources.renamed == {renamed: f"new_{renamed}"}
    assert found.sources.moved == {moved: ("validation", "train")}
    assert found.sources.changed == {changed: ["image"], mask: ["files"]}
    of_changed = sum(row.num_of_changed for row in found.rows)
    assert of_changed == sum(row.num_different for row in found.rows) > 3
    assert [row.num_only_a for row in found.rows] == [2, 2, 2, 1]
    assert [row.num_only_b for row in found.rows] == [3, 3, 3, 0]
    assert {pair.key for pair in found.sample.pairs} == {changed, mask}
    assert f"1 source moved: {moved}: validation → train" in " ".join(found.summary().split())


def test_classes_that_were_renamed_or_came(tmp_path: Path) -> None:
    draw_classes(tmp_path / "a", names=("cat", "dog"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    one = build(tmp_path / "a", tmp_path / "one", class_names=["cat", "dog"])
    other = build(tmp_path / "b", tmp_path / "other", class_names=["dog", "cat"])
    found = diff(one, other)
    assert found.classes["label"].moved == [("cat", 0, 1), ("dog", 1, 0)] and found.sources.are_equal
    assert "label: cat has index 0 in A, 1 in B" in found.summary()
    assert {value.name for value in found.sample.values} == {"label"}
    (tmp_path / "b/cat").rename(tmp_path / "b/kitty")
    found = diff(one, build(tmp_path / "b", tmp_path / "kitty"))
    assert found.classes["label"].removed == ["cat"] and found.classes["label"].added == ["kitty"]


def test_fields_that_only_one_has_do_not_keep_others_from_being_compared(tmp_path: Path, first: Path) -> None:
    images = sorted(str(path) for path in draw_pairs(tmp_path / "sources").rglob("images/*.png"))
    out = tmp_path / "out"
    precompute.build(images=images, labels=["x", "y"] * 6, output=out, **options())
    found = diff(first, out)
    assert found.fields == ["mask: only in A (mask)", "label: only in B (label)"] and not found.are_equal
    assert found.sources.added == []


def test_one_byte_of_one_record(tmp_path: Path) -> None:
    source = draw_classes(tmp_path / "sources")
    given: dict[str, Any] = {"pipeline": A.Compose([A.HorizontalFlip(p=0.5)]), "image_format": "raw"}
    one = build(source, tmp_path / "one", **given)
    changed = source / "dog" / "dog004.png"
    pixels = np.asarray(Image.open(changed)).copy()
    pixels[3, 4, 1] ^= 1
    save(changed, pixels)
    other = build(source, tmp_path / "other", **given)
    found = diff(one, other)
    equal = {*shard_hashes(one).values()} & {*shard_hashes(other).values()}
    assert len(equal) == len(shard_hashes(one)) - len(found.sample.pairs)
    assert found.sources.changed == {"dog/dog004": ["image"]}
    for pair in found.sample.pairs:
        assert (pair.key, pair.changes["image"].largest) == ("dog/dog004", 1)
        assert pair.changes["image"].share == pytest.approx(1 / pixels.size)
    assert {value.name for value in found.sample.values} == {"image"}
    assert len(diff(one, other, num_pairs=1).sample.pairs) == 1 and diff(one, other, num_pairs=0).sample.pairs == []


def test_the_command_says_what_differs_and_ends_with_5(
    pairs: Path, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", str(first), str(first)]) == 0
    assert capsys.readouterr().out.endswith("\nEQUAL\n")
    out = build(pairs, tmp_path / "out", variants=2, seed=3)
    assert main(["diff", str(first), str(out), "--json", str(tmp_path / "new/diff.json")]) == 5
    assert capsys.readouterr().out.endswith("\nDIFFERENT\n")
    content = json.loads((tmp_path / "new/diff.json").read_text())
    assert list(content) == [
        *("equal", "a", "b", "settings", "fields", "classes", "sources", "rows", "only_a", "only_b", "sample", "notes")
    ]
    assert content == diff(first, out).to_dict()
    assert list(content["sources"]) == ["num_a", "num_b", "added", "removed", "renamed", "moved", "changed"]
    assert content["sources"]["added"] == {"number": 0, "first": []}
    assert content["rows"][0] == {
        "split": "train",
        "a": {"row": 0, "seed": 0, "variant": 0, "original": False},
        "b": {"row": 0, "seed": 3, "variant": 0, "original": False},
        "num_equal": 0,
        "num_different": 9,
        "num_of_changed": 0,
        "num_only_a": 0,
        "num_only_b": 0,
    }
    assert content["only_a"] == {"train": [{"row": 2, "seed": 0, "variant": 2, "original": False}]}
    assert list(content["sample"]["pairs"][0]) == ["split", "key", "copy", "row_a", "row_b", "changes"]
    (tmp_path / "file").write_text("")
    assert main(["diff", str(first), str(out), "--json", str(tmp_path / "file/diff.json")]) == 2
    assert "json: " in capsys.readouterr().err


def test_what_cannot_be_compared_is_refused(first: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="manifest.json: there is no such file; build the dataset first"):
        diff(first, tmp_path / "nowhere")
    for given, message in (
        ({}, "b: expected another dataset, or other rows of this one: --rows with --rows-b, or --seed with --seed-b"),
        ({"rows_b": "1"}, "rows_b: goes with --rows"),
        ({"seed_b": 1}, "seed_b: goes with --seed"),
        ({"rows": "0", "rows_b": "9"}, r"rows_b: expected row numbers that train lists \(0-2\), got \[9\]"),
        ({"seed": 0, "seed_b": 9}, "seed_b: train lists rows of seed 0; got 9"),
        ({"rows": "0", "rows_b": "1", "split": "test"}, "split: the dataset has train, validation; got 'test'"),
        ({"rows": "0", "rows_b": "1", "num_pairs": -1}, "num_pairs: expected 0 or more, got -1"),
    ):
        with pytest.raises(UsageError, match=message):
            diff(first, **given)
    with pytest.raises(UsageError, match="rows: expected row numbers that train lists"):
        diff(first, first, rows="7")


def test_a_shard_that_is_short_or_altered_is_named(pairs: Path, first: Path, tmp_path: Path) -> None:
    other = build(pairs, tmp_path / "other", seed=2)
    shutil.copytree(other, tmp_path / "out")
    shard = next((tmp_path / "out/data").rglob("*-train_r0000.tfrecord-00000*"))
    content = shard.read_bytes()
    shard.write_bytes(content[:-5])
    with pytest.raises(DatasetError, match=f"{shard}: cut short"):
        diff(first, tmp_path / "out")
    shard.write_bytes(content + b"x")
    with pytest.raises(DatasetError, match=f"{shard}: cut short"):
        diff(first, tmp_path / "out")
    shard.write_bytes(content[:-10] + b"x" + content[-9:])
    with pytest.raises(DatasetError, match=f"{shard}: altered: the record at byte .* fails its checksum"):
        diff(first, tmp_path / "out")
    shard.write_bytes(b"")
    with pytest.raises(DatasetError, match=f"{shard}: expected .* records; run `precompute verify`"):
        diff(first, tmp_path / "out")
    shard.unlink()
    with pytest.raises(DatasetError, match=f"{shard}: cannot be read"):
        diff(first, tmp_path / "out")


@pytest.mark.slow
def test_a_dataset_in_a_store_is_compared_where_it_lies(pairs: Path, first: Path, tmp_path: Path, url: str) -> None:
    put_tree(first, url)
    assert diff(first, url).are_equal
    found = diff(build(pairs, tmp_path / "out", seed=7), url)
    assert len(found.sample.pairs) == 30 and {value.name for value in found.sample.values} == {"image", "mask"}
    assert diff(url, against_installed=True).are_equal
