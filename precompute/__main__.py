"""The program `precompute`, also as `python -m precompute`."""

from __future__ import annotations

import gc
from typing import NoReturn

__all__ = ["run"]


def run() -> NoReturn:
    """Run the command of the process's command line, and end the process."""
    from precompute.program.interruption import begin_program, leave_program

    begin_program("interrupted: nothing was begun.")
    from precompute.cli import main  # here, for it takes a while to load

    code = main()
    # At its end Python would look for garbage among all functions and classes of all modules, several times over: it
    # takes a quarter of the time that importing them took.
    gc.freeze()
    leave_program(code)


if __name__ == "__main__":
    run()
