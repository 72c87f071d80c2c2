"""Printing that never fails: characters that a terminal lacks are replaced, and a closed pipe breaks nothing."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

from precompute.errors import on_one_line
from precompute.text.format import is_unicode

__all__ = ["robust", "robust_streams"]

# Characters of this project's own sentences, for terminals that lack them.
STAND_INS = {"×": "x", "…": "...", "→": "->", "–": "-", "±": "+-", "µ": "u"}
NOBODY_READS = (errno.EPIPE, errno.ESHUTDOWN, *((errno.EINVAL,) if os.name == "nt" else ()))


def _stand_in(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] in STAND_INS:
        return STAND_INS[error.object[error.start]], error.start + 1
    if isinstance(error, UnicodeEncodeError):
        error.end = error.start + 1
        if not is_unicode(error.object[error.start]):  # a byte of a file's name
            return on_one_line(error.object[error.start]), error.end
    return codecs.backslashreplace_errors(error)


codecs.register_error("precompute.stand_in", _stand_in)


class RobustStream:
    """A text stream that takes everything: it replaces what it cannot show, and drops what it can no longer write.

    Args:
        stream: Stream to write to; None for programs without a console.
        on_lost: Called once with the error that ended writing, unless it was a closed pipe.
    """

    def __init__(self, stream: TextIO | None, on_lost: Callable[[Exception], None] | None = None) -> None:
        self._stream = stream
        self._on_lost = on_lost

    def write(self, text: str) -> int:
        """Write as much of the text as can be written; returns its length."""
        stream = self._stream
        if stream is not None:
            try:
                _write(stream, text)
            except (OSError, ValueError) as error:  # a pipe that is closed, a full disk; a stream that is closed
                self._lose(stream, error)
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        stream = self._stream
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError) as error:
                self._lose(stream, error)

    def close(self) -> None:
        """Write what is held back. The stream itself stays open: it belongs to its owner.

        Log handlers that were made meanwhile, as absl's is with TensorFlow, close theirs when the interpreter ends.
        """
        self.flush()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # it is closed
            return False

    @property
    def encoding(self) -> str:
        """Encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def _lose(self, stream: TextIO, error: Exception) -> None:
        self._stream = None
        with contextlib.suppress(OSError, ValueError, AttributeError):
            # Text that is still held back would fail again when the interpreter ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        if self._on_lost is not None and not (isinstance(error, OSError) and error.errno in NOBODY_READS):
            self._on_lost(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "precompute.stand_in").decode(encoding))


def robust(stream: TextIO | None) -> TextIO:
    """Return a `RobustStream` that writes to a stream."""
    return stream if isinstance(stream, RobustStream) else cast(TextIO, RobustStream(stream))


@contextlib.contextmanager
def robust_streams() -> Iterator[None]:
    """Replace the process's standard output and error by robust streams, through which a program prints everything."""
    _open_missing()
    before = sys.stdout, sys.stderr
    errors = RobustStream(sys.stderr)

    def say_lost(error: Exception) -> None:
        why = getattr(error, "strerror", None) or error
        errors.write(f"warning: standard output cannot be written ({why}): what it should say is lost\n")

    output = RobustStream(sys.stdout, say_lost)
    sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, errors)
    try:
        yield
    finally:
        output.flush()
        errors.flush()
        sys.stdout, sys.stderr = before


def _open_missing() -> None:
    """Open the standard streams that the shell has closed (`>&-`): else the next opened file would get such a number.

    Libraries that write there would write into it.
    """
    if os.name == "nt":
        return
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
