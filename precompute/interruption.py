"""Ctrl-C ends a command soon, whatever it is waiting for: files are whole at every moment, so nothing is lost by it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["EXIT_CODE", "ends_soon", "leave_to_parent"]

EXIT_CODE = 130
PATIENCE_S = 15.0


@contextlib.contextmanager
def ends_soon(message: str) -> Iterator[None]:
    """End the process some seconds after the first Ctrl-C, if it has not come to its own end by then.

    joblib ends its workers in an order of its own, and may wait for one that does not answer.

    Args:
        message: For the user, printed then.
    """
    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread alone
        yield
        return
    timers: list[threading.Timer] = []

    def begin(number: int, frame: Any) -> None:
        timer = threading.Timer(PATIENCE_S, _end, [message])
        timer.daemon = True
        timer.start()
        timers.append(timer)
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, begin)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for timer in timers:
            timer.cancel()


def leave_to_parent() -> None:
    """In a worker process: pass Ctrl-C over. The parent gets it too, and ends its workers without their tracebacks."""
    if multiprocessing.current_process().name == "MainProcess":
        return
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
    os._exit(EXIT_CODE)
