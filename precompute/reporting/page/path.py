"""Where a page may be written, and whether it can be drawn; this is looked at before any work."""

from __future__ import annotations

from pathlib import Path

from precompute.errors import UsageError, accessible
from precompute.pages.html import check_extra

__all__ = ["check_page"]

SUFFIXES = (".html", ".htm")


def check_page(path: Path) -> None:
    """Refuse a file that a page cannot be written to.

    Raises:
        UsageError: Its name has no suffix of HTML, it is a folder, its folder cannot be accessed, or a package that
            draws pages is missing.
    """
    with accessible(path, UsageError, "written"):
        is_folder = path.is_dir()
    if path.suffix.lower() not in SUFFIXES or is_folder:
        raise UsageError(f"output: expected a file that ends with {' or '.join(SUFFIXES)}, got {str(path)!r}.")
    check_extra()
