"""What a reader reads in an epoch, from plain data: parts of a row, batches, integers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.errors import UsageError
from precompute.readers.epoch import MIN_SHARDS, batches_of_epoch, check_integer, part_of_row

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=40)


def taken(sizes: list[int], index: int, num_readers: int) -> list[tuple[int, int]]:
    """Return block and position of each record that a reader reads, as `read` and `load` come to them."""
    part = part_of_row(sizes, index, num_readers)
    records = [(block, i) for block in part.shards(list(range(len(sizes)))) for i in range(sizes[block])]
    return records[part.index :: part.num_readers] if part.by_record else records


@given(SIZES, st.integers(1, 50))
def test_readers_divide_a_row_and_can_count_on_a_size(sizes: list[int], num_readers: int) -> None:
    parts = [taken(sizes, index, num_readers) for index in range(num_readers)]
    whole = [(block, i) for block, size in enumerate(sizes) for i in range(size)]
    assert sorted(record for part in parts for record in part) == whole
    assert min(map(len, parts)) >= part_of_row(sizes, 0, num_readers).row_size


@given(SIZES, st.integers(1, 50))
def test_shards_are_divided_where_they_divide_about_evenly(sizes: list[int], num_readers: int) -> None:
    by_shard = len(sizes) % num_readers == 0 or len(sizes) >= MIN_SHARDS * num_readers
    assert part_of_row(sizes, 0, num_readers).by_record != by_shard


def context_of(index: int, readers: int, replicas: int) -> Any:
    return SimpleNamespace(input_pipeline_id=index, num_input_pipelines=readers, num_replicas_in_sync=replicas)


@given(SIZES, st.integers(1, 12), st.integers(1, 3), st.booleans())
def test_a_reader_alone_comes_to_all_records_or_all_whole_batches(
    sizes: list[int], batch_size: int, num_rows: int, drop_remainder: bool
) -> None:
    num_records = sum(sizes) * num_rows
    if drop_remainder and num_records < batch_size:
        with pytest.raises(UsageError, match="so that drop_remainder leaves no batch of"):
            batches_of_epoch(sizes, batch_size, None, num_rows, drop_remainder=True)
        return
    batches = batches_of_epoch(sizes, batch_size, None, num_rows, drop_remainder=drop_remainder)
    assert (batches.size, batches.num_replicas) == (batch_size, 1)
    left = num_records - batches.number * batch_size
    assert 0 <= left < batch_size if drop_remainder else -batch_size < left <= 0


def test_readers_that_share_come_to_the_same_number_of_batches_for_all_replicas() -> None:
    found = [batches_of_epoch([8, 9, 8, 7], 6, context_of(i, 2, 6), 1, drop_remainder=False) for i in range(2)]
    assert {(batches.size, batches.number, batches.num_replicas) for batches in found} == {(1, 15, 3)}
    assert all(batches.drop_remainder for batches in found)
    with pytest.raises(UsageError, match=r"of an epoch 2 readers have 15 records each, which leaves no batch of 16\."):
        batches_of_epoch([8, 9, 8, 7], 32, context_of(0, 2, 2), 1, drop_remainder=False)


def test_integers_are_pythons_own() -> None:
    assert type(check_integer("epoch", np.int64(3), 0)) is int
    for value, low, high in ((True, 0, 9), (1.0, 0, 9), (-1, 0, 9), (10, 0, 9), (None, 0, 9)):
        with pytest.raises(UsageError, match=rf"epoch: expected an integer of 0 or more, at most 9, got {value}\."):
            check_integer("epoch", value, low, high)
