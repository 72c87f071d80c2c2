"""Folders and files that there is no right to, or that a disk fails to read: named, never a traceback or a silent skip.

What needs no other user is tried with system calls that fail.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import precompute
from precompute.cli import main
from precompute.errors import BadSourcesError, BuildError, SourceError, UsageError, accessible
from tests.helpers.every_layout import LAYOUTS, folders, paired, read

PIPELINE = "import albumentations as A\ntrain = A.Compose([A.HorizontalFlip(p=0.5), A.Resize(16, 16)])\n"
FAULTS = {"denied": errno.EACCES, "failing": errno.EIO}


class Barrier:
    """Lets every look at some paths fail, as the system would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, of_content: bool = False) -> None:
        self.number, self.blocked = errno.EACCES, set[str]()
        looks = () if of_content else ((os, "stat"), (os, "scandir"), (os, "listdir"))
        for module, name in (*looks, (builtins, "open"), (io, "open")):
            monkeypatch.setattr(module, name, self._guarded(getattr(module, name)))

    def block(self, *paths: Path) -> None:
        """What lies below a folder is blocked with it."""
        self.blocked |= set(map(str, paths))

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(path: Any = ".", *args: Any, **options: Any) -> Any:
            self._check(path)
            return call(path, *args, **options)

        return guarded

    def _check(self, path: Any) -> None:
        name = os.path.normpath(os.fspath(path)) if isinstance(path, str | os.PathLike) else ""
        if any(name == blocked or name.startswith(f"{blocked}/") for blocked in self.blocked):
            raise OSError(self.number, os.strerror(self.number), str(path))


@pytest.fixture(params=FAULTS)
def barrier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Barrier]:
    barrier = Barrier(monkeypatch)
    barrier.number = FAULTS[request.param]
    yield barrier
    barrier.blocked.clear()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_source_that_cannot_be_looked_at(layout: str, tmp_path: Path, barrier: Barrier) -> None:
    made = LAYOUTS[layout](tmp_path / "data", ["a", "b", "c"])
    barrier.block(tmp_path / "data")
    with pytest.raises(SourceError) as caught:
        read(made)
    assert str(tmp_path / "data") in str(caught.value) and os.strerror(barrier.number) in str(caught.value)


FILES = {  # layout → files and folders that a build cannot do without, image files apart
    "folders": ["cat"],
    "paired": ["images", "masks"],
    "mask_folders": ["images", "masks", "masks/a"],
    "table": ["table.csv"],
    "json_lines": ["table.jsonl"],
    "coco": ["instances.json", "images"],
    "coco_masks": ["instances.json", "images"],
    "yolo": ["data.yaml", "labels", "labels/a.txt", "images"],
    "voc": ["Annotations", "Annotations/a.xml", "JPEGImages"],
    "keypoints": ["points.csv"],
}


@pytest.mark.parametrize(("layout", "path"), [(layout, path) for layout, paths in FILES.items() for path in paths])
def test_a_part_of_the_sources_that_cannot_be_read(layout: str, path: str, tmp_path: Path, barrier: Barrier) -> None:
    made = LAYOUTS[layout](tmp_path, ["a", "b", "c"])
    barrier.block(tmp_path / path)
    with pytest.raises(SourceError) as caught:
        read(made)
    message = str(caught.value)
    assert (
        f"{tmp_path / path}" in message and os.strerror(barrier.number) in message and "there is no such" not in message
    )


def build(source: Path, out: Path, **options: Any) -> Any:
    given: dict[str, Any] = {"variants": 1, "jobs": 1, "backend": "sequential", "quiet": True} | options
    return precompute.build(source, out, **given)


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "pipelines" / "p.py"
    path.parent.mkdir()
    path.write_text(PIPELINE)
    return path


@pytest.mark.parametrize("path", ["images/b.png", "masks/b.png"])
def test_an_image_that_cannot_be_read_is_a_bad_source(
    path: str, tmp_path: Path, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, options = paired(tmp_path / "data", ["a", "b", "c"])
    Barrier(monkeypatch, of_content=True).block(source / path)
    with pytest.raises(BadSourcesError, match=rf"1 of 3 sources is bad.*\n  .*{path}: cannot be read: Permission"):
        build(source, tmp_path / "out", pipeline=pipeline, **options)
    result = build(source, tmp_path / "out", pipeline=pipeline, skip_bad="1", **options)
    assert result.manifest.skipped[0]["key"] == "b"


def run(command: list[Any]) -> int:
    """Run a command; returns its exit code, that of an argument that cannot be parsed too."""
    try:
        return main(list(map(str, command)))
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


def test_files_of_options(tmp_path: Path, pipeline: Path, barrier: Barrier, capsys: pytest.CaptureFixture[str]) -> None:
    source, _ = folders(tmp_path / "data", ["a", "b"])
    (names := tmp_path / "names.txt").write_text("cat\ndog\n")
    command: list[Any] = ["build", source, tmp_path / "out", "--pipeline", pipeline]
    for blocked, more in (
        (pipeline, []),
        (pipeline.parent, []),
        (names, ["--class-names", f"@{names}"]),
        (names, ["--mask-colors", str(names)]),
    ):
        barrier.block(blocked)
        assert run([*command, *more]) in (1, 2)
        message = capsys.readouterr().err
        assert f"{blocked}" in message and f"cannot be read: {os.strerror(barrier.number)}" in message
        barrier.blocked.clear()


def test_places_to_write(tmp_path: Path, pipeline: Path, barrier: Barrier, capsys: pytest.CaptureFixture[str]) -> None:
    source, _ = folders(tmp_path / "data", ["a", "b"])
    masks, _ = paired(tmp_path / "pairs", ["a", "b"])
    build(source, tmp_path / "out", pipeline=pipeline)
    (place := tmp_path / "place").mkdir()
    barrier.block(place)
    for command in (
        ["build", source, place / "out", "--pipeline", pipeline],
        ["build", source, place, "--pipeline", pipeline, "--dry-run"],
        ["preview", source, "--pipeline", pipeline, "--output", place / "sheet.png"],
        ["profile", source, "--pipeline", pipeline, "--json", place / "times.json"],
        ["mask-colors", masks, "--output", place / "colors.json"],
        ["export", tmp_path / "out", "--output", place / "files"],
        ["export", tmp_path / "out", "--output", place],
        ["inspect", place],
        ["verify", place],
    ):
        assert run(command) in (1, 2, 4), command
        message = capsys.readouterr().err
        assert f"{place}" in message and os.strerror(barrier.number) in message and "Traceback" not in message, command


def test_an_export_asks_what_is_in_a_folder_before_it_writes_there(
    tmp_path: Path, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = folders(tmp_path / "data", ["a", "b"])
    build(source, tmp_path / "out", pipeline=pipeline)
    (tmp_path / "files" / "inner").mkdir(parents=True)
    Barrier(monkeypatch).block(tmp_path / "files" / "inner")
    with pytest.raises(BuildError, match=r"files/inner: cannot be written: Permission denied\. Give yourself the"):
        precompute.export(tmp_path / "out", tmp_path / "files")


def test_what_nobody_expected_to_be_out_of_reach_is_an_error_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(path: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr("precompute.inspecting.inspect.inspect", fail)
    assert main(["inspect", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: Input/output error. Look at the rights to it")


def test_names_that_are_too_long_and_paths_through_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / ("a" * 300), tmp_path / "file" / "inner"):
        with pytest.raises(SourceError, match=r"a: cannot be read: File name too long|inner: there is no such folder"):
            read((path, {}))


@pytest.mark.parametrize(
    ("number", "to_be", "message"),
    [
        (errno.EACCES, "read", "x: cannot be read: Permission denied. Give yourself the right to it."),
        (errno.EIO, "read", "x: cannot be read: Input/output error."),
        (errno.EPERM, "written", "x: cannot be written: Operation not permitted. Give yourself the right to it, or"),
    ],
)
def test_what_is_said(number: int, to_be: str, message: str) -> None:
    with pytest.raises(UsageError) as caught, accessible("folder", UsageError, to_be):
        raise OSError(number, os.strerror(number), "x")
    assert str(caught.value).startswith(message)


SCRIPT = """
import os, sys
from precompute.errors import SourceError
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
for path, mode in zip(sys.argv[2::2], sys.argv[3::2]):
    os.chmod(path, int(mode, 8))
    try:
        find(sys.argv[1], BuildOptions.make())
    except SourceError as error:
        print("refused:", error)
    os.chmod(path, 0o755)
"""


def test_real_rights(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("rights are others on Windows")
    source, _ = LAYOUTS["yolo"](tmp_path / "data", ["a", "b"])
    cases: list[Any] = [source, "000", source, "444", source / "labels", "000", source / "data.yaml", "000"]
    command: list[Any] = [sys.executable, "-c", SCRIPT, source, *cases]
    if os.geteuid() == 0:
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for folder in (tmp_path, *[folder for folder in tmp_path.parents if "pytest-of-" in str(folder)]):
            folder.chmod(0o755)
        for path in (source, *source.rglob("*")):
            os.chown(path, 65534, 65534)
        command = [*other, *command]
        try:
            ready = subprocess.run(
                [*other, sys.executable, "-c", "import precompute.options.build_options"], capture_output=True
            )
        except FileNotFoundError:
            pytest.skip("root may read everything, and there is no setpriv")
        if ready.returncode:
            pytest.skip("another user cannot run this Python: it lies in a folder of root's")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("refused:"), done.stdout.count("Permission denied")) == (0, 4, 4), done
    assert f"{source / 'data.yaml'}: cannot be read: Permission denied. It may hold annotations" in done.stdout
