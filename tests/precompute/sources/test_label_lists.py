"""Sources with any number of labels: from lists to class indices, and into strata."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.errors import DatasetError, SourceError, UsageError
from precompute.fields.column import columns_by_name
from precompute.fields.label_column import LabelSetColumn
from precompute.plan.splits import MIN_STRATUM, assign_splits, label_strata
from precompute.table.listed_sources import compare_listing, sources_of_listing
from precompute.table.listing_file import listing_lines, read_listing
from precompute.table.sources import Source, Sources
from tests.helpers.listed_files import make
from tests.helpers.python_sources import from_iterable, from_lists
from tests.helpers.source_columns import label_sets_of, labels_of, masks_of


def names(count: int) -> list[str]:
    return [f"{i:02}.png" for i in range(count)]


def test_lists_tuples_and_sets_of_names(tmp_path: Path) -> None:
    labels: list[Any] = [["dog", "cat", "dog"], (), {"bee"}, frozenset(("cat",))]
    found = from_lists(images=make(tmp_path, *names(4)), labels=labels)
    assert found.kind == "multilabel" and labels_of(found) is None and masks_of(found) is None
    assert found.class_names == ["bee", "cat", "dog"]
    assert label_sets_of(found) == [(1, 2), (), (0,), (1,)]
    assert label_sets_of(found.take([2, 0])) == [(0,), (1, 2)]
    assert [found.targets[0].classes(i) for i in range(4)] == label_sets_of(found)


def test_order_of_the_classes_and_numbers(tmp_path: Path) -> None:
    paths = make(tmp_path, *names(2))
    given_order = from_lists(images=paths, labels=[["a", "b"], ["b"]], class_names=["b", "a", "c"])
    assert label_sets_of(given_order) == [(0, 1), (0,)]
    assert given_order.notes == ["Classes without a source:\n  c"]
    assert label_sets_of(from_lists(images=paths, labels=[[np.int64(2), 0], []], class_names=["x", "y", "z"])) == [
        (0, 2),
        (),
    ]
    sources = [Source("k", paths[0], label=["a"]), Source("j", paths[1], label=[])]
    assert label_sets_of(from_iterable(sources)) == [(), (0,)]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([["cat"], "dog"], UsageError, r"got both: \['cat'\] for '00', 'dog' for '01'"),
        (["cat", []], UsageError, r"got both: 'cat' for '00', \[\] for '01'"),
        ([[], []], SourceError, "expected a label for some of the images, got empty lists for all 2"),
        ([["cat"], [1]], UsageError, r"got both: 1 name \('cat' …\) and 1 index"),
        ([["cat"], [1.5]], UsageError, "expected a class name or a class index for '01', got float 1.5"),
        ([["cat"], [["dog"]]], UsageError, "for '01', got list"),
        ([np.array([0, 1]), np.array([1, 0])], UsageError, "for several labels, a list of them"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_lists(images=make(tmp_path, *names(2)), labels=labels)


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not hold \\(1\\):\n  'cow' of '01'\nIt holds: cat"):
        from_lists(images=make(tmp_path, *names(2)), labels=[["cat"], ["cat", "cow"]], class_names=["cat"])


# The list that is stored.


def make_sources(label_sets: list[tuple[int, ...]], **columns: Any) -> Sources:
    keys = [f"k{i:03}" for i in range(len(label_sets))]
    return Sources(
        root=None,
        keys=keys,
        images=[f"/{key}.png" for key in keys],
        columns=columns_by_name(LabelSetColumn(values=label_sets)),
        num_bytes=[1] * len(keys),
        names_by_field={"labels": [f"c{i}" for i in range(5)]},
        **{"splits": [None] * len(keys), **columns},
    )


def test_the_stored_list_gives_the_same_sources(tmp_path: Path) -> None:
    sources = make_sources([(0, 2), (), (1,)], splits=["train"] * 3)
    (tmp_path / "list").write_bytes(b"".join(listing_lines(sources, "train")))
    stored = {"train": read_listing(tmp_path / "list")}
    again = sources_of_listing(stored, None, sources.class_names)
    assert (again.kind, label_sets_of(again), labels_of(again)) == ("multilabel", label_sets_of(sources), None)
    assert compare_listing(stored, sources) == []
    other = make_sources([(0, 2), (3,), (1,)], splits=["train"] * 3)
    assert compare_listing(stored, other) == ["k001: label changed"]


@pytest.mark.parametrize("label", ['"cat"', "[true]", '["cat"]', "[[0]]", "1.5"])
def test_a_list_with_senseless_labels_is_refused(tmp_path: Path, label: str) -> None:
    (tmp_path / "list").write_text(f'{{"key": "k", "image": "k.png", "num_bytes": 1, "label": {label}}}\n')
    with pytest.raises(DatasetError, match="line 1: label: expected a class index or a list of them"):
        read_listing(tmp_path / "list")


# Strata.


def test_equal_sets_are_a_stratum_and_others_go_by_their_rarest_label() -> None:
    sets = [(0,)] * 20 + [(0, 1)] * 10 + [(0, 2)] * 6 + [(1, 2)] * 6 + [(0, 1, 3)] * 5 + [()] * 5
    strata = label_strata(sets)
    groups = [strata[:20], strata[20:30], strata[30:42], strata[42:]]
    assert [len(set(group)) for group in groups] == [1, 1, 1, 1]
    assert len({group[0] for group in groups}) == 4


def test_few_sources_join_the_largest_stratum() -> None:
    assert len(set(label_strata([(0,)] * 12 + [(1,)] * 15 + [(2,)] * 3))) == 2
    assert label_strata([(0,)] * 12 + [(1,)] * 15 + [(2,)] * 3)[-1] == label_strata([(0,)] * 12 + [(1,)] * 15)[-1]
    assert label_strata([(0,), (1,), ()]) == [0, 0, 0]
    assert label_strata([]) == []


@given(
    st.lists(st.sets(st.integers(0, 4)).map(lambda labels: tuple(sorted(labels))), min_size=MIN_STRATUM, max_size=80)
)
def test_no_stratum_is_small_and_equal_sets_stay_together(sets: list[tuple[int, ...]]) -> None:
    strata = label_strata(sets)
    assert min(Counter(strata).values()) >= MIN_STRATUM
    assert len(set(zip(sets, strata, strict=True))) == len(set(sets))


def test_each_split_gets_its_share_of_every_common_set() -> None:
    sources = make_sources([[(0,), (0, 1), (), (2, 3)][i % 4] for i in range(200)])
    done = assign_splits(sources, validation_split=0.2, test_split=0.1)
    found = Counter(zip(label_sets_of(sources) or [], done.splits, strict=True))
    assert set(found.values()) == {5, 10, 35}
    assert assign_splits(sources, validation_split=0.2, test_split=0.1).splits == done.splits


def test_groups_stay_together_and_labels_that_train_lacks_are_named() -> None:
    sets: list[tuple[int, ...]] = [(0,), (1,)] * 20
    done = assign_splits(make_sources(sets, groups=[f"g{i // 4}" for i in range(40)]), validation_split=0.3)
    assert all(len(set(done.splits[i : i + 4])) == 1 for i in range(0, 40, 4))
    assert Counter(done.splits) == {"train": 28, "validation": 12}
    splits = ["train", "train", "validation"]
    noted = assign_splits(make_sources([(0,), (), (0, 4)], splits=splits)).notes
    assert "Classes that have no source in train:\n  c4" in noted


def test_too_few_sources_are_refused() -> None:
    with pytest.raises(SourceError, match="sources of like labels: 1, of which 1 for validation"):
        assign_splits(make_sources([(0,)]), validation_split=0.5)
