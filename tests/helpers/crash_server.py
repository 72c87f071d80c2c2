"""Runs commands of precompute in processes of their own, each ended by SIGKILL at a named point.

A program, not a test: it reads an order a line, and answers with how its process ended. Everything heavy is loaded
once, before it forks; what is killed is a real process nevertheless, with all of its workers, a group of its own.
Those start as fresh interpreters and learn where to end from the environment, through `sitecustomize`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from tests.helpers import file_operations

POINT = "CRASH_AT"


def arm(out: str, point: str, nth: int) -> None:
    """End the process group when it comes to a point for the nth time."""
    left = nth

    def listen(when: str, operation: file_operations.Operation) -> None:
        nonlocal left
        if f"{when} {operation.point}" == point:
            left -= 1
            if left == 0:
                os.killpg(0, signal.SIGKILL)

    file_operations.watch(Path(out), listen)
    file_operations.watch_records(listen)


def arm_worker() -> None:
    """Called when a worker starts; does nothing in other processes."""
    if POINT in os.environ:
        arm(**json.loads(os.environ[POINT]))


def note_points(out: str, report: Path) -> Any:
    """Count the points that the process comes to; returns the function that writes them down."""
    counts: Counter[str] = Counter()

    def listen(when: str, operation: file_operations.Operation) -> None:
        counts[f"{when} {operation.point}"] += 1

    file_operations.watch(Path(out), listen)
    file_operations.watch_records(listen)
    return lambda: report.write_text(json.dumps(counts))


def carry_out(order: dict[str, Any]) -> None:
    """Do what is asked for, in this process."""
    import precompute
    from tests.helpers import small_datasets

    out, jobs = order["out"], order["jobs"]
    given: dict[str, Any] = {"jobs": jobs, "backend": "sequential" if jobs == 1 else "loky", "quiet": True}
    if order["command"] == "build":
        precompute.build(order["data"], out, **small_datasets.options(**order["options"], **given))
    elif order["command"] == "regenerate":
        precompute.regenerate(out, **order["options"], **given)
    else:
        try:
            precompute.drop(out, **order["options"])
        except precompute.errors.UsageError:
            return  # not listed any more: it was killed after that


def run(order: dict[str, Any]) -> None:
    """Do what is asked for, and end where it is asked for."""
    if order["point"] is None:
        done = note_points(order["out"], Path(order["report"]))
    else:
        given = {"out": order["out"], "point": order["point"], "nth": order["nth"]}
        os.environ[POINT] = json.dumps(given)
        arm(**given)
    carry_out(order)
    if order["point"] is None:
        done()


def main() -> None:
    """Fork a process for each order."""
    import precompute
    import precompute.errors
    from tests.helpers import small_datasets  # noqa: F401 (loaded before forking)

    precompute.build, precompute.regenerate, precompute.drop  # noqa: B018 (loaded when they are named)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            os.setsid()
            try:
                run(json.loads(line))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)  # workers of one that came to its end wait for more to do
        print(code, flush=True)


if __name__ == "__main__":
    main()
