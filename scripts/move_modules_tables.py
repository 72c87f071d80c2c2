"""What moves where: the tables of a TOML file, worked out for each file and module of a repository."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

SECTIONS = ("modules", "packages", "tests", "names")
INIT = "__init__.py"


class MoveError(Exception):
    """The tables do not fit the tree, or each other."""


@dataclass(frozen=True)
class Moves:
    """What changes.

    Attributes:
        files: Path → path, of each file that moves.
        modules: Dotted name → dotted name, of each module and package whose name changes.
        known: Dotted names of all modules and packages before.
        folders: Path → path, of each package that moves as a whole, or whose line says where the rest of it goes.
        units: Second part of dotted names → the same afterwards, where all that has the one has the other, alone.
        new_packages: Path of an `__init__.py` to write → its content.
        empty_packages: Paths of `__init__.py` to delete: nothing lies beside them any more.
        names: Identifier → identifier.
    """

    files: dict[str, str]
    modules: dict[str, str]
    known: frozenset[str]
    folders: dict[str, str]
    units: dict[str, str]
    new_packages: dict[str, str]
    empty_packages: list[str]
    names: dict[str, str]

    def module(self, dotted: str) -> str:
        """Return a dotted name as it is afterwards: that of its longest start that is a module, and the rest."""
        parts = dotted.split(".")
        for end in range(len(parts), min(len(parts), 2) - 1, -1):  # `stored.png` is no part of a module `stored`
            start = ".".join(parts[:end])
            if start in self.known or start in self.modules:
                return ".".join([self.modules.get(start, start), *parts[end:]])
        return dotted

    def roots(self) -> set[str]:
        """Return the names of the packages that are in no other one."""
        return {name.partition(".")[0] for name in {*self.known, *self.modules.values()} if "." in name}

    def path(self, path: str) -> str:
        """Return the path of a file or folder as it is afterwards."""
        if path in self.files:
            return self.files[path]
        for folder in (path, *map(str, PurePosixPath(path).parents)):
            if folder in self.folders:
                return self.folders[folder] + path[len(folder) :]
        return path


def tracked_files(root: Path) -> list[str]:
    """Return the paths of all files that Git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, text=True)
    return [path for path in listed.stdout.split("\0") if path]


def read_moves(table: Path, root: Path) -> Moves:
    """Work out the tables of a file for the tree as it is.

    Raises:
        MoveError: They name what is not there, or two things for one place.
    """
    tables: dict[str, Any] = tomllib.loads(table.read_text(encoding="utf-8"))
    unknown = sorted(set(tables) - set(SECTIONS))
    if unknown:
        raise MoveError(f"{table}: expected the sections {', '.join(SECTIONS)}, got {', '.join(unknown)}.")
    before = tracked_files(root)
    given = {**tables.get("modules", {}), **tables.get("tests", {})}
    files = _files(given, before)
    folders = {**_whole_packages(files, before), **_given_folders(given, before)}
    _check_targets(files, before)
    after = [files.get(path, path) for path in before]
    packages = _packages(before)
    empty = _empty_packages(packages, after)
    made = _new_packages(set(files.values()), after)
    later = _packages(after) | {_parent(path) for path in made}
    names = {
        path: (_module(path, packages), _module(files.get(path, path), later)) for path in before if _is_code(path)
    }
    _check_deleted(empty, {new: old for old, new in files.items()}, root)
    return Moves(
        files=files,
        modules={old: new for old, new in names.values() if old != new}
        | {_dotted(p): _dotted(q) for p, q in folders.items()},
        known=frozenset(old for old, _ in names.values()),
        folders=folders,
        units=_units(names.values()),
        new_packages=_contents(made, tables.get("packages", {})),
        empty_packages=empty,
        names=dict(tables.get("names", {})),
    )


def _is_code(path: str) -> bool:
    return path.endswith(".py")


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _packages(files: list[str]) -> set[str]:
    """Return the folders that are packages."""
    return {_parent(path) for path in files if path.endswith(f"/{INIT}")}


def _module(path: str, packages: set[str]) -> str:
    """Return the dotted name of a file: in no package, that of the file alone."""
    return _dotted(path) if _parent(path) in packages else PurePosixPath(path).stem


def _files(given: dict[str, str], before: list[str]) -> dict[str, str]:
    """Return path → path; what is said of a module goes before what is said of its package."""
    files: dict[str, str] = {}
    gone: list[str] = []
    for old, new in sorted(given.items(), key=lambda pair: len(pair[0])):
        found = dict(_expanded(old, new, before))
        gone += [] if found else [old]
        files |= found
    if gone:
        raise MoveError(f"not there (moved already?): {', '.join(gone)}")
    return {old: new for old, new in files.items() if old != new}


def _expanded(old: str, new: str, before: list[str]) -> Iterator[tuple[str, str]]:
    """Yield path, path of each file that one line of the tables means."""
    if "/" not in old:
        old, new = old.replace(".", "/"), new.replace(".", "/")
        if f"{old}.py" in before:
            old, new = f"{old}.py", f"{new}.py"
    for path in before:
        if path == old or path.startswith(f"{old}/"):
            yield path, new + path[len(old) :]


def _whole_packages(files: dict[str, str], before: list[str]) -> dict[str, str]:
    """Return the folders of packages whose every module has one new place; their `__init__.py` goes there too."""
    whole: dict[str, str] = {}
    for package in sorted(_packages(before)):
        init = f"{package}/{INIT}"
        below = [path for path in before if path.startswith(f"{package}/") and _is_code(path) and path != init]
        places = {files.get(path, path).removesuffix(path[len(package) :]) for path in below}
        if (
            len(places) == 1
            and (place := places.pop()) != package
            and all(files.get(p) == place + p[len(package) :] for p in below)
        ):
            whole[package] = place
            if f"{place}/{INIT}" not in {*before, *files.values()}:
                files.setdefault(init, f"{place}/{INIT}")
    return whole


def _given_folders(given: dict[str, str], before: list[str]) -> dict[str, str]:
    """Return path → path of the packages that have a line of their own."""
    paths = {old.replace(".", "/"): new.replace(".", "/") for old, new in given.items() if "/" not in old}
    return {old: new for old, new in paths.items() if old in _packages(before)}


def _check_targets(files: dict[str, str], before: list[str]) -> None:
    """Refuse two files for one place."""
    after = [files.get(path, path) for path in before]
    twice = sorted({new for new in files.values() if after.count(new) > 1})
    if twice:
        raise MoveError(f"more than one file for {', '.join(twice)}")


def _empty_packages(packages: set[str], after: list[str]) -> list[str]:
    """Return the `__init__.py` of packages in which nothing else is left."""
    inits = {f"{package}/{INIT}" for package in packages} & set(after)
    return sorted(i for i in inits if not any(p.startswith(f"{_parent(i)}/") and p not in inits for p in after))


def _new_packages(moved: set[str], after: list[str]) -> list[str]:
    """Return the `__init__.py` that are missing above the files that move."""
    folders = {str(folder) for path in moved if _is_code(path) for folder in PurePosixPath(path).parents}
    return sorted(f"{folder}/{INIT}" for folder in folders - {"."} if f"{folder}/{INIT}" not in after)


def _contents(made: list[str], docstrings: dict[str, str]) -> dict[str, str]:
    """Return path → content of new `__init__.py`; those of tests are empty."""
    missing = [_dotted(path) for path in made if not path.startswith("tests/") and _dotted(path) not in docstrings]
    if missing:
        raise MoveError(f"new packages without a docstring in [packages]: {', '.join(missing)}")
    return {p: f'"""{docstrings[_dotted(p)]}"""\n' if _dotted(p) in docstrings else "" for p in made}


def _check_deleted(empty: list[str], old_paths: dict[str, str], root: Path) -> None:
    """Refuse to delete what holds more than a docstring."""
    for init in empty:
        body = ast.parse((root / old_paths.get(init, init)).read_text(encoding="utf-8")).body
        if any(not isinstance(node, ast.Expr) for node in body):
            raise MoveError(f"{init}: nothing is left beside it, and it holds code; say where it goes.")


def _units(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return old → new second part of dotted names, where all that has the one has the other, and nothing else has."""
    pairs = {(old.split(".")[1], new.split(".")[1]) for old, new in names if "." in old and _root(old) == _root(new)}
    olds, news = Counter(old for old, _ in pairs), Counter(new for _, new in pairs)
    return {old: new for old, new in pairs if old != new and olds[old] == news[new] == 1}


def _root(dotted: str) -> str:
    return dotted.partition(".")[0]
