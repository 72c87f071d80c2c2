"""`precompute export`: rows as plain files, and datasets built from them again."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.errors import BuildError, DatasetError, UsageError
from precompute.exporting import export as exporting
from precompute.exporting.exporter import Names, safe_name, safe_path
from tests.helpers.decoded_sources import random_pixels
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save

IDENTITY = A.Compose([A.Resize(16, 16, interpolation=0)])


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def examples(out: Path, **chosen: Any) -> dict[str, dict[str, Any]]:
    return {example["key"]: example for example in precompute.read(out, **chosen)}


def rebuild(source: Path, out: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    precompute.build(source, out, **options(pipeline={"train": IDENTITY}, variants=1, validation_split=0, **changes))
    return examples(out)


def labelled(folder: Path, num: int = 9) -> dict[str, Any]:
    """Return lists of images with any number of labels."""
    for i in range(num):
        save(folder / f"{i}.png", random_pixels(20, 20, 3, seed=i))
    return {
        "images": [folder / f"{i}.png" for i in range(num)],
        "labels": [["cat", "dog"][: i % 3] for i in range(num)],
    }


# There and back.


@pytest.mark.parametrize("image_format", ["png", "raw"])
def test_masks_there_and_back(tmp_path: Path, image_format: str) -> None:
    out, folder = tmp_path / "out", tmp_path / "files"
    chosen = options(image_format=image_format, ignore_class=255, class_names=["sky", "sea", "land"])
    precompute.build(draw_pairs(tmp_path / "sources"), out, **chosen)
    exported = precompute.export(out, folder, row=1)
    first = examples(out, row=1)
    assert exported.num_files == {"images": len(first), "masks": len(first)} and len(first) == 9
    assert exported.build_options == ["--ignore-class", "255", "--class-names", "sky,sea,land"]
    again = rebuild(folder, tmp_path / "again", ignore_class=255, class_names=["sky", "sea", "land"])
    assert first.keys() == again.keys()
    for key, example in first.items():
        np.testing.assert_array_equal(again[key]["image"], example["image"])
        np.testing.assert_array_equal(again[key]["mask"], example["mask"])


def test_wide_masks_there_and_back(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"sources/images/deep/{i}.png", random_pixels(16, 16, 3, seed=i))
        save(tmp_path / f"sources/masks/deep/{i}.png", random_pixels(16, 16, high=60_000, dtype=np.uint16, seed=i))
    for image_format in ("png", "raw"):
        first = rebuild(tmp_path / "sources", tmp_path / image_format, image_format=image_format)
        precompute.export(tmp_path / image_format, tmp_path / f"{image_format}-files")
        again = rebuild(tmp_path / f"{image_format}-files", tmp_path / f"{image_format}-again")
        assert first.keys() == again.keys() == {"deep/0", "deep/1", "deep/2"}
        for key, example in first.items():
            np.testing.assert_array_equal(again[key]["mask"], example["mask"])
            assert again[key]["mask"].dtype == np.uint16


def test_classes_there_and_back(tmp_path: Path) -> None:
    names, out, folder = ("animals/cat", "animals/dog", "plants"), tmp_path / "out", tmp_path / "files"
    for i in range(18):
        save(tmp_path / f"sources/{names[i % 3]}/{i}.png", random_pixels(20, 20, 3, seed=i))
    precompute.build(tmp_path / "sources", out, **options(class_names=sorted(names)[::-1]))
    exported = precompute.export(out, folder, row=2)
    assert exported.build_options == ["--class-names", "plants,animals/dog,animals/cat"]
    first, again = examples(out, row=2), rebuild(folder, tmp_path / "again", class_names=sorted(names)[::-1])
    assert first.keys() == again.keys()
    for key, example in first.items():
        np.testing.assert_array_equal(again[key]["image"], example["image"])
        assert (again[key]["label"], again[key]["class_name"]) == (example["label"], example["class_name"])


def test_several_labels_there_and_back(tmp_path: Path) -> None:
    out, folder = tmp_path / "out", tmp_path / "files"
    precompute.build(output=out, **labelled(tmp_path / "sources"), **options())
    precompute.export(out, folder)
    first, lines = examples(out), table(folder)
    assert {line["key"]: line["labels"] for line in lines} == {k: ";".join(e["class_names"]) for k, e in first.items()}
    lists = {
        "images": [folder / line["image"] for line in lines],
        "labels": [line["labels"].split(";") if line["labels"] else [] for line in lines],
        "keys": [line["key"] for line in lines],
    }
    chosen = options(pipeline={"train": IDENTITY}, variants=1, validation_split=0, class_names=["cat", "dog"])
    precompute.build(output=tmp_path / "again", **lists, **chosen)
    for key, example in examples(tmp_path / "again").items():
        np.testing.assert_array_equal(example["image"], first[key]["image"])
        assert example["labels"] == first[key]["labels"]


def test_jpeg_bytes_are_those_that_are_stored(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    out, folder = tmp_path / "out", tmp_path / "files"
    precompute.build(draw_classes(tmp_path / "sources"), out, **options(image_format="jpeg"))
    precompute.export(out, folder, split="validation")
    (shard,) = {*out.glob("data/g0001/*-validation_r0000.tfrecord-*")}
    stored = {}
    for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        stored[features["augment/key"].bytes_list.value[0].decode()] = features["image/encoded"].bytes_list.value[0]
    assert {line["key"]: (folder / line["image"]).read_bytes() for line in table(folder)} == stored


def test_splits_beside_each_other_are_read_as_splits(tmp_path: Path) -> None:
    out = tmp_path / "out"
    precompute.build(draw_pairs(tmp_path / "sources"), out, **options())
    for split in ("train", "validation"):
        precompute.export(out, tmp_path / "files" / split, split=split)
    precompute.build(tmp_path / "files", tmp_path / "again", **options(validation_split=0))
    for split in ("train", "validation"):
        assert examples(tmp_path / "again", split=split).keys() == examples(out, split=split).keys()


@pytest.mark.parametrize(
    "kind", ["class", "mask", *(pytest.param(k, marks=pytest.mark.slow) for k in ("image", "multilabel"))]
)
def test_all_splits_are_written_and_read_again_as_they_were(tmp_path: Path, kind: str) -> None:
    out, folder = tmp_path / "out", tmp_path / "files"
    chosen = options(pipeline={"train": IDENTITY}, variants=1)
    if kind == "multilabel":
        precompute.build(None, out, **labelled(tmp_path / "sources"), **chosen, class_names=["cat", "dog"])
    else:
        draw = draw_classes if kind == "class" else draw_pairs
        precompute.build(draw(tmp_path / "sources"), out, **chosen, target="none" if kind == "image" else "auto")
    exported = precompute.export(out, folder, split="all")
    assert set(exported.num_files) == {"train", "validation"}
    assert all((folder / line["image"]).is_file() and line["image"].startswith(line["split"]) for line in table(folder))
    source = folder / "labels.csv" if kind == "multilabel" else folder
    command = ["build", str(source), str(tmp_path / "again"), "--validation-split", "0", "--variants", "1"]
    (tmp_path / "pipeline.py").write_text("import albumentations as A\ntrain = A.Compose([A.Resize(16, 16)])\n")
    command += ["--pipeline", str(tmp_path / "pipeline.py"), "--quiet", *exported.build_options]
    assert main(command) == 0
    for split in ("train", "validation"):
        first, second = examples(out, split=split), examples(tmp_path / "again", split=split)
        assert len(first) == len(second) > 0
        assert {key.rpartition("/")[2] for key in first} == {key.rpartition("/")[2] for key in second}


def test_folders_of_keys_named_like_splits_are_no_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for i in range(3):
            save(tmp_path / "sources" / split / "images" / f"{i}.png", random_pixels(20, 20, 3, seed=i + len(split)))
            save(tmp_path / "sources" / split / "masks" / f"{i}.png", np.full((20, 20), i, np.uint8))
    chosen = options(pipeline={"train": IDENTITY}, variants=1, validation_split=0)
    precompute.build(tmp_path / "sources", tmp_path / "out", **chosen, split_in_key=True)
    precompute.export(tmp_path / "out", tmp_path / "files", split="all")
    precompute.build(tmp_path / "files", tmp_path / "again", **chosen)
    for split in ("train", "validation"):
        assert len(examples(tmp_path / "again", split=split)) == 3


def test_copies_have_files_of_their_own(tmp_path: Path) -> None:
    precompute.build(
        draw_classes(tmp_path / "sources", per_class=3), tmp_path / "out", **options(class_copies={"dog": 3})
    )
    precompute.export(tmp_path / "out", tmp_path / "files")
    lines = table(tmp_path / "files")
    assert {line["image"] for line in lines if line["copy"] == "2"} <= {f"dog/dog00{i}-copy2.png" for i in range(3)}
    assert (
        len({line["image"] for line in lines})
        == len(lines)
        == Manifest.load(tmp_path / "out").splits["train"].num_records
    )
    assert all((tmp_path / "files" / line["image"]).exists() for line in lines)


# Names.


KEYS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=90)


@given(st.lists(KEYS, min_size=1, max_size=6))
@settings(max_examples=150)
def test_any_key_becomes_a_name_of_its_own(keys: list[str]) -> None:
    names = Names()
    paths = [names.unique(safe_path(key)) for key in keys]
    assert len({path.casefold() for path in paths}) == len(keys)
    for part in (part for path in paths for part in path.split("/")):
        assert 0 < len(part.encode()) < 250 and part not in (".", "..") and not part.startswith(".")
        assert not set(part) & set('<>:"|?*\\')


def test_names_that_mean_something_elsewhere() -> None:
    assert safe_path("Tile 1/image_part_001") == "Tile 1/image_part_001"
    assert safe_path("a/images/Masks/masks") == "a/_images/_Masks/masks"
    assert [safe_name(name) for name in ("con", "aux.1", "a.", "...", "a/b:c")] == [
        "_con",
        "_aux.1",
        "a_",
        "_.._",
        "a_b_c",
    ]


def test_keys_from_lists_are_flattened_into_their_class(tmp_path: Path) -> None:
    for i in range(4):
        save(tmp_path / f"{i}.png", random_pixels(16, 16, 3, seed=i))
    sources = [
        precompute.Source(key, tmp_path / f"{i}.png", label=["x", "y"][i % 2])
        for i, key in enumerate(("a/b", "a/c", "a_b", "A/C"))
    ]
    precompute.build(sources, tmp_path / "out", **options(validation_split=0))
    precompute.export(tmp_path / "out", tmp_path / "files")
    lines = {line["key"]: line["image"] for line in table(tmp_path / "files")}
    assert set(lines) == {"a/b", "a/c", "a_b", "A/C"}
    assert {lines["a/b"], lines["a_b"]} == {"x/a_b.png", "x/a_b-2.png"}
    assert {lines["a/c"].lower(), lines["A/C"].lower()} == {"y/a_c.png", "y/a_c-2.png"}
    again = rebuild(tmp_path / "files", tmp_path / "again")
    assert {example["class_name"] for example in again.values()} == {"x", "y"} and len(again) == 4


# What may go wrong.


def test_a_folder_that_holds_files_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, folder = tmp_path / "out", tmp_path / "files"
    precompute.build(draw_pairs(tmp_path / "sources"), out, **options())
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds files:\n  notes\.txt\nChoose another folder, or pass --overwrite"):
        precompute.export(out, folder)
    assert precompute.export(out, folder, overwrite=True).foreign == 1
    (folder / "masks/mine.png").write_bytes(b"mine")
    assert main(["export", str(out), "--split", "validation", "--output", str(folder), "--overwrite"]) == 0
    said = capsys.readouterr().out
    assert "wrote row 0 (seed 0, variant 0) of validation" in said and "2 other files in the folder stayed" in said
    keys = set(examples(out, split="validation"))
    assert {path.stem for path in (folder / "images").iterdir()} == keys
    assert {path.stem for path in (folder / "masks").iterdir()} == keys | {"mine"}
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_table_cannot_make_other_files_go(tmp_path: Path) -> None:
    precompute.build(draw_pairs(tmp_path / "sources"), tmp_path / "out", **options())
    (tmp_path / "victim.png").write_bytes(b"mine")
    (tmp_path / "files").mkdir()
    (tmp_path / "files/labels.csv").write_text(f"image,key\n../victim.png,a\n{tmp_path / 'victim.png'},b\n")
    precompute.export(tmp_path / "out", tmp_path / "files", overwrite=True)
    assert (tmp_path / "victim.png").read_bytes() == b"mine"


def test_what_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    precompute.build(draw_pairs(tmp_path / "sources"), out, **options())
    for changes, message in (
        ({"format": "tar"}, "format: expected one of files, coco, yolo, voc, got 'tar'"),
        ({"split": "test"}, "split: the dataset has train, validation; got 'test'"),
        ({"row": 9}, r"row numbers that train lists \(0-2\), got \[9\]"),
        ({"output": out / "files"}, "lies in the dataset"),
        ({"output": out / "manifest.json"}, "is a file; expected the name of a folder"),
    ):
        with pytest.raises(UsageError, match=message):
            precompute.export(out, **{"output": tmp_path / "files", **changes})
    with pytest.raises(DatasetError, match="build the dataset first"):
        precompute.export(tmp_path / "none", tmp_path / "files")
    assert not (tmp_path / "files").exists()
    assert main(["export", str(out), "--output", str(tmp_path / "files"), "--format", "yolo"]) == 2
    assert "error: format: yolo has no place for the mask of out; expected files." in capsys.readouterr().err


def test_labels_that_the_table_cannot_tell_apart(tmp_path: Path) -> None:
    lists = labelled(tmp_path / "sources")
    lists["labels"] = [[name.replace("a", ";") for name in names] for names in lists["labels"]]
    precompute.build(output=tmp_path / "out", **lists, **options())
    with pytest.raises(UsageError, match=r"separates labels by ';', and a label is named 'c;t'"):
        precompute.export(tmp_path / "out", tmp_path / "files")


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, folder = tmp_path / "out", tmp_path / "files"
    precompute.build(draw_pairs(tmp_path / "sources"), out, **options())
    write, calls = Path.write_bytes, list[Path]()

    def full(path: Path, content: bytes) -> int:
        nonlocal calls
        calls += [path] * (folder in path.parents)  # the reader's lease is a file, too
        if len(calls) == 6:
            write(path, content[:10])
            raise OSError(28, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BuildError, match=r"cannot be written: No space left on device\. .*--overwrite"):
        precompute.export(out, folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 5 and all(Image.open(path).size == (16, 16) for path in files)
    assert not list(out.glob(".leases/*.json"))  # nor is the row held any longer
    monkeypatch.undo()
    assert precompute.export(out, folder, overwrite=True).num_files == {"images": 9, "masks": 9}


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    precompute.build(draw_pairs(tmp_path / "sources"), out, **options())
    shard = sorted(out.glob("data/g0001/*-train_r0000.tfrecord-*"))[-1]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DatasetError, match=shard.name):
        precompute.export(out, tmp_path / "files")


def test_classes_of_a_real_set(tmp_path: Path) -> None:
    data = os.environ.get("PRECOMPUTE_TEST_DATA")
    if not data:
        pytest.skip("PRECOMPUTE_TEST_DATA is not set")
    source = tmp_path / "few"
    for path in sorted((Path(data) / "clothing").glob("*/*.jpg"))[::20]:
        (source / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, source / path.parent.name)
    resize = {"train": A.Compose([A.Resize(64, 64)])}
    precompute.build(source, tmp_path / "out", **options(pipeline=resize, validation_split=0, image_format="jpeg"))
    exporting.export(tmp_path / "out", tmp_path / "files")
    folder = tmp_path / "files"
    files = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*")}
    assert files == set(examples(tmp_path / "out"))


PLAIN = {"train": A.Compose([A.NoOp()])}


def test_classes_whose_names_are_safe_alike_keep_folders_of_their_own(tmp_path: Path) -> None:
    classes = ["a:b", "a?b", "a_b", "A_B", "a:b/c"]
    for i, name in enumerate(classes):
        save(tmp_path / "data" / name / f"{i}.png", np.full((8, 8, 3), 40 * i, np.uint8))
    precompute.build(
        tmp_path / "data", tmp_path / "out", **options(image_format="png", pipeline=PLAIN, validation_split=0.0)
    )
    summary = precompute.export(tmp_path / "out", tmp_path / "files").summary()
    assert "4 classes have folders of other names" in summary and "labels.csv has the names: build from it" in summary
    with (tmp_path / "files" / "labels.csv").open(newline="", encoding="utf-8") as file:
        folders = {line["label"]: line["image"].rpartition("/")[0] for line in csv.DictReader(file)}
    assert sorted(folders) == sorted(classes)
    assert len({folder.casefold() for folder in folders.values()}) == len(classes)
    again = precompute.build(
        tmp_path / "files", tmp_path / "again", **options(image_format="png", pipeline=PLAIN, validation_split=0.0)
    )
    assert len(again.manifest.target.class_names) == len(classes)
    table, plain = tmp_path / "files" / "labels.csv", options(image_format="png", pipeline=PLAIN, validation_split=0.0)
    assert precompute.build(table, tmp_path / "named", **plain).manifest.target.class_names == sorted(classes)
