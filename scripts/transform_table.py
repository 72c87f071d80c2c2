"""What becomes of each transform that Albumentations exports, on each kind of target: the table of TRANSFORMS.md.

    scripts/transform_table.py                        tries all of them, at p=1 and p=0.1, and prints the table
    scripts/transform_table.py --write                writes it into TRANSFORMS.md, too
    scripts/transform_table.py Affine CoarseDropout   tries these alone, and prints their lines

What is neither "works" nor "refused" (see `transform_cells`) is a fault: all faults are listed, and nothing is written.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from transform_cells import PROBABILITIES, exported, outcome
from transform_pictures import KINDS, Picture, draw_pictures

import precompute

PAGE = Path(precompute.__file__).parent / "TRANSFORMS.md"
HEAD = "| transform |"


def cells(name: str, pictures: list[Picture], folder: Path) -> Iterator[str]:
    """Yield what becomes of a transform on each kind of target; a fault begins with ``"FAULT"``."""
    for kind in KINDS:
        found = {}
        for p in PROBABILITIES:
            out = folder / "dataset"
            try:
                found[p] = outcome(name, kind, p, pictures, out)
            except Exception as error:  # all of them are listed
                found[p] = f"FAULT {type(error).__name__}: {error}"
            shutil.rmtree(out, ignore_errors=True)
        yield text_of(found)


def text_of(found: dict[float, str]) -> str:
    """Return the text of a cell, of what was found at each probability."""
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"p={p:g}: {what}" for p, what in found.items())


def outcome_in(text: str, p: float) -> str:
    """Return what the text of a cell says of a probability."""
    if not text.startswith("p="):
        return text
    parts = dict(part.split(": ", 1) for part in text.split("; "))
    return parts[f"p={p:g}"]


def read_page() -> dict[str, dict[str, str]]:
    """Return transform → kind → text of its cell, as the page has them."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    head, _, *rows = [[part.strip() for part in line.strip("| ").split(" | ")] for line in lines if line[:1] == "|"]
    return {row[0].strip("`"): dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def write_page(table: str) -> None:
    """Put a table in place of the page's."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text[: text.index(HEAD)] + table, encoding="utf-8")


def main() -> None:
    """Try transforms, print the table; write it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="TRANSFORM", help="these alone")
    parser.add_argument("--write", action="store_true", help="write the table into TRANSFORMS.md")
    options = parser.parse_args()
    if options.names and options.write:
        parser.error("--write: the page holds all transforms; name none.")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        pictures = draw_pictures(Path(folder))
        for name in options.names or exported():
            rows[name] = list(cells(name, pictures, Path(folder)))
            print(f"{time.process_time():6.1f} s of a core: {name}", file=sys.stderr)
    head = [f"{HEAD} {' | '.join(KINDS)} |", "|---" * (1 + len(KINDS)) + "|"]
    table = "\n".join([*head, *(f"| `{name}` | {' | '.join(row)} |" for name, row in rows.items())]) + "\n"
    faults = [f"{name}, {cell}" for name, row in rows.items() for cell in row if "FAULT" in cell]
    if faults:
        sys.exit("\n".join(faults))
    print(table, end="")
    if options.write:
        write_page(table)


if __name__ == "__main__":
    main()
