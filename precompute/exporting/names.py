"""Names of exported files: those of the keys, as far as every file system takes them."""

from __future__ import annotations

import re

__all__ = ["Names", "safe_name", "safe_path"]

MAX_BYTES = 200  # of one name; file systems take 255, and an ending and a temporary name need some
# Source: https://learn.microsoft.com/windows/win32/fileio/naming-a-file, "Naming Conventions"
REFUSED = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f-\x9f\u2028\u2029]')  # and ends of lines, in lists of files
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
ROLES = ("images", "masks", "__macosx", "@eadir")  # folders of these names mean something to a build


class Names:
    """Gives each key a name of its own; the same ones when it is asked in the same order."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._folders: dict[str, str] = {}

    def folder(self, name: str) -> str:
        """Return the path of a class's folder, always the same one, and another class never has it."""
        if name not in self._folders:
            self._folders[name] = self.unique("/".join(map(safe_name, name.split("/"))))
        return self._folders[name]

    def unique(self, path: str) -> str:
        """Return the path, with a number at its end if another one has it already, whatever the case of its letters."""
        number, found = 1, path
        while found.casefold() in self._taken:
            number += 1
            found = f"{path}-{number}"
        self._taken.add(found.casefold())
        return found


def safe_path(key: str) -> str:
    """Return a key as the path of a file: folders stay folders."""
    *folders, name = map(safe_name, key.split("/"))
    return "/".join([*(f"_{part}" if part.lower() in ROLES else part for part in folders), name])


def safe_name(text: str) -> str:
    """Return a text as the name of one file or folder."""
    name = REFUSED.sub("_", text.replace("/", "_"))
    name = re.sub(r"^\s|[\s.]$", "_", name) or "_"
    if name.startswith(".") or RESERVED.match(name):  # hidden files are passed over by a build
        name = f"_{name}"
    while len(name.encode()) > MAX_BYTES:
        name = name[:-1]
    return name
