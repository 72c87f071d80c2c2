"""`load`: the order of records can be entered anywhere, and several readers share it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import precompute
from precompute.errors import UsageError
from precompute.readers.tf import order
from tests.helpers.stored_records import Stored, build_rows

NUM_SOURCES = 32


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rows(tmp_path_factory.mktemp("order"))


@pytest.fixture(scope="module")
def stored(out: Path) -> Stored:
    return Stored(out)


@pytest.fixture(autouse=True, scope="module")
def small_groups() -> Any:
    """Two shards a group and a few records in the buffer, so that a row of four shards has several groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "GROUP_SHARDS", 2)
        patch.setattr(order, "WINDOW_BYTES", 5_000)
        yield


# Entering an epoch


@settings(max_examples=10)
@given(
    batch_size=st.integers(1, 12),
    share=st.floats(0, 1),
    rows=st.sampled_from(["cycle", "all", "follow", [2, 0]]),
    shuffle=st.booleans(),
    drop_remainder=st.booleans(),
)
@pytest.mark.slow
def test_the_rest_of_an_epoch_is_what_was_left_of_it(
    out: Path, stored: Stored, batch_size: int, share: float, rows: Any, shuffle: bool, drop_remainder: bool
) -> None:
    given = {"batch_size": batch_size, "rows": rows, "shuffle": shuffle, "drop_remainder": drop_remainder}
    whole = precompute.load(out, **given)
    start = round(share * int(whole.cardinality()))
    rest = precompute.load(out, start_batch=start, **given)
    assert int(rest.cardinality()) == int(whole.cardinality()) - start
    for _ in range(2):
        assert [stored.name(images) for images, _ in rest] == [stored.name(images) for images, _ in whole][start:]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.slow
def test_held_in_memory_an_epoch_can_be_entered_too(out: Path, stored: Stored, shuffle: bool) -> None:
    whole = precompute.load(out, batch_size=5, cache=True, shuffle=shuffle)
    rest = precompute.load(out, batch_size=5, cache=True, shuffle=shuffle, start_batch=3)
    assert stored.epoch(rest) == stored.epoch(whole)[15:]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.slow
def test_shards_before_the_start_are_not_read(tmp_path: Path, shuffle: bool) -> None:
    out = build_rows(tmp_path, num_rows=1)
    stored = Stored(out)
    late = stored.epoch(precompute.load(out, batch_size=4, shuffle=shuffle))[24:]  # the last shard, or group
    used = set()
    for shard in sorted((out / "data").rglob("*train_r0000.tfrecord-*")):
        records = tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()
        keys = {tf.train.Example.FromString(r).features.feature["augment/key"].bytes_list.value[0] for r in records}
        if keys & {key.encode() for _, key in late}:
            used.add(shard)
        else:
            shard.write_bytes(b"not read")
    assert len(used) == (2 if shuffle else 1)
    rest = precompute.load(out, batch_size=4, shuffle=shuffle, start_batch=6, check="none")
    assert stored.epoch(rest) == late


def test_a_start_behind_the_end_is_refused(out: Path) -> None:
    with pytest.raises(UsageError, match=r"start_batch: expected an integer of 0 or more, at most 4, got 5\."):
        precompute.load(out, batch_size=8, start_batch=5)


@pytest.mark.slow
def test_groups_are_mixed(out: Path, stored: Stored) -> None:
    orders = [[key for _, key in stored.epoch(precompute.load(out, shuffle_seed=seed))] for seed in range(2)]
    assert orders[0] != orders[1]
    assert all(sorted(keys) == stored.keys["train"] for keys in orders)


# Readers that share a row


def shared(out: Path, number: int, replicas: int, **arguments: Any) -> list[Any]:
    contexts = [tf.distribute.InputContext(number, i, replicas) for i in range(number)]
    return [precompute.load(out, input_context=context, **arguments) for context in contexts]


@pytest.mark.parametrize(("number", "rows"), [(2, "cycle"), (4, "follow")])
@pytest.mark.slow
def test_readers_divide_the_shards_and_agree_on_the_row(out: Path, stored: Stored, number: int, rows: str) -> None:
    readers = shared(out, number, number, batch_size=2 * number, rows=rows)
    for epoch in (0, 1):
        parts = [stored.epoch(reader) for reader in readers]
        assert {len(part) for part in parts} == {NUM_SOURCES // number}
        assert sorted(seen for part in parts for seen in part) == stored.whole_row(epoch)


@pytest.mark.slow
def test_with_fewer_shards_than_readers_it_is_said_and_records_are_divided(out: Path, stored: Stored) -> None:
    with pytest.warns(UserWarning, match=r"4 shards do not divide among 5 readers.*every 5th record.*--shard-size"):
        readers = shared(out, 5, 5, batch_size=10)
    parts = [stored.epoch(reader) for reader in readers]
    assert [len(part) for part in parts] == [6] * 5  # 32 // 5
    seen = [name for part in parts for name in part]
    assert len(set(seen)) == 30
    assert set(seen) < set(stored.whole_row(0))


@pytest.mark.filterwarnings("ignore:4 shards do not divide")
@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("cache", [False, True], ids=["streamed", "cache"])
@pytest.mark.slow
def test_a_shared_epoch_can_be_entered(out: Path, stored: Stored, number: int, cache: bool) -> None:
    whole = shared(out, number, number, batch_size=2 * number, cache=cache)
    rest = shared(out, number, number, batch_size=2 * number, cache=cache, start_batch=2)
    for one, other in zip(whole, rest, strict=True):
        assert stored.epoch(other) == stored.epoch(one)[4:]


def test_a_readers_replicas_get_equally_many_batches(out: Path) -> None:
    readers = shared(out, 2, 6, batch_size=18)  # 16 records a reader, 3 a batch, 3 replicas each
    assert [int(reader.cardinality()) for reader in readers] == [3, 3]


def test_a_batch_size_that_does_not_divide_is_refused(out: Path) -> None:
    with pytest.raises(UsageError, match=r"batch_size: expected a multiple of the 4 replicas, got 6\."):
        shared(out, 2, 4, batch_size=6)
    with pytest.raises(UsageError, match=r"2 readers have 16 records each, .*leaves no batch of 32\."):
        shared(out, 2, 2, batch_size=64)
