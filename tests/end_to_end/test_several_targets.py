"""Several targets at once, from every layout that has them: built, told, read, grown; and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.errors import SourceError, UsageError
from precompute.inspecting.stored_options import stored_options
from precompute.pictures.drawing import draw_layers
from precompute.pictures.legend import legend_of
from tests.helpers.numbered_masks import draw_numbered
from tests.helpers.object_stores import put_tree
from tests.helpers.several_targets import (
    CLASSES,
    NUM,
    OF_FOLDERS,
    OPTIONS,
    STILL,
    check,
    draw,
    lists_of,
    objects_of,
    write_table,
)
from tests.helpers.small_datasets import draw_pairs, save, shard_hashes

tfds = pytest.importorskip("tensorflow_datasets")

Source = tuple[Any, dict[str, Any]]
OF_TABLE = {"target": "label,mask", "value_columns": ["age"]}
NAMED_COLUMNS = {"label_column": "class", "mask_column": {"fine": "fine", "coarse": "mask"}, "value_columns": ["age"]}
MAPPED = {"mask_map": {"fine": {255: 1}}}
WAYS: dict[str, tuple[Callable[[Path, list[dict[str, Any]]], Source], list[str]]] = {
    "folders": (lambda folder, drawn: (folder, OF_FOLDERS), ["label", "fine", "coarse"]),
    "one mask": (lambda folder, drawn: (_only(folder), {"target": "label,mask"}), ["label", "mask"]),
    "several masks": (
        lambda folder, drawn: (folder, {name: OF_FOLDERS[name] for name in ("masks", "mask_map")}),
        ["fine", "coarse"],
    ),
    "table": (lambda folder, drawn: (write_table(folder, drawn), OF_TABLE), ["label", "mask", "age"]),
    "columns": (
        lambda folder, drawn: (write_table(folder, drawn), NAMED_COLUMNS | MAPPED),
        ["label", "fine", "coarse", "age"],
    ),
    "lists": (lambda folder, drawn: (None, lists_of(drawn) | MAPPED), ["label", "fine", "coarse", "age"]),
    "objects": (lambda folder, drawn: (objects_of(drawn), MAPPED), ["label", "fine", "coarse", "age"]),
}


def _only(folder: Path) -> Path:
    (folder / "masks_coarse").rename(folder / "masks")
    shutil.rmtree(folder / "fine")
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_each_layout_gives_its_targets_to_the_pixel(way: str, tmp_path: Path) -> None:
    make, names = WAYS[way]
    source, asked = make(tmp_path / "data", draw(tmp_path / "data"))
    out = tmp_path / "out"
    manifest = precompute.build(source, out, **OPTIONS | asked).manifest
    assert list(manifest.targets) == names
    seen = 0
    for row in range(2):
        for example in precompute.read(out, row=row):
            check(example["image"], example)
            assert "label" not in names or example["class_name"] == CLASSES[example["label"]]
            assert "age" not in names or set(example["values"]) == {"age"}
            seen += 1
    assert seen == 2 * manifest.splits["train"].num_records
    assert precompute.verify(out, sources=NUM, jobs=1).problems == []
    told = precompute.inspect(out).text()
    assert all(name in told for name in names)
    again = precompute.build(source, out, **OPTIONS | asked | {"variants": 3})  # grows, with nothing changed
    assert again.manifest.fingerprint == manifest.fingerprint and again.manifest.schema == manifest.schema


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several") / "data"
    draw(folder)
    return folder


@pytest.fixture(scope="module")
def built(data: Path) -> Path:
    precompute.build(data, data.parent / "out", **OPTIONS | OF_FOLDERS)
    return data.parent / "out"


def test_a_reader_hands_out_what_is_picked(built: Path) -> None:
    for images, targets in precompute.load(built, batch_size=4, fresh="auto"):
        assert list(targets) == ["label", "fine", "coarse"]
        for i, image in enumerate(images.numpy()):
            check(image, {name: values[i].numpy() for name, values in targets.items()})
    images, masks = next(iter(precompute.load(built, targets=["coarse"])))
    check(images[0].numpy(), {"coarse": masks[0].numpy()})


def test_classes_of_two_masks_have_other_colours_in_one_picture(built: Path) -> None:
    layers = Manifest.load(built).schema.draw(next(precompute.read(built)))
    colors = [{entry.color for entry in legend_of([layers[name]]) if entry.color} for name in ("fine", "coarse")]
    assert list(map(len, colors)) == [1, 3] and colors[0].isdisjoint(colors[1])
    drawn = [np.asarray(draw_layers(np.zeros((16, 16, 3), np.uint8), [layers[name]])) for name in ("fine", "coarse")]
    assert {tuple(pixel) for pixel in drawn[0].reshape(-1, 3)[drawn[0].any(axis=-1).ravel()]}.isdisjoint(
        {tuple(pixel) for pixel in drawn[1].reshape(-1, 3)}
    )


def test_other_programs_open_it(built: Path) -> None:
    split = tfds.builder_from_directory(built).as_dataset(split="train_r0000")
    for example in tfds.as_numpy(split):
        masks = {name: example[f"image/segmentation/{name}/encoded"][..., 0] for name in ("fine", "coarse")}
        check(example["image/encoded"], {"label": example["image/class/label"], **masks})


def test_what_was_found_is_told_by_target(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = precompute.find(data, **OF_FOLDERS)
    assert found.fields == {"label": "class", "fine": "mask", "coarse": "mask"}
    assert "label (class), fine (mask), coarse (mask)" in str(found)
    names = {"label": CLASSES, "fine": [], "coarse": ["sky", "sea", "land", "ice"]}
    assert found.field_class_names == json.loads(found.to_json())["field_class_names"] == names
    row = next(found.to_rows())
    assert row["label"] == "cat" and Path(row["fine"]).parts[-3:] == ("fine", "cat", "0.png")
    command = ["build", str(data), str(data.parent / "dry"), "--pipeline", "light", "--image-size", "16", "--dry-run"]
    asked = ["--target", "label,mask", "--masks", "fine=fine", "coarse=masks_coarse", "--mask-map", "fine=255:1"]
    assert main([*command, *asked, "--class-names", "coarse=sky,sea,land,ice"]) == 0
    assert "label (class), fine (mask), coarse (mask)" in capsys.readouterr().err


def test_masks_have_names_and_numbers_of_classes_of_their_own(built: Path) -> None:
    targets = Manifest.load(built).targets
    assert targets["label"].class_names == CLASSES
    assert (targets["fine"].num_classes, targets["fine"].class_names) == (2, [])
    assert targets["coarse"].class_names == ["sky", "sea", "land", "ice"]
    pixels = Manifest.load(built).settings["pixels"]
    assert pixels["further_masks"]["fine"]["mask_map"] == {"255": 1} and "mask_map" not in pixels


def test_splits_and_copies_follow_the_label(data: Path, tmp_path: Path) -> None:
    asked = OPTIONS | OF_FOLDERS | {"class_copies": {"eel": 3}, "variants": 1}
    manifest = precompute.build(data, tmp_path / "out", **asked).manifest
    labels = [example["class_name"] for example in precompute.read(tmp_path / "out")]
    assert [labels.count(name) for name in CLASSES] == [3, 3, 9] and manifest.splits["train"].num_records == 15
    of_validation = [example["class_name"] for example in precompute.read(tmp_path / "out", split="validation")]
    assert sorted(of_validation) == CLASSES  # one of each


def test_options_of_a_dataset_make_it_again(built: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "options.toml").write_text(stored_options(built))
    command = ["build", str(data), str(tmp_path / "out"), "--options", str(tmp_path / "options.toml"), "--quiet"]
    pipeline = tmp_path / "pipeline.py"
    pipeline.write_text("from tests.helpers.several_targets import CENTER as validation, MOVING as train\n")
    assert main([*command, "--pipeline", str(pipeline), "--jobs", "1", "--backend", "sequential"]) == 0
    assert shard_hashes(tmp_path / "out") == shard_hashes(built)
    assert Manifest.load(tmp_path / "out").fingerprint == Manifest.load(built).fingerprint


def test_a_part_and_bad_sources(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data/fine/cat/0.png").write_bytes(b"no picture")
    asked = OPTIONS | OF_FOLDERS | {"variants": 1, "limit": 9, "validation_split": 0}
    manifest = precompute.build(tmp_path / "data", tmp_path / "out", skip_bad=1, **asked).manifest
    kept = [example["key"] for example in precompute.read(tmp_path / "out")]
    assert len(kept) == 9 - len(manifest.skipped) and "cat/0" not in kept
    assert all("fine/cat/0.png" in bad["reason"] for bad in manifest.skipped)


def test_rows_are_made_anew_and_rows_go(built: Path, tmp_path: Path) -> None:
    out = shutil.copytree(built, tmp_path / "out")
    precompute.regenerate(out, seed=9, jobs=1, backend="sequential", quiet=True)
    assert {row.seed for row in Manifest.load(out).splits["train"].rows} == {9}
    for example in precompute.read(out):
        check(example["image"], example)
    assert precompute.verify(out, sources=NUM, jobs=1).problems == []


def test_sources_in_an_object_store(data: Path, built: Path, tmp_path: Path) -> None:
    url = put_tree(data, "memory://several")
    precompute.build(url, tmp_path / "out", **OPTIONS | OF_FOLDERS)
    assert shard_hashes(tmp_path / "out") == shard_hashes(built)
    assert Manifest.load(tmp_path / "out").fingerprint == Manifest.load(built).fingerprint


def test_objects_beside_a_label_and_numbers(tmp_path: Path) -> None:
    drawn = draw(tmp_path / "data", 6)
    boxes = [[(i, 2, i + 6, 9, "a"), (10, 3, 20, 12, "b")][: i % 3] for i in range(6)]
    lists = {name: lists_of(drawn)[name] for name in ("images", "labels", "values")}
    options = OPTIONS | {"pipeline": STILL, "variants": 1, "validation_split": 0}
    precompute.build(None, tmp_path / "out", **options | lists, boxes=boxes, class_names={"objects": ["b", "a"]})
    manifest = Manifest.load(tmp_path / "out")
    assert {name: target.kind for name, target in manifest.targets.items()} == {
        "label": "class",
        "objects": "boxes",
        "age": "value",
    }
    assert manifest.targets["objects"].class_names == ["b", "a"] and manifest.target.class_names == CLASSES
    for example in precompute.read(tmp_path / "out"):
        i = int(example["key"].rpartition("/")[2])
        assert example["class_name"] == CLASSES[i % 3] and example["values"] == {"age": i / 2}
        assert example["boxes"].round().tolist() == [list(box[:4]) for box in boxes[i]]
    for images, targets in precompute.load(tmp_path / "out", batch_size=3, targets=["objects", "age"]):
        assert images.shape[0] == targets["objects"]["boxes"].shape[0] == targets["age"].shape[0] == 3


def test_images_that_lack_one_of_several_masks(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data/fine/cat/0.png").unlink()
    (tmp_path / "data/masks_coarse/dog/1.png").rename(tmp_path / "data/masks_coarse/dog/one.png")
    with pytest.raises(SourceError, match=r"Images that have no fine mask \(1\):\n.*cat/0") as error:
        precompute.find(tmp_path / "data", **OF_FOLDERS)
    assert "Images that have no coarse mask (1)" in str(error.value)
    assert "Coarse masks that have no image (1)" in str(error.value)
    found = precompute.find(tmp_path / "data", skip_unmatched=3, **OF_FOLDERS)
    assert len(found) == NUM - 2 and {"cat/0", "dog/1"}.isdisjoint(found.keys)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"class_names": CLASSES},
            r"class_names .*: label and fine and coarse have classes of their own; say whose this is",
        ),
        (
            {"num_classes": 4},
            "num_classes .*: fine and coarse have masks of their own; .* --num-classes fine=… coarse=…",
        ),
        ({"ignore_class": 0}, "ignore_class .*: fine and coarse have masks of their own"),
        (
            {"mask_map": {}},
            r"masks of fine hold 0 and 255 .* --mask-map fine=255:1 \(mask_map=\{'fine': \{255: 1\}\}\)",
        ),
        ({"mask_map": {255: 1}}, "mask_map .*: fine and coarse have masks of their own"),
        ({"num_classes": {"label": 3}}, "num_classes .*: no target called 'label' has masks; .*: fine, coarse"),
        (
            {"class_names": {"fine": ["a"], "x": ["b"]}},
            "class_names .*: no target called 'x' has classes; .*: label, fine",
        ),
        (
            {"ignore_class": {"fine": 255}, "pipeline": A.Compose([A.Rotate(), A.Resize(16, 16)])},
            r"Rotate would fill all masks alike, and theirs differ \(fine 255, coarse none\); .* as-written",
        ),
        (
            {"ignore_class": {"fine": 255}, "pipeline": "light", "image_size": 16},
            r"Rotate would fill all masks alike, and theirs differ \(fine 255, coarse none\); .* as-written",
        ),
        ({"target": "label,mask,boxes"}, r"these sources have no boxes; they have: label \(class\), fine \(mask\)"),
        ({"target": "label,fine"}, r"these sources have coarse \(mask\) besides label,fine; name it there, too"),
        ({"target": "label,none"}, "target: expected different names of targets"),
        ({"masks": {"fine": "fine", "coarse": "fine"}}, "masks .*: coarse: .*fine is the folder of fine, too"),
        (
            {"masks": {"fine": "fine", "boxes": "masks_coarse"}},
            "masks: boxes means something else; give the masks another",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(data: Path, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    asked = {name: value for name, value in OF_FOLDERS.items() if name != "class_names"} | changes
    with pytest.raises((UsageError, SourceError), match=message):
        precompute.build(data, tmp_path / "out", **OPTIONS | asked)


def test_labels_alone_beside_masks(data: Path) -> None:
    found = precompute.find(data, target="label", masks=OF_FOLDERS["masks"])
    assert found.fields == {"label": "class"} and len(found) == NUM
    assert f"labels alone were asked for: {2 * NUM} masks are left out." in found.notes


def test_sources_that_lack_a_target(tmp_path: Path) -> None:
    pairs = draw_pairs(tmp_path / "data", 4)
    with pytest.raises(SourceError, match="4 images, but no folders for their classes"):
        precompute.find(pairs, target="label,mask")
    with pytest.raises(UsageError, match="these sources have no boxes; they have: mask"):
        precompute.find(pairs, target="mask,boxes")


def test_lists_are_picked_from(tmp_path: Path) -> None:
    lists = lists_of(draw(tmp_path / "data", 4))
    found = precompute.find(None, target="mask", **lists)
    assert list(found.fields) == ["fine", "coarse", "age"]
    assert list(precompute.find(None, target="label,fine", **lists).fields) == ["label", "fine", "age"]
    with pytest.raises(
        UsageError, match="Expected the same targets for all sources, got labels .* and values and masks"
    ):
        precompute.find(None, **{**lists, "labels": ["cat", None, "cat", "dog"]})


def test_warnings_name_the_masks_that_they_are_about(tmp_path: Path) -> None:
    folder = draw_numbered(tmp_path / "data", [20, 31, 12, 44, 25, 38])
    for path in sorted((folder / "images").iterdir()):
        save(folder / "cells" / path.name, np.eye(64, dtype=np.uint8) * 5)
    asked = {"masks": {"count": "masks", "cells": "cells"}, "pipeline": A.Compose([A.Rotate(fill_mask=9, p=1)])}
    given = {**OPTIONS, **asked, "variants": 1, "validation_split": 0}
    result = precompute.build(folder, tmp_path / "out", **given)
    warnings = list(result.warnings())
    assert any("masks of count: 45 classes, but in 6 of 6 masks looked at" in line for line in warnings)
    assert any("--mask-map count=1-99:1 --num-classes count=2" in line for line in warnings)
    assert any("Rotate fills masks of cells with 9, which no source holds" in line for line in warnings)
    assert not any("masks of cells: " in line for line in warnings)


def test_masks_of_colours_beside_masks_of_ids(tmp_path: Path) -> None:
    drawn = draw(tmp_path / "data", 6)
    colors = {"#000000": "out", "#ffffff": "in"}
    lists = {**lists_of(drawn), "mask_colors": {"fine": colors}, "class_names": {"label": CLASSES[::-1]}}
    manifest = precompute.build(None, tmp_path / "out", **OPTIONS | lists | {"variants": 1}).manifest
    assert manifest.targets["fine"].class_names == ["out", "in"] and manifest.targets["label"].class_names[0] == "eel"
    for example in precompute.read(tmp_path / "out"):
        check(example["image"], {"fine": example["fine"], "coarse": example["coarse"]})
