"""Standard output and error that cannot take everything: other encodings, closed pipes, full disks, none at all."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import precompute
from precompute.building.progress import Progress
from precompute.cli import main
from precompute.program.terminal import RobustStream, robust_streams
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_pairs, save

PIPELINES = "import albumentations as A\ntrain = A.Compose([A.HorizontalFlip(p=0.5), A.Resize(16, 16)])\n"
NO_CONSOLE = "import sys; sys.stdout = sys.stderr = None; from precompute.cli import main; sys.exit(main(sys.argv[1:]))"
ENCODINGS = ["ascii", "cp1251", "latin-1", "utf-8", "utf-16", "gbk"]


def build_of(folder: Path, out: Path) -> list[str]:
    given = ["--variants", "2", "--jobs", "1", "--backend", "sequential"]
    return ["build", str(folder / "data"), str(out), "--pipeline", str(folder / "p.py"), *given]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sources, a pipeline, and a dataset; its name has signs that not all encodings have."""
    folder = tmp_path_factory.mktemp("Größe_ほ")
    draw_pairs(folder / "data", 12)
    (folder / "p.py").write_text(PIPELINES)
    assert main([*build_of(folder, folder / "out"), "--quiet"]) == 0
    return folder


def commands_of(built: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Return a call of each command that prints something."""
    data, out, pipeline = str(built / "data"), str(built / "out"), str(built / "p.py")
    look = ["--pipeline", pipeline, "--num-sources", "2", "--num-variants", "1"]
    return {
        "build": build_of(built, tmp_path / "out"),
        "preview": ["preview", data, "--output", str(tmp_path / "p.png"), *look],
        "profile": ["profile", data, "--backend", "sequential", *look],
        "inspect": ["inspect", out],
        "export": ["export", out, "--output", str(tmp_path / "exported")],
        "dali-index": ["dali-index", out],
        "verify": ["verify", out],
        "error": ["inspect", str(built / "nowhere")],
        "usage": ["drop", "--roows", "…"],
        "help": ["build", "--help"],
    }


CODES = {"error": 1, "usage": 2}


@pytest.fixture(params=["build", "preview", "profile", "inspect", "export", "dali-index", "verify", *CODES, "help"])
def command(request: pytest.FixtureRequest, built: Path, tmp_path: Path) -> tuple[str, list[str], int]:
    return request.param, commands_of(built, tmp_path)[request.param], CODES.get(request.param, 0)


def run(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.mark.parametrize("encoding", ["ascii", "cp1251"])
def test_every_command_prints_in_any_encoding(
    command: tuple[str, list[str], int], encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    name, arguments, code = command
    assert run(arguments) == code
    said = [stream.buffer.getvalue().decode(encoding) for stream in streams]
    assert said[name in CODES]
    if name == "inspect":
        assert "16x16 (height x width)" in said[0]


@pytest.fixture
def closed_pipes() -> Iterator[list[io.TextIOWrapper]]:
    """Two streams into pipes that nobody reads."""
    streams = []
    for _ in range(2):
        reading, writing = os.pipe()
        os.close(reading)
        streams.append(os.fdopen(writing, "w", encoding="utf-8", buffering=1))
    yield streams
    for stream in streams:
        stream.close()  # raises, if something were still held back


def test_no_command_minds_that_nobody_reads(
    command: tuple[str, list[str], int], closed_pipes: list[io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", closed_pipes[0])
    monkeypatch.setattr(sys, "stderr", closed_pipes[1])
    assert run(command[1]) == command[2]


def test_no_command_minds_that_there_are_no_streams(
    command: tuple[str, list[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert run(command[1]) == command[2]


def test_a_build_from_python_needs_no_streams(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    made = precompute.build(built / "data", tmp_path / "out", pipeline=str(built / "p.py"), variants=1, jobs=1)
    assert made.num_records == 12
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with Progress(quiet=False) as progress:
        progress.say("lost")


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line with bash; {precompute} is the program."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    line = "set -o pipefail; " + command.replace("{precompute}", f"'{sys.executable}' -m precompute")
    return subprocess.run(
        ["bash", "-c", line], env=given, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_full_disk_under_the_output_is_said(built: Path) -> None:
    done = shell(f"{{precompute}} inspect '{built / 'out'}' > /dev/full")
    assert done.returncode == 0
    assert "warning: standard output cannot be written (No space left on device)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="closes descriptors in a shell")
@pytest.mark.parametrize(
    "rest", ["| head -c 30 >/dev/null", ">&-", "2>&-", ">&- 2>&- <&-"], ids=["head", "no-out", "no-err", "none"]
)
def test_streams_that_the_shell_closes(built: Path, rest: str) -> None:
    done = shell(f"{{precompute}} inspect '{built / 'out'}' {rest}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="names that are no text")
def test_a_file_name_that_is_no_text_is_printed(built: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(b"")
    save(tmp_path / "data" / "good.png", np.zeros((20, 20, 3), np.uint8))
    data, out = os.fsencode(tmp_path / "data"), os.fsencode(tmp_path / "out")
    command = [os.fsencode(sys.executable), b"-m", b"precompute", b"build", data, out, b"--pipeline"]
    given = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([*command, os.fsencode(built / "p.py")], env=given, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr and done.returncode in (1, 3)


@given(st.text(st.characters(exclude_categories=[])), st.sampled_from(ENCODINGS))
def test_any_text_is_written_in_any_encoding(text: str, encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    assert RobustStream(stream).write(text) == len(text)
    stream.flush()
    written = stream.buffer.getvalue().decode(encoding)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        assert len(written) >= len(text)  # each has its stand-in
    else:
        assert written == text


def test_a_stream_that_broke_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = io.StringIO()
    full = io.StringIO()
    full.close()  # raises ValueError at every write, as a disk that is full raises OSError
    monkeypatch.setattr(sys, "stdout", full)
    monkeypatch.setattr(sys, "stderr", errors)
    with robust_streams():
        print("one")
        print("two")
    assert errors.getvalue().count("standard output cannot be written") == 1


# The log handler that absl makes with TensorFlow keeps the standard error of that moment, and closes it at the end.
HANDLER = "from precompute.program.terminal import robust_streams\nwith robust_streams():\n    from absl import logging"
TRAINER = "from train.cli import main\nassert main(['fit', 'nowhere', '--run', 'run']) == 1"
TO_THE_END = """
import atexit, contextlib, io, sys
atexit.register(lambda: print("open to the end", file=sys.stderr))
PROGRAM
assert "absl.logging" in sys.modules
"""
HELD = """
held = io.TextIOWrapper(io.BytesIO())
with contextlib.redirect_stderr(held):
    INSIDE
held.close()
"""


@pytest.mark.parametrize("program", [HANDLER, pytest.param(TRAINER, marks=pytest.mark.slow)], ids=["absl", "train"])
@pytest.mark.parametrize("is_held", [False, True], ids=["own", "held"])
def test_who_keeps_standard_error_does_not_close_it(program: str, is_held: bool, tmp_path: Path) -> None:
    inside = HELD.replace("INSIDE", program.replace("\n", "\n    ")) if is_held else program
    done = subprocess.run(
        [sys.executable, "-c", TO_THE_END.replace("PROGRAM", inside)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert said.pop() == "open to the end"
    assert [line[:7] for line in said] == (["error: "] if program is TRAINER and not is_held else [])
