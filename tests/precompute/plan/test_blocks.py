"""The grid's columns come from the data alone."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.errors import UsageError
from precompute.plan.blocks import MIB, block_bounds, choose_num_blocks, order_places

keys = st.lists(st.text(min_size=1, max_size=8).filter(lambda key: key.isprintable()), unique=True, max_size=40)


@pytest.mark.parametrize(("places", "blocks"), [(160, 16), (50_000, 32), (1_280_000, 576), (10_000_000, 1024)])
def test_examples_at_30_kb_a_record(places: int, blocks: int) -> None:
    assert choose_num_blocks(places, 30_000) == blocks


@pytest.mark.parametrize(("places", "blocks"), [(1, 1), (15, 1), (16, 2), (31, 2), (32, 4), (127, 8), (128, 16)])
def test_small_sets_keep_eight_places_a_block(places: int, blocks: int) -> None:
    assert choose_num_blocks(places, 100) == blocks


@given(
    places=st.integers(1, 10**8), record_bytes=st.integers(1, 10**8), shard_bytes=st.none() | st.integers(1024, 2**40)
)
def test_blocks_are_few_or_a_multiple_of_sixteen(places: int, record_bytes: int, shard_bytes: int | None) -> None:
    blocks = choose_num_blocks(places, record_bytes, shard_bytes)
    assert 1 <= blocks <= places
    assert blocks in (1, 2, 4, 8, 16) or blocks % 16 == 0 or blocks == places
    if shard_bytes is None and blocks > 16:
        # Rounding up to sixteen makes shards smaller by at most a half.
        assert places * record_bytes / blocks <= max(512 * MIB, places * record_bytes / 1024 + 1)


@given(places=st.integers(1, 5000), blocks=st.integers(1, 300))
def test_bounds_cover_all_places_evenly(places: int, blocks: int) -> None:
    if blocks > places:
        with pytest.raises(UsageError, match=rf"{places:,} places? cannot be cut into {blocks:,} blocks?"):
            block_bounds([(places, blocks)])
        return
    bounds = block_bounds([(places, blocks)])
    assert [i for first, last in bounds for i in range(first, last)] == list(range(places))
    sizes = {last - first for first, last in bounds}
    assert max(sizes) - min(sizes) <= 1


@given(keys=keys, data=st.data())
def test_order_is_that_of_keys_not_of_the_listing(keys: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(keys))
    order = [(keys[i], copy) for i, copy in order_places(keys)]
    assert order == [(shuffled[i], copy) for i, copy in order_places(shuffled)]
    assert sorted(key for key, _ in order) == sorted(keys)


@given(keys=keys.filter(bool), data=st.data())
def test_another_source_moves_no_other(keys: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(keys))
    rest = [key for key in keys if key != gone]
    order = [keys[i] for i, _ in order_places(keys)]
    assert [key for key in order if key != gone] == [rest[i] for i, _ in order_places(rest)]


@given(old=keys.filter(bool), new=keys, data=st.data())
def test_a_segment_more_moves_no_place_of_the_first(old: list[str], new: list[str], data: st.DataObject) -> None:
    new = [key for key in new if key not in old]
    together = sorted([*old, *new])
    segment_of = [int(key in new) for key in together]
    blocks = data.draw(st.integers(1, len(old)))
    before = [old[i] for i, _ in order_places(old)]
    after = [together[i] for i, _ in order_places(together, None, segment_of)]
    assert after == before + [new[i] for i, _ in order_places(new)]
    sizes = [(len(old), blocks), *([(len(new), 1)] if new else [])]
    assert block_bounds(sizes)[:blocks] == block_bounds([(len(old), blocks)])
    assert [i for first, last in block_bounds(sizes) for i in range(first, last)] == list(range(len(together)))


def test_copies_are_places_of_their_own() -> None:
    places = order_places(["a", "b"], [3, 1])
    assert sorted(places) == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_order_is_pinned() -> None:
    # Part of the format (FORMAT.md, "The grid"): it may never change.
    keys = [f"s{i}" for i in range(8)]
    order = [keys[i] for i, _ in order_places(keys)]
    assert order == ["s6", "s1", "s5", "s2", "s4", "s3", "s0", "s7"]
    assert order == sorted(
        keys, key=lambda key: blake2b(key.encode() + bytes(8), digest_size=16, person=b"augonce-order-1").digest()
    )
