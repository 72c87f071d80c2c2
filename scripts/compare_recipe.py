"""Does to one tree all that is compared, and notes what is seen; run by compare_revisions.py, with that tree in front.

python scripts/compare_recipe.py write FOLDER [NAME …]
python scripts/compare_recipe.py read FOLDER [NAME …]
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from compare_life import ALL_KINDS, LIVED, adopt_kind, write_kind
from compare_observed import Observations

STAGES = ("write", "adopt", "read")  # in this order: what one leaves, the next needs
OLD = "old"  # the folder of the old tree, beside that of the new one
WORKERS, REFUSED = "workers", "refused"
SECTIONS = (*ALL_KINDS, WORKERS, REFUSED)


def main(stage: str, folder: Path, names: list[str]) -> None:
    """Run one stage for the sections that are named."""
    observed = Observations(folder / "seen", folder, stage)
    {"write": write, "adopt": reuse_shards, "read": read}[stage](folder, names, observed)


def write(folder: Path, names: list[str], observed: Observations) -> None:
    """Make all datasets, and give commands what they refuse."""
    from compare_commands import preload

    preload()
    for kind in ALL_KINDS:
        if kind in names:
            write_kind(kind, folder / "work" / kind, observed)
    if WORKERS in names:
        from compare_workers import write_by_workers

        write_by_workers(folder / "work" / WORKERS, observed)
    if REFUSED in names:
        from compare_refused import refuse

        refuse(folder / "work" / REFUSED, observed)


def reuse_shards(folder: Path, names: list[str], observed: Observations) -> None:
    """Go on with what the old tree has written."""
    from compare_commands import preload

    preload()
    for kind in LIVED:
        if kind in names:
            adopt_kind(kind, folder / "work" / kind, folder.parent / OLD / "work" / kind, observed)


def read(folder: Path, names: list[str], observed: Observations) -> None:
    """Read all datasets that were made."""
    from compare_reading import read_kind

    # To collect an iterator of TensorFlow that is part of a circle takes up to a minute: it waits for its own threads.
    gc.disable()
    for kind in ALL_KINDS:
        if kind in names:
            read_kind(kind, folder / "work" / kind, observed)
    os._exit(0)  # with all of them uncollected


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
