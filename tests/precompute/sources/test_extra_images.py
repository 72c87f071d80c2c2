"""Further images in folders beside the images, in any layout of folders, and in columns of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.errors import PrecomputeError
from precompute.inspecting.stored_options import stored_options
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from precompute.sources.python import read_arguments
from tests.helpers.box_files import write_coco, write_yolo
from tests.helpers.object_stores import put_tree
from tests.helpers.small_datasets import options, save

SIZE = 12


def picture(path: Path, number: int) -> Path:
    save(path, np.full((SIZE, SIZE, 3), number, np.uint8))
    return path


def array(path: Path, number: int) -> Path:
    """A depth map whose value tells the image that it belongs to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, np.full((SIZE, SIZE), number, np.float32))
    else:
        save(path, np.full((SIZE, SIZE), number, np.uint16))
    return path


def make(folder: Path, *paths: str) -> Path:
    """Write files; those of one letter, whatever their folders, belong together."""
    for path in paths:
        number = ord(Path(path).stem[-1])
        if path.startswith("depth") or "/depth/" in path:
            array(folder / path, number)
        elif "masks" in path:
            save(folder / path, np.zeros((SIZE, SIZE), np.uint8))
        else:
            picture(folder / path, number)
    return folder


def found(source: Path, folder: str = "depth/", **changes: Any) -> dict[str, tuple[str, str | None]]:
    """Return key → further image and split."""
    sources = find(source, BuildOptions.make(extra_images=f"depth={folder}", **changes))
    paths = sources.columns["depth"]
    return {key: (paths[i], sources.splits[i]) for i, key in enumerate(sources.keys)}


PAIRS = {"a": ("depth/a.png", None), "b": ("depth/b.png", None)}


@pytest.mark.parametrize(
    ("paths", "changes", "expected"),
    [
        (["images/a.png", "images/b.png", "depth/a.png", "depth/b.png"], {"target": "none"}, PAIRS),
        (["a.png", "b.png", "depth/a.png", "depth/b.png"], {"target": "none"}, PAIRS),
        (["images/a.png", "images/b.png", "masks/a.png", "masks/b.png", "depth/a.png", "depth/b.png"], {}, PAIRS),
        (
            ["cat/a.png", "dog/b.png", "depth/cat/a.png", "depth/dog/b.npy"],
            {},
            {"cat/a": ("depth/cat/a.png", None), "dog/b": ("depth/dog/b.npy", None)},
        ),
        (
            ["train/images/a.png", "val/images/b.png", "train/depth/a.png", "val/depth/b.png"],
            {"target": "none"},
            {"a": ("train/depth/a.png", "train"), "b": ("val/depth/b.png", "validation")},
        ),
        (
            ["images/train/a.png", "images/val/b.png", "depth/train/a.png", "depth/val/b.png"],
            {"target": "none"},
            {"a": ("depth/train/a.png", "train"), "b": ("depth/val/b.png", "validation")},
        ),
        (
            ["train/a.png", "val/a.png", "depth/train/a.png", "depth/val/a.png"],
            {"target": "none", "split_in_key": True},
            {"train/a": ("depth/train/a.png", "train"), "val/a": ("depth/val/a.png", "validation")},
        ),
        (
            ["train2017/a.png", "val2017/b.png", "depth/train2017/a.png", "depth/val2017/b.png"],
            {"target": "none"},
            {"train2017/a": ("depth/train2017/a.png", "train"), "val2017/b": ("depth/val2017/b.png", "validation")},
        ),
        (
            ["train/images/a.png", "val/images/b.png", "depth/a.png", "depth/b.png"],
            {"target": "none"},
            {"a": ("depth/a.png", "train"), "b": ("depth/b.png", "validation")},
        ),
        (
            ["train/cat/a.png", "val/cat/b.png", "train/depth/cat/a.png", "val/depth/cat/b.png"],
            {},
            {"cat/a": ("train/depth/cat/a.png", "train"), "cat/b": ("val/depth/cat/b.png", "validation")},
        ),
    ],
)
def test_they_are_paired_by_stem_in_any_layout(
    paths: list[str], changes: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    assert found(make(tmp_path, *paths), **changes) == expected
    assert found(tmp_path, "depth", **changes) == expected


@pytest.mark.parametrize("write", [write_coco, write_yolo])
def test_annotated_images_have_them_too(write: Any, tmp_path: Path) -> None:
    truth = write(tmp_path)
    for number, name in enumerate(sorted(truth)):
        array(tmp_path / "depth" / f"{name}.png", number)
    sources = find(tmp_path, BuildOptions.make(extra_images={"depth": "depth"}))
    assert [Path(path).stem for path in sources.columns["depth"]] == [Path(path).stem for path in sources.images]
    assert list(sources.columns) == ["objects", "depth"]


def test_names_in_another_unicode_form_are_paired(tmp_path: Path) -> None:
    picture(tmp_path / "images/u\u0308.png", 1)
    array(tmp_path / "depth/\u00fc.png", 1)
    assert len(found(tmp_path, target="none")) == 1


def test_where_no_target_is_found_further_images_are_all_there_is(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/b.png", "clean/a.png", "clean/b.png")
    sources = find(tmp_path, BuildOptions.make(extra_images="clean=clean/"))
    assert (sources.layout, list(sources.columns)) == ("images alone", ["clean"])


def test_several_names_are_paired_each(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/b.png", "depth/a.png", "depth/b.png", "clean/a.jpg", "clean/b.jpg")
    given = BuildOptions.make(extra_images=["depth=depth/", "clean=clean/"], target="none")
    columns = find(tmp_path, given).columns
    assert {name: list(column) for name, column in columns.items()} == {
        "depth": ["depth/a.png", "depth/b.png"],
        "clean": ["clean/a.jpg", "clean/b.jpg"],
    }


def test_files_without_a_partner_are_refused_or_left_out(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/b.png", "depth/a.png", "depth/c.png")
    with pytest.raises(PrecomputeError) as error:
        found(tmp_path, target="none")
    assert "Images that have no depth (1):\n  images/b.png (key 'b')" in str(error.value)
    assert "--skip-unmatched 1" in str(error.value)
    sources = find(tmp_path, BuildOptions.make(extra_images="depth=depth", target="none", skip_unmatched="1"))
    assert list(sources.keys) == ["a"]
    assert any("depth without an image, passed over (1):" in str(note) for note in sources.notes)


@pytest.mark.parametrize(
    ("paths", "given", "message"),
    [
        (["depth/a.png", "depth/a.npy"], "depth=depth", "Files of depth for one image (1):"),
        (
            ["other/a.png"],
            "depth=depth",
            "extra_images (--extra-images) depth=depth: there is no folder of this name in",
        ),
        (["depth/a.txt.png"], "depth=depth/near", "depth=depth/near: there is no folder of this name in"),
        (["depth/a.png"], "bad-name=depth", "expected a name of letters, digits and _"),
        (["depth/a.png"], "mask=depth", "mask means something else"),
        (["depth/a.png"], "depth", "extra_images: expected names with what each stands for, such as depth=depth/"),
        (["depth/a.png"], "=depth", "extra_images: expected names with what each stands for"),
        (["depth/a.png"], ["depth=depth", "depth=near"], "extra_images: expected names with what each stands for"),
        (["depth/a.png"], {"depth": 3}, "extra_images: expected names with what each stands for"),
    ],
)
def test_what_cannot_be_used_is_named(paths: list[str], given: Any, message: str, tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", *paths)
    with pytest.raises(PrecomputeError) as error:
        find(tmp_path, BuildOptions.make(extra_images=given, target="none"))
    assert message in str(error.value)


def test_a_folder_elsewhere_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "data/images/a.png", "depth/a.png")
    with pytest.raises(PrecomputeError, match="lies elsewhere than .*; give a folder that holds both as SOURCE"):
        found(tmp_path / "data", str(tmp_path / "depth"), target="none")


def test_the_option_is_for_folders(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "depth/a.png")
    lists, given = read_arguments({"images": [tmp_path / "images/a.png"], "extra_images": {"depth": "depth"}})
    assert list(lists) == ["images"] and given.extra_images == {"depth": "depth"}
    with pytest.raises(PrecomputeError, match="extra_images .*: is for sources in folders, and these come from Python"):
        precompute.build(images=lists["images"], output=tmp_path / "out", **options(extra_images={"depth": "depth"}))


# Tables


@pytest.fixture
def table(tmp_path: Path) -> Path:
    make(tmp_path, "pics/a.png", "pics/b.png", "depth/a.png", "depth/b.npy")
    (tmp_path / "t.csv").write_text("image,label,depth_path\npics/a.png,x,depth/a.png\npics/b.png,y,depth/b.npy\n")
    return tmp_path / "t.csv"


def test_a_table_names_them_in_a_column(table: Path) -> None:
    sources = find(table, BuildOptions.make(extra_image_columns="depth=depth_path"))
    assert list(sources.columns["depth"]) == ["depth/a.png", "depth/b.npy"]
    assert any("depth=depth_path" in str(note) and "not used" not in str(note) for note in sources.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra_image_columns": "depth=nowhere"}, "extra_image_columns (--extra-image-columns): "),
        ({"extra_image_columns": "depth"}, "extra_image_columns: expected names with what each stands for"),
        ({"extra_images": "depth=depth"}, "extra_images (--extra-images): is for folders, and"),
        ({"extra_image_columns": "depth=label", "label_column": "label"}, "cannot be found"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(changes: dict[str, Any], message: str, table: Path) -> None:
    with pytest.raises(PrecomputeError) as error:
        find(table, BuildOptions.make(**changes))
    assert message in str(error.value)


def test_columns_are_for_tables(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png")
    with pytest.raises(PrecomputeError, match="extra_image_columns .*: is for a table"):
        find(tmp_path, BuildOptions.make(extra_image_columns="depth=depth", target="none"))


def test_empty_cells_and_lost_files_are_named(table: Path) -> None:
    table.write_text("image,label,depth_path\npics/a.png,x,\npics/b.png,y,depth/b.npy\n")
    with pytest.raises(PrecomputeError, match="1 of 2 cells are empty"):
        find(table, BuildOptions.make(extra_image_columns="depth=depth_path"))
    table.write_text("image,label,depth_path\npics/a.png,x,depth/none.png\npics/b.png,y,depth/b.npy\n")
    sources = find(table, BuildOptions.make(extra_image_columns="depth=depth_path", skip_unmatched="1"))
    assert list(sources.columns["depth"]) == ["depth/b.npy"]


# From the command line to records


PIPELINE = """import albumentations as A

train = A.Compose([A.HorizontalFlip(p=0.5)], additional_targets={"depth": "mask"})
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.py"
    path.write_text(PIPELINE)
    return path


QUICK = [
    "--variants",
    "1",
    "--jobs",
    "1",
    "--backend",
    "sequential",
    "--image-format",
    "png",
    "--ignore-space",
    "--quiet",
]


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_a_command_builds_them_and_its_options_build_them_again(
    kind: str, table: Path, pipeline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = table.parent
    make(folder, "data/images/a.png", "data/images/b.png", "data/masks/a.png", "data/masks/b.png")
    make(folder / "data", "depth/a.png", "depth/b.npy")
    source = {"folder": folder / "data", "table": table}[kind]
    flag = {"folder": "--extra-images=depth=depth/", "table": "--extra-image-columns=depth=depth_path"}[kind]
    out, again = folder / "out", folder / "again"
    assert main(["build", str(source), str(out), "--pipeline", str(pipeline), flag, *QUICK]) == 0
    for example in precompute.read(out):
        assert (example["depth"] == example["image"][..., :1]).all() and example["depth"].dtype == np.float32
    assert main(["verify", str(out), "--sources", "2"]) == 0
    file = folder / "options.toml"
    file.write_text(
        stored_options(out).replace('depth = "depth"', 'depth = "depth_path"' if kind == "table" else 'depth = "depth"')
    )
    assert main(["build", str(source), str(again), "--pipeline", str(pipeline), "--options", str(file), *QUICK]) == 0
    assert Manifest.load(again).fingerprint == Manifest.load(out).fingerprint
    assert Manifest.load(again).settings == Manifest.load(out).settings


def test_folders_of_an_object_store(tmp_path: Path) -> None:
    make(tmp_path, "data/images/a.png", "data/images/b.png", "data/depth/a.png", "data/depth/b.npy")
    url = put_tree(tmp_path / "data", "memory://further")
    pipeline = A.Compose([A.HorizontalFlip(p=0.5)], additional_targets={"depth": "mask"})
    given = options(pipeline=pipeline, extra_images="depth=depth", target="none", variants=1, validation_split=0)
    precompute.build(url, tmp_path / "out", **given)
    for example in precompute.read(tmp_path / "out"):
        assert (example["depth"] == example["image"][..., :1]).all()


def test_a_preview_of_a_folder(tmp_path: Path, pipeline: Path) -> None:
    make(tmp_path, "data/images/a.png", "data/depth/a.png")
    arguments = [
        "--pipeline",
        str(pipeline),
        "--extra-images",
        "depth=depth/",
        "--target",
        "none",
        "--validation-split",
        "0",
    ]
    assert main(["preview", str(tmp_path / "data"), "--output", str(tmp_path / "p.png"), *arguments]) == 0
    assert Image.open(tmp_path / "p.png").height > 300


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            ["images/a.png", "images/b.png", "clean/a.png", "clean/b.png", "twin/a.png", "twin/b.png"],
            "images/ and clean/ hold files of equal names, as images and their masks do, but would be read as two "
            "classes. Name the folders: --images images --masks clean or the other way round; if they are pairs of "
            "images, --images images --extra-images clean=clean; if they are classes, say so with --class-names.",
        ),
        (
            ["first/a.png", "first/b.png", "second/a_gt.png", "second/b_gt.png"],
            "first/ and second/ hold files whose names differ by the ending '_gt', as images and their masks do, but "
            "would be read as two classes. Name the folders: --images first --masks second --mask-suffix _gt; if they "
            "are classes, say so with --class-names.",
        ),
    ],
)
def test_folders_that_may_hold_pairs_are_not_taken_for_classes(paths: list[str], message: str, tmp_path: Path) -> None:
    make(tmp_path, *paths)
    with pytest.raises(PrecomputeError) as error:
        find(tmp_path, BuildOptions.make())
    assert str(error.value) == f"{tmp_path}: {message}"
