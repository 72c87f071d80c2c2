"""What is never a source: the output of the command, what this program wrote before, and folders of the system."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import precompute
from precompute.cli import main as run_precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.options.build_options import BuildOptions
from precompute.preparing import prepare_images
from precompute.sources.find import find
from precompute.sources.passed_over import OF_SYSTEMS, is_of_system
from precompute.storage.paths import as_path
from precompute.table.sources import Sources
from tests.helpers import every_layout
from tests.helpers.every_layout import LAYOUTS, SIDE, Made, image_of
from tests.helpers.object_stores import put_tree
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save, shard_hashes
from tests.helpers.source_folders import make
from train.run_folder import RunSettings

NAMES = ["a", "b", "c", "d"]


def littered(folder: Path) -> Path:
    """Put signs of every layout into a folder, and names that would be theirs."""
    for name in ("images/a.png", "masks/a.png", "masks/b/0.png", "cat/1.png", "JPEGImages/z.png", "train/x.png"):
        save(folder / name, image_of(0))
    make(folder, "empty/")
    (folder / "annotations").mkdir()
    coco = {
        "images": [{"id": 1, "file_name": "z.png", "width": SIDE, "height": SIDE}],
        "annotations": [],
        "categories": [{"id": 1, "name": "other"}],
    }
    (folder / "annotations" / "instances_other.json").write_text(json.dumps(coco))
    (folder / "labels").mkdir()
    (folder / "labels" / "z.txt").write_text("0 .5 .5 .1 .1\n")
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "z.xml").write_text("<annotation></annotation>")
    return folder


def found(made: Made, output: str | Path | None = None) -> Sources:
    source, given = made
    return find(source, BuildOptions.make(**given), output=output)


def assert_same(one: Sources, other: Sources) -> None:
    assert list(one.keys) == list(other.keys) and list(one.images) == list(other.images)
    assert list(one.splits) == list(other.splits) and one.class_names == other.class_names
    assert one.columns.keys() == other.columns.keys()
    assert (one.num_ignored_files, one.passed) == (other.num_ignored_files, other.passed)


def plain(folder: Path) -> None:
    """Nothing yet: the folder is there, no more."""
    folder.mkdir()


def begun(folder: Path) -> None:
    make(littered(folder), ".build/lock")


def planned(folder: Path) -> None:
    make(littered(folder), ".build/g0001/plan.json")


def whole(folder: Path) -> None:
    littered(folder)
    (folder / "manifest.json").write_text(json.dumps({"format": "augment-once", "version": [2, 0]}))


def run(folder: Path) -> None:
    littered(folder)
    settings = RunSettings(dataset="/d", facts={}, options={}).to_dict()
    (folder / "options.json").write_text(json.dumps(settings))


def predicted(folder: Path) -> None:
    littered(folder)
    (folder / "predictions.json").write_text(json.dumps({"finished": False, "files": []}))


OWN: list[Callable[[Path], None]] = [begun, planned, whole, run, predicted]


@pytest.mark.parametrize("write", [plain, littered, *OWN])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_output_is_no_source_in_any_layout(tmp_path: Path, layout: str, write: Callable[[Path], None]) -> None:
    made = LAYOUTS[layout](tmp_path / "data", NAMES)
    before = found(made)
    output = tmp_path / "data" / "shards"
    write(output)
    after = found(made, output)
    assert_same(before, after)
    assert after.notes == before.notes


@pytest.mark.parametrize("write", OWN)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_that_were_written_before_are_no_sources_and_named(
    tmp_path: Path, layout: str, write: Callable[[Path], None]
) -> None:
    made = LAYOUTS[layout](tmp_path / "data", NAMES)
    before = found(made)
    write(tmp_path / "data" / "shards")
    after = found(made, tmp_path / "out")
    assert_same(before, after)
    told = "Folders that this program wrote hold no sources, and were passed over (1):\n  shards/"
    is_table = made[0].suffix in (".csv", ".jsonl")
    assert after.notes == [*before.notes, *([] if is_table else [told])]


@pytest.mark.parametrize("layout", ["folders", "paired", "coco", "yolo"])
def test_it_is_known_by_other_names(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, given = made = LAYOUTS[layout](tmp_path / "real" / "data", NAMES)
    before = found(made)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    littered(tmp_path / "real" / "data" / "shards")
    monkeypatch.chdir(tmp_path / "real" / "data")
    for output in ("shards", "../data/./shards", tmp_path / "link" / "data" / "shards"):
        assert_same(before, found(made, output))
    assert list(found((tmp_path / "link" / "data", given), "shards").keys) == list(before.keys)
    shutil.move(tmp_path / "real" / "data" / "shards", tmp_path / "elsewhere")
    (tmp_path / "real" / "data" / "shards").symlink_to(tmp_path / "elsewhere")
    assert_same(before, found(made, "shards"))
    assert_same(before, found(made, tmp_path / "elsewhere"))


@pytest.mark.parametrize("write", [begun, planned, whole, run, predicted])
@pytest.mark.parametrize("layout", ["folders", "paired", "image_only"])
def test_in_a_store(tmp_path: Path, layout: str, write: Callable[[Path], None], request: pytest.FixtureRequest) -> None:
    url = f"memory://bucket/{request.node.name}"
    top, given = LAYOUTS[layout](tmp_path / "data", NAMES)
    before = found((put_tree(top, url), given))  # type: ignore[arg-type]
    write(top / "shards")
    for path in (top / "shards").rglob("*"):
        if path.is_file():
            (as_path(url) / path.relative_to(top).as_posix()).write_bytes(path.read_bytes())
    assert_same(before, after := found((url, given), f"{url}/shards"))  # type: ignore[arg-type]
    assert after.notes == before.notes
    assert_same(before, after := found((url, given), f"{url}/other"))  # type: ignore[arg-type]
    assert after.notes[-1].endswith("were passed over (1):\n  shards/")


def test_a_name_alone_proves_nothing(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.png", "dog/2.png", "dog/.build/debug.yaml")
    for name in ("manifest.json", "options.json", "predictions.json"):
        (tmp_path / "cat" / name).write_text('{"format": "other", "files": []}')
        (tmp_path / "dog" / name).write_text("no JSON")
    sources = find(tmp_path, BuildOptions())
    assert list(sources.keys) == ["cat/1", "dog/2"]
    assert not [note for note in sources.notes if "this program wrote" in note]


def test_a_folder_that_is_named_is_looked_into(tmp_path: Path) -> None:
    make(tmp_path, "predicted/images/1.png", "predicted/masks/1.png")
    (tmp_path / "predicted" / "predictions.json").write_text(json.dumps({"finished": True, "files": []}))
    assert list(find(tmp_path / "predicted", BuildOptions()).keys) == ["1"]
    given = BuildOptions(images="predicted/images", masks="predicted/masks")
    assert list(find(tmp_path, given).keys) == ["1"]


def test_sources_in_the_output_are_refused(tmp_path: Path) -> None:
    draw_classes(tmp_path / "data", 1)
    with pytest.raises(UsageError, match="is the folder of the sources; give another one, such as"):
        precompute.build(tmp_path / "data", tmp_path / "data" / ".", **options())
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(UsageError, match="is the folder of the sources"):
        precompute.build(tmp_path / "data", tmp_path / "link", **options())
    with pytest.raises(UsageError, match="give a folder that does not hold them"):
        precompute.build(tmp_path / "data", tmp_path, **options())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "link"]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["cat", "dog"]


# Whole commands


@pytest.mark.parametrize("layout", ["folders", "paired", "coco"])
def test_a_build_into_the_sources_goes_on(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, given = LAYOUTS[layout](tmp_path / "data", NAMES)
    given = {**options(), **given, "quiet": False}
    from precompute.building import write

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(write, "start_manifest", interrupted)
        precompute.build(source, source / "shards", **given)
    precompute.build(source, source / "shards", **given)
    hashes = shard_hashes(source / "shards")
    capsys.readouterr()
    precompute.build(source, source / "shards", **{**given, "variants": 4})
    assert "passed over" not in capsys.readouterr().err
    assert hashes.items() <= shard_hashes(source / "shards").items()
    precompute.build(source, tmp_path / "apart" / "shards", **{**given, "variants": 4})
    assert shard_hashes(tmp_path / "apart" / "shards") == shard_hashes(source / "shards")
    assert "written by this program: shards/\n" in capsys.readouterr().err


@pytest.mark.slow
def test_a_build_into_the_sources_that_was_killed_goes_on(tmp_path: Path) -> None:
    folder = draw_pairs(tmp_path / "data", 24)
    command = [sys.executable, "-m", "precompute", "build", str(folder), str(folder / "shards")]
    command += ["--pipeline", "light", "--image-size", "16", "--variants", "2000", "--jobs", "1", "--quiet"]
    process = subprocess.Popen(command, cwd=ROOT)
    receipts = folder / "shards" / ".build" / "g0001" / "receipts"
    while process.poll() is None and not (receipts.is_dir() and any(receipts.iterdir())):
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    command[command.index("2000")] = "2"
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    assert len(Manifest.load(folder / "shards").splits["train"].rows) == 2


def test_a_preview_among_the_sources_is_drawn_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = draw_classes(tmp_path / "data", 2)
    command = ["preview", str(folder), "--pipeline", "light", "--image-size", "16", "--output", str(folder / "p.png")]
    for _ in range(2):
        assert run_precompute(command) == 0, capsys.readouterr().err


def test_colours_and_a_dataset_among_the_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = every_layout.paired(tmp_path / "data", NAMES)
    whole(folder / "shards")
    for _ in range(2):
        command = ["mask-colors", str(folder), "--output", str(folder / "colors.json"), "--overwrite"]
        assert run_precompute(command) == 0, capsys.readouterr().err


def test_prepared_images(tmp_path: Path) -> None:
    folder, notes = draw_classes(tmp_path / "data", 2), list[str]()
    precompute.build(folder, folder / "shards", **options())
    predicted(folder / "earlier")
    prepared = prepare_images(folder / "shards", [folder], say=notes.append)
    assert len(prepared) == 4
    assert "passed over (2):\n" in notes[-1] and "earlier/" in notes[-1] and "shards/" in notes[-1]


# Folders of the system


@pytest.mark.parametrize("name", sorted({*OF_SYSTEMS, "$RECYCLE.BIN", "System Volume Information", ".Trash-1000"}))
def test_folders_of_the_system(tmp_path: Path, name: str) -> None:
    made = every_layout.paired(tmp_path, NAMES)
    before = found(made)
    littered(tmp_path / name)
    littered(tmp_path / "images" / name)
    after = found(made)
    assert_same(before, after)
    assert after.notes == before.notes


def test_one_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = every_layout.folders(tmp_path, NAMES)
    before, look = found(made), os.scandir
    (tmp_path / "lost+found").mkdir()

    def refuse(path: Any) -> Any:
        if "lost+found" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert_same(before, found(made))


def test_in_a_store_folders_of_the_system_are_none_either(request: pytest.FixtureRequest) -> None:
    folder = as_path(f"memory://bucket/{request.node.name}")
    for name in ("cat/1.png", "dog/2.png", "lost+found/3.png", "cat/@eaDir/1.png/thumb.jpg", ".Trash-0/4.png"):
        (folder / name).write_bytes(b"x")
    sources = find(str(folder), BuildOptions())
    assert list(sources.keys) == ["cat/1", "dog/2"] and sources.num_ignored_files == 0


def test_classes_of_like_names_stay(tmp_path: Path) -> None:
    assert not any(map(is_of_system, ("recycle", "trash", "lost", "tmp", ".hidden", "snapshots", "cache")))
