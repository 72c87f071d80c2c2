"""`precompute.read`: stored examples as NumPy arrays, one by one; needs neither TensorFlow nor OpenCV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from precompute.dataset.leases import Lease
from precompute.dataset.manifest import Manifest, Row, Split
from precompute.dataset.rows import position_of_epoch, select_rows
from precompute.dataset.shard_cache import ShardCache, open_cache
from precompute.errors import DatasetError, UsageError
from precompute.options.plain_values import converts_arguments
from precompute.readers.epoch import (
    WINDOW_BYTES,
    OpenedSplit,
    Part,
    check_integer,
    open_split,
    part_of_row,
    shard_paths,
)
from precompute.records.stored import decode_record, difference
from precompute.records.tfrecord import read_records
from precompute.storage.paths import as_path
from precompute.text.format import format_count

__all__ = ["read", "read_stored"]

REPAIR = "Run the same `precompute build` again: it puts back what is missing or altered."


@converts_arguments
def read(
    path: str | Path,
    *,
    split: str = "train",
    row: int | None = None,
    epoch: int | None = None,
    shuffle_seed: int | None = None,
    part: tuple[int, int] = (0, 1),
    cache_dir: str | Path | None = None,
) -> Iterator[dict[str, Any]]:
    """Return the examples of one row, for any framework: no TensorFlow and no OpenCV is needed.

    Args:
        path: Folder of the dataset, or its URL in an object store.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        row: Number of the row; the first listed one when None. A row holds every source of the split once.
        epoch: Number of an epoch, in place of a row: epoch e reads row e mod R of the R listed rows, as `load` does.
        shuffle_seed: Seed that decides the order, with the row and the epoch: shards are shuffled, and examples within
            windows of 64 MiB. None: the order in which examples are stored, which is the same in every row.
        part: (index, number): this reader's part of the row when a number of readers (workers, machines) share it.
            Each takes whole shards where that divides the row about evenly, else every number-th example. With equal
            other arguments no example comes twice and none is left out.
        cache_dir: Local folder that shards of a dataset in an object store are fetched to before they are read.

    Returns:
        Iterator over dictionaries. Every example has:

        - `image`: uint8 [H, W, 3], RGB, 0 to 255; H and W are the same in the whole dataset. Decoded by Pillow.
        - `key`, `filename`: str; they name the source.
        - `seed`, `variant`, `copy`: int; they name the draw; variant is −1 in the original row.

        And by target:

        - class: `label`: int; `class_name`: str.
        - several labels: `labels`: list of int, ascending, maybe empty; `class_names`: list of str, their names.
        - mask: `mask`: [H, W], class ids, uint8, or uint16 where ids exceed 255.
        - boxes: `boxes`: float32 [N, 4], x_min, y_min, x_max, y_max in pixels of the image, N may be 0; `labels`: int64
          [N]; `class_names`: list of str; `crowd`, `difficult`, `truncated`: bool [N].
        - instances: the same, and `masks`: bool [N, H, W]; boxes lie tightly around them.
        - keypoints: what boxes have, without `boxes` where there are none; `keypoints`: float32 [N, K, 2], x, y in
          pixels, counted as boxes are; `visibility`: int64 [N, K], 0 not labelled or not in the image (x, y are 0, 0
          then), 1 hidden, 2 visible; `keypoint_names`: list of K str.
        - numbers: `values`: dictionary of float, as float32 keeps them; not a number where one is missing.
        - image: nothing else.

        Where sources have them: `weight`: float; `extra`: dictionary of int, float (as float32 keeps it) or str; each
        further image under its name: uint8 [H, W, 1, 3 or 4], uint16 or float32 [H, W, 1].

        Arrays are writeable and belong to the caller. `precompute.inspect(path)` has what all examples share:
        `manifest.target` (number and names of classes, ignore class; `manifest.targets` where there are several),
        `manifest.image` (size), and for each split the rows and how many examples they hold.

    Raises:
        DatasetError: The dataset is missing, short or altered. Wrong sizes of files are found before the first
            example, other damage while reading.
        UsageError: There is no such split or row, or an argument makes no sense.
    """
    _check_arguments(row, epoch, shuffle_seed, part)
    manifest, _, examples = read_stored(
        path, split=split, row=row, epoch=epoch, shuffle_seed=shuffle_seed, part=part, cache_dir=cache_dir
    )
    left_out = {"source_id", *(name for field in manifest.schema.values() for name in field.stored_entries)}
    return ({name: value for name, value in example.items() if name not in left_out} for example in examples)


def _check_arguments(row: int | None, epoch: int | None, shuffle_seed: int | None, part: tuple[int, int]) -> None:
    if row is not None and epoch is not None:
        raise UsageError(f"row, epoch: give one of them; got row {row!r} and epoch {epoch!r}.")
    for name, value in (("epoch", epoch), ("shuffle_seed", shuffle_seed)):
        if value is not None:
            check_integer(name, value, 0, math.inf)
    pair = part if isinstance(part, tuple | list) and len(part) == 2 else (None, None)
    if not all(map(_is_count, pair)) or not pair[0] < pair[1]:
        raise UsageError(f"part: expected (index, number) with an index from 0 to number - 1, got {part!r}.")


def _is_count(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and value >= 0


def read_stored(
    path: str | Path,
    *,
    split: str,
    row: int | None,
    epoch: int | None = None,
    shuffle_seed: int | None = None,
    part: tuple[int, int] = (0, 1),
    cache_dir: str | Path | None = None,
) -> tuple[Manifest, Row, Iterator[dict[str, Any]]]:
    """Return the manifest, the row, and its examples with their encoded bytes; arguments and errors as in `read`."""

    def choose(listed: Split) -> list[Row]:
        if row is not None:
            return select_rows(listed, [row], name=split)
        return [listed.rows[position_of_epoch(epoch or 0, len(listed.rows))]]

    opened, lease = open_split(as_path(path), split, choose)
    [chosen] = opened.rows
    cache = open_cache(opened.root, cache_dir)
    shards = shard_paths(opened.root, opened.manifest, split, chosen, cache)
    mixer = None if shuffle_seed is None else np.random.default_rng([shuffle_seed, chosen.row, epoch or 0])
    examples = _examples(opened, lease, shards, cache, mixer, part_of_row(opened.block_sizes, *part))
    return opened.manifest, chosen, examples


def _examples(
    opened: OpenedSplit,
    lease: Lease,
    shards: Sequence[str],
    cache: ShardCache | None,
    mixer: np.random.Generator | None,
    part: Part,
) -> Iterator[dict[str, Any]]:
    blocks = list(range(len(shards)))
    if mixer is not None:
        mixer.shuffle(blocks)
    records = _records(opened, shards, part.shards(blocks), cache)
    if part.by_record:
        records = islice(records, part.index, None, part.num_readers)
    try:
        for record, where in records if mixer is None else _mixed(records, mixer):
            yield _example(record, opened.manifest, where)
    finally:
        lease.close()


def _records(
    opened: OpenedSplit, shards: Sequence[str], blocks: Sequence[int], cache: ShardCache | None
) -> Iterator[tuple[bytes, str]]:
    """Yield the records of some shards, each with its place for messages."""
    for block in blocks:
        path, num_records = shards[block], 0
        if cache is None:
            opened.look(opened.rows[0].row, [path])
        else:
            cache.fetch([path])
        for record in read_records(Path(path)):
            yield record, f"{path}: record {num_records}"
            num_records += 1
        if num_records != opened.block_sizes[block]:
            raise DatasetError(
                f"{path}: {format_count(num_records, 'record')}, expected {opened.block_sizes[block]}. {REPAIR}"
            )


def _mixed(records: Iterator[tuple[bytes, str]], mixer: np.random.Generator) -> Iterator[tuple[bytes, str]]:
    """Yield records in another order, in windows that fit in memory."""
    window, num_bytes = list[tuple[bytes, str]](), 0
    for record in records:
        window.append(record)
        num_bytes += len(record[0])
        if num_bytes >= WINDOW_BYTES:
            yield from _shuffled(window, mixer)
            window, num_bytes = [], 0
    yield from _shuffled(window, mixer)


def _shuffled(window: list[tuple[bytes, str]], mixer: np.random.Generator) -> Iterator[tuple[bytes, str]]:
    return (window[i] for i in mixer.permutation(len(window)))


def _example(record: bytes, manifest: Manifest, where: str) -> dict[str, Any]:
    try:
        example = decode_record(record, manifest.schema)
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from error
    wrong = difference(example, manifest.schema)
    if wrong:
        raise DatasetError(f"{where} ({example['key']}): {wrong}. {REPAIR}")
    return example
