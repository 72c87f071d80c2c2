"""The program `precompute`, also as `python -m precompute`."""

from __future__ import annotations

import gc
from typing import NoReturn

__all__ = ["run"]


def run() -> NoReturn:
    """Run the command of the process's command line, and end the process."""
    from precompute.program.interruption import begin_program, leave_program

    begin_program("interrupted: nothing was begun.")
    # Modules are imported in a tenth less time if Python does not look for garbage after every 700 new objects. At the
    # end it would look among all functions and classes, several times over: a quarter of that time again.
    gc.set_threshold(10_000)
    from precompute.cli import main  # here, for it takes a while to load

    code = main()
    gc.freeze()
    leave_program(code)


if __name__ == "__main__":
    run()
