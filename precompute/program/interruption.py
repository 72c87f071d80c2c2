"""Ctrl-C ends a program soon, with one line, however often it comes: files are whole at every moment, nothing is lost.

SIGTERM and SIGHUP, by which schedulers and terminals end programs, do the same.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

__all__ = [
    "KILL",
    "begin_program",
    "ends_at_once",
    "leave_program",
    "leave_signals_to_parent",
    "run_until_signal",
    "starting_children",
]

PATIENCE_S = 15.0
TIDYING_S = 3.0
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has the latter alone, and it is as strong
LOOK_AGAIN_S = 0.05
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Ending:
    """Handles signals: the first interrupts what is running, and those after it change nothing.

    Args:
        message: What the user is told.

    Attributes:
        message: What the user is told.
        number: The signal that came; None before.
        at_once: The process may end where it stands: there is nothing to put away.
        is_over: Signals come too late to interrupt anything.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        self.number: int | None = None
        self.at_once = self.is_over = False
        self._repeats = self._swallowed = False
        self._came, self._closed = threading.Event(), threading.Event()
        self._before: list[tuple[Any, Any]] = []
        self._hooks = sys.unraisablehook, threading.excepthook
        self._stderr = _copy_of_stderr()

    @property
    def exit_code(self) -> int:
        """128 and the signal, as shells have it: 130 after Ctrl-C."""
        return 128 + (self.number or signal.SIGINT)

    def install(self) -> None:
        """Handle signals from now on."""
        # Started before any signal comes: a handler that starts a thread may wait for a lock that its own thread holds.
        threading.Thread(target=self._watch, daemon=True).start()
        for number in SIGNALS:
            if not (number != signal.SIGINT and signal.getsignal(number) == signal.SIG_IGN):  # as nohup has it
                self._before.append((number, signal.signal(number, self)))

    def close(self) -> None:
        """Handle signals no longer."""
        for number, handler in self._before:
            signal.signal(number, handler)
        if self._stderr >= 0:
            os.close(self._stderr)
        self._closed.set()
        self._came.set()
        sys.unraisablehook, threading.excepthook = self._hooks

    def __call__(self, number: int, frame: Any) -> None:
        """Handle a signal."""
        if self.is_over or (self.number is not None and not self._repeats):
            return
        self.number, self._repeats = self.number or number, False
        if self.at_once:
            self.end()
        # What breaks by the interruption, in other threads or while objects are deleted, is no news.
        sys.unraisablehook, threading.excepthook = self._pass_over, lambda _: None
        self._came.set()
        raise KeyboardInterrupt

    def _pass_over(self, unraisable: Any) -> None:
        """Say nothing of an exception that came where none gets through, but remember that the interruption was one."""
        self._swallowed = self._swallowed or isinstance(unraisable.exc_value, KeyboardInterrupt)

    def _watch(self) -> None:
        """End the process some seconds after the first signal, if it has not come to its own end by then.

        joblib ends its workers in an order of its own, and may wait for one that does not answer.
        """
        self._came.wait()
        for _ in range(round(PATIENCE_S / LOOK_AGAIN_S)):
            if self._closed.wait(LOOK_AGAIN_S):
                return
            if self._swallowed and not self.is_over:
                self._swallowed, self._repeats = False, True
                _interrupt_main_thread(self.number or signal.SIGINT)
        self.end()

    def end(self) -> None:
        """Say so, and end the process where it stands."""
        with contextlib.suppress(OSError):  # nobody reads
            os.write(self._stderr, f"{self.message}\n".encode("ascii", "replace"))
        _end_children()
        os._exit(self.exit_code)


_program: Ending | None = None  # of the whole process, from its start to its end


def begin_program(message: str) -> None:
    """Handle signals to this process from now on: before its command runs it ends at once.

    Args:
        message: What the user is told.
    """
    global _program
    _program = Ending(message)
    _program.at_once = True
    _program.install()


def leave_program(code: int) -> NoReturn:
    """End the process, undisturbed by signals."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if _program is None or _program.number is None:
        sys.exit(code)
    # What is left are threads that the interruption has caught anywhere: they may hang, and Python may crash then.
    sys.stderr = None  # what they have to say is no news
    threading.Thread(target=_exit_after, args=(TIDYING_S, code), daemon=True).start()
    with contextlib.suppress(BaseException):
        _end_children()
        atexit._run_exitfuncs()
    os._exit(code)


def _end_children() -> None:
    """End the worker processes: without their parent they would wait for work for minutes."""
    multiprocessing = sys.modules.get("multiprocessing")  # not imported by those who have none, so that --help is quick
    children = multiprocessing.active_children() if multiprocessing else ()
    for process_id in filter(None, (child.pid for child in children)):
        with contextlib.suppress(OSError):  # it has ended
            os.kill(process_id, KILL)


def _exit_after(seconds: float, code: int) -> None:
    time.sleep(seconds)
    os._exit(code)


def run_until_signal(command: Callable[[], int], message: str) -> int:
    """Run a command of a program; returns its exit code, or that of an interruption: 130 after Ctrl-C.

    Args:
        command: Returns its exit code.
        message: What the user is told when it was interrupted.
    """
    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread alone
        return command()
    ending = _program or Ending(message)
    ending.message = message
    try:
        if _program is None:
            ending.install()
        ending.at_once = False
        code = command()
        if ending.number is None:
            ending.is_over = True
            return code
    except BaseException as error:  # after a signal they are what came of it
        if ending.number is None and not isinstance(error, KeyboardInterrupt):
            ending.is_over = True
            raise
    finally:
        if _program is None:
            ending.close()
    ending.is_over = True
    print(message, file=sys.stderr)
    return ending.exit_code


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
    """Let a signal end the program where it stands: where interrupting would not get through, as in large imports."""
    if _program is None:
        yield
        return
    before, _program.at_once = _program.at_once, True
    try:
        yield
    finally:
        _program.at_once = before


@contextlib.contextmanager
def starting_children() -> Iterator[None]:
    """Let processes that are started meanwhile pass Ctrl-C over from the start: their parent ends them.

    Terminals send it to all of them, also to those that are still importing; a traceback of each would be all to see.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # children have the mask of their parent
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_parent() -> None:
    """In a worker process: pass Ctrl-C over. The parent gets it too, and ends its workers without their tracebacks."""
    import multiprocessing

    if multiprocessing.current_process().name == "MainProcess":
        return
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)  # wakes it, too
    else:
        import _thread

        _thread.interrupt_main(signal.Signals(number))


def _copy_of_stderr() -> int:
    """Return a descriptor for what is said last, also while others hold standard error back."""
    try:
        return os.dup(2)
    except OSError:  # there is none
        return -1
