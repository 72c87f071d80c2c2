"""Numbers and their nouns as people read them, and that no message makes its own plural."""

from __future__ import annotations

import re

import pytest

from precompute.text.format import format_count
from tests.helpers.project import ROOT

# "{number:,} boxes": of one it reads "1 boxes". `format_count` says it rightly.
NOUNS = (
    "images|boxes|classes|sources|records|rows|lines|masks|files|shards|blocks|places|objects|keypoints|pixels|"
    "channels|cells|variables|epochs"
)
BY_HAND = re.compile(rf"\{{(?!format_)(?:[\w.()\[\]']*:,|len\([\w.]+\)|num_\w+|[\w.]+\.num_\w+)\}} ({NOUNS})\b")


@pytest.mark.parametrize(
    ("number", "words", "expected"),
    [
        (1, ("row",), "1 row"),
        (0, ("row",), "0 rows"),
        (1200, ("row",), "1,200 rows"),
        (1, ("box",), "1 box"),
        (2, ("box",), "2 boxes"),
        (2, ("class",), "2 classes"),
        (2, ("match",), "2 matches"),
        (2, ("epoch",), "2 epochs"),
        (2, ("copy",), "2 copies"),
        (2, ("key",), "2 keys"),
        (1, ("image has", "images have"), "1 image has"),
        (2, ("image has", "images have"), "2 images have"),
    ],
)
def test_a_number_agrees_with_its_noun(number: int, words: tuple[str, ...], expected: str) -> None:
    assert format_count(number, *words) == expected


def test_messages_leave_plurals_to_format_count() -> None:
    paths = [*(ROOT / "precompute").rglob("*.py"), *(ROOT / "train").rglob("*.py")]
    found = [f"{path.name}: {match[0]}" for path in paths for match in BY_HAND.finditer(path.read_text())]
    assert found == []
