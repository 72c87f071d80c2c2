"""Messages of a running build: a bar on a terminal and in a notebook, plain lines elsewhere. Owns tqdm."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterable

from tqdm import TqdmWarning, tqdm

from precompute.building.task import TaskDone
from precompute.program.terminal import robust
from precompute.text.format import format_bytes, format_count

__all__ = ["Progress"]

LINE_EVERY_S = 10.0


class Progress:
    """Prints on standard error, or nothing.

    Args:
        quiet: Whether nothing is printed.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: tqdm[None] | None = None
        self._stream = robust(sys.stderr)
        self._terminal = self._stream.isatty()
        self._done = self._total = self._bytes = 0
        self._start = self._last = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line."""
        if not self._quiet:
            tqdm.write(text, file=self._stream)

    def notes(self, texts: Iterable[str]) -> None:
        """Print a note for each text: something that the user should know."""
        for text in texts:
            self.say(f"note: {text}")

    def warnings(self, texts: Iterable[str]) -> None:
        """Print a warning for each text: something that the user should look into."""
        for text in texts:
            self.say(f"warning: {text}")

    def start(self, num_records: int) -> None:
        """Begin to count records."""
        self._total, self._start, self._last = num_records, time.monotonic(), time.monotonic()
        if not self._quiet and (self._terminal or _in_notebook()):
            bar = tqdm if self._terminal else _notebook_bar()
            self._bar = bar(total=num_records, unit=" records", unit_scale=True, smoothing=0.1, file=self._stream)

    def task_done(self, done: TaskDone) -> None:
        """Count what a task wrote."""
        self._done += done.num_records
        self._bytes += done.num_bytes
        if self._bar is not None:
            self._bar.set_postfix_str(format_bytes(self._bytes), refresh=False)
            self._bar.update(done.num_records)
        elif not self._quiet and time.monotonic() - self._last > LINE_EVERY_S:
            self._last = time.monotonic()
            self._say_line()

    def _say_line(self) -> None:
        rate = self._done / max(1e-9, time.monotonic() - self._start)
        left = (self._total - self._done) / max(1e-9, rate)
        self.say(
            f"{self._done:,} of {format_count(self._total, 'record')}, {rate:,.0f} records/s, "
            f"{format_bytes(self._bytes)}, {left:.0f} s left"
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _in_notebook() -> bool:
    """Return whether the kernel of a notebook runs this program. A worker process of it is none."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", ())


def _notebook_bar() -> type[tqdm[None]]:
    """Return the bar for notebooks; without ipywidgets it is the one of terminals, which notebooks show as text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # that there are no widgets: the text serves as well
        from tqdm.auto import tqdm as bar
    return bar  # type: ignore[no-any-return]
