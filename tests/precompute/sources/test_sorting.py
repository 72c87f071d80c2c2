"""Files of large folders are sorted as arrays: in the order that sorting them one by one gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.fields.string_column import StringColumn
from precompute.sources import found_files
from precompute.sources.found_files import RoleFolder, add_sorted
from precompute.sources.walk import Files

LETTERS = st.characters(exclude_characters="\0/", codec=None)  # halves of pairs too, as in names that are no text
STEMS = st.text(LETTERS, min_size=1, max_size=8)
EXTENSIONS = st.sampled_from([".jpg", ".png", ".JPEG"])


def by_hand(files: list[str], key_start: str, suffix: str) -> list[tuple[str, str, int]]:
    stems = [name.rpartition(".")[0].removesuffix(suffix) for name in files]
    return sorted((key_start + stem, name, i) for i, (stem, name) in enumerate(zip(stems, files, strict=True)))


@given(
    stems=st.lists(STEMS, min_size=1, max_size=30, unique=True),
    key_start=st.sampled_from(["", "cats/", "größe/"]),
    suffix=st.sampled_from(["", "_mask", "_ü"]),
    data=st.data(),
)
def test_sorted_as_one_by_one(stems: list[str], key_start: str, suffix: str, data: st.DataObject) -> None:
    files = [f"{stem}{suffix}{data.draw(EXTENSIONS)}" for stem in stems]
    keys, names = StringColumn(["before"]), StringColumn(["before.png"])
    order = add_sorted(StringColumn(files), key_start, suffix, keys=keys, names=names)
    expected = by_hand(files, key_start, suffix)
    if order is None:  # one is much longer than the others: nothing was added
        assert (list(keys), list(names)) == (["before"], ["before.png"])
        assert max(map(len, files)) > 2 * min(map(len, files))
        return
    assert [*zip(keys[1:], names[1:], order.tolist(), strict=True)] == expected
    assert (keys[0], names[0]) == ("before", "before.png")


@pytest.mark.parametrize("files", [["a.jpg", "b.png", "a.png"], ["a.png", "b" * 200 + ".png", *"cdefghij"]])
def test_equal_stems_and_long_ones_take_the_other_way(files: list[str]) -> None:
    keys, names = StringColumn(), StringColumn()
    files = [name if "." in name else f"{name}.png" for name in files]
    assert add_sorted(StringColumn(files), "", "", keys=keys, names=names) is None
    assert not keys
    assert not names


def test_both_ways_give_the_same_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    files = Files((f"tile {number:x}.é_s.png", int(number)) for number in random.permutation(5000))
    part = RoleFolder(("images",), "/data/images", "_s", files)
    many = found_files.FoundFiles([part], None, split_in_key=False)
    monkeypatch.setattr(found_files, "FEW", 10_000)
    few = found_files.FoundFiles([part], None, split_in_key=False)
    assert [many[i] for i in range(len(many))] == [few[i] for i in range(len(few))]
    assert many.keys == few.keys
