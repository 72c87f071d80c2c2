"""Folders named train, validation or test, and the level of the tree at which they stand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from precompute.errors import SourceError, first_few

__all__ = ["EXPECTED_SPLITS", "names_split", "split_of", "split_positions", "stay_in_keys"]

# train, val, valid, validation and test always mean splits, also with an ending (train2017, val_set).
SPLITS = re.compile(
    r"(?:(?P<train>train)|(?P<validation>val|valid|validation)|(?P<test>test))"
    r"(?P<end>[-_ ]?(?:set|data|split|(?:19|20)\d\d))?",
    re.IGNORECASE,
)
# These mean splits only beside folders of other splits; else they may be classes, or anything.
OTHERS = re.compile(
    r"(?:(?P<train>training|trn)|(?P<validation>dev|eval|evaluation|minival)|(?P<test>testing|tst))"
    r"(?:[-_ ]?(?:set|data|split|(?:19|20)\d\d))?",
    re.IGNORECASE,
)
EXPECTED_SPLITS = "train (training, trainset, train2017 …), validation (val, valid, dev, eval …) or test (testing …)"

Context = tuple[str, ...]


def split_of(name: str) -> str | None:
    """Return the split that a name (of a folder, a list, a word in a table) means, in any case of its letters."""
    found = SPLITS.fullmatch(name.strip()) or OTHERS.fullmatch(name.strip())
    return None if found is None else next(split for split in ("train", "validation", "test") if found[split])


def names_split(name: str) -> bool:
    """Return whether a name always means a split: train, val2017; but not training, which may be a class."""
    return SPLITS.fullmatch(name) is not None


def stay_in_keys(contexts: Sequence[Context], positions: Sequence[int | None] | None) -> bool:
    """Return whether splits' folders are part of keys: not if all are named train, val, valid, validation or test.

    With other names among them, all folders were part of keys before such names meant splits, and they still are.
    """
    names = [context[i] for context, i in zip(contexts, positions or (), strict=False) if i is not None]
    found = [SPLITS.fullmatch(name) for name in names]
    return not all(match is not None and not match["end"] for match in found)


def split_positions(contexts: Sequence[Context], *, where: str) -> list[int] | None:
    """Return the position of the split's folder in each path of folders; None when there are no splits.

    A level, from the top or from the bottom, counts when every path has a split's folder there and one of them is
    train: `valid` beside `invalid` is a class, and so is `test` beside other names without train.

    Args:
        contexts: Path of each folder with images, without folders that name a role (images/, masks/).
        where: Folder that messages name.

    Raises:
        SourceError: Some folders belong to splits and others do not, or two levels could be the splits'.
    """
    levels = _levels(contexts)
    found = [level for level in levels if "train" in _splits_at(contexts, level)]
    if len(found) > 1:
        raise SourceError(
            f"{where}: two levels of folders could be the splits, in:\n{_shown(contexts)}\n"
            "Expected folders named train, val or test at one level only; rename the others."
        )
    if found:
        return found[0]
    _check_mixed(contexts, where)
    if any(all(names_split(context[i]) for context, i in zip(contexts, level, strict=True)) for level in levels):
        raise SourceError(
            f"{where}: folders named like splits, but there is no train folder:\n{_shown(contexts)}\n"
            "Expected a train folder beside them. Give the folder that holds all splits or, if these are names of "
            "classes, say so with --class-names."
        )
    return None


def _levels(contexts: Sequence[Context]) -> list[list[int]]:
    """Return the possible choices: at one level, one folder per path, all of them splits' folders."""
    depth = min((len(context) for context in contexts), default=0)
    from_top = [[i] * len(contexts) for i in range(depth)]
    from_bottom = [[len(context) - 1 - i for context in contexts] for i in range(depth)]
    levels: list[list[int]] = []
    for level in from_top + from_bottom:
        if level not in levels and None not in _splits_at(contexts, level):
            levels.append(level)
    return levels


def _splits_at(contexts: Sequence[Context], level: list[int]) -> set[str | None]:
    return {split_of(context[i]) for context, i in zip(contexts, level, strict=True)}


def _check_mixed(contexts: Sequence[Context], where: str) -> None:
    """Refuse a train folder outside of a clean level; it would become part of keys and classes without a word."""
    if not any(names_split(part) and split_of(part) == "train" for context in contexts for part in context):
        return
    outside = [context for context in contexts if not any(split_of(part) for part in context)]
    if not outside:
        raise SourceError(
            f"{where}: the folders of the splits lie at different levels:\n{_shown(contexts)}\n"
            "Expected them all at one level, above the other folders or below them."
        )
    raise SourceError(
        f"{where}: there is a train folder, but these folders belong to no split:\n{_shown(outside)}\n"
        "Expected folders named train, val or test beside train, and no others. Move the others elsewhere or leave "
        f"them out, --exclude {outside[0][0] if outside[0] else '*'}/ say; if train is the name of a class, rename its "
        "folder or give all classes with --class-names."
    )


def _shown(contexts: Sequence[Context]) -> str:
    return first_few(sorted({"/".join(context) + "/" if context else "./" for context in contexts}))
