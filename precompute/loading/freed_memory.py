"""How freed memory is kept for the next batch, in a program that is not ours alone."""

from __future__ import annotations

import functools

import numpy as np

__all__ = ["teach_allocator"]

# The most that glibc learns from, DEFAULT_MMAP_THRESHOLD_MAX on 64 bits, less the headers of the chunk.
LESSON_BYTES = 32 * 2**20 - 2**16


@functools.cache
def teach_allocator() -> None:
    """Let glibc's malloc learn that arrays of megabytes come and go, before the first records do; once a process.

    It hands large blocks back to the kernel when they are freed, and gets new pages for the next ones, cleared one by
    one, until it has seen a block of their size come and go: then it keeps blocks up to that size, and twice as much at
    the end of a heap. Records in the buffer of the shuffle are many small blocks and teach it little, so a large one
    does, whose pages are never touched: raw records of 262 kB took 40 to 60 page faults each and a third more processor
    time (scripts/bench_read.py). Nothing is set for good, as `mallopt` does; other allocators do not mind.

    Source: mallopt(3), M_MMAP_THRESHOLD: "the dynamic mmap threshold".
    """
    np.empty(LESSON_BYTES, np.uint8)  # freed at once
