"""Names that look alike but have different Unicode normal forms: é as one character, or as e and an accent.

macOS writes the second form into archives; spreadsheets and most others write the first. A name that exists as written
is taken; else the only existing name that looks like it.

Source: https://unicode.org/reports/tr15 (NFC composes, NFD decomposes).
"""

from __future__ import annotations

import functools
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from precompute.errors import SourceError, first_few

__all__ = ["RENAME", "UnicodeForms", "check_unicode_forms", "existing_path", "visible"]


def visible(name: str) -> str:
    """Return a name in the composed form (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


class UnicodeForms:
    """Existing names, found by names that look like them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._alike = defaultdict[str, list[str]](list)
        for name in self._names:
            if not name.isascii():
                self._alike[visible(name)].append(name)

    def find(self, name: str) -> str:
        """Return the name itself if it exists or nothing looks like it, else the only name that does.

        Raises:
            SourceError: Several names look like it.
        """
        if name in self._names or name.isascii():
            return name
        alike = self._alike.get(visible(name), [])
        if len(alike) > 1:
            raise SourceError(
                f"{name!a}: {len(alike)} names look like it, in other Unicode normal forms:\n"
                f"{first_few([shown_form(other) for other in sorted(alike)])}\nRename all but one."
            )
        return alike[0] if alike else name


def check_unicode_forms(names: Iterable[str], where: str) -> None:
    """Refuse different classes that look alike.

    Raises:
        SourceError: There are such classes; the message shows the form of each.
    """
    alike = defaultdict[str, list[str]](list)
    for name in sorted(set(names)):
        alike[visible(name)].append(name)
    duplicates = [", ".join(map(shown_form, forms)) for forms in alike.values() if len(forms) > 1]
    if duplicates:
        raise SourceError(
            f"{where}: classes of one visible name in several Unicode normal forms:\n{first_few(duplicates)}\n"
            "Expected one form each: rename them to NFC, say."
        )


def shown_form(name: str) -> str:
    """Return a name with its form and the codes of its characters."""
    form = next((form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, name)), "mixed forms")
    return f"{name} ({form}: {name!a})"


def existing_path(path: str) -> str:
    """Return the existing path that looks like a path; the path itself if it exists, or nothing looks like it.

    Raises:
        SourceError: Several paths look like it.
    """
    if path.isascii() or "://" in path or os.path.lexists(path):
        return path
    folder, name = os.path.split(path)
    folder = folder if folder == path else existing_path(folder)
    try:
        found = _listed(folder, os.stat(folder).st_mtime_ns).find(name)  # noqa: PTH116 (a Path a file is slow)
    except OSError:
        return path
    return os.path.join(folder, found)  # noqa: PTH118


@functools.lru_cache(maxsize=64)
def _listed(folder: str, _: int) -> UnicodeForms:
    """Return the names in a folder; cached while the folder does not change, since many files of one are looked for."""
    return UnicodeForms(os.listdir(folder))  # noqa: PTH208 (names alone)


RENAME = (
    "Rename them: the dataset holds names as text. (Names in Latin-1: `convmv -f latin1 -t utf8 -r --notest FOLDER`.)"
)
