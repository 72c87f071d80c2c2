"""Names of modules and files in text: pages, settings, comments, strings, and programs inside strings."""

from __future__ import annotations

import re
from collections.abc import Mapping

from move_modules_tables import Moves

PATH = re.compile(r"(?<![\w./-])(?:[\w-]+/)+[\w-]*(?:\.\w+)?(?<!/)")
DOTTED = re.compile(r"(?:(?<![\w./])|(?<=\\n))[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
START = r"(?:(?<![^\s'\";])|(?<=\\n))"  # of a statement: in a literal, a new line is two characters
FROM = re.compile(START + r"from (?P<module>[\w.]+) import (?P<names>\w+(?: as \w+)?(?:, \w+(?: as \w+)?)*)")
IMPORT = re.compile(r"(?:^|\\n|['\";])\s*import (?P<module>\w+)(?! *[\w,])", re.MULTILINE)
TICKS = re.compile(r"`[^`\n]+`")
WORD = re.compile(r"(?<!\w)[A-Za-z_]\w*")


def move_text(text: str, moves: Moves) -> str:
    """Return a text in which modules and files have their new names."""
    text = FROM.sub(lambda match: _moved_from(match, moves), text)
    text = IMPORT.sub(lambda match: _moved_import(match, moves), text)
    text = PATH.sub(lambda match: moves.path(match[0]), text)
    return DOTTED.sub(lambda match: moves.module(match[0]), text)


def rename_in_ticks(text: str, names: Mapping[str, str]) -> str:
    """Return a text in which identifiers between backticks have their new names."""
    return TICKS.sub(lambda match: rename_words(match[0], names), text)


def rename_words(text: str, names: Mapping[str, str]) -> str:
    """Return a text in which every word that is a name is the new one."""
    return WORD.sub(lambda match: names.get(match[0], match[0]), text)


def homes_of(module: str, name: str, moves: Moves) -> tuple[str, str]:
    """Return what ``from module import name`` is afterwards: the module, and the name in it."""
    whole = f"{module}.{name}"
    if whole in moves.modules or whole in moves.known:
        home, _, last = moves.modules.get(whole, whole).rpartition(".")
        return home, last
    return moves.module(module), name


def _moved_from(match: re.Match[str], moves: Moves) -> str:
    """Return a statement of a program inside a string; a module that is called otherwise keeps its name there."""
    homes: dict[str, list[str]] = {}
    for given in match["names"].split(", "):
        name, _, alias = given.partition(" as ")
        home, new = homes_of(match["module"], name, moves)
        homes.setdefault(home, []).append(f"{new} as {alias or name}" if alias or new != name else name)
    if list(homes) == [match["module"]]:
        return match[0]
    return "; ".join(f"from {home} import {', '.join(names)}" for home, names in homes.items())


def _moved_import(match: re.Match[str], moves: Moves) -> str:
    old = match["module"]
    home, _, last = moves.modules.get(old, old).rpartition(".")
    if not home:
        return match[0]
    alias = "" if last == old else f" as {old}"
    return match[0].removesuffix(f"import {old}") + f"from {home} import {last}{alias}"
