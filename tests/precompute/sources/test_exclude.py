"""`--exclude`: what patterns leave out, in every layout, with what belongs to it; counted and told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.cli import main as run_precompute
from precompute.errors import SettingsError, SourceError, UsageError
from precompute.options.build_options import BuildOptions
from precompute.options.patterns import Pattern
from precompute.sources.find import find
from precompute.table.sources import Sources
from tests.helpers.every_layout import LAYOUTS, Made
from tests.helpers.object_stores import put_tree
from tests.helpers.small_datasets import draw_classes, options, shard_hashes
from tests.helpers.source_folders import make

NAMES = ["a", "b", "c", "d", "h", "old/e", "old/f", "old/g"]  # those of old/ are left out
KEPT = NAMES[:5]
IN_FOLDERS = [name for name in LAYOUTS if name not in ("class_folders", "mask_files")]


def fits(pattern: str, path: str) -> bool:
    return Pattern.of(pattern).fits(path.strip("/").split("/"), is_folder=path.endswith("/"))


def found(made: Made, **more: Any) -> Sources:
    source, given = made
    return find(source, BuildOptions.make(**{**given, **more}))


@pytest.mark.parametrize(
    ("pattern", "there", "absent"),
    [
        ("*.tif", ["a.tif", "x/y/b.tif", "x.tif/"], ["a.tiff", "a.TIF", "tif"]),
        ("old/", ["old/", "a/old/"], ["old", "a/old", "older/"]),
        ("old", ["old", "old/", "a/old/", "a/old"], ["older"]),
        ("/old", ["old", "old/"], ["a/old"]),
        ("./a/b.png", ["a/b.png"], ["x/a/b.png"]),
        ("train/rejected/*", ["train/rejected/a.png", "train/rejected/b/"], ["train/rejected/", "train/rejected/b/c"]),
        ("**/thumbs/**", ["thumbs/", "a/b/thumbs/"], ["thumbs", "a/thumbs.png"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["b", "x/a/b"]),
        ("a/**", ["a/"], ["a", "x/a/"]),
        ("[ab]?.png", ["a1.png", "x/b2.png"], ["c1.png", "a12.png"]),
        ("**", ["a", "a/b/"], []),
    ],
)
def test_patterns(pattern: str, there: list[str], absent: list[str]) -> None:
    assert [path for path in there if not fits(pattern, path)] == []
    assert [path for path in absent if fits(pattern, path)] == []


@pytest.mark.parametrize("given", ["", "/", "!a", "./", 3, [3], {"a": 1}, ["a", ""]])
def test_what_is_no_pattern(given: Any) -> None:
    with pytest.raises(UsageError, match=r"exclude \(--exclude\): expected a pattern"):
        BuildOptions.make(exclude=given)


def test_one_or_several() -> None:
    assert BuildOptions.make(exclude="*.tif").exclude == ["*.tif"]
    assert BuildOptions.make(exclude=("a/", Path("b"))).exclude == ["a/", "b"]
    assert BuildOptions.make(exclude=np.array(["a"])).exclude == ["a"]
    assert BuildOptions.make(exclude=[]).exclude is None


OF_FOLDERS, OF_FILES = ("old/", "**/old/**"), ("**/old/*.png", "[efg].png")
CASES = [(layout, pattern) for layout in IN_FOLDERS for pattern in OF_FOLDERS]
CASES += [(layout, pattern) for layout in IN_FOLDERS if layout != "paired_folders" for pattern in OF_FILES]


@pytest.mark.parametrize(("layout", "pattern"), CASES)
def test_as_if_they_were_not_there(tmp_path: Path, layout: str, pattern: str) -> None:
    less = found(LAYOUTS[layout](tmp_path / "less" / "data", KEPT))
    made = LAYOUTS[layout](tmp_path / "all" / "data", NAMES)
    sources = found(made, exclude=pattern)
    assert len(sources) == len(KEPT)
    assert list(sources.keys) == list(less.keys) and list(sources.images) == list(less.images)
    assert sources.class_names == less.class_names and list(sources.num_bytes) == list(less.num_bytes)
    assert [note for note in sources.notes if note.startswith(f"Left out by exclude (--exclude): {pattern} (")]
    assert not [note for note in sources.notes if "has no effect" in note]


@pytest.mark.parametrize("layout", ["paired", "mask_folders", "coco", "yolo", "voc", "keypoints", "mask_table"])
def test_what_belongs_to_an_image_goes_with_it(tmp_path: Path, layout: str) -> None:
    made = LAYOUTS[layout](tmp_path / "data", NAMES)
    patterns = ["images/old/*", "images/old/", "JPEGImages/old/", "/old"]
    fitting = [pattern for pattern in patterns if (tmp_path / "data" / pattern.strip("/*")).is_dir()]
    assert fitting
    for pattern in fitting:
        assert [Path(name).stem for name in found(made, exclude=pattern).images] == KEPT
        assert len(found(made, exclude=[pattern, "images/a.png", "JPEGImages/a.png", "/a.png"])) == len(KEPT) - 1


def test_of_splits(tmp_path: Path) -> None:
    for split, key in (("train", "a"), ("train", "x"), ("val", "b"), ("val", "y")):
        make(tmp_path, f"{split}/images/{key}.png", f"{split}/masks/{key}.png")
        make(tmp_path / "2", f"images/{split}/{key}.png", f"masks/{split}/{key}.png")
    assert list(find(tmp_path, BuildOptions(exclude=["2/", "**/images/[xy].png"])).keys) == ["a", "b"]
    assert list(find(tmp_path / "2", BuildOptions(exclude=["**/[xy].png"])).keys) == ["a", "b"]
    assert list(find(tmp_path / "2", BuildOptions(exclude=["images/*/[xy].png"])).keys) == ["a", "b"]


def test_lists_of_voc_may_name_them(tmp_path: Path) -> None:
    made = LAYOUTS["voc"](tmp_path, NAMES)
    make(tmp_path, "ImageSets/Main/")
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("\n".join(NAMES) + "\n")
    assert len(found(made, exclude="JPEGImages/old/")) == len(KEPT)


@pytest.mark.parametrize("layout", ["coco", "keypoints", "table", "json_lines"])
def test_files_that_are_gone_may_be_named(tmp_path: Path, layout: str) -> None:
    made = LAYOUTS[layout](tmp_path, NAMES)
    shutil.rmtree(next(path for path in (tmp_path / "old", tmp_path / "images" / "old") if path.is_dir()))
    with pytest.raises(SourceError):
        found(made)
    sources = found(made, exclude="old/")
    assert [Path(name).stem for name in sources.images] == KEPT
    assert sources.notes[-1] == "Left out by exclude (--exclude): old/ (3 files)."


def test_a_name_in_two_folders_means_the_one_that_stays(tmp_path: Path) -> None:
    made = LAYOUTS["coco"](tmp_path, ["a", "b"])
    make(tmp_path, "copies/a.png", "images/copies/b.png")
    assert list(found(made, exclude="copies/").images) == ["images/a.png", "images/b.png"]


def test_lines_of_tables_keep_their_numbers(tmp_path: Path) -> None:
    made = LAYOUTS["table"](tmp_path, NAMES[::-1])
    (tmp_path / "h.png").unlink()
    with pytest.raises(SourceError, match=r"1 of 5 files cannot be found:\n  line 5: "):
        found(made, exclude="old/")
    with pytest.raises(SourceError, match="the patterns of --exclude leave no line"):
        found(made, exclude="**")


def test_counted_by_pattern(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.png", "cat/2.tif", "dog/3.tif", "dog/4.png", "dog/old/5.png", "cat/old/6.png", "old/7.png")
    given = BuildOptions(exclude=["*.tif", "old", "nowhere/*"])
    sources = find(tmp_path, given)
    assert list(sources.keys) == ["cat/1", "dog/4"] and sources.num_ignored_files == 0
    assert sources.notes[-2:] == [
        "Left out by exclude (--exclude): *.tif (2 files), old (3 folders).",
        "exclude (--exclude) nowhere/* has no effect: it fits no file or folder below SOURCE.",
    ]


def test_all_of_them(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.png", "dog/2.png")
    with pytest.raises(SourceError, match=r"(?s)there are no images.*\nLeft out by exclude .*: \*\.png \(2 files\)\."):
        find(tmp_path, BuildOptions(exclude="*.png"))


def test_folders_that_are_excluded_are_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "cat/1.png", "dog/2.png", "raw/3.png")
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    look = os.scandir

    def refuse(path: Any) -> Any:
        assert "raw" not in str(path)
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list(find(tmp_path, BuildOptions(exclude=["raw/", "gone*"])).keys) == ["cat/1", "dog/2"]


def test_folders_elsewhere_that_were_named(tmp_path: Path) -> None:
    make(
        tmp_path, "here/", "there/images/a.png", "there/images/old/b.png", "there/masks/a.png", "there/masks/old/b.png"
    )
    given: dict[str, Any] = {role: str(tmp_path / "there" / role) for role in ("images", "masks")}
    assert len(find(tmp_path / "here", BuildOptions(**given, exclude="/old"))) == 1
    assert len(find(tmp_path / "here", BuildOptions(**given, exclude="b.*"))) == 1


@pytest.mark.parametrize("layout", ["folders", "paired", "image_only"])
@pytest.mark.parametrize("pattern", ["old/", "**/old/*", "[efg].png"])
def test_in_a_store(tmp_path: Path, layout: str, pattern: str, request: pytest.FixtureRequest) -> None:
    folder, given = LAYOUTS[layout](tmp_path, NAMES)
    url = put_tree(folder, f"memory://bucket/{request.node.name.replace('*', '-')}")
    here, there = (found((top, given), exclude=pattern) for top in (folder, url))  # type: ignore[arg-type]
    assert list(here.keys) == list(there.keys) and here.notes == there.notes


def test_a_dataset_that_was_built_without_it(tmp_path: Path) -> None:
    folder = draw_classes(tmp_path / "data", 4)
    precompute.build(folder, tmp_path / "out", **options())
    hashes = shard_hashes(tmp_path / "out")
    with pytest.raises(SettingsError, match="cat000"):
        precompute.build(folder, tmp_path / "out", **options(exclude="cat000.png"))
    make(folder, "raw/1.png")
    precompute.build(folder, tmp_path / "out", **options(exclude="raw/"))
    assert shard_hashes(tmp_path / "out") == hashes


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = draw_classes(tmp_path / "data", 2)
    make(folder, "top.png", "raw/9.png")
    given = ["--pipeline", "light", "--image-size", "16", "--exclude", "top.png", "--exclude", "raw/"]
    commands = [
        ["build", str(folder), str(tmp_path / "out"), "--variants", "1", "--jobs", "1", *given],
        ["preview", str(folder), "--output", str(tmp_path / "p.png"), *given],
        ["profile", str(folder), "--num-sources", "2", "--num-variants", "1", *given],
    ]
    for command in commands:
        assert run_precompute(command) == 0, capsys.readouterr().err
        said = capsys.readouterr().err
        if command[0] == "build":
            assert "files that fit top.png (--exclude): 1; folders that fit raw/ (--exclude): 1\n" in said
        else:
            assert "Left out by exclude (--exclude): top.png (1 file), raw/ (1 folder)." in said


def test_colours_of_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = LAYOUTS["paired"](tmp_path / "data", NAMES)
    make(folder, "masks/torn.png")
    command = ["mask-colors", str(folder), "--output", str(tmp_path / "c.json"), "--exclude", "torn.png"]
    assert run_precompute(command) == 0, capsys.readouterr().err
