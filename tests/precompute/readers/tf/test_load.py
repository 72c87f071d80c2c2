"""`load`: what an iteration yields, in which order, and in which form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import precompute
from precompute.readers.read import read
from tests.helpers.small_datasets import draw_pairs, options
from tests.helpers.stored_records import NUM_ROWS, Stored, build_rows


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rows(tmp_path_factory.mktemp("load"))


@pytest.fixture(scope="module")
def stored(out: Path) -> Stored:
    return Stored(out)


def arrays(dataset: Any) -> list[tuple[np.ndarray, ...]]:
    return list(dataset.as_numpy_iterator())


# Rows and epochs


def test_each_iteration_reads_the_next_row(out: Path, stored: Stored) -> None:
    dataset = precompute.load(out, batch_size=5)
    for epoch in range(2 * NUM_ROWS + 1):
        assert sorted(stored.epoch(dataset)) == stored.whole_row(epoch % NUM_ROWS)


@settings(max_examples=20)
@given(
    batch_size=st.integers(1, 40),
    rows=st.lists(st.integers(0, NUM_ROWS - 1), min_size=1, max_size=5),
    shuffle=st.booleans(),
    shuffle_seed=st.integers(-(2**63), 2**63 - 1),
)
@pytest.mark.slow
def test_each_epoch_is_one_whole_row(
    out: Path, stored: Stored, batch_size: int, rows: list[int], shuffle: bool, shuffle_seed: int
) -> None:
    dataset = precompute.load(
        out, batch_size=batch_size, rows=rows, shuffle=shuffle, shuffle_seed=shuffle_seed * shuffle, with_keys=True
    )
    for row in [*rows, rows[0]]:
        batches = arrays(dataset)
        assert [len(images) for images, _, _ in batches[:-1]] == [batch_size] * (int(dataset.cardinality()) - 1)
        seen = [name for images, _, _ in batches for name in stored.name(images)]
        assert sorted(seen) == stored.whole_row(row)
        assert [key for _, key in seen] == [key.decode() for _, _, keys in batches for key in keys]


def test_all_rows_in_one_epoch(out: Path, stored: Stored) -> None:
    dataset = precompute.load(out, batch_size=7, rows="all")
    expected = [name for row in range(NUM_ROWS) for name in stored.whole_row(row)]
    assert int(dataset.cardinality()) == -(-len(expected) // 7) == len(arrays(dataset))
    first, second = stored.epoch(dataset), stored.epoch(dataset)
    assert sorted(first) == sorted(second) == sorted(expected)
    assert first != second


@pytest.mark.parametrize("rows", [(3, 1), range(1, 3), np.array([2, 0])], ids=["tuple", "range", "array"])
def test_rows_may_be_any_sequence(out: Path, stored: Stored, rows: Any) -> None:
    dataset = precompute.load(out, rows=rows, cache=False)
    assert [{row for row, _ in stored.epoch(dataset)} for _ in range(3)] == [{rows[0]}, {rows[1]}, {rows[0]}]


@pytest.mark.slow
def test_chosen_rows_keep_their_numbers_after_others_were_dropped(tmp_path: Path) -> None:
    out = build_rows(tmp_path)
    precompute.drop(out, rows=[0, 2])
    stored = Stored(out)
    dataset = precompute.load(out)
    assert [{row for row, _ in stored.epoch(dataset)} for _ in range(3)] == [{1}, {3}, {1}]
    assert sorted(stored.epoch(precompute.load(out, rows=[3]))) == stored.whole_row(3)


# Order


@pytest.mark.slow
def test_shuffling_is_decided_by_seed_and_epoch(out: Path, stored: Stored) -> None:
    def orders(**arguments: Any) -> list[list[str]]:
        dataset = precompute.load(out, batch_size=5, **arguments)
        return [[key for _, key in stored.epoch(dataset)] for _ in range(2 * NUM_ROWS)]

    seed_0, again, seed_1 = orders(), orders(shuffle_seed=0), orders(shuffle_seed=1)
    assert seed_0 == again
    assert len({tuple(order) for order in [*seed_0, *seed_1]}) == 4 * NUM_ROWS  # also where a row comes again


@pytest.mark.parametrize("cache", [False, True, "auto"], ids=["streamed", "cache", "auto"])
@pytest.mark.slow
def test_the_global_seed_has_no_say(out: Path, stored: Stored, cache: bool) -> None:
    orders = []
    for seed in (0, 1, 2**31):
        tf.random.set_seed(seed)
        orders.append(stored.epoch(precompute.load(out, cache=cache)))
    assert orders == [orders[0]] * 3


def test_without_shuffling_every_row_has_the_same_order(out: Path, stored: Stored) -> None:
    dataset = precompute.load(out, shuffle=False)
    orders = [[key for _, key in stored.epoch(dataset)] for _ in range(NUM_ROWS)]
    assert orders == [orders[0]] * NUM_ROWS


@pytest.mark.slow
def test_validation_has_a_fixed_order_unless_told_otherwise(out: Path, stored: Stored) -> None:
    fixed = precompute.load(out, split="validation")
    assert stored.epoch(fixed) == stored.epoch(fixed)
    assert sorted(stored.epoch(fixed)) == stored.whole_row(0, "validation")
    mixed = precompute.load(out, split="validation", shuffle=True)
    assert stored.epoch(mixed) != stored.epoch(mixed)


def test_shuffling_reaches_across_blocks(out: Path, stored: Stored) -> None:
    in_order = [key for _, key in stored.epoch(precompute.load(out, shuffle=False))]
    block = {key: i * 4 // len(in_order) for i, key in enumerate(in_order)}
    mixed = [block[key] for _, key in stored.epoch(precompute.load(out))]
    assert all(len(set(mixed[start : start + 8])) > 1 for start in range(0, len(mixed), 8))


# Form


def test_batches_of_class_labels(out: Path, stored: Stored) -> None:
    dataset = precompute.load(out, batch_size=5, with_keys=True, cache=False)
    assert dataset.element_spec == (
        tf.TensorSpec([None, 16, 16, 3], tf.uint8),
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([None], tf.string),
    )
    assert precompute.load(out, cache=False).element_spec == dataset.element_spec[:2]
    for _, labels, keys in arrays(dataset):
        assert labels.tolist() == [["cat", "dog"].index(key.decode().split("/")[0]) for key in keys]


def test_a_smaller_last_batch_can_be_left_out(out: Path, stored: Stored) -> None:
    dataset = precompute.load(out, batch_size=5, drop_remainder=True, with_keys=True, cache=False)
    assert [spec.shape for spec in dataset.element_spec] == [(5, 16, 16, 3), (5,), (5,)]
    assert int(dataset.cardinality()) == 32 // 5
    for row in range(NUM_ROWS):
        seen = stored.epoch(dataset)
        assert len(seen) == len(set(seen)) == 30
        assert set(seen) < set(stored.whole_row(row))


@pytest.mark.parametrize("rows", ["cycle", "all", [2, 2, 1]], ids=str)
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.slow
def test_held_in_memory_it_yields_the_same(out: Path, rows: Any, shuffle: bool) -> None:
    held = precompute.load(out, batch_size=5, rows=rows, shuffle=shuffle, cache=True, with_keys=True)
    streamed = precompute.load(out, batch_size=5, rows=rows, shuffle=shuffle, cache=False, with_keys=True)
    assert held.cardinality() == streamed.cardinality()
    assert held.element_spec == streamed.element_spec
    orders = set()
    for _ in range(NUM_ROWS):
        from_memory, from_disk = flat(arrays(held)), flat(arrays(streamed))
        assert from_memory == from_disk
        orders.add(tuple(key for key, _, _ in from_memory))
    assert len(orders) == (NUM_ROWS if shuffle else 1)


def flat(batches: list[tuple[np.ndarray, ...]]) -> list[tuple[bytes, int, bytes]]:
    """Return (key, label, pixels) of each example."""
    return [(k, int(y), x.tobytes()) for xs, ys, keys in batches for x, y, k in zip(xs, ys, keys, strict=True)]


@pytest.mark.slow
def test_held_in_memory_needs_no_files(tmp_path: Path) -> None:
    out = build_rows(tmp_path, num_rows=2)
    stored = Stored(out)
    dataset = precompute.load(out, cache=True)
    for shard in (out / "data").rglob("*.tfrecord-*"):
        shard.unlink()
    for row in (0, 1, 0):
        assert sorted(stored.epoch(dataset)) == stored.whole_row(row)


@pytest.mark.slow
def test_normalize_gives_the_numbers_of_albumentations(tmp_path: Path) -> None:
    steps = [A.Resize(16, 16), A.RandomBrightnessContrast(p=1)]
    normalize = A.Normalize(mean=(0.2, 0.5, 0.7), std=(0.3, 0.2, 0.1), max_pixel_value=200.0)
    out = build_rows(tmp_path, num_rows=1, pipeline={"train": A.Compose([*steps, normalize])})
    plain = arrays(precompute.load(out, shuffle=False))
    normalized = precompute.load(out, shuffle=False, normalize=True)
    assert normalized.element_spec[0] == tf.TensorSpec([None, 16, 16, 3], tf.float32)
    for (images, labels), (scaled, same) in zip(plain, arrays(normalized), strict=True):
        assert images.dtype == np.uint8
        assert labels.tolist() == same.tolist()
        for image, got in zip(images, scaled, strict=True):
            np.testing.assert_allclose(got, normalize(image=image)["image"], rtol=1e-5, atol=1e-5)


# Encodings


@pytest.mark.slow
@pytest.mark.parametrize(
    ("image_format", "size"),
    [("jpeg", (8, 12)), ("png", (8, 12)), ("raw", (8, 12)), ("raw", (200, 256))],  # the last are large records
)
def test_pixels_of_every_encoding(tmp_path: Path, image_format: str, size: tuple[int, int]) -> None:
    pipeline = {"train": A.Compose([A.Resize(*size), A.HorizontalFlip(p=0.5)])}
    draw_pairs(tmp_path / "sources")
    precompute.build(
        tmp_path / "sources", tmp_path / "out", **options(pipeline=pipeline, image_format=image_format, variants=1)
    )
    dataset = precompute.load(tmp_path / "out", batch_size=4, with_keys=True)
    assert dataset.element_spec[:2] == (
        tf.TensorSpec([None, *size, 3], tf.uint8),
        tf.TensorSpec([None, *size], tf.uint8),
    )
    seen = {k: (x, y) for xs, ys, keys in arrays(dataset) for x, y, k in zip(xs, ys, keys, strict=True)}
    expected = list(read(tmp_path / "out"))
    assert len(seen) == len(expected) == 9
    for example in expected:
        image, mask = seen[example["key"].encode()]
        largest = np.abs(image.astype(int) - example["image"]).max()
        assert largest <= (image_format == "jpeg")  # two builds of the decoder may round differently
        np.testing.assert_array_equal(mask, example["mask"])


@pytest.mark.slow
@pytest.mark.parametrize("image_format", ["png", "raw"])
@pytest.mark.parametrize(("num_classes", "dtype"), [(256, tf.uint8), (257, tf.int32), (60_000, tf.int32)])
def test_class_ids_of_masks(tmp_path: Path, image_format: str, num_classes: int, dtype: Any) -> None:
    largest = num_classes - 1
    draw_pairs(tmp_path / "sources")
    mask_map = {2: largest}
    given = options(image_format=image_format, variants=1, mask_map=mask_map, num_classes=num_classes)
    precompute.build(tmp_path / "sources", tmp_path / "out", **given)
    dataset = precompute.load(tmp_path / "out")
    assert dataset.element_spec[1] == tf.TensorSpec([None, 16, 16], dtype)
    assert {int(i) for _, masks in arrays(dataset) for i in np.unique(masks)} == {0, 1, largest}
