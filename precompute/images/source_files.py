"""Files of sources: reading them, naming them in messages, and comparing sizes with that of the image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from precompute.errors import RejectedSource
from precompute.images.mask_files import UnlistedColors

__all__ = ["check_meant_size", "check_same_size", "read_file", "with_path"]


def read_file(path: Path, decode: Callable[[bytes], Any]) -> tuple[bytes, Any]:
    """Return the bytes of a file, and its decoded content.

    Raises:
        RejectedSource: The file cannot be read or decoded; the message names it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RejectedSource(f"{path}: cannot be read: {error.strerror}") from error
    return content, with_path(path, lambda: decode(content))


def with_path(path: Path, function: Callable[[], Any]) -> Any:
    """Return the result of a function; a path is put before the messages of its errors."""
    try:
        return function()
    except UnlistedColors as error:
        raise UnlistedColors(error.counts, where=f"{path}: ") from error
    except RejectedSource as error:
        raise RejectedSource(f"{path}: {error}") from error


def check_same_size(path: str | Path, size: tuple[int, ...], image: Path, image_size: tuple[int, int]) -> None:
    """Refuse a file whose height and width are not those of its image.

    Raises:
        RejectedSource: They are other ones.
    """
    if size != image_size:
        raise RejectedSource(
            f"{path}: is {size[1]}×{size[0]} pixels, but its image {image} is {image_size[1]}×{image_size[0]}; both "
            "must have one size"
        )


def check_meant_size(image: Path, image_size: tuple[int, int], meant: tuple[int, int] | None, what: str) -> None:
    """Refuse what was annotated for an image of another size.

    Args:
        image: The image file.
        image_size: Its height and width.
        meant: Width and height of the image that was annotated; None where any fits.
        what: What messages call the annotations.

    Raises:
        RejectedSource: The image has another size.
    """
    height, width = image_size
    if meant is not None and meant != (width, height):
        turned = meant == image_size and ": was it turned by its EXIF orientation after it was annotated?"
        raise RejectedSource(
            f"{image}: is {width}×{height} pixels (width × height), but its {what} are meant for "
            f"{meant[0]}×{meant[1]}{turned or ''}; annotate it as it is shown upright, or fix the size"
        )
