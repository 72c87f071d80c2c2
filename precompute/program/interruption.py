"""Ctrl-C ends a program soon and with one line, however often it is pressed. Files are whole at every moment.

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
import warnings
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
    """A signal handler: the first signal interrupts what is running, later ones change nothing.

    Args:
        message: What the user is told.

    Attributes:
        message: What the user is told.
        number: Number of the signal that came; None before.
        at_once: The process may end right away: there is nothing to clean up.
        is_over: The command has ended, so that signals interrupt nothing any more.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        self.number: int | None = None
        self.at_once = self.is_over = False
        self._repeats = self._swallowed = False
        self._came, self._closed = threading.Event(), threading.Event()
        self._before: list[tuple[Any, Any]] = []
        self._hooks = sys.unraisablehook, threading.excepthook
        self._silence = contextlib.ExitStack()
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
        self._silence.close()

    def __call__(self, number: int, frame: Any) -> None:
        """Handle a signal."""
        if self.is_over or (self.number is not None and not self._repeats):
            return
        self.number, self._repeats = self.number or number, False
        if self.at_once:
            self.end()
        # The interruption makes other threads fail, and objects that are deleted: that is not worth a message.
        sys.unraisablehook, threading.excepthook = self._pass_over, lambda _: None
        self.silence_warnings()
        self._came.set()
        raise KeyboardInterrupt

    def silence_warnings(self) -> None:
        """Print no warnings until the end, such as joblib's of work that nobody waits for any more."""
        self._silence.enter_context(warnings.catch_warnings(action="ignore"))

    def _pass_over(self, unraisable: Any) -> None:
        """Print nothing of an exception that Python cannot raise, but remember it if it was the interruption."""
        self._swallowed = self._swallowed or isinstance(unraisable.exc_value, KeyboardInterrupt)

    def _watch(self) -> None:
        """End the process some seconds after the first signal, if it has not ended by itself.

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
        """Print the message, and end the process right away."""
        with contextlib.suppress(OSError):  # nobody reads
            os.write(self._stderr, f"{self.message}\n".encode("ascii", "replace"))
        _end_children()
        os._exit(self.exit_code)


_program: Ending | None = None  # of the whole process, from its start to its end


def begin_program(message: str) -> None:
    """Handle signals to this process from now on; before its command runs, a signal ends it at once.

    Args:
        message: What the user is told.
    """
    global _program
    _program = Ending(message)
    _program.at_once = True
    _program.install()


def leave_program(code: int) -> NoReturn:
    """End the process; signals no longer disturb it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if _program is None or _program.number is None:
        sys.exit(code)
    # Threads that the interruption has caught anywhere are left: they may hang, and Python may then crash.
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
        ending.silence_warnings()  # again: a block of its own may have undone the first time
    finally:
        if _program is None:
            ending.close()
    ending.is_over = True
    print(message, file=sys.stderr)
    return ending.exit_code


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
    """Let a signal end the program right away, where an exception would not get through, as in large imports."""
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
    """Let processes that are started meanwhile ignore Ctrl-C from the start: their parent ends them.

    Terminals send it to all processes, also to those that are still importing: each would print a traceback.
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
    """Ignore Ctrl-C in a worker process. The parent gets it too, and ends its workers without their tracebacks."""
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
    """Return a descriptor of standard error for the last message, which works while standard error is redirected."""
    try:
        return os.dup(2)
    except OSError:  # there is none
        return -1
