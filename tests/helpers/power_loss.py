"""A model of a disk that loses power: what was not made to survive may be there afterwards, or not, or in part.

Harsher than any file system: each name that was given or taken away since its folder was last synced survives or not,
independently of all others, and a file that was not synced may hold anything of what was written to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from tests.helpers.file_operations import Operation, watch


@dataclass(eq=False)
class File:
    """What a file holds once it is written, and whether that survives."""

    content: bytes = b""
    synced: bool = False


@dataclass(eq=False)
class Folder:
    """Names as they survive, and what happened to names since: a new owner, or None where one was taken away."""

    names: dict[str, Node] = field(default_factory=dict)
    since: list[tuple[str, Node | None]] = field(default_factory=list)

    def now(self) -> dict[str, Node]:
        """Return the names as running programs see them."""
        return _applied(self.names, self.since)

    def sync(self) -> None:
        """Make all names survive."""
        self.names, self.since = self.now(), []


Node = File | Folder
State = dict[str, bytes | None]  # path → content, None for a folder


def _applied(names: dict[str, Node], changes: list[tuple[str, Node | None]]) -> dict[str, Node]:
    result: dict[str, Node | None] = {**names}
    for name, node in changes:
        result[name] = node
    return {name: node for name, node in result.items() if node is not None}


@dataclass(frozen=True)
class Seen:
    """An operation, and for a file that was synced its content then."""

    operation: Operation
    content: bytes = b""


def record(root: Path, act: Callable[[], object], patch: Callable[..., None]) -> list[Seen]:
    """Return all operations below a folder while something is done."""
    seen: list[Seen] = []

    def note(when: str, operation: Operation) -> None:
        if when == "after":
            whole = operation.name == "sync" and Path(operation.path).exists()
            seen.append(Seen(operation, Path(operation.path).read_bytes() if whole else b""))

    watch(root, note, patch)
    act()
    return seen


class Disk:
    """A folder's tree, to which recorded operations are applied one by one.

    Args:
        root: A real folder; what it holds by now survives.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tree = Folder()
        self._contents: dict[str, bytes] = {}
        for path in sorted(root.rglob("*")):
            holder = self._folder(path.parent)
            holder.names[path.name] = Folder() if path.is_dir() else File(path.read_bytes(), synced=True)

    def expect(self, operations: list[Seen]) -> None:
        """Learn what files will hold, so that one that is not synced can hold a part of it."""
        self._contents = {s.operation.path: s.content for s in operations if s.operation.name == "sync"}

    def apply(self, seen: Seen) -> None:
        """Do what the running program saw being done."""
        name, path = seen.operation.name, PurePath(seen.operation.path)
        if name == "sync folder":
            self._folder(path).sync()
            return
        holder = self._folder(path.parent)
        if name == "create":
            holder.since.append((path.name, File(self._contents.get(str(path), b"?"))))
        elif name == "make folder":
            holder.since.append((path.name, Folder()))
        elif name in ("remove", "remove folder"):
            holder.since.append((path.name, None))
        elif name == "sync":
            file = holder.now()[path.name]
            assert isinstance(file, File)
            file.content, file.synced = seen.content, True
        else:
            before = self._folder(PurePath(seen.operation.origin).parent)
            old = PurePath(seen.operation.origin).name
            holder.since.append((path.name, before.now()[old]))
            if name == "rename":
                before.since.append((old, None))

    def after_crash(self, survives: Callable[[], bool]) -> State:
        """Return what a crash now leaves, asking for each thing that was not made to survive."""
        state: State = {}

        def visit(folder: Folder, path: str) -> None:
            survived = [change for change in folder.since if survives()]
            for name, node in sorted(_applied(folder.names, survived).items()):
                if isinstance(node, Folder):
                    state[f"{path}{name}"] = None
                    visit(node, f"{path}{name}/")
                else:
                    length = len(node.content) if node.synced else len(node.content) // 2 if survives() else 0
                    state[f"{path}{name}"] = node.content[:length]

        visit(self._tree, "")
        return state

    def _folder(self, path: PurePath) -> Folder:
        folder = self._tree
        for part in path.relative_to(self._root).parts:
            inner = folder.now()[part]
            assert isinstance(inner, Folder)
            folder = inner
        return folder


def crashes(disk: Disk, seed: int, mixed: int) -> list[State]:
    """Return what a crash may leave: all that was not synced lost, all of it kept, and mixtures of both."""
    chance = random.Random(seed)
    ways: list[Callable[[], bool]] = [lambda: False, lambda: True, *[lambda: chance.random() < 0.5] * mixed]
    return [disk.after_crash(survives) for survives in ways]


def put(state: State, root: Path) -> None:
    """Write a state to a real folder."""
    for name, content in state.items():
        path = root / name
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
