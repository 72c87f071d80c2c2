"""The program `precompute`, also as `python -m precompute`."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["run"]


def run() -> NoReturn:
    """Run the command of the process's command line, and end the process."""
    from precompute.program.interruption import begin_program, leave_program

    begin_program("interrupted: nothing was begun.")
    from precompute.cli import main  # here, for it takes a while to load

    leave_program(main())


if __name__ == "__main__":
    run()
