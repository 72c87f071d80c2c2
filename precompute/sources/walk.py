"""One pass over a folder tree: which image files there are, and how many files are none."""

from __future__ import annotations

import errno
import os
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, cast

from precompute.errors import SourceError, first_few
from precompute.fields.string_column import StringColumn
from precompute.images.file_kinds import IMAGE_EXTENSIONS
from precompute.sources.passed_over import MARKERS, Counts, PassedOver, is_of_system, passed_over, passing_over
from precompute.sources.unicode_forms import RENAME
from precompute.storage.paths import RemotePath, as_path, is_remote
from precompute.storage.transfer import list_objects
from precompute.text.format import is_unicode

__all__ = ["Files", "Folder", "Tree", "is_folder", "walk"]

Parts: TypeAlias = tuple[str, ...]  # names of the folders from the top of the walk on

MAX_CIRCLES = 20  # links between folders that lead to each other have more ways through them than there is time


class Files:
    """Names and sizes of files, as two columns: a list of pairs would take five times the memory."""

    __slots__ = ("names", "sizes")

    def __init__(self, files: Iterable[tuple[str, int]] = ()) -> None:
        self.names = StringColumn()
        self.sizes: array[int] = array("q")
        for file in files:
            self.append(file)

    def append(self, file: tuple[str, int]) -> None:
        """Add a file: its name, and its size in bytes."""
        self.names.append(file[0])
        self.sizes.append(file[1])

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return zip(self.names, self.sizes, strict=True)

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass(slots=True)
class Folder:
    """One folder and the image files directly in it.

    Attributes:
        parts: Names of the folders from the top of the walk to this one; empty for the top itself.
        path: Absolute path, posix.
        files: Name and size in bytes of each image file, in no certain order.
        num_ignored_files: Files and hidden folders that were passed over; those of systems are not counted.
    """

    parts: tuple[str, ...]
    path: str
    files: Files = field(default_factory=Files)
    num_ignored_files: int = 0


@dataclass(slots=True)
class Tree:
    """All folders below a top, sorted by their parts.

    Attributes:
        passed: Ending → number of the files that were passed over, in small letters; hidden ones left out.
        excluded: Folders that files were excluded from, with these; and, without any, folders that were themselves.
    """

    top: Path
    folders: list[Folder]
    passed: Counter[str] = field(default_factory=Counter)
    excluded: list[Folder] = field(default_factory=list)

    def excluded_images(self) -> Iterator[Folder]:
        """Yield folders with the images that were excluded from them, those in folders that were excluded too."""
        for folder in self.excluded:
            if folder.files or is_remote(self.top):
                yield folder
                continue
            with passing_over():
                inner = walk(Path(folder.path), faults={}).folders
            yield from (Folder((*folder.parts, *one.parts), one.path, one.files) for one in inner)

    @property
    def num_ignored_files(self) -> int:
        """Files and hidden folders that were passed over."""
        return sum(folder.num_ignored_files for folder in self.folders)

    @property
    def num_files(self) -> int:
        """Image files in all folders."""
        return sum(len(folder.files) for folder in self.folders)


@dataclass(slots=True)
class _Walk:
    """What is still to do, and what went wrong so far.

    A folder waits with its real path, after those of the folders on its way in which a link was followed.
    """

    pending: list[tuple[Folder, tuple[str, ...]]]
    skip: str | None
    extensions: tuple[str, ...]
    passed_over: PassedOver
    broken: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    circular: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)
    markers: list[str] = field(default_factory=list)
    excluded: list[Folder] = field(default_factory=list)
    counts: Counts = field(default_factory=Counter)

    def of_one_folder(self) -> _Walk:
        """Return an empty one for what is found in one folder, which may turn out to hold no sources."""
        return _Walk([], self.skip, self.extensions, self.passed_over)

    def add(self, found: _Walk) -> None:
        """Add what was found in one folder."""
        self.pending += found.pending
        self.broken += found.broken
        self.unreadable += found.unreadable
        self.circular += found.circular
        self.special += found.special
        self.passed.update(found.passed)
        self.excluded += found.excluded

    def exclude(self, pattern: str, folder: Folder, name: str | None = None) -> None:
        """Keep a folder that was excluded, or an image of one that was not, by its name."""
        self.counts[pattern, name is None] += 1
        if name is None:
            self.excluded.append(folder)
        elif os.path.splitext(name)[1].lower() in self.extensions:  # noqa: PTH122 (a Path is slow)
            self.excluded.append(Folder(folder.parts, folder.path, Files([(name, 0)])))


def walk(
    top: Path,
    *,
    skip: Path | None = None,
    faults: dict[str, str] | None = None,
    extensions: tuple[str, ...] = IMAGE_EXTENSIONS,
) -> Tree:
    """Find every image file below a folder; links to files and to folders are followed.

    What a command writes, folders that this program wrote, and those of systems are left out (see `passed_over`).

    Args:
        top: Absolute path of an existing folder.
        skip: A folder below `top` that is left out, the masks' folder inside the images' one, say.
        faults: Takes what cannot be used, path → why, in place of an error.
        extensions: Extensions of the files that are looked for, in small letters; those of images.

    Raises:
        SourceError: Folders cannot be read, links lead nowhere or in a circle, or names are no UTF-8.
    """
    if is_remote(top):
        return _walk_remote(top, skip)
    start = (Folder((), top.as_posix()), (os.path.realpath(top),))
    state = _Walk([start], None if skip is None else skip.as_posix(), extensions, passed_over())
    folders = []
    while state.pending and len(state.circular) < MAX_CIRCLES:
        folder, real = state.pending.pop()
        found = state.of_one_folder()
        _read_folder(found, folder, real)
        if not (folder.parts and found.markers and state.passed_over.is_own(folder.path, found.markers)):
            if folder.files or not (folder.parts and found.counts):  # one is not empty whose files were excluded
                folders.append(folder)
            state.add(found)
            if found.counts:
                state.passed_over.excluded[folder.path] = found.counts
            if found.passed and extensions is IMAGE_EXTENSIONS:
                state.passed_over.endings[folder.path] = found.passed
    if faults is None:
        state.foreign += [path for folder in folders for path in _foreign_names(folder)]
        _check_walk(top, state)
    else:
        faults |= dict.fromkeys(state.broken, "is a link that leads nowhere")
        faults |= dict.fromkeys(state.circular, "is a link that leads in a circle")
        faults |= dict.fromkeys(state.special, "is no regular file")
        faults |= dict(text.rsplit(": ", 1) for text in state.unreadable)
    return Tree(top, sorted(folders, key=lambda f: f.parts), state.passed, state.excluded)


def _walk_remote(top: RemotePath, skip: Path | None) -> Tree:
    """Find them in an object store, by one listing of all that is below; it has no links, and no empty folders."""
    folders: dict[Parts, Folder] = {}

    def folder_of(parts: Parts) -> Folder:
        if parts not in folders:
            folders[parts] = Folder(parts, "/".join((top.as_posix(), *parts)))
            if parts:
                folder_of(parts[:-1])
        return folders[parts]

    passing = passed_over()
    given = [skip, None if passing.output is None else as_path(passing.output)]
    apart = {path.parts[len(top.parts) :] for path in given if is_remote(path) and path.is_relative_to(top)}
    hidden, passed = set[Parts](), defaultdict[Parts, Counter[str]](Counter)
    markers = defaultdict[Parts, set[str]](set)
    folder_of(())
    excluded: list[Folder] = []
    for parts, name, num_bytes in _not_excluded(top, passing, excluded):
        if _lies_in(apart, (*parts, name)):
            continue
        at = next((i for i, part in enumerate(parts) if part.startswith(".") or is_of_system(part)), None)
        folder = folder_of(parts[:at])
        if at is not None:  # a hidden folder is one stranger, whatever is in it
            markers[folder.parts] |= {parts[at]} & MARKERS
            folder.num_ignored_files += parts[: at + 1] not in hidden and not is_of_system(parts[at])
            hidden.add(parts[: at + 1])
        elif name.startswith(".") or (ending := os.path.splitext(name)[1].lower()) not in IMAGE_EXTENSIONS:  # noqa: PTH122
            markers[parts] |= {name} & MARKERS
            folder.num_ignored_files += 1
            passed[parts].update([] if name.startswith(".") else [ending])
        else:
            folder.files.append((name, num_bytes))
    own = {parts for parts, names in markers.items() if parts and passing.is_own(folders[parts].path, names)}
    kept = sorted(parts for parts in folders if not _lies_in(own, parts))
    passing.endings |= {folders[parts].path: passed[parts] for parts in kept if parts in passed}
    counts = sum((passed[parts] for parts in kept), Counter[str]())
    return Tree(cast(Path, top), [folders[parts] for parts in kept], counts, excluded)


def _not_excluded(top: RemotePath, passing: PassedOver, excluded: list[Folder]) -> Iterator[tuple[Parts, str, int]]:
    """Yield folders, name and size of each object; those that are excluded are counted, and images among them kept."""
    start, known = top.as_posix(), dict[Parts, str | None]()
    counts = defaultdict[str, Counts](Counter)

    def pattern_of(folder: Parts) -> str | None:
        if folder not in known:
            known[folder] = pattern = passing.excluding("/".join((start, *folder)), is_folder=True)
            counts[start].update([(pattern, True)] if pattern else [])
        return known[folder]

    for (*on_way, name), num_bytes in list_objects(top):
        parts = tuple(on_way)
        if not passing.patterns:
            yield parts, name, num_bytes
            continue
        of_folder = next(filter(None, (pattern_of(parts[:i]) for i in range(1, len(parts) + 1))), None)
        of_file = None if of_folder else passing.excluding("/".join((start, *parts, name)))
        if not (of_folder or of_file):
            yield parts, name, num_bytes
            continue
        counts[start].update([(of_file, False)] if of_file else [])
        if os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS:  # noqa: PTH122
            excluded.append(Folder(parts, "/".join((start, *parts)), Files([(name, num_bytes)])))
    passing.excluded |= counts


def _lies_in(folders: set[Parts], path: Parts) -> bool:
    return bool(folders) and any(path[:i] in folders for i in range(1, len(path) + 1))


def _read_folder(state: _Walk, folder: Folder, real: tuple[str, ...]) -> None:
    try:
        with os.scandir(folder.path) as entries:
            for entry in entries:
                _read_entry(state, folder, real, entry)
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else folder.path  # an entry's, maybe
        state.unreadable.append(f"{name}: {error.strerror}")


def _read_entry(state: _Walk, folder: Folder, real: tuple[str, ...], entry: os.DirEntry[str]) -> None:
    name = entry.name
    if name.startswith("."):
        state.markers += [name] if name in MARKERS else []
        folder.num_ignored_files += not is_of_system(name)
    elif is_folder(entry):
        _add_folder(state, folder, real, entry)
    elif state.passed_over.patterns and (pattern := state.passed_over.excluding(f"{folder.path.rstrip('/')}/{name}")):
        state.exclude(pattern, folder, name)
    elif (extension := os.path.splitext(name)[1].lower()) not in state.extensions:  # noqa: PTH122 (a Path is slow)
        state.markers += [name] if name in MARKERS else []
        folder.num_ignored_files += 1
        state.passed[extension] += 1
        if not extension and entry.is_symlink() and not _is_regular(entry):  # it was a folder's, maybe
            state.broken.append(f"{folder.path}/{name}")
    elif state.passed_over.is_output(entry.path, name):
        pass
    elif _is_regular(entry):
        folder.files.append((name, entry.stat().st_size))
    elif entry.is_symlink():
        state.broken.append(f"{folder.path}/{name}")
    else:
        state.special.append(f"{folder.path}/{name}")


def _add_folder(state: _Walk, parent: Folder, real: tuple[str, ...], entry: os.DirEntry[str]) -> None:
    path = f"{parent.path.rstrip('/')}/{entry.name}"
    if path == state.skip or is_of_system(entry.name):
        return
    if state.passed_over.is_output(path, entry.name, is_link=entry.is_symlink()):
        return
    if (pattern := state.passed_over.excluding(path, is_folder=True)) is not None:
        state.exclude(pattern, Folder((*parent.parts, entry.name), path))
        return
    if entry.is_symlink():
        target = os.path.realpath(path)
        if any(f"{folder}/".startswith(f"{target}/") for folder in real):
            state.circular.append(path)
            return
        real = (*real, target)
    else:
        real = (*real[:-1], f"{real[-1]}/{entry.name}")
    state.pending.append((Folder((*parent.parts, entry.name), path), real))


def _foreign_names(folder: Folder) -> list[str]:
    """Return the paths of files whose names are no UTF-8; of the folder alone where it is its own name that is none."""
    if not folder.files:
        return []
    if not all(map(is_unicode, folder.parts)):
        return [folder.path]
    names = folder.files.names
    return [] if names.are_unicode() else [f"{folder.path}/{name}" for name in names if not is_unicode(name)]


def _check_walk(top: Path, state: _Walk) -> None:
    problems = [
        f"{what} ({len(paths):,}):\n{first_few(sorted(paths))}\n{remedy}"
        for what, paths, remedy in [
            ("folders or files that cannot be read", state.unreadable, "Give yourself the right to read them."),
            ("links that lead nowhere", state.broken, "Put the files back, or remove the links."),
            ("links that lead in a circle", state.circular, "Remove the links."),
            ("pipes and sockets that are named like files", state.special, "Remove them."),
            ("names that are no UTF-8", state.foreign, RENAME),
        ]
        if paths
    ]
    if problems:
        raise SourceError(f"{top}: " + "\n".join(problems))


# What an entry of a folder is, whatever its links do


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one; a link that leads to itself (``ln -s a a``) is none.

    Raises:
        OSError: It may not be looked at, or the disk fails.
    """
    return _ends_somewhere(entry.is_dir)


def _is_regular(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a file, or a link to one; pipes, sockets and links that lead nowhere are none.

    Raises:
        OSError: It may not be looked at, or the disk fails.
    """
    return _ends_somewhere(entry.is_file)


def _ends_somewhere(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False
