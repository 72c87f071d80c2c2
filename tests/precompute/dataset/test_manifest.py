"""The contract on disk: what is read is checked, and no name leads out of the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import precompute
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths, dataset_name
from precompute.errors import DatasetError
from tests.helpers.small_datasets import draw_pairs, options

IMAGE = {"type": "image", "height": 16, "width": 16, "channels": 3, "encoding": "png"}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("made")
    precompute.build(draw_pairs(folder / "data", 12), folder / "out", **options(variants=1))
    manifest: dict[str, Any] = json.loads((folder / "out" / "manifest.json").read_text())
    return manifest


def load(folder: Path, content: object) -> Manifest:
    folder.joinpath("manifest.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return Manifest.load(folder)


def test_what_is_written_is_read_again(content: dict[str, Any], tmp_path: Path) -> None:
    manifest = load(tmp_path, content)
    assert json.loads(manifest.to_bytes()) == content


def test_unknown_fields_are_passed_over(content: dict[str, Any], tmp_path: Path) -> None:
    newer = {**content, "version": [2, 7], "colour": "blue"}
    assert load(tmp_path, newer) == load(tmp_path, content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "zip"}, "expected a manifest with format 'augment-once', got 'zip'"),
        ({"version": [3, 0]}, "has format 3, this version reads formats 1 to 2. Install a version of augment-once"),
        ({"version": [0, 9]}, "has format 0, this version reads formats 1 to 2"),
        ({"version": "1"}, r"expected version \[major, minor\], got '1'"),
        ({"name": "../elsewhere"}, "name: '../elsewhere' is not a name"),
        ({"generation": "g0001/../.."}, "generation: .* is not a name"),
        ({"splits": {"../x": None}}, "splits"),
        ({"schema": None}, "schema: expected fields by their names, the image among them, got None"),
        ({"schema": {"mask": {}}}, "schema: expected fields by their names, the image among them"),
        ({"schema": {"image": {**IMAGE, "height": "tall"}}}, "schema: image: height: expected int, got 'tall'"),
        ({"schema": {"image": {**IMAGE, "channels": 2}}}, "schema: image: channels: '2' is not what precompute"),
        ({"schema": {"image": {"type": "mask"}}}, "schema: 'image': {'type': 'mask'} is not what precompute"),
        ({"schema": {"image": IMAGE, "sound": {"type": "sound"}}}, "schema: sound: has the type 'sound', which this"),
        ({"schema": {"image": IMAGE, "../x": {"type": "value"}}}, "schema: '../x': .* is not what precompute"),
        ({"schema": {"image": IMAGE, "mask": []}}, r"schema: 'mask': \[\] is not what precompute"),
        ({"schema": {"image": IMAGE, "age": {"type": "value", "dtype": "date"}}}, "schema: age: dtype: 'date' is not"),
        ({"skipped": "none"}, "skipped: expected list, got 'none'"),
    ],
)
def test_what_is_wrong_is_named(content: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        load(tmp_path, {**content, **change})
    assert str(tmp_path / "manifest.json") in str(caught.value)


COUNTED = {"overlap": {"number": 3, "num_sources": 1, "examples": ["a"]}}
OLD = {"image": {**IMAGE}, "target": {"kind": "mask", "num_classes": 3, "class_names": [], "dtype": "uint8"}}


def in_format_1(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a manifest as format 1.1 had it."""
    kept = {name: value for name, value in content.items() if name not in ("schema", "counters")}
    splits = {
        name: {**{key: value for key, value in split.items() if key != "segments"}, **split["segments"][0]}
        for name, split in content["splits"].items()
    }
    return {**kept, **OLD, "version": [1, 1], "splits": splits, "remarks": COUNTED}


def test_a_manifest_of_format_1_says_the_same(content: dict[str, Any], tmp_path: Path) -> None:
    content = {**content, "counters": COUNTED}
    old = load(tmp_path, in_format_1(content))
    assert old == load(tmp_path, content)
    assert json.loads(old.to_bytes()) == content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": {"height": "tall"}}, "image: height: expected int, got 'tall'"),
        ({"target": []}, r"target: expected an object, got \[\]"),
        ({"target": {**OLD["target"], "kind": "sound"}}, "target: kind: 'sound' is not what precompute writes"),
        ({"target": {**OLD["target"], "kind": "keypoints"}}, "target: keypoints: 'None' is not what precompute writes"),
        ({"target": {**OLD["target"], "num_classes": -1}}, "schema: mask: num_classes: '-1' is not what precompute"),
        ({"splits": []}, r"splits: expected dict, got \[\]"),
        ({"splits": {"train": {"num_places": 3}}}, "splits.'train'.: expected num_places and num_blocks"),
        ({"settings": {"pixels": {}, "dataset": {"extra": 3}}}, "settings: dataset: extra: expected an object, got 3"),
    ],
)
def test_what_is_wrong_in_format_1_is_named(
    content: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        load(tmp_path, {**in_format_1(content), **change})


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such file; build the dataset first"):
        Manifest.load(tmp_path)
    for broken in ("", "{", "[1]", "[" * 5000):
        with pytest.raises(DatasetError, match="not valid JSON|expected a JSON object"):
            load(tmp_path, broken)


@given(name=st.text(max_size=30) | st.text("aB1é_", min_size=120, max_size=255))
def test_any_folder_name_gives_a_name_that_readers_take(name: str) -> None:
    import re

    made = dataset_name(Path("/tmp") / ("x" if name in ("", ".", "..") or "/" in name or "\0" in name else name))
    assert re.fullmatch(r"[a-z][a-z0-9_]*", made)
    assert not re.search(r"\d{5}", made)  # TensorFlow Datasets would take it for a shard number
    shard = DatasetPaths(Path("out")).shard(made, "g0001", "validation", 9_999, 99_998, 99_999)
    assert len(f"{shard.name}.{'0' * 32}") <= 255  # as it is called while it is written


def test_names_are_spelled_in_one_place() -> None:
    paths = DatasetPaths(Path("out"))
    assert paths.shard("cells", "g0001", "train", 12, 3, 16) == Path(
        "out/data/g0001/cells-train_r0012.tfrecord-00003-of-00016"
    )
    assert paths.row_file("g0001", "train", 12) == Path("out/data/g0001/rows/train_r0012.json")
    assert paths.sources("g0001", "train") == Path("out/data/g0001/sources-train.jsonl")
    assert [dataset_name(Path(n)) for n in ("MyCells-2", "20240101", "a b", "日本")] == [
        "my_cells_2",
        "dataset_2024_0101",
        "a_b",
        "dataset",
    ]


LABELLED = {"type": "label", "num_classes": 2, "class_names": ["cat", "dog"], "several": False}
AGE = {"type": "value", "dtype": "float", "learnt": True, "mirror_negates": False}


def test_each_of_several_targets_is_described(content: dict[str, Any], tmp_path: Path) -> None:
    mask = content["schema"]["mask"]
    manifest = load(tmp_path, {**content, "schema": {"image": IMAGE, "mask": mask, "age": AGE, "label": LABELLED}})
    kinds = {name: (target.kind, target.num_classes) for name, target in manifest.targets.items()}
    assert kinds == {"mask": ("mask", 3), "age": ("value", 0), "label": ("class", 2)}
    assert manifest.target == manifest.targets["label"]  # it leads
    without = load(tmp_path, {**content, "schema": {"image": IMAGE, "mask": mask, "age": AGE}})
    assert without.target == manifest.targets["mask"] and without.target.dtype == "uint8"
    assert load(tmp_path, {**content, "schema": {"image": IMAGE}}).target.image_only
