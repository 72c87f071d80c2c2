"""OpenCV's threads: one where many workers, or a measurement, have the cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

__all__ = ["one_opencv_thread"]


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Let OpenCV work in the calling thread alone, as it does in workers: the cores are busy with the others."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
