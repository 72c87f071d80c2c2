"""Rare classes more often: copies of their training sources, each with draws of its own."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import SettingsError, UsageError
from precompute.fields.column import columns_by_name
from precompute.fields.label_column import LabelColumn, LabelSetColumn
from precompute.inspecting.inspect import inspect
from precompute.options.build_options import BuildOptions
from precompute.options.values import parse_class_copies
from precompute.plan.splits import assign_copies
from precompute.table.listing_file import read_listing
from precompute.table.sources import Sources
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, rows_of, save, shard_hashes

COPIES = {"hats": 2, "shoes": 3}


def draw(folder: Path) -> Path:
    """Write 12 coats, 6 hats and 4 shoes."""
    for name, number in (("coats", 12), ("hats", 6), ("shoes", 4)):
        draw_classes(folder / "one" / name, number, names=(name,))
        for path in (folder / "one" / name / name).iterdir():
            (folder / "data" / name).mkdir(parents=True, exist_ok=True)
            path.rename(folder / "data" / name / path.name)
    # Images of different classes differ.
    for i, path in enumerate(sorted((folder / "data").rglob("*.png"))):
        save(path, np.random.default_rng(i).integers(0, 255, (20, 22, 3), dtype=np.uint8))
    return folder / "data"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies")
    precompute.build(draw(folder), folder / "out", **given(include_original=True))
    return folder


def test_sources_of_several_labels_have_no_copies() -> None:
    several = Sources(
        root=None,
        keys=["a"],
        images=["/a"],
        columns=columns_by_name(LabelSetColumn(values=[(0,)])),
        splits=["train"],
        names_by_field={"labels": ["hat"]},
    )
    for asked, name in (({"class_copies": {"hat": 2}}, "class_copies"), ({"balance": True}, "balance")):
        with pytest.raises(UsageError, match=f"{name}: expected sources with a class each, these have several labels"):
            assign_copies(several, **{"class_copies": {}, "balance": False, **asked})


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built / "out", tmp_path / "out")
    return tmp_path / "out"


def given(**changes: Any) -> dict[str, Any]:
    return options(**{"variants": 2, "class_copies": COPIES, "shard_size": 10_000, **changes})


def places_of(out: Path, row: int, split: str = "train") -> Counter[str]:
    """Return how often a row holds each key."""
    return Counter(example["key"] for example in precompute.read(out, split=split, row=row))


def test_each_row_holds_every_copy_once(out: Path) -> None:
    manifest = Manifest.load(out)
    listing = read_listing(out / "data" / "g0001" / "sources-train.jsonl")
    expected = {key: COPIES.get(key.split("/")[0], 1) for key in listing}
    assert {key: entry["copies"] for key, entry in listing.items()} == expected
    for row in manifest.splits["train"].rows:
        assert places_of(out, row.row) == expected
        assert row.num_records == manifest.splits["train"].num_places == sum(expected.values())
    assert manifest.settings["dataset"]["class_copies"] == COPIES
    assert "balance" not in manifest.settings["dataset"]


def test_validation_is_never_multiplied(out: Path) -> None:
    places = places_of(out, 0, "validation")
    assert {key.split("/")[0] for key in places} == {"coats", "hats", "shoes"}
    assert set(places.values()) == {1}


def test_each_copy_has_draws_of_its_own(out: Path) -> None:
    pixels = {
        (e["key"], e["copy"]): e["image"].tobytes() for e in precompute.read(out, row=1) if e["key"].startswith("shoes")
    }
    assert {copy for _, copy in pixels} == {0, 1, 2}
    assert len(set(pixels.values())) > len({key for key, _ in pixels})  # some draws may agree, all cannot
    originals = {e["image"].tobytes() for e in precompute.read(out, row=0) if e["key"].startswith("shoes")}
    assert len(originals) == len({key for key, _ in pixels})


def test_the_first_copies_are_what_they_are_without(built: Path, tmp_path: Path) -> None:
    precompute.build(built / "data", tmp_path / "out", **given(class_copies={}, include_original=True))
    plain = {e["key"]: e["image"].tobytes() for e in precompute.read(tmp_path / "out", row=1)}
    first = {e["key"]: e["image"].tobytes() for e in precompute.read(built / "out", row=1) if not e["copy"]}
    assert first == plain


def test_all_that_looks_at_datasets_knows_copies(out: Path, built: Path) -> None:
    assert precompute.verify(out, jobs=1, sources=30).problems == []
    found = inspect(out)
    assert (found.splits["train"].num_sources, found.splits["train"].num_places) == (16, 26)
    assert found.splits["train"].class_counts == [9, 4, 3]
    assert "hats 2, shoes 3 (of each training source, in every row)" in found.text()
    result = precompute.build(built / "data", out, **given(include_original=True))
    assert "train: 26 places × 3 rows" in result.summary()
    assert "26 records, each training source as often as its class has copies" in result.summary()


def test_it_grows_with_the_same_copies_and_no_others(out: Path, built: Path) -> None:
    before = {name: sha256 for name, sha256 in shard_hashes(out).items() if "train_r0000" in name}
    precompute.build(built / "data", out, **given(variants=3))
    precompute.regenerate(out, seed=4, jobs=1, backend="sequential", quiet=True)
    precompute.follow(out, keep=4, rows=1, jobs=1, backend="sequential", quiet=True)
    assert rows_of(out) == [(0, 0, None), (4, 4, 0), (5, 4, 1), (6, 4, 2), (7, 4, 7)]
    for row, _, _ in rows_of(out):
        assert places_of(out, row).total() == 26
    for other in ({"class_copies": {"shoes": 3}}, {"class_copies": {}}, {"class_copies": {}, "balance": True}):
        with pytest.raises(SettingsError, match=r"dataset\.class_copies.* in the dataset"):
            precompute.build(built / "data", out, **given(**other))
    assert before.items() <= shard_hashes(out).items()
    precompute.build(built / "data", out, **given(class_copies={"coats": 2}, replace=True))
    assert Manifest.load(out).splits["train"].num_places == 16 + 9


def test_balance_takes_copies_by_the_size_of_classes(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    precompute.build(built / "data", out, **given(class_copies={}, balance=True, quiet=False))
    said = "copies of each training source: hats 2, shoes 3; 16 sources take 26 places in a row."
    assert said in capsys.readouterr().err  # 9 + 4 × 2 + 3 × 3
    counts = Counter(e["class_name"] for e in precompute.read(out))
    assert counts == {"coats": 9, "hats": 8, "shoes": 9}
    precompute.build(built / "data", out, **given(class_copies={}, balance=True, variants=3))
    assert len(rows_of(out)) == 3
    assert "by the size of each class" in inspect(out).text()
    assert precompute.verify(out, jobs=1).problems == []


class FailsSometimes(A.ImageOnlyTransform):
    """Raises on images whose corner is red, for some of their draws."""

    def apply(self, img: np.ndarray[Any, Any], draw: float, **params: Any) -> np.ndarray[Any, Any]:
        if tuple(img[0, 0]) == (255, 0, 0) and draw > 0.5:
            raise ValueError("the red corner")
        return img

    def get_params(self) -> dict[str, float]:
        return {"draw": self.py_random.random()}


def test_a_source_of_which_one_copy_fails_is_absent_altogether(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data", 3)
    for i, path in enumerate(sorted((data / "dog").iterdir())):
        pixels = np.full((20, 22, 3), i * 9, np.uint8)
        pixels[0, 0] = (255, 0, 0)
        save(path, pixels)
    pipeline = {"train": A.Compose([FailsSometimes(p=1), A.Resize(16, 16)])}
    build = options(pipeline=pipeline, class_copies={"dog": 4}, skip_bad="3", variants=1, validation_split=0)
    precompute.build(data, tmp_path / "out", **build)
    manifest = Manifest.load(tmp_path / "out")
    train, skipped = manifest.splits["train"], {entry["key"] for entry in manifest.skipped}
    assert train.num_blocks == 1  # an earlier copy has been written to the shard in which a later one fails
    assert skipped and all(key.startswith("dog") for key in skipped)
    assert train.num_records == train.num_places - 4 * len(skipped)
    assert skipped.isdisjoint(places_of(tmp_path / "out", 0))
    assert precompute.verify(tmp_path / "out", jobs=1).problems == []


def test_shared_content_is_found_once_a_source(built: Path, tmp_path: Path) -> None:
    listing = {s: read_listing(built / "out/data/g0001" / f"sources-{s}.jsonl") for s in ("train", "validation")}
    train, validation = (next(key for key in listing[s] if key.startswith("shoes")) for s in listing)
    shutil.copytree(built / "data", tmp_path / "data")
    shutil.copy(tmp_path / "data" / f"{train}.png", tmp_path / "data" / f"{validation}.png")
    precompute.build(tmp_path / "data", tmp_path / "out", **given())
    (leak,) = Manifest.load(tmp_path / "out").leaks
    assert leak == {"splits": ["train", "validation"], "num_sources": 1, "examples": [[train, validation]]}


def test_masks_and_unknown_names_are_refused(built: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="class_copies: no class is named gloves; expected some of:\n  coats\n  hats"):
        precompute.build(built / "data", tmp_path / "out", **given(class_copies={"gloves": 2}))
    pairs = draw_pairs(tmp_path / "pairs", 8)
    for other, name in (
        ({"class_copies": {"1": 2}}, "class_copies"),
        ({"class_copies": {}, "balance": True}, "balance"),
    ):
        with pytest.raises(UsageError, match=f"{name}: expected sources with a class each, these have masks"):
            precompute.build(pairs, tmp_path / "out", **given(**other))
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_options_are_checked() -> None:
    assert parse_class_copies("shoes=3, big=hats=2") == {"shoes": 3, "big=hats": 2}
    for text in ("shoes", "shoes=", "=3", "shoes=-1", "shoes=3,"):
        with pytest.raises(UsageError, match="class_copies: expected names and numbers, such as shoes=3,hats=2, got"):
            parse_class_copies(text)
    for number in (0, 10_001, True, "3"):
        with pytest.raises(UsageError, match="class_copies: expected 1 to 10,000 copies, got shoes="):
            BuildOptions(class_copies={"shoes": number})  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="class_copies, balance: give one of them"):
        BuildOptions(class_copies={"shoes": 2}, balance=True)


def test_balance_of_any_sizes() -> None:
    for sizes in ([1, 1], [100, 3, 7], [5, 0, 2], [1000, 1]):
        labels = [label for label, size in enumerate(sizes) for _ in range(size)]
        keys = [f"{i:04d}" for i in range(len(labels))]
        named = Sources(
            root=None,
            keys=keys,
            images=keys,
            columns=columns_by_name(LabelColumn(values=labels)),
            splits=["train"] * len(keys),
            names_by_field={"label": [f"c{label}" for label in range(len(sizes))]},
        )
        balanced = assign_copies(named, class_copies={}, balance=True)
        records = Counter[int]()
        for i, label in enumerate(labels):
            records[label] += balanced.num_copies(i)
        assert max(sizes) * 2 / 3 <= min(records.values()) <= max(records.values()) <= max(sizes) * 4 / 3


def test_tensorflow_reads_copies(out: Path) -> None:
    assert [len(images) for images, _ in precompute.load(out, rows=[1], batch_size=13, cache=False)] == [13, 13]
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(out))
    assert builder.info.splits["train_r0001"].num_examples == 26
    found = Counter(e["augment/key"].decode() for e in tfds.as_numpy(builder.as_dataset(split="train_r0001")))
    assert found == places_of(out, 1)
