"""Sources put into splits."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.errors import SourceError, UsageError
from precompute.fields.column import columns_by_name
from precompute.fields.file_column import PathColumn
from precompute.fields.label_column import LabelColumn
from precompute.plan import splits
from precompute.table.sources import Sources
from tests.helpers.source_columns import labels_of


def make(
    keys: list[str],
    *,
    labels: list[int] | None = None,
    splits: list[str | None] | None = None,
    groups: list[str | None] | None = None,
) -> Sources:
    """Sources with these keys; with masks unless labels are given."""
    names = [f"c{i}" for i in range(max(labels, default=0) + 1)] if labels is not None else []
    return Sources(
        root=None,
        keys=keys,
        images=[f"/{key}.png" for key in keys],
        columns=columns_by_name(
            PathColumn(values=[f"/m/{key}.png" for key in keys]) if labels is None else LabelColumn(values=labels)
        ),
        splits=splits or [None] * len(keys),
        groups=groups,
        num_bytes=[1] * len(keys),
        names_by_field={"mask" if labels is None else "label": names},
        notes=["found"],
    )


def assign_splits(sources: Sources, *, stored: Mapping[str, Any] | None = None, **fractions: float) -> Sources:
    """Assign splits, those in an existing dataset given by key."""
    known = None if stored is None else [stored.get(key) for key in sources.keys]
    return splits.assign_splits(sources, stored=known, **fractions)


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"k{i:04}" for i in range(start, start + count)]


def split_of(sources: Sources) -> dict[str, Any]:
    return dict(zip(sources.keys, sources.splits, strict=True))


def counts(sources: Sources) -> dict[Any, int]:
    return dict(Counter(sources.splits))


# Fractions.


def test_sizes() -> None:
    assert counts(assign_splits(make(numbered(160)), validation_split=0.2)) == {"train": 128, "validation": 32}
    assert counts(assign_splits(make(numbered(20)), validation_split=0.1, test_split=0.25)) == {
        "train": 13,
        "validation": 2,
        "test": 5,
    }


def test_at_least_one() -> None:
    assert counts(assign_splits(make(["a", "b", "c"]), validation_split=0.01, test_split=0.01)) == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }


def test_the_hash_decides_once_and_for_all() -> None:
    # Existing datasets rely on these: a change would move sources between splits.
    found = assign_splits(make(numbered(10)), validation_split=0.2, test_split=0.2)
    assert {key: split for key, split in split_of(found).items() if split != "train"} == {
        "k0002": "test",
        "k0003": "validation",
        "k0005": "validation",
        "k0008": "test",
    }
    # Test comes first in the order, so that it does not depend on the fraction for validation.
    alone = assign_splits(make(numbered(10)), test_split=0.2)
    assert list(alone.of_split("test")) == list(found.of_split("test"))


def test_each_class_by_itself() -> None:
    labels = [0] * 50 + [1] * 10 + [2] * 3
    found = assign_splits(make(numbered(63), labels=labels), validation_split=0.2)
    assert Counter(labels[i] for i in found.of_split("validation")) == {0: 10, 1: 2, 2: 1}


def test_classes_that_are_too_small() -> None:
    sources = make(numbered(13), labels=[0] * 10 + [1] * 2 + [2])
    with pytest.raises(SourceError) as caught:
        assign_splits(sources, validation_split=0.2, test_split=0.1)
    message = str(caught.value)
    assert "With --test-split 0.1 and --validation-split 0.2 no sources are left for train" in message
    assert "  class 'c1': 2, of which 1 for test and 1 for validation\n  class 'c2': 1" in message
    assert "at least 3 sources. Add some, leave the class out, or give smaller fractions" in message
    with pytest.raises(SourceError, match="all sources: 1, of which 1 for validation"):
        assign_splits(make(["a"]), validation_split=0.5)
    with pytest.raises(SourceError, match="no groups are left for train"):
        assign_splits(make(["a", "b"], groups=["g", "g"]), validation_split=0.5)


@pytest.mark.parametrize("value", [1, 1.5, -0.1, float("nan"), "0.2", None, True])
def test_fractions_out_of_range(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        assign_splits(make(["a", "b"]), validation_split=value)
    assert f"validation_split (--validation-split): expected a number from 0 to below 1, got {value!r}" in str(
        caught.value
    )
    with pytest.raises(UsageError, match=r"test_split \(--test-split\)"):
        assign_splits(make(["a", "b"]), test_split=value)


def test_fractions_that_leave_nothing() -> None:
    with pytest.raises(UsageError, match=r"expected a sum below 1, .* got 0.5 \+ 0.5"):
        assign_splits(make(["a", "b"]), validation_split=0.5, test_split=0.5)


# Splits that the sources have.


def test_no_split_and_no_fraction_is_said_loudly() -> None:
    found = assign_splits(make(["a", "b"]))
    assert found.splits == ["train", "train"]
    assert found.notes[0] == "found" and found.notes[1].startswith("NO VALIDATION SPLIT")
    assert "--validation-split 0.2" in found.notes[1]
    with_test = assign_splits(make(["a", "b"], splits=["train", "test"]))
    assert with_test.notes[1].startswith("NO VALIDATION SPLIT")
    assert assign_splits(make(["a", "b"], splits=["train", "validation"])).notes == ["found"]


def test_fractions_fill_only_what_is_missing_from_train() -> None:
    keys, splits = numbered(30), [*["train"] * 20, *["test"] * 10]
    found = assign_splits(make(keys, splits=list(splits)), validation_split=0.2, test_split=0.4)
    assert counts(found) == {"train": 16, "validation": 4, "test": 10}
    assert [split for split in found.splits[20:] if split != "test"] == []
    assert found.notes == ["found", "--test-split 0.4 is ignored: the sources come with a test split."]


def test_sources_without_a_split_count_as_train() -> None:
    found = assign_splits(make(["a", "b", "c"], splits=[None, "train", "validation"]), validation_split=0.5)
    assert found.splits == ["train", "train", "validation"]


def test_nothing_to_train_on() -> None:
    with pytest.raises(SourceError, match="No source is in train: all 2 are in test and validation"):
        assign_splits(make(["a", "b"], splits=["validation", "test"]))


def test_a_class_without_training_sources() -> None:
    found = assign_splits(make(["a", "b"], labels=[0, 1], splits=["train", "validation"]))
    assert found.notes[1:] == ["Classes that have no source in train:\n  c1"]


# Groups.


def test_groups_count_under_their_commonest_class() -> None:
    # Groups p0…p9 hold two of class 1 and one of class 0; class 0 has ten sources more, without a group.
    labels = [0, 1, 1] * 10 + [0] * 10
    groups: list[str | None] = [f"p{i // 3}" for i in range(30)] + [None] * 10
    found = assign_splits(make(numbered(40), labels=labels, groups=groups), validation_split=0.2)
    inside = list(found.of_split("validation"))
    assert len({groups[i] for i in inside} - {None}) == 2 and sum(groups[i] is None for i in inside) == 2


def test_equally_common_classes_go_to_the_smaller_index() -> None:
    labels = [1, 0] * 5
    found = assign_splits(make(numbered(10), labels=labels, groups=[f"g{i // 2}" for i in range(10)]), test_split=0.2)
    assert counts(found) == {"train": 8, "test": 2}


def test_a_group_named_like_a_key_has_an_order_of_its_own() -> None:
    keys = numbered(40)
    by_key = assign_splits(make(keys), validation_split=0.5)
    by_group = assign_splits(make(keys, groups=list(keys)), validation_split=0.5)
    assert by_key.splits != by_group.splits


def test_a_group_in_two_splits() -> None:
    for pair in (["train", "validation"], ["test", "validation"]):
        sources = make(["a", "b", "c"], splits=[*pair, "train"], groups=["g", "g", None])
        with pytest.raises(SourceError, match=r"Groups whose sources are given in two splits \(1\):\n  g\n"):
            assign_splits(sources)
    partly = make(["a", "b", "c"], splits=[None, "validation", "train"], groups=["g", "g", None])
    assert assign_splits(partly).splits == ["validation", "validation", "train"]


# What is stored.


def test_stored_splits_stay_and_new_sources_approach_the_fractions() -> None:
    first = assign_splits(make(numbered(20)), validation_split=0.2)
    grown = assign_splits(make(numbered(60)), validation_split=0.2, stored=split_of(first))
    assert counts(grown) == {"train": 48, "validation": 12}
    assert split_of(first).items() <= split_of(grown).items()


def test_stored_splits_outrank_fractions() -> None:
    first = assign_splits(make(numbered(20)), validation_split=0.5)
    assert assign_splits(make(numbered(20)), validation_split=0.1, stored=split_of(first)).splits == first.splits
    assert counts(assign_splits(make(numbered(21)), validation_split=0.1, stored=split_of(first))) == {
        "train": 11,
        "validation": 10,
    }


def test_validation_taken_from_a_train_folder_is_no_contradiction() -> None:
    folders = [*["train"] * 10, *["test"] * 5]
    first = assign_splits(make(numbered(15), splits=list(folders)), validation_split=0.2)
    again = assign_splits(make(numbered(15), splits=list(folders)), validation_split=0.2, stored=split_of(first))
    assert again.splits == first.splits and counts(first)["validation"] == 2


@pytest.mark.parametrize(("stored", "now"), [("train", "validation"), ("validation", "test"), ("validation", "train")])
def test_a_folder_that_contradicts_the_dataset(stored: str, now: str) -> None:
    sources = make(["a", "b", "c"], splits=[now, "train", "validation"])
    with pytest.raises(SourceError) as caught:
        assign_splits(sources, stored={"a": stored})
    message = str(caught.value)
    assert f"a: stored in {stored}, now in {now}" in message
    assert "A source belongs to one split for good" in message and "write to another output folder" in message


def test_new_members_follow_their_group() -> None:
    sources = make(["a", "b", "c", "d"], groups=["g", "g", None, None])
    assert assign_splits(sources, stored={"a": "validation"}).splits == ["validation", "validation", "train", "train"]
    with pytest.raises(SourceError, match="stored in another split than their group"):
        assign_splits(sources, stored={"a": "validation", "b": "train"})
    moved = make(["a", "b", "c"], splits=[None, "validation", None], groups=["g", "g", None])
    with pytest.raises(SourceError, match="stored in another split than their group"):
        assign_splits(moved, stored={"a": "train"})


def test_a_new_class_that_is_too_small() -> None:
    first = assign_splits(make(numbered(10), labels=[0] * 10), validation_split=0.2)
    grown = make(numbered(11), labels=[0] * 10 + [1])
    with pytest.raises(SourceError, match="class 'c1': 1, of which 1 for validation"):
        assign_splits(grown, validation_split=0.2, stored=split_of(first))


# For any sources.


@st.composite
def any_sources(draw: st.DrawFn) -> Sources:
    count = draw(st.integers(1, 40))
    labels = draw(st.none() | st.lists(st.integers(0, 2), min_size=count, max_size=count))
    group = st.none() | st.sampled_from([f"k{i:04}" for i in range(8)])
    groups = draw(st.none() | st.lists(group, min_size=count, max_size=count))
    return make(numbered(count), labels=labels, groups=groups)


fraction = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.3, 0.45])


def units_by_class(sources: Sources) -> dict[int, set[str]]:
    """What is counted: groups and lone sources, by commonest class."""
    members: dict[str, list[int]] = {}
    for i, key in enumerate(sources.keys):
        group = None if sources.groups is None else sources.groups[i]
        members.setdefault(f"k{key}" if group is None else f"g{group}", []).append(i)
    classes: dict[int, set[str]] = {}
    for unit, positions in members.items():
        found = Counter(0 if labels_of(sources) is None else labels_of(sources)[i] for i in positions)
        classes.setdefault(min(found, key=lambda c: (-found[c], c)), set()).add(unit)
    return classes


def unit_splits(sources: Sources) -> dict[str, set[Any]]:
    found: dict[str, set[Any]] = {}
    for i, key in enumerate(sources.keys):
        group = None if sources.groups is None else sources.groups[i]
        found.setdefault(f"k{key}" if group is None else f"g{group}", set()).add(sources.splits[i])
    return found


@pytest.mark.slow
@settings(max_examples=150)
@given(sources=any_sources(), validation=fraction, test=fraction, order=st.randoms(use_true_random=False))
def test_sizes_groups_and_order(sources: Sources, validation: float, test: float, order: Any) -> None:
    wanted = {"validation": validation, "test": test}
    classes = units_by_class(sources)
    sizes = {
        label: {split: max(1, round(f * len(units))) if f else 0 for split, f in wanted.items()}
        for label, units in classes.items()
    }
    if any(sum(size.values()) and sum(size.values()) >= len(classes[label]) for label, size in sizes.items()):
        with pytest.raises(SourceError, match="are left for train"):
            assign_splits(sources, validation_split=validation, test_split=test)
        return
    found = assign_splits(sources, validation_split=validation, test_split=test)
    in_splits = unit_splits(found)
    assert all(len(splits) == 1 for splits in in_splits.values())
    for label, units in classes.items():
        in_class = Counter(next(iter(in_splits[unit])) for unit in units)
        assert in_class["validation"] == sizes[label]["validation"] and in_class["test"] == sizes[label]["test"]
        assert in_class["train"] >= 1
    positions = list(range(len(sources)))
    order.shuffle(positions)
    shuffled = assign_splits(sources.take(positions), validation_split=validation, test_split=test)
    assert split_of(shuffled) == split_of(found)


@settings(max_examples=100)
@given(first=st.integers(12, 40), more=st.integers(0, 40), validation=st.sampled_from([0.1, 0.2, 0.3]), data=st.data())
def test_growth_keeps_and_never_tears(first: int, more: int, validation: float, data: st.DataObject) -> None:
    groups = data.draw(
        st.none()
        | st.lists(
            st.none() | st.sampled_from([f"g{i}" for i in range(6)]), min_size=first + more, max_size=first + more
        )
    )
    everything = make(numbered(first + more), groups=groups)
    begun = everything.take(list(range(first)))
    if len(unit_splits(begun)) < 2:
        return
    stored = split_of(assign_splits(begun, validation_split=validation))
    grown = assign_splits(everything, validation_split=validation, stored=stored)
    assert stored.items() <= split_of(grown).items()
    assert all(len(splits) == 1 for splits in unit_splits(grown).values())
    units = unit_splits(grown)
    held = {unit for unit, splits in units.items() if splits == {"validation"}}
    assert len(held) >= max(1, round(validation * len(units))) or len(units) == len(unit_splits(begun))
    again = assign_splits(everything, validation_split=validation, stored=split_of(grown))
    assert again.splits == grown.splits


def test_sources_are_not_changed() -> None:
    sources = make(["a", "b"])
    before = dataclasses.replace(sources, splits=list(sources.splits), notes=list(sources.notes))
    assign_splits(sources, validation_split=0.5)
    assert sources == before
