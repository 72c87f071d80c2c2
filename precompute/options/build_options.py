"""The options of a build: all groups in one flat set."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from precompute.errors import UsageError
from precompute.options.option import option
from precompute.options.pixels import PixelOptions
from precompute.options.rows import RowOptions
from precompute.options.running import RunOptions
from precompute.options.sources import SourceOptions, TableOptions
from precompute.options.splits import SplitOptions
from precompute.options.values import check_unicode, within

__all__ = ["BuildOptions"]


@dataclass(frozen=True, kw_only=True)
class BuildOptions(RunOptions, RowOptions, PixelOptions, SplitOptions, TableOptions, SourceOptions):
    """Options of `precompute build`; bad values are refused and shown.

    Each field is an option of the command line with the same name and default. Fields come in the order of the groups
    from right to left, as dataclasses inherit them, and last those that only a build takes.
    """

    ignore_space: bool = option(False, "start although the disk seems too small for what is missing")
    dry_run: bool = option(
        False, "show the plan with its records, bytes, hours and free disk, and when it pays, and write nothing"
    )
    runs: int | None = option(None, "with --dry-run: trainings that will read the records; default: 1", check=within(1))
    epochs: int | None = option(
        None, "with --dry-run: epochs of each of these trainings; default: 100", check=within(1)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for f in dataclasses.fields(self):
            if f.metadata.get("stored", True):  # others are files and folders whose names no manifest holds
                check_unicode(f.name, getattr(self, f.name))
        for name in ("runs", "epochs"):
            if getattr(self, name) is not None and not self.dry_run:
                raise UsageError(f"{name}: only a dry run uses it, to tell when records pay; add --dry-run.")
