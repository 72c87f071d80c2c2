"""Moves modules, packages, tests and their helpers, and renames identifiers, as the tables of a file say.

    python scripts/move_modules.py scripts/moves.toml       on a clean tree; commits nothing

`[modules]`: `"precompute.old.module" = "precompute.new.module"`, or packages, or paths of files. `[tests]`: paths.
`[packages]`: the docstring of each new package. `[names]`: identifiers that mean one thing everywhere.

Every reference goes along: imports of all kinds, dotted names and paths in strings, comments, pages and settings,
programs inside strings, and what is found relative to `__file__`. What looks like a reference to something that has
moved, and could not be told for sure, is listed at the end.

The syntax tree of the standard library says where imports are. Tools that move modules (rope, libcst's codemods) take
one at a time, and none of them knows the names in strings, pages and programs, which are half of the work here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from move_modules_python import Source, move_python, rename_python
from move_modules_tables import MoveError, Moves, read_moves, tracked_files
from move_modules_text import move_text, rename_in_ticks

PAGES = {"", ".md", ".toml", ".sh"}  # endings of text files besides Python's


def main() -> None:
    """Carry out the tables of a file, on the repository that one stands in."""
    (table,) = map(Path, sys.argv[1:])
    root = Path.cwd()
    try:
        check_clean(root)
        moves = read_moves(table, root)
        check_names(moves, root)
        kept = str(table.resolve().relative_to(root.resolve()))
        rewrite(
            root, kept, lambda text, path: move_text(text, moves), lambda text, path: move_python(text, path, moves)
        )
        move_files(root, moves)
        rewrite(root, kept, lambda text, _: rename_in_ticks(text, moves.names), lambda text, _: rename(text, moves))
        tidy(root)
    except MoveError as error:
        sys.exit(f"move_modules: {error}")
    print(f"{len(moves.files)} files moved, {len(moves.names)} names changed")
    for line in left_over(root, kept, moves):
        print(f"look at {line}")


def check_clean(root: Path) -> None:
    """Refuse a tree with changes, which nobody could tell from those made here."""
    changes = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, check=True, text=True)
    if changes.stdout:
        raise MoveError(f"the tree has changes that are not committed:\n{changes.stdout}")


def check_names(moves: Moves, root: Path) -> None:
    """Refuse identifiers that are nowhere, and new ones that somebody has taken."""
    found: Counter[str] = Counter()
    for path in tracked_files(root):
        if path.endswith(".py"):
            tokens = Source((root / path).read_text(encoding="utf-8")).tokens()
            found.update(token.string for token in tokens if token.type == tokenize.NAME)
    gone = [old for old in moves.names if not found[old]]
    taken = [new for new in moves.names.values() if found[new]]
    if gone or taken:
        raise MoveError(
            f"names that are nowhere: {', '.join(gone) or 'none'}; taken already: {', '.join(taken) or 'none'}"
        )


def rename(text: str, moves: Moves) -> str:
    """Return a Python file with the new identifiers."""
    return rename_python(text, moves.names, moves.roots()) if moves.names else text


def rewrite(root: Path, kept: str, page: Callable[[str, str], str], python: Callable[[str, str], str]) -> None:
    """Rewrite every text file but the tables."""
    for path in texts(root, kept):
        text = (root / path).read_text(encoding="utf-8")
        new = python(text, path) if path.endswith(".py") else page(text, path)
        if new != text:
            (root / path).write_text(new, encoding="utf-8")


def texts(root: Path, kept: str) -> list[str]:
    """Return the paths of all text files but the tables."""
    suffixes = {".py", *PAGES}
    return [
        p for p in tracked_files(root) if p != kept and PurePosixPath(p).suffix in suffixes and (root / p).is_file()
    ]


def move_files(root: Path, moves: Moves) -> None:
    """Move the files, by way of a folder of its own: one may go where another one was."""
    between = root / ".moving"
    for old in moves.files:
        (between / old).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(between / old)
    for init in moves.empty_packages:
        (root / init).unlink(missing_ok=True)
    for old, new in moves.files.items():
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (between / old).rename(root / new)
    shutil.rmtree(between, ignore_errors=True)
    for init, content in moves.new_packages.items():
        (root / init).write_text(content, encoding="utf-8")
    for folder in {(root / old).parent for old in [*moves.files, *moves.empty_packages]}:
        _remove_empty(folder, root)
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)


def _remove_empty(folder: Path, root: Path) -> None:
    """Delete a folder in which nothing is left but what Python compiled, and those above it."""
    while folder != root and folder.exists() and {path.name for path in folder.iterdir()} <= {"__pycache__"}:
        shutil.rmtree(folder)
        folder = folder.parent


def tidy(root: Path) -> None:
    """Sort imports and `__all__`, and format; what Ruff has to say of the rest is printed."""
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "--select", "I,RUF022", "--fix", "--quiet", "."], cwd=root, check=False)
    subprocess.run([*ruff, "format", "--quiet", "."], cwd=root, check=False)
    subprocess.run([*ruff, "check", "--quiet", "--output-format", "concise", "."], cwd=root, check=False)
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)


def left_over(root: Path, kept: str, moves: Moves) -> Iterator[str]:
    """Yield the lines that still seem to name what has moved."""
    gone = {init.rpartition("/")[0].replace("/", ".") for init in moves.empty_packages}
    there = {moves.modules.get(name, name) for name in moves.known}
    there = there.union(name.rpartition(".")[0] for name in there) - gone
    dotted = [re.escape(old) for old in gone.union(moves.modules) if "." in old and old not in there]
    bare = [re.escape(old) for old in moves.modules if "." not in old]
    paths = {old for old in moves.files if old not in moves.files.values()}
    names = {PurePosixPath(old).name for old in paths} - {PurePosixPath(path).name for path in tracked_files(root)}
    patterns = [
        rf"(?<![\w.])(?:{'|'.join(dotted)})(?![\w])" if dotted else "",
        rf"\b(?:from (?:{'|'.join(bare)}) import|import (?:{'|'.join(bare)}))\b|['\"`](?:{'|'.join(bare)})\.\w+\("
        if bare
        else "",
        rf"(?<![\w])(?:{'|'.join(map(re.escape, sorted(names)))})" if names else "",
    ]
    pattern = re.compile("|".join(filter(None, patterns)) or "(?!)")
    for path in texts(root, kept):
        for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                yield f"{path}:{number}: {line.strip()}"


if __name__ == "__main__":
    main()
