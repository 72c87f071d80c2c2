"""A command that is refused leaves everything as it was: files, folders, and their content."""

from __future__ import annotations

import shutil
from pathlib import Path

import filelock
import pytest

import precompute
import precompute.cli
import train.cli
from precompute.storage.locking import hold_folder
from tests.helpers.runs_without_training import make_run
from tests.helpers.small_datasets import draw_classes, draw_pairs, options

# `classes` and `masks` are sources, `data` and `labelled` datasets of them, and `run` is a run on `data`.
REFUSED = {
    "precompute": [
        "build nowhere new/out --pipeline light --image-size 16",
        "build classes classes --pipeline light --image-size 16",
        "build classes other --pipeline light --image-size 16",
        "build classes new/out --pipeline nowhere.py",
        "build classes new/out --pipeline light --image-size 16 --validation-split 2",
        "build classes new/out --pipeline light --image-size 16 --class-copies bird=2",
        "build classes new/out --pipeline light --image-size 16 --class-names one,two",
        "build masks new/out --pipeline light --image-size 16 --mask-colors nowhere.json",
        "build classes data --pipeline light --image-size 16 --quality 5",
        "build masks data --pipeline light --image-size 16",
        "preview nowhere --output new/sheet.png --pipeline light --image-size 16",
        "preview classes --output new/sheet.txt --pipeline light --image-size 16",
        "preview classes --output new/sheet.png --pipeline light --image-size 16 --split tset",
        "profile nowhere --json new/figures.json --pipeline light --image-size 16",
        "mask-colors classes --output new/colors.json",
        "mask-colors nowhere --output new/colors.json",
        "inspect other --output new/sheet.png",
        "export data --output new/plain --split tset",
        "export data --output new/plain --format coco",
        "export data --output new/plain --row 77",
        "export data --output other",
        "export other --output new/plain",
        "dali-index data --rows 77",
        "dali-index other",
        "verify other",
        "regenerate other --seed 4",
        "regenerate data --seed 4 --split tset",
        "regenerate data --seed 4 --pipeline light",
        "regenerate data --seed 4 --source nowhere",
        "follow other --rows 1",
        "follow data --keep 0 --rows 1",
        "follow data --rows 1 --split tset",
        "follow data --rows 1 --source nowhere",
        "drop other --rows 0",
        "drop data --rows 77",
        "drop data --rows 0-2",
    ],
    "train": [
        "fit nowhere --run new/run",
        "fit other --run new/run",
        "fit data --run other",
        "fit data --run other --restart",
        "fit data --run other/notes.txt",
        "fit data --run data",
        "fit data --run new/run --class-weights bird=2",
        "fit data --run new/run --weights lost.keras",
        "fit data --run new/run --weights other/notes.keras",
        "fit data --run new/run --model EficientNetB0",
        "fit data --run new/run --options nowhere.toml",
        "fit data --run new/run --like other",
        "fit labelled --run new/run --ignore-class 1 --mixup 1",
        "fit data --run run --seed 7",
        "fit data --run run --restart --class-weights bird=2",
        "fit data --run run --restart --weights lost.keras",
        "bench other",
        "evaluate other",
        "evaluate run --split test",
        "evaluate run --checkpoint last",
        "evaluate run --dataset labelled",
        "predict other classes --output new/out",
        "predict run nowhere --output new/out",
        "predict run classes --output new/out --draw",
        "predict run classes --output other/notes.txt",
        "predict run classes --output new/out --pipeline nowhere.py",
        "predict run classes --output new/out --dataset labelled",
        "export other --output new/out",
        "export run --output other",
        "export run --output new/out --format keras",
        "export run --output new/out.keras --format keras --checkpoint last",
        "export run --output other/notes.keras --format keras",
    ],
}
MAINS = {"precompute": precompute.cli.main, "train": train.cli.main}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which commands are refused; none of them changes it."""
    folder = tmp_path_factory.mktemp("refused")
    draw_classes(folder / "classes", names=("blue", "green", "red"))
    draw_pairs(folder / "masks")
    precompute.build(folder / "classes", folder / "data", **options())
    precompute.build(folder / "masks", folder / "labelled", **options())
    for path in (folder / "data", folder / "labelled"):
        shutil.rmtree(path / ".build")  # as in a copy of what readers need
    run = make_run(folder / "run", folder / "data")
    (run / "checkpoint.npz").write_bytes(b"what a run goes on from")
    (folder / "other").mkdir()
    for name in ("notes.txt", "notes.keras"):
        (folder / "other" / name).write_text("mine")
    return folder


def tree(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Return what is in a folder: name → when it was changed, and content of files; notes of readers apart."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns if path.is_file() else 0, content_of(path))
        for path in folder.rglob("*")
        if ".leases" not in path.parts
    }


def content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


@pytest.mark.parametrize(
    ("program", "command"), [(program, command) for program in REFUSED for command in REFUSED[program]]
)
def test_a_refused_command_changes_nothing(
    folder: Path, program: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    before = tree(folder)
    try:
        code = MAINS[program](command.split())
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err
    assert code in (1, 2), said
    assert "error: " in said and "Traceback" not in said
    after = tree(folder)
    assert sorted(before.keys() ^ after.keys()) == []
    assert [name for name in before if before[name] != after[name]] == []


def test_a_lock_of_which_something_came_stays(tmp_path: Path) -> None:
    lock = tmp_path / "a" / "b" / "lock"
    with hold_folder(lock, lambda path: path.mkdir(parents=True)):
        (lock.parent / "file").touch()
    assert lock.exists()
    with hold_folder(lock, lambda path: path.mkdir(parents=True, exist_ok=True)):
        pass
    assert lock.exists()  # it was there before


def test_a_lock_of_which_nothing_came_goes_with_its_folders(tmp_path: Path) -> None:
    lock = tmp_path / "a" / "b" / "lock"
    with pytest.raises(KeyError), hold_folder(lock, lambda path: path.mkdir(parents=True)):
        assert lock.exists()
        with pytest.raises(filelock.Timeout), hold_folder(lock, lambda path: None):
            pass
        raise KeyError
    assert list(tmp_path.iterdir()) == []
