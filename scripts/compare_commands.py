"""Runs commands and calls, each in a process forked for it alone, and notes what they say and end with.

The parent has loaded what takes long; a child begins with that and leaves nothing behind in it. `python -m precompute`
and the public names are all that is called: modules may move.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE_S = 600  # after which a process that hangs is ended by a signal, which its exit code tells


class Ended(NamedTuple):
    """How a process ended, and what it said."""

    code: int
    out: str
    err: str


def preload() -> None:
    """Load what most commands need, so that their processes begin with it."""
    import albumentations  # noqa: F401
    import cv2

    import precompute

    cv2.setNumThreads(1)  # a pool of threads would not come along into a forked process
    for name in precompute.__all__:
        if name not in ("load", "EpochRow"):  # they bring TensorFlow, which does not go with forking
            getattr(precompute, name)


def run_program(program: str, words: Sequence[Any], folder: Path | None = None) -> Ended:
    """Run `python -m PROGRAM WORDS`, in a folder if one is given."""

    def run() -> None:
        if folder is not None:
            os.chdir(folder)
        sys.argv = [program, *map(str, words)]
        runpy.run_module(program, run_name="__main__", alter_sys=True)

    return run_forked(run)


def run_call(call: Callable[[], Any]) -> Ended:
    """Run a call from Python; what it returns says what was done."""

    def run() -> None:
        done = call()
        print(done.summary() if hasattr(done, "summary") else done)

    return run_forked(run)


def run_forked(run: Callable[[], None]) -> Ended:
    """Run a function in a process of its own, with its output kept."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if not process:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os._exit(_run_to_end(run))
        _, status = os.waitpid(process, 0)
        out.seek(0)
        err.seek(0)
        return Ended(os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode())


def _run_to_end(run: Callable[[], None]) -> int:
    """Run a function, say what it raises as a program would, and return an exit code."""
    code = 0
    signal.alarm(PATIENCE_S)
    try:
        run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = getattr(error, "exit_code", 1)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code
