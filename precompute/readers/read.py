"""`precompute.read`: stored examples as NumPy arrays, one by one; needs neither TensorFlow nor OpenCV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from precompute.dataset.guards import check_shards, check_still_there
from precompute.dataset.leases import Lease, RowName, hold_rows, note_without_lease
from precompute.dataset.manifest import Manifest, Row
from precompute.dataset.rows import position_of_epoch, read_row_file, select_rows
from precompute.dataset.shard_cache import ShardCache, open_cache
from precompute.errors import DatasetError, UsageError
from precompute.options.plain_values import converts_arguments
from precompute.records.stored import decode_record, difference
from precompute.records.tfrecord import read_records
from precompute.storage.paths import as_path
from precompute.text.format import format_count

__all__ = ["choose_row", "read", "read_stored"]

WINDOW_BYTES = 64 * 2**20  # encoded records; blocks are a global shuffle already, this mixes further
MIN_SHARDS = 16  # a reader; a shard more or less is then a few records in a hundred
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
        shuffle_seed: None: in the order in which examples are stored, the same one in every row. Else shards are
            shuffled, and examples within windows of 64 MiB, by this seed, the row and the epoch.
        part: (index, number): this reader's part of the row when it is shared among a number of them, workers or
            machines. They take whole shards where that divides them about evenly, else each every number-th example;
            given the same other arguments, no example comes twice and none is left out.
        cache_dir: Local folder that shards of a dataset in an object store are fetched to before they are read.

    Returns:
        Iterator over dictionaries. Every example has:

        - `image`: uint8 [H, W, 3], RGB, 0 to 255; H and W are the same in the whole dataset. Decoded by Pillow.
        - `key`, `filename`: str; of the source.
        - `seed`, `variant`, `copy`: int; the draw that made it; variant is −1 in the original row.

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

        Where sources have them: `weight`: float; `extra`: dictionary of int, float (as float32 keeps it) or str.

        Arrays are writeable and belong to the caller. `precompute.inspect(path)` has what all examples share:
        `manifest.target` (number and names of classes, ignore class), `manifest.image` (size), and for each split the
        rows and how many examples they hold.

    Raises:
        DatasetError: The dataset is missing, short or altered; what shows in the files' sizes before the first
            example, the rest while reading.
        UsageError: There is no such split or row, or an argument makes no sense.
    """
    _check_reading(row, epoch, shuffle_seed, part)
    manifest, _, examples = read_stored(
        path, split=split, row=row, epoch=epoch, shuffle_seed=shuffle_seed, part=part, cache_dir=cache_dir
    )
    left_out = {"source_id", *(name for field in manifest.schema.values() for name in field.stored_entries)}
    return ({name: value for name, value in example.items() if name not in left_out} for example in examples)


def _check_reading(row: int | None, epoch: int | None, shuffle_seed: int | None, part: tuple[int, int]) -> None:
    if row is not None and epoch is not None:
        raise UsageError(f"row, epoch: give one of them; got row {row!r} and epoch {epoch!r}.")
    for name, value in (("epoch", epoch), ("shuffle_seed", shuffle_seed)):
        if value is not None and not _is_count(value):
            raise UsageError(f"{name}: expected a whole number of 0 or more, got {value!r}.")
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
    """Return the manifest, the row, and its examples with their encoded bytes; arguments and errors as of `read`."""
    root = as_path(path)

    def choose(manifest: Manifest) -> Row:
        first = choose_row(manifest, split, row)
        rows = manifest.splits[split].rows
        return first if epoch is None else rows[position_of_epoch(epoch, len(rows))]

    def names(manifest: Manifest) -> list[RowName]:
        return [(manifest.generation, split, choose(manifest).row)]

    manifest, lease = hold_rows(root, names)
    note_without_lease(root, lease)
    chosen = choose(manifest)
    check_shards(root, manifest, split, [chosen], full=False)
    row_file = read_row_file(root, manifest, split, chosen)
    cache = open_cache(root, cache_dir)
    shards = _Shards(
        paths=[manifest.shard_path(root, split, chosen.row, block) for block in range(len(row_file.shards))],
        num_records=[shard.num_records for shard in row_file.shards],
        cache=cache,
        local=None if cache is None else cache.names(manifest, split, chosen),
        look=partial(check_still_there, root, manifest, split, chosen.row),
    )
    mixer = None if shuffle_seed is None else np.random.default_rng([shuffle_seed, chosen.row, epoch or 0])
    return manifest, chosen, _examples(manifest, shards, lease, mixer, part)


@dataclass(frozen=True, kw_only=True)
class _Shards:
    """The shards of a row: where they lie, records of each, and local copies if they lie in an object store.

    `look` checks that paths of the row are still there.
    """

    paths: list[Path]
    num_records: list[int]
    cache: ShardCache | None
    local: list[str] | None
    look: Callable[[list[str]], None]

    def fetch(self, block: int) -> Path:
        """Return where a shard can be read."""
        if self.cache is None or self.local is None:
            self.look([str(self.paths[block])])
            return self.paths[block]
        self.cache.fetch([self.local[block]])
        return Path(self.local[block])


def choose_row(manifest: Manifest, split: str, number: int | None) -> Row:
    """Return a listed row by its number, or the first one.

    Raises:
        DatasetError: The split lists no rows.
        UsageError: There is no such split or row.
    """
    if split not in manifest.splits:
        raise UsageError(f"split: the dataset has {', '.join(manifest.splits)}; got {split!r}.")
    rows = manifest.splits[split].rows
    if not rows:
        raise DatasetError(f"{manifest.name}: {split} lists no rows; add some with `precompute build`.")
    return rows[0] if number is None else select_rows(manifest.splits[split], [number], name=split)[0]


def _examples(
    manifest: Manifest, shards: _Shards, lease: Lease, mixer: np.random.Generator | None, part: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    index, number = part
    blocks = list(range(len(shards.paths)))
    if mixer is not None:
        mixer.shuffle(blocks)
    by_example = len(blocks) % number != 0 and len(blocks) < MIN_SHARDS * number
    records = _records(shards, blocks if by_example else blocks[index::number])
    if by_example:
        records = islice(records, index, None, number)
    try:
        for record, where in records if mixer is None else _mixed(records, mixer):
            yield _example(record, manifest, where)
    finally:
        lease.close()


def _records(shards: _Shards, blocks: Sequence[int]) -> Iterator[tuple[bytes, str]]:
    """Yield the records of some shards, each with where it stands."""
    for block in blocks:
        path, num_records = shards.fetch(block), 0
        for record in read_records(path):
            yield record, f"{path}: record {num_records}"
            num_records += 1
        if num_records != shards.num_records[block]:
            raise DatasetError(
                f"{path}: {format_count(num_records, 'record')}, expected {shards.num_records[block]}. {REPAIR}"
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
