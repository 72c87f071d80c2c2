"""One pass over a folder tree, on a disk or in an object store, that finds image files and counts others."""

from __future__ import annotations

import errno
import os
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeAlias

from precompute.errors import SourceError, first_few
from precompute.fields.string_column import StringColumn
from precompute.images.file_kinds import IMAGE_EXTENSIONS
from precompute.sources.passed_over import (
    MARKERS,
    Counts,
    PassedOver,
    is_of_system,
    passed_over,
    passing_over,
    real_path,
)
from precompute.sources.unicode_forms import RENAME
from precompute.storage.paths import as_path, is_remote
from precompute.storage.transfer import list_objects
from precompute.text.format import is_unicode

__all__ = ["Files", "Folder", "Tree", "is_folder", "walk"]

Parts: TypeAlias = tuple[str, ...]  # names of the folders from the top of the walk on

LOST, CIRCULAR, SPECIAL = "is a link that leads nowhere", "is a link that leads in a circle", "is no regular file"
FOREIGN = "is a name that is no UTF-8"
UNREADABLE = ("folders or files that cannot be read", "Give yourself the right to read them.")
REMEDIES = {
    LOST: ("links that lead nowhere", "Put the files back, or remove the links."),
    CIRCULAR: ("links that lead in a circle", "Remove the links."),
    SPECIAL: ("pipes and sockets that are named like files", "Remove them."),
    FOREIGN: ("names that are no UTF-8", RENAME),
}
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
        files: Name and size in bytes of each image file, in any order.
        num_ignored_files: Number of files and hidden folders that were passed over, without those of systems.
    """

    parts: Parts
    path: str
    files: Files = field(default_factory=Files)
    num_ignored_files: int = 0


@dataclass(slots=True)
class Tree:
    """All folders below a top, sorted by their parts.

    Attributes:
        passed: Ending in lower case → number of files that were passed over, without hidden ones.
        excluded: Folders with their excluded files; and excluded folders, without files.
    """

    top: Path
    folders: list[Folder]
    passed: Counter[str] = field(default_factory=Counter)
    excluded: list[Folder] = field(default_factory=list)

    def add(self, look: _Look) -> None:
        """Add what was found in a folder."""
        folder, passing = look.folder, look.passing
        if folder.files or not (folder.parts and look.counts):  # one is not empty whose files were excluded
            self.folders.append(folder)
        self.passed.update(look.passed)
        self.excluded += look.excluded
        if look.counts:
            passing.excluded[folder.path] = look.counts
        if look.passed and look.extensions is IMAGE_EXTENSIONS:
            passing.endings[folder.path] = look.passed

    def excluded_images(self) -> Iterator[Folder]:
        """Yield folders with the excluded images in them, also excluded folders."""
        for folder in self.excluded:
            if folder.files:
                yield folder
                continue
            with passing_over():
                inner = walk(as_path(folder.path), faults={}).folders
            yield from (Folder((*folder.parts, *one.parts), one.path, one.files) for one in inner)

    @property
    def num_ignored_files(self) -> int:
        """Number of files and hidden folders that were passed over."""
        return sum(folder.num_ignored_files for folder in self.folders)

    @property
    def num_files(self) -> int:
        """Number of image files in all folders."""
        return sum(len(folder.files) for folder in self.folders)


@dataclass(slots=True)
class _Look:
    """A look into one folder, and what is found in it; the folder may turn out to hold no sources.

    Attributes:
        real: Real path of the folder, after the real paths of folders on the way at which a link was followed.
        inner: Subfolders, each with its real path.
        faults: Path of an entry that cannot be used → why.
    """

    folder: Folder
    real: Parts
    scan: Scan
    skip: Collection[str]
    extensions: tuple[str, ...]
    passing: PassedOver
    inner: list[tuple[Folder, Parts]] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)
    markers: list[str] = field(default_factory=list)
    excluded: list[Folder] = field(default_factory=list)
    counts: Counts = field(default_factory=Counter)

    def read(self) -> None:
        """Look at all entries of the folder."""
        try:
            with self.scan(self.folder.path) as entries:
                for entry in entries:
                    self._add(entry, entry.name)
        except OSError as error:
            path = error.filename if isinstance(error.filename, str) else self.folder.path  # an entry's, maybe
            self.faults[path] = str(error.strerror)

    def _add(self, entry: Entry, name: str) -> None:
        folder, passing = self.folder, self.passing
        if name.startswith("."):
            self.markers += [name] if name in MARKERS else []
            folder.num_ignored_files += not is_of_system(name)
        elif is_folder(entry):
            self._add_folder(entry, self._path(name))
        elif passing.patterns and (pattern := passing.excluding(self._path(name))):
            self.counts[pattern, False] += 1
            if _extension(name) in self.extensions:
                self.excluded.append(Folder(folder.parts, folder.path, Files([(name, 0)])))
        elif (extension := _extension(name)) not in self.extensions:
            self.markers += [name] if name in MARKERS else []
            folder.num_ignored_files += 1
            self.passed[extension] += 1
            if not extension and entry.is_symlink() and not _is_regular(entry):  # it was a folder's, maybe
                self.faults[self._path(name)] = LOST
        elif passing.is_output(entry.path, name):
            pass
        elif _is_regular(entry):
            folder.files.append((name, entry.stat().st_size))
        else:
            self.faults[self._path(name)] = LOST if entry.is_symlink() else SPECIAL

    def is_own(self) -> bool:
        """Return whether this program wrote the folder."""
        return bool(self.folder.parts and self.markers) and self.passing.is_own(self.folder.path, self.markers)

    def _path(self, name: str) -> str:
        return f"{self.folder.path.rstrip('/')}/{name}"

    def _add_folder(self, entry: Entry, path: str) -> None:
        is_link, passing, folder = entry.is_symlink(), self.passing, Folder((*self.folder.parts, entry.name), path)
        if path in self.skip or is_of_system(entry.name) or passing.is_output(path, entry.name, is_link=is_link):
            return
        if passing.is_apart(path, entry.name):
            return
        if (pattern := passing.excluding(path, is_folder=True)) is not None:
            self.counts[pattern, True] += 1
            self.excluded.append(folder)
            return
        if not is_link:
            self.inner.append((folder, (*self.real[:-1], f"{self.real[-1]}/{entry.name}")))
            return
        target = os.path.realpath(path)
        if any(f"{one}/".startswith(f"{target}/") for one in self.real):
            self.faults[path] = CIRCULAR
        else:
            self.inner.append((folder, (*self.real, target)))


def walk(
    top: Path,
    *,
    skip: Collection[Path] = (),
    faults: dict[str, str] | None = None,
    extensions: tuple[str, ...] = IMAGE_EXTENSIONS,
    into_apart: bool = False,
) -> Tree:
    """Find every image file below a folder; links to files and to folders are followed.

    The command's output, folders that this program wrote, and those of systems are left out (see `passed_over`).

    Args:
        top: Absolute path of an existing folder.
        skip: Folders below `top` to leave out, such as the masks' folder inside the images' folder.
        faults: Collects what cannot be used, path → why; without it, an error is raised.
        extensions: Extensions of the files to find, in lower case; by default those of images.
        into_apart: Look into folders of further images, too.

    Raises:
        SourceError: Folders cannot be read, links lead nowhere or in a circle, or names are no UTF-8.
    """
    passing = replace(passed_over(), apart=frozenset()) if into_apart else passed_over()
    tree, wrong, scan, skipped = Tree(top, []), dict[str, str](), _scan_of(top), [folder.as_posix() for folder in skip]
    pending: list[tuple[Folder, Parts]] = [(Folder((), top.as_posix()), (real_path(top),))]
    while pending and [*wrong.values()].count(CIRCULAR) < MAX_CIRCLES:
        look = _Look(*pending.pop(), scan, skipped, extensions, passing)
        look.read()
        if not look.is_own():
            tree.add(look)
            pending += look.inner
            wrong |= look.faults
    if faults is None:
        wrong |= {path: FOREIGN for folder in tree.folders for path in _foreign_names(folder)}
        _check_faults(top, wrong)
    else:
        faults |= wrong
    tree.folders.sort(key=lambda folder: folder.parts)
    return tree


def _foreign_names(folder: Folder) -> list[str]:
    """Return the paths of files whose names are not UTF-8; only the folder's path if its own name is not UTF-8."""
    if not folder.files:
        return []
    if not all(map(is_unicode, folder.parts)):
        return [folder.path]
    names = folder.files.names
    return [] if names.are_unicode() else [f"{folder.path}/{name}" for name in names if not is_unicode(name)]


def _check_faults(top: Path, faults: Mapping[str, str]) -> None:
    """Refuse a tree in which something cannot be used."""
    of_kinds: dict[tuple[str, str], list[str]] = {kind: [] for kind in (UNREADABLE, *REMEDIES.values())}
    for path, why in faults.items():
        of_kinds[REMEDIES.get(why, UNREADABLE)].append(path if why in REMEDIES else f"{path}: {why}")
    texts = [
        f"{what} ({len(paths):,}):\n{first_few(sorted(paths))}\n{remedy}"
        for (what, remedy), paths in of_kinds.items()
        if paths
    ]
    if texts:
        raise SourceError(f"{top}: " + "\n".join(texts))


# A folder's entries, links included


class _Object(NamedTuple):
    """An object of a store, or a folder that names of objects tell, as `os.DirEntry` would show it."""

    name: str
    path: str
    is_object: bool = False
    st_size: int = 0

    def is_dir(self) -> bool:
        return not self.is_object

    def is_file(self) -> bool:
        return self.is_object

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> _Object:
        return self


Entry: TypeAlias = os.DirEntry[str] | _Object
Scan: TypeAlias = Callable[[str], AbstractContextManager[Iterable[Entry]]]  # path of a folder → its entries


def _scan_of(top: Path) -> Scan:
    """Return a function that lists a folder below the top once; an object store is asked for all objects at once."""
    if not is_remote(top):
        return os.scandir
    files, folders = defaultdict[str, Files](Files), defaultdict[str, dict[str, None]](dict)
    for (*on_way, name), num_bytes in list_objects(top):
        path = top.as_posix()
        for folder in on_way:
            folders[path][folder] = None
            path = f"{path}/{folder}"
        files[path].append((name, num_bytes))

    def scan(path: str) -> AbstractContextManager[Iterator[_Object]]:
        inside = (_Object(name, f"{path}/{name}") for name in folders.pop(path, ()))
        here = (_Object(name, f"{path}/{name}", True, num_bytes) for name, num_bytes in files.pop(path, ()))
        return nullcontext(chain(inside, here))

    return scan


def is_folder(entry: Entry) -> bool:
    """Return whether an entry is a folder, or a link to one; a link to itself (``ln -s a a``) is not.

    Raises:
        OSError: Access is denied, or the disk fails.
    """
    return _ends_somewhere(entry.is_dir)


def _is_regular(entry: Entry) -> bool:
    """Return whether an entry is a file, or a link to one; pipes, sockets and broken links are not.

    Raises:
        OSError: Access is denied, or the disk fails.
    """
    return _ends_somewhere(entry.is_file)


def _extension(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (a Path a file is slow)


def _ends_somewhere(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False
