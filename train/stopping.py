"""Signals that end a training wait for the end of its step, so that a checkpoint of it can be written first."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

__all__ = ["Stopping"]

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
PATIENCE_S = 5.0  # a signal that comes so long after the first is not held back: the step may never end


class Stopping:
    """Keeps the first signal while there is something to save, then passes it to the earlier handler.

    It is a context manager for the main thread; elsewhere it does nothing. A signal that is ignored, such as SIGHUP
    under nohup, stays ignored.

    Args:
        clock: Returns the time in seconds.

    Attributes:
        holds: Whether signals are kept. If nothing is to be saved soon, they go through at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.holds = False
        self._clock = clock
        self._number: int | None = None
        self._came = 0.0
        self._before: dict[int, Any] = {}

    @property
    def is_asked_for(self) -> bool:
        """Whether a signal was kept."""
        return self._number is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
        self.holds = False
        self.deliver()

    def deliver(self) -> None:
        """Pass on the signal that was kept, if there is one."""
        number, self._number = self._number, None
        if number is not None:
            self._pass_on(number, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.holds:
            self._pass_on(number, frame)
        elif self._number is None:
            self._number, self._came = number, self._clock()
        elif self._clock() - self._came >= PATIENCE_S:
            self.holds = False
            self.deliver()

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        before = self._before.get(number, signal.getsignal(number))
        if callable(before):
            before(number, frame)
        else:  # the system's own way
            signal.signal(number, before)
            signal.raise_signal(number)
