"""A lock on a folder that leaves no files behind when the command writes nothing."""

from __future__ import annotations

import contextlib
import errno
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

__all__ = ["hold_folder"]


NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def hold_folder(lock: Path, make_folder: Callable[[Path], object]) -> Iterator[None]:
    """Hold a lock file; afterwards remove it, and the folders that were made for it, if they hold nothing else.

    So a command that ends with an error after a look at the folder leaves the folder as it was.

    Args:
        lock: The file; the operating system gives the lock back when the process dies.
        make_folder: Makes a folder and those above it where they are missing.

    Raises:
        Timeout: Another process holds it.
        OSError: Folder or file cannot be made.
    """
    made = [folder for folder in lock.parents if not folder.exists()]  # innermost first
    before = set() if made else _names(lock.parent)
    held: BaseFileLock = FileLock(lock, timeout=0)
    try:
        make_folder(lock.parent)
        held = _acquire(held, lock)
        if not lock.exists():  # another process has taken it away just now, as it ended
            raise Timeout(str(lock))
    except BaseException:
        held.release()
        _remove_folders(made)
        raise
    try:
        yield
    finally:
        is_unused = lock.name not in before and _names(lock.parent) - {f"{lock.name}.held"} == before | {lock.name}
        is_left = is_unused and not _remove(lock)  # Windows deletes no file that is open
        held.release()
        if is_left:
            _remove(lock)
        if is_unused:
            _remove_folders(made)


def _acquire(held: BaseFileLock, lock: Path) -> BaseFileLock:
    """Acquire a lock; where the file system has no locks, by a file beside it that says who works here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the package, on what it does instead
            held.acquire()
        return held
    except (OSError, NotImplementedError) as error:
        if isinstance(error, Timeout) or getattr(error, "errno", errno.ENOSYS) not in NO_LOCKS:
            raise
    beside = SoftFileLock(lock.with_name(f"{lock.name}.held"), timeout=0)
    beside.acquire()
    return beside


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _remove_folders(folders: list[Path]) -> None:
    with contextlib.suppress(OSError):  # the first that is not empty keeps those above it
        for folder in folders:
            folder.rmdir()
