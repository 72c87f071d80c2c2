"""`precompute.load`: manifest → tf.data.

This module, `epochs` and `decoding` alone load TensorFlow, and none of them needs Albumentations or OpenCV.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

try:
    import keras  # noqa: F401  (named here, so that its absence is explained too)
    import tensorflow as tf
except ImportError as error:
    raise ImportError("precompute.load needs TensorFlow and Keras: pip install 'augment-once[train]'") from error

from precompute.dataset.guards import check_leaks, check_shards
from precompute.dataset.leases import Lease, hold_rows
from precompute.dataset.manifest import Manifest, Row, Split
from precompute.dataset.rows import position_of_epoch, select_rows
from precompute.decoding import batch_parser
from precompute.epochs import EpochCounter, EpochRow
from precompute.errors import DatasetError, UsageError

__all__ = ["EpochRow", "load"]

SHUFFLE_BUFFER_BYTES = 128 * 2**20  # encoded records; blocks are a global shuffle already, this mixes further
INTERLEAVED_SHARDS = 16
PARALLEL_READS = 4  # at most as many as shards are open
CHECKS = ("sizes", "full", "none")


def load(
    path: str | Path,
    *,
    split: str = "train",
    batch_size: int = 32,
    rows: str | Sequence[int] = "cycle",
    shuffle: bool | None = None,
    shuffle_seed: int = 0,
    drop_remainder: bool = False,
    with_keys: bool = False,
    cache: bool = False,
    normalize: bool = False,
    check: str = "sizes",
    allow_leak: bool = False,
) -> Any:
    """Return a split of a dataset as a `tf.data.Dataset` of batches.

    Each iteration reads one row, which holds every source once: epoch e of a plain `fit` reads row e mod R of the
    R chosen rows. Without the callback `EpochRow`, each fresh iteration counts as an epoch: a peek at a batch, or
    `initial_epoch`, then shifts which row is read, never how much of it. Let `fit` count the epochs: do not add
    `.repeat()`, and use `cache=True` in place of `.cache()`, which would hold the first row for ever.

    As long as the dataset is in use, a small file in the dataset's folder keeps `regenerate`, `drop` and
    `build --replace` from deleting the rows that it may read. Where the folder cannot be written to, there is none.

    Args:
        path: Folder of the dataset.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        batch_size: Examples a batch; the last may be smaller.
        rows: ``"cycle"``: a listed row an epoch, in turn; ``"all"``: all listed rows in one long epoch; or the row
            numbers to take turns with.
        shuffle: Mix shards and records anew in each epoch; by default only for train.
        shuffle_seed: Decides the order together with the epoch.
        drop_remainder: Leave a smaller last batch out, so that the batch size is static.
        with_keys: Add the sources' keys as a third component, string [B].
        cache: Hold the decoded rows in memory, read once now.
        normalize: Apply the Normalize that was taken off the pipeline: images become float32.
        check: ``"sizes"`` compares all files' sizes with the row files, ``"full"`` also their sha256, ``"none"``
            neither.
        allow_leak: Read a split that shares a source's content with another one.

    Returns:
        Dataset of (image uint8 [B, H, W, C] RGB, target): int64 [B] class indices, or uint8 [B, H, W] class ids
        (int32 with more than 256 classes). Its cardinality is known.

    Raises:
        DatasetError: The dataset is missing, short or altered, or splits share a source's content.
        UsageError: An argument is not one that the dataset can serve.
    """
    root, batch_size = Path(path).absolute(), _integer("batch_size", batch_size, 1)
    rows = rows if isinstance(rows, str) else _row_numbers(rows)
    shuffle = split == "train" if shuffle is None else shuffle
    seed = _integer("shuffle_seed", shuffle_seed, -(2**63)) if shuffle else None
    manifest, chosen, lease = _open(root, split, rows, check=check, allow_leak=allow_leak)
    rows_an_epoch = len(chosen) if rows == "all" else 1
    num_batches = _count_batches(chosen[0].num_records * rows_an_epoch, batch_size, drop_remainder=drop_remainder)

    read_row = _row_reader(root, manifest, split, chosen, seed=seed)
    parse = batch_parser(manifest, split, with_keys=with_keys, normalize=normalize)
    if cache:
        examples = _read_all(_row_reader(root, manifest, split, chosen, seed=None), parse, len(chosen), batch_size)
        read_row, parse = _memory_reader(len(chosen), chosen[0].num_records, seed=seed), _memory_parser(examples)
        lease.close()

    epoch = EpochCounter(lease)
    dataset = (
        epoch.numbers()
        .flat_map(lambda e: tf.data.Dataset.range(e * rows_an_epoch, (e + 1) * rows_an_epoch))  # rows read so far
        .flat_map(read_row)  # shards ► interleave ► shuffle: encoded records
        .batch(batch_size, drop_remainder=drop_remainder)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)  # batches in parallel
        .apply(tf.data.experimental.assert_cardinality(num_batches))
        .prefetch(tf.data.AUTOTUNE)
    )
    return epoch.attach(dataset)


def _integer(name: str, value: Any, low: int) -> int:
    try:
        number = operator.index(value)  # NumPy's integers are welcome
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not low <= number < 2**63:
        expected = "an integer" if low < 0 else f"an integer of {low} or more"
        raise UsageError(f"{name}: expected {expected}, got {value!r}.")
    return number


def _open(
    root: Path, split: str, rows: str | Sequence[int], *, check: str, allow_leak: bool
) -> tuple[Manifest, list[Row], Lease]:
    """Return the manifest and the chosen rows, looked at and held."""
    if check not in CHECKS:
        raise UsageError(f"check: expected one of {', '.join(CHECKS)}, got {check!r}.")

    def choose(manifest: Manifest) -> list[Row]:
        return select_rows(_grid(manifest, root, split), rows, name=split)

    manifest, lease = hold_rows(root, lambda m: [(m.generation, split, row.row) for row in choose(m)])
    chosen = choose(manifest)
    try:
        if not allow_leak:
            check_leaks(root, manifest, split)
        if check != "none":
            check_shards(root, manifest, split, chosen, full=check == "full")
    except DatasetError:
        lease.close()
        raise
    return manifest, chosen, lease


def _row_numbers(rows: Sequence[int]) -> list[int]:
    try:
        return [operator.index(number) for number in rows]
    except TypeError:
        raise UsageError(f"rows: expected 'cycle', 'all' or a list of row numbers, got {rows!r}.") from None


def _grid(manifest: Manifest, root: Path, split: str) -> Split:
    if split not in manifest.splits:
        raise UsageError(f"split: {root} has {', '.join(manifest.splits)}; got {split!r}.")
    grid = manifest.splits[split]
    if not grid.rows:
        raise DatasetError(f"{root}: {split} lists no rows; add some with `precompute build`.")
    return grid


def _count_batches(num_records: int, batch_size: int, *, drop_remainder: bool) -> int:
    if drop_remainder and num_records < batch_size:
        raise UsageError(
            f"batch_size: an epoch has {num_records} records, so that drop_remainder leaves no batch of {batch_size}."
        )
    return num_records // batch_size if drop_remainder else -(-num_records // batch_size)


def _row_reader(
    root: Path, manifest: Manifest, split: str, rows: Sequence[Row], *, seed: int | None
) -> Callable[[Any], Any]:
    """Return a function from the number of rows read so far to a dataset of one row's encoded records."""
    grid = manifest.splits[split]
    table = tf.constant(
        [[str(manifest.shard_path(root, split, row.row, block)) for block in range(grid.num_blocks)] for row in rows]
    )
    mean_bytes = max(1, rows[0].num_bytes // max(1, grid.num_records))
    num_open = min(INTERLEAVED_SHARDS, grid.num_blocks)
    buffer_size = max(1, min(grid.num_records, SHUFFLE_BUFFER_BYTES // mean_bytes))

    def read_row(count: Any) -> Any:
        files = tf.gather(table, position_of_epoch(count, len(rows)))
        if seed is None:
            return tf.data.TFRecordDataset(files)
        key = tf.stack([tf.constant(seed, tf.int64), count])
        files = tf.random.experimental.stateless_shuffle(files, seed=key)
        records = tf.data.Dataset.from_tensor_slices(files).interleave(
            tf.data.TFRecordDataset, cycle_length=num_open, num_parallel_calls=min(PARALLEL_READS, num_open)
        )
        return _shuffle(records, buffer_size, key)

    return read_row


def _shuffle(records: Any, buffer_size: int, key: Any) -> Any:
    """Return the records mixed, by a key that is known inside the graph alone.

    `Dataset.shuffle` mixes the program's global seed in, so that the order would depend on it, and fails on a seed
    that is a tensor when the global one is 0. Source: get_seed in
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/framework/random_seed.py
    """
    seeds = tf.random.stateless_uniform([2], seed=key, minval=None, maxval=None, dtype=tf.int64)
    mixed = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(records),
        buffer_size=buffer_size,
        seed=seeds[0],
        seed2=seeds[1],
        output_types=[tf.string],
        output_shapes=[[]],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(mixed, tf.TensorSpec([], tf.string))


def _memory_reader(num_rows: int, num_records: int, *, seed: int | None) -> Callable[[Any], Any]:
    """Return a function from the number of rows read so far to a dataset of positions among the held examples."""

    def read_row(count: Any) -> Any:
        first = position_of_epoch(count, num_rows) * num_records
        positions = tf.range(first, first + num_records)
        if seed is not None:
            key = tf.stack([tf.constant(seed, tf.int64), count])
            positions = tf.random.experimental.stateless_shuffle(positions, seed=key)
        return tf.data.Dataset.from_tensor_slices(positions)

    return read_row


def _read_all(read_row: Callable[[Any], Any], parse: Callable[[Any], Any], num_rows: int, batch_size: int) -> Any:
    """Return all examples of all rows, decoded: a tuple of tensors."""
    dataset = tf.data.Dataset.range(num_rows).flat_map(read_row).batch(batch_size)
    batches = list(dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True))
    with tf.device("CPU:0"):
        return tuple(tf.concat(parts, axis=0) for parts in zip(*batches, strict=True))


def _memory_parser(examples: Any) -> Callable[[Any], Any]:
    """Return a function from positions among the held examples, int64 [B], to a batch."""
    return lambda positions: tuple(tf.gather(values, positions) for values in examples)
