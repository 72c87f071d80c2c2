"""Sources found in folders."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precompute.errors import UsageError
from precompute.sources import walk as walk_module
from precompute.table.sources import Sources
from tests.helpers.source_columns import labels_of, masks_of
from tests.helpers.source_folders import find_sources, make, refused


def classes_of(sources: Sources) -> dict[str, str]:
    return {key: sources.class_names[label] for key, label in zip(sources.keys, labels_of(sources), strict=True)}


def splits_of(sources: Sources) -> dict[str, str | None]:
    return dict(zip(sources.keys, sources.splits, strict=True))


# A folder a class.


def test_a_folder_a_class(tmp_path: Path) -> None:
    make(tmp_path, "dog/2.JPG", "dog/10.jpeg", "cat/1.png", "cat/a.b.tif")
    found = find_sources(tmp_path)
    assert classes_of(found) == {"cat/1": "cat", "cat/a.b": "cat", "dog/10": "dog", "dog/2": "dog"}
    assert found.kind == "class" and masks_of(found) is None and found.groups is None
    assert found.class_names == ["cat", "dog"]
    assert found.images == ["cat/1.png", "cat/a.b.tif", "dog/10.jpeg", "dog/2.JPG"]
    assert list(found.num_bytes) == [len(path) for path in found.images]
    assert found.splits == [None] * 4
    assert (found.num_ignored_files, found.notes, found.root) == (0, [], tmp_path)


@pytest.mark.parametrize("extension", [".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".PNG"])
def test_extensions(tmp_path: Path, extension: str) -> None:
    assert find_sources(make(tmp_path, f"a/1{extension}", "b/2.png")).keys == ["a/1", "b/2"]


def test_nested_classes_are_named_by_their_path(tmp_path: Path) -> None:
    make(tmp_path, "animals/cats/1.png", "animals/dogs/1.png", "things/1.png")
    found = find_sources(tmp_path)
    assert found.class_names == ["animals/cats", "animals/dogs", "things"]
    assert found.keys == ["animals/cats/1", "animals/dogs/1", "things/1"]


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
@pytest.mark.parametrize("above", [True, False])
def test_splits_above_or_below_the_classes(tmp_path: Path, validation: str, above: bool) -> None:
    expected = {}
    for folder, split in [("train", "train"), (validation, "validation"), ("test", "test")]:
        for name in ("animals/cat", "dog"):
            path = f"{folder}/{name}" if above else f"{name}/{folder}"
            make(tmp_path, f"{path}/{split}.png")
            expected[f"{name}/{split}"] = split
    found = find_sources(tmp_path)
    assert splits_of(found) == expected
    assert found.class_names == ["animals/cat", "dog"]


def test_splits_one_folder_deeper_with_a_note(tmp_path: Path) -> None:
    found = find_sources(make(tmp_path, "pets/train/cat/1.png", "pets/train/dog/2.png", "pets/test/cat/3.png"))
    assert splits_of(found) == {"pets/cat/1": "train", "pets/cat/3": "test", "pets/dog/2": "train"}
    assert "All class folders lie in pets/" in found.notes[0]


def test_a_class_named_valid(tmp_path: Path) -> None:
    found = find_sources(make(tmp_path, "valid/1.png", "invalid/2.png"))
    assert found.class_names == ["invalid", "valid"] and found.splits == [None, None]
    split = find_sources(make(tmp_path / "s", "train/valid/1.png", "train/invalid/2.png", "test/valid/3.png"))
    assert split.class_names == ["invalid", "valid"]
    assert splits_of(split) == {"invalid/2": "train", "valid/1": "train", "valid/3": "test"}


def test_a_class_named_train_can_be_given(tmp_path: Path) -> None:
    make(tmp_path, "train/1.png", "car/2.png")
    assert "rename its folder or give all classes with --class-names" in refused(tmp_path)
    assert labels_of(find_sources(tmp_path, class_names=["train", "car"])) == [1, 0]


def test_images_folder_that_holds_classes(tmp_path: Path) -> None:
    assert classes_of(find_sources(make(tmp_path, "images/cat/1.png", "images/dog/1.png"))) == {
        "cat/1": "cat",
        "dog/1": "dog",
    }
    tiny = make(tmp_path / "tiny", "train/n1/images/1.png", "train/n2/images/2.png")
    assert classes_of(find_sources(tiny)) == {"n1/1": "n1", "n2/2": "n2"}


def test_images_can_be_named_without_masks(tmp_path: Path) -> None:
    make(tmp_path, "jpg/cat/1.png", "jpg/dog/2.png", "other/3.png")
    found = find_sources(tmp_path, images="jpg")
    assert found.keys == ["cat/1", "dog/2"] and found.images == ["jpg/cat/1.png", "jpg/dog/2.png"]
    deep = find_sources(make(tmp_path / "deep", "t/jpg/a/1.png", "t/jpg/b/2.png", "t/c/3.png"), images="jpg")
    assert deep.keys == ["t/a/1", "t/b/2"] and deep.num_ignored_files == 1


def test_class_names_give_the_order(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.png", "dog/2.png")
    found = find_sources(tmp_path, class_names=["dog", "cat"])
    assert found.class_names == ["dog", "cat"] and labels_of(found) == [1, 0]


def test_class_names_must_fit(tmp_path: Path) -> None:
    message = refused(make(tmp_path, "cat/1.png", "dog/2.png"), class_names=["cat", "cow"])
    assert "folders that --class-names does not name:\n  dog" in message
    assert "names in --class-names that have no folder with images:\n  cow" in message
    with pytest.raises(UsageError, match="each name once"):
        find_sources(tmp_path, class_names=["cat", "cat"])


def test_notes_on_classes_that_may_not_be_meant(tmp_path: Path) -> None:
    assert "All images are of one class, 'cat'" in find_sources(make(tmp_path / "1", "cat/1.png")).notes[0]
    nested = find_sources(make(tmp_path / "2", "cat/1.png", "cat/small/2.png", "dog/3.png"))
    assert nested.notes == ["Class folders inside class folders, each a class of its own:\n  cat/small"]
    equal = find_sources(make(tmp_path / "3", "photo/1.png", "labels/1.png"))
    assert "name them with --images and --masks" in equal.notes[0]


def test_images_beside_equally_named_labels_are_not_two_classes(tmp_path: Path) -> None:
    make(tmp_path, "train/images/1.png", "train/labels/1.png", "val/images/2.png", "val/labels/2.png")
    assert "--images images --masks labels" in refused(tmp_path)
    found = find_sources(tmp_path, masks="labels")
    assert masks_of(found) == ["train/labels/1.png", "val/labels/2.png"]
    assert splits_of(found) == {"1": "train", "2": "validation"}


# Images and masks.


def test_images_and_masks(tmp_path: Path) -> None:
    make(tmp_path, "images/b.jpg", "images/a.png", "masks/a.png", "masks/b.PNG")
    found = find_sources(tmp_path, class_names=["sky", "tree"])
    assert found.kind == "mask" and labels_of(found) is None
    assert found.keys == ["a", "b"]
    assert found.images == ["images/a.png", "images/b.jpg"] and masks_of(found) == ["masks/a.png", "masks/b.PNG"]
    assert list(found.num_bytes) == [len("images/a.png" + "masks/a.png"), len("images/b.jpg" + "masks/b.PNG")]
    assert found.class_names == ["sky", "tree"]


@pytest.mark.parametrize("pattern", ["{split}/{role}", "{role}/{split}", "{role}/city/{split}", "{role}/{split}/city"])
def test_splits_above_or_below_images_and_masks(tmp_path: Path, pattern: str) -> None:
    for split in ("train", "valid", "test"):
        make(tmp_path, pattern.format(split=split, role="images") + f"/{split}_.jpg")
        make(tmp_path, pattern.format(split=split, role="masks") + f"/{split}_.png")
    start = "city/" if "city" in pattern else ""
    found = splits_of(find_sources(tmp_path))
    assert found == {f"{start}test_": "test", f"{start}train_": "train", f"{start}valid_": "validation"}


def test_images_and_masks_in_each_of_many_folders(tmp_path: Path) -> None:
    make(tmp_path, "Tile 1/images/x.jpg", "Tile 1/masks/x.png", "Tile 2/images/x.jpg", "Tile 2/masks/x.png")
    found = find_sources(make(tmp_path, "classes.json"))
    assert found.keys == ["Tile 1/x", "Tile 2/x"] and found.num_ignored_files == 1


def test_case_of_the_folders_names_does_not_matter(tmp_path: Path) -> None:
    assert find_sources(make(tmp_path, "Images/a.jpg", "MASKS/a.png")).keys == ["a"]


def test_named_folders(tmp_path: Path) -> None:
    make(tmp_path, "data/jpg/s/a.jpg", "data/gt/s/a.png", "data/preview.png", "elsewhere/s/a.png")
    found = find_sources(tmp_path / "data", images="jpg", masks="gt")
    assert found.keys == ["s/a"] and found.images == ["jpg/s/a.jpg"] and masks_of(found) == ["gt/s/a.png"]
    absolute = find_sources(tmp_path / "data", images="jpg", masks=tmp_path / "elsewhere")
    assert absolute.root == tmp_path
    assert absolute.images == ["data/jpg/s/a.jpg"] and masks_of(absolute) == ["elsewhere/s/a.png"]
    assert absolute.path(absolute.images[0]).is_file()


def test_named_folders_may_lie_in_each_other(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "gt/a.png", "README.md")
    found = find_sources(tmp_path, images=".", masks="gt")
    assert found.images == ["a.jpg"] and masks_of(found) == ["gt/a.png"] and found.num_ignored_files == 1


def test_names_of_folders_are_looked_for_at_every_level(tmp_path: Path) -> None:
    make(tmp_path, "train/img/a.jpg", "train/gt/a.png", "test/img/b.jpg", "test/gt/b.png", "test/depth/b.png")
    found = find_sources(tmp_path, images="img", masks="gt")
    assert splits_of(found) == {"a": "train", "b": "test"} and found.num_ignored_files == 1


def test_named_folders_that_do_not_exist(tmp_path: Path) -> None:
    make(tmp_path, "images/a.jpg", "masks/a.png")
    assert "--masks gt: there is no folder of this name" in refused(tmp_path, masks="gt")
    assert "--images jpg: there is no such folder" in refused(tmp_path, images="jpg", masks="masks")
    assert f"--masks x/gt: there is no folder {tmp_path}/x/gt" in refused(tmp_path, masks="x/gt")
    make(tmp_path / "other", "photos/a.jpg", "gt/a.png")
    assert "Name the folder of the images with --images" in refused(tmp_path / "other", masks="gt")


def test_suffixes_are_no_part_of_the_key(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "masks/a_L.png", "masks/a_color.png", "masks/a.json")
    found = find_sources(tmp_path, mask_suffix="_L")
    assert found.keys == ["a"] and masks_of(found) == ["masks/a_L.png"] and found.num_ignored_files == 2


def test_cityscapes(tmp_path: Path) -> None:
    for split in ("train", "val"):
        make(tmp_path, f"leftImg8bit/{split}/ulm/{split}_1_leftImg8bit.png")
        for kind in ("labelTrainIds.png", "instanceIds.png", "color.png", "polygons.json"):
            make(tmp_path, f"gtFine/{split}/ulm/{split}_1_gtFine_{kind}")
    options = {"image_suffix": "_leftImg8bit", "mask_suffix": "_gtFine_labelTrainIds"}
    found = find_sources(tmp_path, images="leftImg8bit", masks="gtFine", **options)
    assert splits_of(found) == {"ulm/train_1": "train", "ulm/val_1": "validation"}
    assert masks_of(found) is not None and masks_of(found)[0] == "gtFine/train/ulm/train_1_gtFine_labelTrainIds.png"
    assert found.num_ignored_files == 6
    assert "--images and --masks" in refused(tmp_path, **options)


def test_images_and_masks_in_one_folder(tmp_path: Path) -> None:
    make(tmp_path, "train/a.jpg", "train/a_mask.png", "test/b.jpg", "test/b_mask.png")
    found = find_sources(tmp_path, mask_suffix="_mask")
    assert splits_of(found) == {"a": "train", "b": "test"} and masks_of(found) == [
        "train/a_mask.png",
        "test/b_mask.png",
    ]
    assert "Masks that have no image (1)" in refused(make(tmp_path / "2", "a.png", "b_gt.png"), mask_suffix="_gt")


def test_in_one_folder_the_longer_suffix_wins(tmp_path: Path) -> None:
    found = find_sources(make(tmp_path, "a_m.png", "a_seg_m.png"), image_suffix="_m", mask_suffix="_seg_m")
    assert found.images == ["a_m.png"] and masks_of(found) == ["a_seg_m.png"]


def test_one_folder_with_two_suffixes_passes_over_the_rest(tmp_path: Path) -> None:
    make(tmp_path, "d/a_i.png", "d/a_m.png", "d/a_depth.png")
    for named in ({}, {"images": "d", "masks": "d"}):
        found = find_sources(tmp_path, image_suffix="_i", mask_suffix="_m", **named)
        assert found.images == ["d/a_i.png"] and masks_of(found) == ["d/a_m.png"] and found.num_ignored_files == 1
    with pytest.raises(UsageError, match="their names must tell them apart"):
        find_sources(tmp_path, images="d", masks="d")


@pytest.mark.parametrize("suffix", ["_L.png", ".png", "a/b"])
def test_suffixes_that_make_no_sense(tmp_path: Path, suffix: object) -> None:
    with pytest.raises(UsageError, match=r"mask_suffix \(--mask-suffix\): expected .* got "):
        find_sources(tmp_path, mask_suffix=suffix)  # type: ignore[arg-type]


def test_a_suffix_that_fits_nothing(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "masks/a.png")
    assert "there are no masks whose names end with '_L' before the extension; 1 other" in refused(
        tmp_path, mask_suffix="_L"
    )


# Folders of masks that are called after those of the images.


def test_folders_beside_those_of_their_masks(tmp_path: Path) -> None:
    """As CamVid is copied around: train with trainannot, and lists beside them."""
    for split in ("train", "val", "test"):
        make(tmp_path, f"{split}/{split}1.png", f"{split}/{split}2.png", f"{split}.txt")
        make(tmp_path, f"{split}annot/{split}1.png", f"{split}annot/{split}2.png")
    found = find_sources(tmp_path)
    assert found.keys == ["test1", "test2", "train1", "train2", "val1", "val2"]
    assert masks_of(found)[0] == "testannot/test1.png"
    assert splits_of(found)["val2"] == "validation" and found.splits.count(None) == 0
    assert "test/ with testannot/" in found.notes[0] and "--class-names" in found.notes[0]


@pytest.mark.parametrize("end", ["_mask", "-masks", " Masks", "_GT", "Segmentation", "_ground_truth"])
def test_one_folder_beside_that_of_its_masks(tmp_path: Path, end: str) -> None:
    make(tmp_path, "X/a.jpg", "X/b.jpg", f"X{end}/a.png", f"X{end}/b.png")
    found = find_sources(tmp_path)
    assert found.keys == ["X/a", "X/b"] and masks_of(found) == [f"X{end}/a.png", f"X{end}/b.png"]
    assert "Images that have no mask (1)" in refused(make(tmp_path, "X/c.jpg"))


def test_names_of_masks_may_have_an_ending(tmp_path: Path) -> None:
    """As Carvana has them: train/a.jpg with train_masks/a_mask.gif."""
    make(tmp_path, "train/a.jpg", "train/b.jpg", "train_masks/a_mask.gif", "train_masks/b_mask.gif")
    found = find_sources(tmp_path)
    assert found.keys == ["a", "b"] and masks_of(found) == ["train_masks/a_mask.gif", "train_masks/b_mask.gif"]


def test_images_beside_one_folder_of_their_masks(tmp_path: Path) -> None:
    """As ADE20K has them: images/training with annotations/training."""
    for split in ("training", "validation"):
        make(tmp_path, f"images/{split}/{split}1.jpg", f"annotations/{split}/{split}1.png")
    found = find_sources(tmp_path)
    assert found.keys == ["training/training1", "validation/validation1"]
    assert found.splits == ["train", "validation"]
    assert masks_of(found) == [f"annotations/{split}/{split}1.png" for split in ("training", "validation")]


def test_two_folders_whose_files_differ_by_an_ending(tmp_path: Path) -> None:
    make(tmp_path, "P/PNG/a.png", "P/PNG/b.png", "P/Ped/a_mask.png", "P/Ped/b_mask.png")
    assert "--images PNG --masks Ped --mask-suffix _mask" in refused(tmp_path)
    assert find_sources(tmp_path, class_names=["P/PNG", "P/Ped"]).kind == "class"
    make(tmp_path / "2", "real/a.png", "real/b.png", "fake/a_fake.png", "fake/b_fake.png")
    assert find_sources(tmp_path / "2").kind == "class"


def test_classes_that_are_called_like_masks(tmp_path: Path) -> None:
    make(tmp_path, "face/1.jpg", "face/2.jpg", "face_mask/3.jpg", "face_mask/4.jpg")
    assert find_sources(tmp_path).class_names == ["face", "face_mask"]  # no file shares its name
    make(tmp_path, "face_mask/1.jpg", "face_mask/2.jpg")
    assert find_sources(tmp_path, class_names=["face", "face_mask"]).kind == "class"
    assert find_sources(make(tmp_path, "hat/1.jpg")).kind == "class"  # a folder without one of masks


# What is refused.


def test_unmatched_on_both_sides(tmp_path: Path) -> None:
    make(tmp_path, *[f"images/{i}.jpg" for i in range(8)], "masks/0.png", "masks/x.png")
    message = refused(tmp_path)
    assert "Images that have no mask (7):\n  images/1.jpg (key '1')\n" in message
    assert "… and 2 more (7 in total)" in message and "images/6.jpg" not in message
    assert "Masks that have no image (1):\n  masks/x.png (key 'x')" in message
    assert "--mask-suffix" in message


@pytest.mark.parametrize("accepted", ["8", 8, "100%"])
def test_unmatched_are_left_out_where_they_are_accepted(tmp_path: Path, accepted: str | int) -> None:
    make(tmp_path, *[f"images/{i}.jpg" for i in range(8)], "masks/0.png", "masks/x.png")
    found = find_sources(tmp_path, skip_unmatched=accepted)
    assert (found.keys, masks_of(found), found.images) == (["0"], ["masks/0.png"], ["images/0.jpg"])
    assert list(found.num_bytes) == [len("images/0.jpg") + len("masks/0.png")]
    assert found.notes[0].startswith("Images that have no mask, left out (7):\n  images/1.jpg (key '1')")
    assert found.notes[1] == "Masks that have no image, left out (1):\n  masks/x.png (key 'x')"


def test_more_unmatched_than_are_accepted(tmp_path: Path) -> None:
    make(tmp_path, *[f"images/{i}.jpg" for i in range(8)], "masks/0.png", "masks/x.png")
    assert "To leave them out: --skip-unmatched 8" in refused(tmp_path, skip_unmatched="7")
    assert "Masks that have no image (1)" in refused(tmp_path, skip_unmatched="50%")


def test_masks_of_another_split_do_not_match(tmp_path: Path) -> None:
    make(tmp_path, "train/images/a.png", "test/masks/a.png", "train/images/b.png", "train/masks/b.png")
    message = refused(make(tmp_path, "test/images/c.png", "test/masks/c.png"))
    assert "train/images/a.png (key 'a' in train)" in message and "test/masks/a.png (key 'a' in test)" in message


def test_ambiguous(tmp_path: Path) -> None:
    make(tmp_path, "images/a.jpg", "images/a.png", "images/b.png", "masks/a.png", "masks/b.png", "masks/b.gif")
    message = refused(tmp_path)
    assert "Images that share a key (1):\n  images/a.jpg, images/a.png (key 'a')" in message
    assert "Masks for one image (1):\n  masks/b.gif, masks/b.png (key 'b')" in message


def test_duplicate_keys_in_one_split(tmp_path: Path) -> None:
    message = refused(make(tmp_path, "cat/1.jpg", "cat/1.png", "dog/1.png"))
    assert "Images that share a key (1):\n  cat/1.jpg, cat/1.png (key 'cat/1')" in message
    assert "--split-in-key" not in message


@pytest.mark.parametrize(
    "paths",
    [
        ["train/cat/1.png", "test/cat/1.png"],
        ["cat/train/1.png", "cat/test/1.png"],
        ["train/images/1.png", "test/images/1.png", "train/masks/1.png", "test/masks/1.png"],
        ["images/train/1.png", "images/test/1.png", "masks/train/1.png", "masks/test/1.png"],
    ],
)
def test_duplicate_keys_across_splits(tmp_path: Path, paths: list[str]) -> None:
    make(tmp_path, *paths)
    message = refused(tmp_path)
    assert "share a key" in message and "give --split-in-key" in message
    found = find_sources(tmp_path, split_in_key=True)
    assert len(found) == 2 and sorted(map(str, found.splits)) == ["test", "train"]
    assert all(str(split) in key.split("/") for key, split in splits_of(found).items())


def test_split_in_key_spells_the_folder(tmp_path: Path) -> None:
    make(tmp_path, "train/images/1.png", "val/images/1.png", "train/masks/1.png", "val/masks/1.png")
    found = find_sources(tmp_path, split_in_key=True)
    assert splits_of(found) == {"train/1": "train", "val/1": "validation"}
    assert masks_of(found) == ["train/masks/1.png", "val/masks/1.png"]


def test_folders_beside_splits(tmp_path: Path) -> None:
    message = refused(make(tmp_path, "train/cat/1.png", "test/cat/2.png", "extra/cat/3.png"))
    assert "there is a train folder, but these folders belong to no split:\n  extra/cat/" in message


def test_splits_at_different_or_several_levels(tmp_path: Path) -> None:
    assert "different levels" in refused(make(tmp_path / "1", "train/cat/1.png", "dog/big/train/2.png"))
    assert "two levels" in refused(make(tmp_path / "2", "train/train/1.png", "train/test/2.png"))
    assert "there is no train folder" in refused(make(tmp_path / "3", "val/cat/1.png", "test/cat/2.png"))


def test_a_flat_folder(tmp_path: Path) -> None:
    message = refused(make(tmp_path, "1.png", "2.png"))
    assert "2 images, but neither folders for their classes nor masks:\n  1.png" in message
    assert "cats/1.jpg, dogs/2.jpg" in message and "images/a.jpg with masks/a.png" in message
    assert "neither folders" in refused(make(tmp_path / "b", "images/1.png"))
    assert "neither folders" in refused(make(tmp_path / "c", "train/1.png", "test/2.png"))


def test_images_that_belong_nowhere(tmp_path: Path) -> None:
    message = refused(make(tmp_path / "a", "cat/1.png", "top.png"))
    assert "Images outside of every class folder (1):\n  top.png" in message
    message = refused(make(tmp_path / "b", "images/1.png", "masks/1.png", "preview.png"))
    assert "Images outside of the folders of images and masks (1):\n  preview.png" in message
    assert find_sources(tmp_path / "b", images="images", masks="masks").keys == ["1"]


def test_folders_without_images_are_told(tmp_path: Path) -> None:
    found = find_sources(make(tmp_path / "a", "cat/1.png", "cow/2.png", "dog/", "notes/a.txt", "x/y/"))
    assert found.keys == ["cat/1", "cow/2"] and found.class_names == ["cat", "cow"]
    assert found.notes == ["Folders without images (3):\n  dog/\n  notes/\n  x/"]
    found = find_sources(make(tmp_path / "b", "images/1.png", "masks/1.png", "images/more/", "docs/a.txt"))
    assert found.keys == ["1"] and found.notes == ["Folders without images (1):\n  images/more/"]
    found = find_sources(make(tmp_path / "c", "a/1.png", "b/"), image_only=True)
    assert found.keys == ["a/1"] and found.notes == ["Folders without images (1):\n  b/"]
    found = find_sources(
        make(tmp_path / "d", "1.png", "1_m.png", "old/", "more/2.png", "more/2_m.png"), mask_suffix="_m"
    )
    assert found.keys == ["1", "more/2"] and found.notes == ["Folders without images (1):\n  old/"]
    many = find_sources(make(tmp_path / "e", "cat/1.png", "cow/2.png", *(f"e{i}/" for i in range(9))))
    assert many.notes[0].startswith("Folders without images (9):\n  e0/\n") and "e8" not in many.notes[0]


def test_folders_without_images_are_refused_where_they_were_named(tmp_path: Path) -> None:
    make(tmp_path, "a/jpg/1.png", "a/gt/1.png", "b/jpg/", "b/gt/", "c/")
    for named in ({"images": "jpg", "masks": "gt"}, {"images": "JPG", "masks": "GT"}):
        message = refused(tmp_path, **named)
        assert "Folders without images (2):\n  b/gt/\n  b/jpg/\nFill them, remove them" in message
    assert "names in --class-names that have no folder with images:\n  dog" in refused(
        make(tmp_path / "n", "cat/1.png", "dog/"), class_names=["cat", "dog"]
    )
    named = find_sources(make(tmp_path / "m", "cat/1.png", "cow/2.png", "dog/"), class_names=["cat", "cow"])
    assert named.notes == ["Folders without images (1):\n  dog/"]
    assert "there are no images" in refused(make(tmp_path / "p", "pics/", "masks/1.png"), images="pics")


@pytest.mark.parametrize("paths", [[], ["a/"], ["README.md", "a/b.txt"], ["images/", "masks/"]])
def test_no_images_at_all(tmp_path: Path, paths: list[str]) -> None:
    message = refused(make(tmp_path, *paths))
    assert "there are no images" in message and ".jpg .jpeg .png" in message


def test_masks_that_are_no_images(tmp_path: Path) -> None:
    assert "there are no masks; 1 other file was passed" in refused(make(tmp_path, "images/a.png", "masks/a.npy"))


def test_roots_that_are_none(tmp_path: Path) -> None:
    assert "there is no such folder" in refused(tmp_path / "absent")
    (tmp_path / "file.png").touch()
    assert "expected a folder with images, got a file" in refused(tmp_path / "file.png")


def test_names_that_cannot_be_keys(tmp_path: Path) -> None:
    assert "holds a backslash" in refused(make(tmp_path / "1", "cat/a\\b.png"))
    assert "holds a control character" in refused(make(tmp_path / "2", "cat/a\nb.png"))
    deep = "/".join(["d" * 200] * 6)
    assert "at most 1,024 are allowed" in refused(make(tmp_path / "3", f"{deep}/1.png"))
    (tmp_path / "4/cat").mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(tmp_path / "4/cat") + b"/\xff.png")).touch()
    assert f"names that are no UTF-8 (1):\n  {tmp_path}/4/cat/\\xff.png\nRename them" in refused(tmp_path / "4")


# The file system.


def test_hidden_and_strange_files_are_counted(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.png", "dog/2.png", "README.md", "cat/Thumbs.db", "cat/.1.png", "dog/l.csv", "dog/l.json")
    found = find_sources(make(tmp_path, "__MACOSX/cat/._1.png", ".ipynb_checkpoints/a/3.png"))
    assert found.keys == ["cat/1", "dog/2"]
    assert found.num_ignored_files == 5  # folders of systems are passed over without a word


def test_links_are_followed(tmp_path: Path) -> None:
    make(tmp_path, "real/1.png", "data/cat/2.png")
    (tmp_path / "data/cat/3.png").symlink_to(tmp_path / "real/1.png")
    (tmp_path / "data/dog").symlink_to(tmp_path / "real")
    found = find_sources(tmp_path / "data")
    assert found.keys == ["cat/2", "cat/3", "dog/1"] and found.num_bytes[1] == len("real/1.png")


def test_links_that_lead_nowhere_or_in_circles(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "cat/3.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "dog/again").symlink_to(tmp_path)
    message = refused(tmp_path)
    assert f"links that lead nowhere (1):\n  {tmp_path}/cat/3.png" in message
    assert "links that lead in a circle" in message


def test_folders_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "cat/1.png", "dog/2.png")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(walk_module.os, "scandir", refuse)
    assert f"folders or files that cannot be read (1):\n  {tmp_path}/dog: Permission denied" in refused(tmp_path)


def test_relative_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make(tmp_path, "d/cat/1.png", "d/dog/2.png"))
    assert find_sources("d").root == tmp_path / "d"
    assert find_sources("d/").keys == find_sources("../" + tmp_path.name + "/d").keys


class Shuffled:
    """os.scandir that lists entries in a random order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.scandir = os.scandir

    def __call__(self, path: str) -> Shuffled:
        with self.scandir(path) as entries:
            self.entries = list(entries)
        self.random.shuffle(self.entries)
        return self

    def __enter__(self) -> list[os.DirEntry[str]]:
        return self.entries

    def __exit__(self, *_: object) -> None:
        pass


names = st.text(alphabet="abcäß é😀Z0.", min_size=1, max_size=4).filter(
    lambda name: not name.startswith(".") and name.strip(" .") == name
)
quick = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(paths=st.sets(st.tuples(names, names), min_size=1, max_size=12), seed=st.integers(0, 99), pairs=st.booleans())
def test_the_order_of_listings_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, paths: set[tuple[str, str]], seed: int, pairs: bool
) -> None:
    root = tmp_path_factory.mktemp("any")
    for folder, name in paths:
        make(
            root,
            *([f"images/{folder}/{name}.jpg", f"masks/{folder}/{name}.png"] if pairs else [f"{folder}/{name}.gif"]),
        )
    found = find_sources(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk_module.os, "scandir", Shuffled(seed))
        assert find_sources(root) == found
    assert found.keys == sorted(f"{folder}/{name}" for folder, name in paths)
    assert len(set(found.keys)) == len(found)


@quick
@given(
    names=st.sets(st.sampled_from("abcdefgh"), min_size=1),
    absent=st.sets(st.sampled_from("abcdefgh")),
    seed=st.integers(0, 99),
)
def test_pairs_are_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], absent: set[str], seed: int
) -> None:
    root = tmp_path_factory.mktemp("any")
    make(root, "masks/z.png", "images/z.jpg", *[f"images/{name}.jpg" for name in names])
    make(root, *[f"masks/{name}.png" for name in names - absent])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk_module.os, "scandir", Shuffled(seed))
        if lacking := sorted(names & absent):
            assert f"Images that have no mask ({len(lacking)}):\n  images/{lacking[0]}.jpg" in refused(root)
            return
        found = find_sources(root)
    for key, image, mask in zip(found.keys, found.images, masks_of(found), strict=True):
        assert (image, mask) == (f"images/{key}.jpg", f"masks/{key}.png")


# Real sets.


def test_real_sets(real_data: Path) -> None:
    nuclei, clothing, aerial = (find_sources(real_data / name) for name in ("nuclei", "clothing", "aerial"))
    assert (len(nuclei), nuclei.kind) == (160, "mask")
    assert (len(clothing), len(clothing.class_names), clothing.class_names[-1]) == (341, 10, "t-shirt")
    assert (len(aerial), aerial.num_ignored_files, aerial.keys[0]) == (54, 1, "Tile 1/image_part_001")
    assert "neither folders for their classes nor masks" in refused(real_data / "odd/exif")
