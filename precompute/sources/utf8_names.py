"""Names that are no UTF-8: a disk takes any bytes, and records, lists and messages hold text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from precompute.errors import SourceError, first_few
from precompute.fields.string_column import StringColumn
from precompute.table.sources import Sources
from precompute.text.format import is_unicode

__all__ = ["RENAME", "check_names"]

RENAME = (
    "Rename them: the dataset holds names as text. (Names in Latin-1: `convmv -f latin1 -t utf8 -r --notest FOLDER`.)"
)


def check_names(sources: Sources) -> None:
    """Refuse sources with a name that no file of text can hold, wherever they come from.

    Raises:
        SourceError: Paths, classes or groups are no UTF-8; the first of them.
    """
    foreign = [name for names in _all_names(sources) for name in _foreign(names)]
    if foreign:
        raise SourceError(f"names that are no UTF-8 ({len(foreign):,}):\n{first_few(foreign)}\n{RENAME}")


def _all_names(sources: Sources) -> Iterator[Sequence[str]]:
    if sources.root is not None:
        yield [sources.root.as_posix()]
    yield from (sources.images, *(column.texts() for column in sources.columns.values()), sources.class_names)
    yield [group for group in set(sources.groups or ()) if group is not None]


def _foreign(names: Sequence[str]) -> list[str]:
    if isinstance(names, StringColumn) and names.are_unicode():
        return []
    return [name for name in names if not (name.isascii() or is_unicode(name))]
