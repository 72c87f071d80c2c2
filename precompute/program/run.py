"""How both programs run a command, report its errors, and end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from precompute.errors import PrecomputeError, UsageError
from precompute.program.interruption import run_until_signal
from precompute.program.parser import CommandParser, usage_error
from precompute.program.terminal import robust_streams

__all__ = ["run_program"]


def run_program(make_parser: Callable[[], CommandParser], arguments: Sequence[str] | None) -> int:
    """Run the command that the arguments name; returns the exit code.

    Args:
        make_parser: Returns the parser. Its commands set `run_command`, which takes what was parsed and returns an
            exit code or None for 0; `command`, the words that call it; and `interrupted`, the message when a signal has
            ended it.
        arguments: Arguments of the command line; the process's own when None.
    """
    with robust_streams():
        parsed = make_parser().parse_args(arguments)
        return run_until_signal(lambda: _run(parsed), parsed.interrupted)


def _run(parsed: Any) -> int:
    try:
        return parsed.run_command(parsed) or 0
    except PrecomputeError as error:
        is_usage = isinstance(error, UsageError)
        print(usage_error(str(error), parsed.command) if is_usage else f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a file or folder that nobody expected to be out of reach
        if not isinstance(error.filename, str):
            raise
        print(f"error: {error.filename}: {error.strerror}. Look at the rights to it, and at the disk.", file=sys.stderr)
        return PrecomputeError.exit_code
