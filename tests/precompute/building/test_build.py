"""Building: what is written, what a second build does, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
from numpy.typing import NDArray

import precompute
from precompute.dataset.manifest import Manifest
from precompute.dataset.rows import read_row_file
from precompute.errors import BuildError, PipelineError, SettingsError, SourceError, UsageError
from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, pipeline, rows_of, save, shard_hashes
from tests.helpers.stored_keys import keys_of


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("pairs"), 20)


def test_each_row_holds_every_source_once(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "out", **options())
    manifest = Manifest.load(tmp_path / "out")
    assert rows_of(tmp_path / "out") == [(0, 0, 0), (1, 0, 1), (2, 0, 2)]
    assert rows_of(tmp_path / "out", "validation") == [(0, 0, 0)]
    train = [keys_of(tmp_path / "out", "train", row) for row in range(3)]
    assert train[0] == train[1] == train[2]  # the order is the same in every row
    assert len(set(train[0])) == len(train[0]) == 15
    assert sorted([*train[0], *keys_of(tmp_path / "out", "validation", 0)]) == [f"s{i:03d}" for i in range(20)]
    for split, listed in manifest.splits.items():
        for row in listed.rows:
            shards = read_row_file(tmp_path / "out", manifest, split, row).shards
            assert sum(s.num_records for s in shards) == row.num_records == listed.num_records


def test_finished_build_does_nothing(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "out", **options())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    result = precompute.build(pairs, tmp_path / "out", **options())
    assert "complete already" in result.summary()
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {p: t for p, t in after.items() if p.name != "lock"} == {p: t for p, t in before.items() if p.name != "lock"}


def test_growth_rewrites_nothing(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "out", **options(variants=2))
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "data").rglob("*tfrecord*")}
    result = precompute.build(pairs, tmp_path / "out", **options(variants=5))
    assert [row.variant for row in result.rows["train"]] == [2, 3, 4]
    assert result.rows["validation"] == []
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert rows_of(tmp_path / "out") == [(i, 0, i) for i in range(5)]


def test_another_seed_adds_rows(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "out", **options(variants=2))
    precompute.build(pairs, tmp_path / "out", **options(variants=2, seed=7))
    assert rows_of(tmp_path / "out") == [(0, 0, 0), (1, 0, 1), (2, 7, 0), (3, 7, 1)]
    assert rows_of(tmp_path / "out", "validation") == [(0, 0, 0)]


def test_original_row_is_marked_and_not_counted(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "out", **options(variants=2, include_original=True))
    rows = Manifest.load(tmp_path / "out").splits["train"].rows
    assert [(row.original, row.variant) for row in rows] == [(True, None), (False, 0), (False, 1)]
    shard = next((tmp_path / "out" / "data").rglob("*train_r0000*"))
    example = decode_example(next(read_records(shard)))
    assert list(example["augment/variant"]) == [-1]
    precompute.regenerate(tmp_path / "out", seed=3, backend="sequential", quiet=True)
    assert [(r.original, r.seed) for r in Manifest.load(tmp_path / "out").splits["train"].rows] == [
        (True, 0),
        (False, 3),
        (False, 3),
    ]


def test_other_settings_are_refused_one_by_one(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "out", **options(image_format="jpeg"))
    before = shard_hashes(tmp_path / "out")
    changed = options(image_format="jpeg", quality=80, validation_split=0.5, pipeline=pipeline(size=20))
    with pytest.raises(SettingsError) as caught:
        precompute.build(pairs, tmp_path / "out", **changed)
    for part in (
        "pipeline of train › Resize › height: 16 in the dataset, 20 now",
        "quality: 95 in the dataset, 80 now",
        "validation_split: 0.25",
        "--replace",
    ):
        assert part in str(caught.value)
    assert shard_hashes(tmp_path / "out") == before


def test_another_pipeline_is_shown_by_what_differs(pairs: Path, tmp_path: Path) -> None:
    def nested(p: float) -> A.Compose:
        return A.Compose([A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=p)], p=0.9), A.Resize(16, 16)])

    precompute.build(pairs, tmp_path / "out", **options(pipeline=nested(1)))
    with pytest.raises(
        SettingsError, match=r"pipeline of train › OneOf › VerticalFlip › p: 1 in the dataset, 0\.5 now"
    ):
        precompute.build(pairs, tmp_path / "out", **options(pipeline=nested(0.5)))
    with pytest.raises(SettingsError, match=r"pipeline of train: .*OneOf\[HorizontalFlip.* in the dataset, Compose\["):
        precompute.build(pairs, tmp_path / "out", **options(pipeline=A.Compose([A.Resize(16, 16)])))


def test_class_names_of_masks_decide_their_number(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "out", **options(class_names=["ground", "tree", "house", "sea"]))
    assert Manifest.load(tmp_path / "out").target.num_classes == 4
    with pytest.raises(UsageError, match="num_classes: 3 does not fit the 2 class_names"):
        precompute.build(pairs, tmp_path / "other", **options(class_names=["ground", "tree"], num_classes=3))


@pytest.mark.slow
def test_other_sources_are_refused(tmp_path: Path) -> None:
    folder = draw_pairs(tmp_path / "data", 12)
    precompute.build(folder, tmp_path / "out", **options())
    draw_pairs(tmp_path / "data", 13)
    with pytest.raises(SettingsError, match="s012: new, not in the dataset"):
        precompute.build(folder, tmp_path / "out", **options())
    for part in ("images", "masks"):
        (folder / part / "s012.png").unlink()
        (folder / part / "s003.png").unlink()
    with pytest.raises(SettingsError, match="s003: gone, but in the dataset"):
        precompute.build(folder, tmp_path / "out", **options())


def test_a_source_that_changed_is_refused(tmp_path: Path) -> None:
    import os

    folder = draw_pairs(tmp_path / "data", 12)
    precompute.build(folder, tmp_path / "out", **options())
    path = folder / "images" / "s004.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)  # the same size
    later = (tmp_path / "out" / "manifest.json").stat().st_mtime + 10
    os.utime(path, (later, later))
    with pytest.raises(SettingsError, match=r"the content of .*s004\.png changed"):
        precompute.build(folder, tmp_path / "out", **options())


def test_replace_writes_a_new_generation_and_keeps_splits(tmp_path: Path) -> None:
    folder = draw_pairs(tmp_path / "data", 12)
    precompute.build(folder, tmp_path / "out", **options())
    validation = set(keys_of(tmp_path / "out", "validation", 0))
    draw_pairs(tmp_path / "data", 16)
    precompute.build(folder, tmp_path / "out", **options(replace=True))
    manifest = Manifest.load(tmp_path / "out")
    assert manifest.generation == "g0002"
    assert validation <= set(keys_of(tmp_path / "out", "validation", 0))
    assert not (tmp_path / "out" / "data" / "g0001").exists()
    assert sum(split.num_places for split in manifest.splits.values()) == 16


def test_dry_run_writes_nothing(pairs: Path, tmp_path: Path) -> None:
    result = precompute.build(pairs, tmp_path / "out", **options(dry_run=True))
    assert not (tmp_path / "out").exists()
    assert "15 sources × 3 new rows" in result.summary()


def test_limit_takes_a_fixed_few(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "a", **options(limit=8))
    precompute.build(pairs, tmp_path / "b", **options(limit=8, seed=5))
    assert len(keys_of(tmp_path / "a", "train", 0)) == 6
    assert keys_of(tmp_path / "a", "train", 0) == keys_of(tmp_path / "b", "train", 0)


def test_lists_and_iterables_give_what_the_folder_gives(tmp_path: Path) -> None:
    folder = draw_classes(tmp_path / "data")
    paths = sorted(folder.rglob("*.png"), reverse=True)
    labels = [path.parent.name for path in paths]
    precompute.build(folder, tmp_path / "a" / "out", **options())
    precompute.build(output=tmp_path / "b" / "out", images=paths, labels=labels, **options())
    sources = [
        precompute.Source(key=f"{label}/{path.stem}", image=path, label=label)
        for path, label in zip(paths, labels, strict=True)
    ]
    precompute.build(iter(sources), tmp_path / "c" / "out", **options())
    assert shard_hashes(tmp_path / "a" / "out") == shard_hashes(tmp_path / "b" / "out")
    assert shard_hashes(tmp_path / "a" / "out") == shard_hashes(tmp_path / "c" / "out")
    precompute.regenerate(tmp_path / "c" / "out", seed=4, backend="sequential", quiet=True)


def test_unequal_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="labels: expected an entry for each of 3 images, got 2"):
        precompute.build(output=tmp_path / "out", images=["a.png", "b.png", "c.png"], labels=["x", "y"], **options())


def test_usage_is_explained(pairs: Path, tmp_path: Path) -> None:
    for changes, message in (
        ({"variants": 0}, "variants: expected an integer from 1 to 9999, got 0"),
        ({"seed": -1}, "seed: expected an integer from 0"),
        ({"image_format": "gif"}, "image_format: expected one of jpeg, png, raw, got 'gif'"),
        ({"quality": 101}, "quality: expected an integer from 1 to 100, got 101"),
        ({"skip_bad": "many"}, "skip_bad: expected a number or a percentage"),
        ({"colour": "red"}, "unknown option colour"),
        ({"validation_split": 1.5}, "validation"),
    ):
        with pytest.raises(UsageError, match=message):
            precompute.build(pairs, tmp_path / "out", **options(**changes))
    with pytest.raises(PipelineError, match="none given"):
        precompute.build(pairs, tmp_path / "out", **options(pipeline=None))


def test_folder_with_other_files_is_refused(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(BuildError, match="holds other files and no dataset"):
        precompute.build(pairs, tmp_path / "out", **options())


def test_second_build_is_refused_while_the_first_lives(pairs: Path, tmp_path: Path) -> None:
    from precompute.building.folder import write_lock

    with write_lock(tmp_path / "out"), pytest.raises(BuildError, match="another build is writing here"):
        precompute.build(pairs, tmp_path / "out", **options())
    precompute.build(pairs, tmp_path / "out", **options())


def test_binary_masks_get_the_offer_of_a_map(tmp_path: Path) -> None:
    folder = draw_pairs(tmp_path / "data", 12)
    for i in range(12):
        save(folder / "masks" / f"s{i:03d}.png", np.full((20 + i % 3, 18 + i % 5), 255 * (i % 2), np.uint8))
    with pytest.raises(SourceError, match="--mask-map 255:1"):
        precompute.build(folder, tmp_path / "out", **options())
    precompute.build(folder, tmp_path / "out", **options(mask_map={255: 1}))
    assert Manifest.load(tmp_path / "out").target.num_classes == 2


def test_missing_and_short_shards_are_put_back(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    precompute.build(pairs, out, **options(variants=2, include_original=True))
    before = shard_hashes(out)
    shards = sorted(out.rglob("*.tfrecord-*"))
    shards[0].unlink()
    shards[-1].write_bytes(shards[-1].read_bytes()[:-1])
    precompute.build(pairs, out, **options(variants=2, include_original=True))
    assert shard_hashes(out) == before
    altered = bytearray(shards[1].read_bytes())
    altered[len(altered) // 2] ^= 1
    shards[1].write_bytes(altered)
    precompute.build(pairs, out, **options(variants=2, include_original=True, check="full"))
    assert shard_hashes(out) == before
    assert not (out / "data" / "repair").exists()


def test_no_validation_is_said_loudly(pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    precompute.build(pairs, tmp_path / "out", **options(validation_split=0.0, quiet=False))
    assert "NO VALIDATION SPLIT" in capfd.readouterr().err


def test_leaks_between_splits_are_reported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = draw_classes(tmp_path / "data" / "train")
    draw_classes(tmp_path / "data" / "val", per_class=2, names=("cat", "dog"))
    for path in sorted((tmp_path / "data" / "val").rglob("*.png")):
        path.rename(path.with_stem(f"v{path.stem}"))
    assert folder.exists()
    result = precompute.build(tmp_path / "data", tmp_path / "out", **options(validation_split=0.0, quiet=False))
    assert result.manifest is not None
    assert [leak["num_sources"] for leak in result.manifest.leaks] == [4]
    assert "warning: train and validation share the content of 4 sources" in capfd.readouterr().err


def test_two_keys_with_one_source_id_are_refused(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from precompute.building import make_plan

    def ids(keys: Sequence[str]) -> NDArray[np.uint64]:
        return np.array([7 if key in ("s003", "s011") else int(key[1:]) + 100 for key in keys], np.uint64)

    monkeypatch.setattr(make_plan, "source_ids", ids)
    with pytest.raises(SourceError, match="the keys 's003' and 's011' have the same image/source_id"):
        precompute.build(pairs, tmp_path / "out", **options())


def test_manifest_records_what_was_asked(pairs: Path, tmp_path: Path) -> None:
    train = A.Compose([A.HorizontalFlip(p=0.5), A.Resize(16, 16), A.Normalize()])
    precompute.build(pairs, tmp_path / "out", **options(pipeline={"train": train}))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["normalize"]["train"]["max_pixel_value"] == 255.0
    assert manifest["settings"]["dataset"]["validation_split"] == 0.25
    assert manifest["settings"]["pixels"]["versions"]["albumentations"] == A.__version__
    assert list(manifest["schema"]) == ["image", "mask"]
    classes = {"num_classes": 3, "class_names": [], "ignore_class": None}
    assert manifest["schema"]["mask"] == {"type": "mask", **classes, "encoding": "png", "dtype": "uint8"}


def test_dataset_can_be_moved(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "out", **options(variants=1))
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    precompute.build(pairs, tmp_path / "elsewhere", **options(variants=2))
    assert {path.name.split("-")[0] for path in (tmp_path / "elsewhere").rglob("*.tfrecord-*")} == {"out"}


def test_the_summary_shows_classes_and_those_that_a_split_lacks(tmp_path: Path) -> None:
    draw_classes(tmp_path / "in/train", 3, ("cat", "dog", "dogs"))
    draw_classes(tmp_path / "in/val", 2, ("cat", "dog"))
    lines = (
        precompute.build(tmp_path / "in", tmp_path / "out", **options(validation_split=0.0, split_in_key=True))
        .summary()
        .splitlines()
    )
    assert lines[2] == "    sources of each class: cat 3, dog 3, dogs 3"
    assert lines[4:6] == ["    sources of each class: cat 2, dog 2", "    none of: dogs"]
    many = draw_classes(tmp_path / "many", 1, tuple(f"c{i:02d}" for i in range(12)))
    summary = precompute.build(many, tmp_path / "out2", **options(validation_split=0.0)).summary()
    assert "c00 1, c01 1, c02 1, c03 1, c04 1, c05 1, c06 1, c07 1 … and 4 others" in summary
