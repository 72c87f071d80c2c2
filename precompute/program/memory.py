"""Memory of a process: freed arrays are kept for the next ones, and modules are left out of garbage collection."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import platform
from collections.abc import Iterator

__all__ = ["freeze_gc", "import_quickly", "teach_malloc", "tune_malloc"]

# Source: glibc's malloc.h, and mallopt(3) for what they mean.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MIB = 2**20
ARRAY_BYTES = (64 * MIB, 32 * MIB)  # the most that can be asked for; some versions of glibc refuse more than the latter
KEPT_BYTES = 256 * MIB
# The largest block that glibc learns from: DEFAULT_MMAP_THRESHOLD_MAX on 64 bits, less the headers of the chunk.
LESSON_BYTES = 32 * 2**20 - 2**16


@functools.cache
def tune_malloc() -> bool:
    """Let glibc keep the memory of freed arrays for the next ones; for a process that does nothing else.

    A pipeline allocates arrays of megabytes and frees them a moment later. Depending on what its heap looks like, glibc
    hands each back to the kernel and gets new pages for the next one, cleared one by one: 96 page faults a record of a
    megapixel's source where there are none so, and 84 in a plain loop over pictures of 480×360, a third of its time.
    At most as much is kept as was in use at one time.

    Returns:
        Whether the C library is glibc and has taken the settings.
    """
    if platform.system() != "Linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return any(mallopt(M_MMAP_THRESHOLD, size) for size in ARRAY_BYTES) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))


@contextlib.contextmanager
def import_quickly() -> Iterator[None]:
    """Look for no garbage while the block imports modules: that takes a tenth of the time and finds next to nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@functools.cache
def freeze_gc() -> None:
    """Take all present objects out of garbage collection; for a process that does nothing else.

    A record makes hundreds of small objects and so causes collections. The full ones among them look at every function
    and class of all imported modules. So would one now, for a thousand objects of garbage.
    """
    gc.freeze()


@functools.cache
def teach_malloc() -> None:
    """Teach glibc's malloc, once per process and before the first record, that arrays of megabytes come and go.

    It hands large blocks back to the kernel when they are freed, and gets new pages for the next ones, cleared one by
    one, until it has seen a block of their size come and go: then it keeps blocks up to that size, and twice as much at
    the end of a heap. Records in the buffer of the shuffle are many small blocks and teach it little, so a large one
    does, whose pages are never touched: raw records of 262 kB took 40 to 60 page faults each and a third more processor
    time (scripts/bench_read.py). Unlike `mallopt`, this sets nothing for good, and does no harm to other allocators.

    Source: mallopt(3), M_MMAP_THRESHOLD: "the dynamic mmap threshold".
    """
    import numpy as np  # here, for programs that only show their help need this module and no arrays

    np.empty(LESSON_BYTES, np.uint8)  # freed at once
