"""Sources of two lists, against what a few lines of set arithmetic say of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from precompute.comparing.classes import ClassChanges
from precompute.comparing.sources import compare_sources
from precompute.table.listing import Listing

SPLITS = ("train", "validation", "test")

# Key → split, content of the image (a digit of its hash), label.
SOURCES = st.dictionaries(
    st.text("abc", min_size=1, max_size=2),
    st.tuples(st.sampled_from(SPLITS), st.integers(1, 15), st.integers(0, 2)),
    max_size=8,
)


def listings(sources: dict[str, tuple[str, int, int]]) -> dict[str, Listing]:
    found = {}
    for split in SPLITS:
        of_split = sorted((key, content, label) for key, (of, content, label) in sources.items() if of == split)
        found[split] = Listing()
        if of_split:
            entries: dict[str, list[Any]] = {
                "key": [key for key, *_ in of_split],
                "image": [f"{key}.png" for key, *_ in of_split],
                "num_bytes": [10] * len(of_split),
                "sha256": [f"{content:064x}" for _, content, _ in of_split],
                "label": [label for *_, label in of_split],
            }
            found[split].add(entries, len(of_split))
    return found


@given(SOURCES, SOURCES)
def test_all_that_differs_is_named_once(a: dict[str, tuple[str, int, int]], b: dict[str, tuple[str, int, int]]) -> None:
    found = compare_sources(listings(a), listings(b), {})
    assert (found.num_a, found.num_b) == (len(a), len(b))
    assert {*found.removed, *found.renamed} == a.keys() - b.keys()
    assert {*found.added, *found.renamed.values()} == b.keys() - a.keys()
    assert len(set(found.renamed.values())) == len(found.renamed)
    assert all(a[old][:2] == b[new][:2] for old, new in found.renamed.items())
    common = a.keys() & b.keys()
    assert found.moved == {key: (a[key][0], b[key][0]) for key in sorted(common) if a[key][0] != b[key][0]}
    names = ("image", "label")
    changed = {key: [n for n, x, y in zip(names, a[key][1:], b[key][1:], strict=True) if x != y] for key in common}
    assert found.changed == {key: parts for key, parts in sorted(changed.items()) if parts}
    assert found.are_equal == (a == b)


@given(SOURCES, st.permutations([0, 1, 2]))
def test_classes_in_another_order_change_no_source(a: dict[str, tuple[str, int, int]], order: list[int]) -> None:
    names = ["cat", "dog", "cow"]
    after = [""] * 3
    for old, new in enumerate(order):
        after[new] = names[old]
    b = {key: (split, content, order[label]) for key, (split, content, label) in a.items()}
    classes = {"label": ClassChanges(before=names, after=after)}
    assert compare_sources(listings(a), listings(b), classes).are_equal
    assert [(name, i) for name, i, _ in classes["label"].moved] == [
        (name, i) for i, name in enumerate(names) if order[i] != i
    ]


def test_a_renamed_class_changes_no_source_and_a_new_one_does() -> None:
    a = {"x": ("train", 1, 0), "y": ("train", 2, 1)}
    classes = {"label": ClassChanges(before=["cat", "dog"], after=["kitty", "dog", "cow"])}
    assert classes["label"].renamed == [("cat", "kitty")] and classes["label"].added == ["cow"]
    assert compare_sources(listings(a), listings(a), classes).are_equal
    b = {**a, "y": ("train", 2, 2)}
    assert compare_sources(listings(a), listings(b), classes).changed == {"y": ["label"]}


def test_sources_that_only_one_leaves_out_are_named() -> None:
    a = {"x": ("train", 1, 0), "y": ("train", 2, 1)}
    assert compare_sources(listings(a), listings(a), {}, (["x"], [])).changed == {"x": ["left out"]}
