"""`precompute.read`: stored examples as NumPy arrays, one by one; needs neither TensorFlow nor OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from precompute.dataset.guards import check_shards
from precompute.dataset.leases import Lease, RowName, hold_rows
from precompute.dataset.manifest import Manifest, Row, RowFile, read_row_file
from precompute.dataset.rows import select_rows
from precompute.dataset.shard_cache import ShardCache, open_cache
from precompute.errors import DatasetError, UsageError
from precompute.record.stored import decode_record, difference
from precompute.record.tfrecord import read_records
from precompute.storage.paths import as_path

__all__ = ["choose_row", "read"]

REPAIR = "Run the same `precompute build` again: it puts back what is missing or altered."


def read(
    path: str | Path, *, split: str = "train", row: int | None = None, cache_dir: str | Path | None = None
) -> Iterator[dict[str, Any]]:
    """Return the examples of one row, in the order in which they are stored.

    Args:
        path: Folder of the dataset, or its URL in an object store.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        row: Number of the row; the first listed one when None. A row holds every source of the split once.
        cache_dir: Of a dataset in an object store: local folder that shards are fetched to before they are read.

    Returns:
        Iterator over dictionaries: `key` and `filename` (str), `image` (uint8 [H, W, 3], RGB), `label` (int) and
        `class_name` (str), or `labels` (list of int, ascending, maybe empty) and `class_names` (list of str), or `mask`
        (uint8 or uint16 [H, W], class ids), or `boxes` (float32 [N, 4]: x_min, y_min, x_max, y_max in pixels of the
        image) with `labels` (int64 [N]), `class_names` (list of str), `crowd`, `difficult` and `truncated` (bool [N]);
        and the draw that made it: `seed`, `variant` (−1 in the original row),
        `copy`.

    Raises:
        DatasetError: The dataset is missing, short or altered; what shows in the files' sizes before the first
            example, the rest while reading.
        UsageError: There is no such split or row.
    """
    root = as_path(path)

    def names(manifest: Manifest) -> list[RowName]:
        return [(manifest.generation, split, choose_row(manifest, split, row).row)]

    manifest, lease = hold_rows(root, names)
    chosen = choose_row(manifest, split, row)
    check_shards(root, manifest, split, [chosen], full=False)
    cache = open_cache(root, cache_dir)
    local = None if cache is None else cache.names(manifest, split, chosen)
    return _examples(root, manifest, read_row_file(root, manifest, split, chosen), lease, cache, local)


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
    root: Path, manifest: Manifest, row_file: RowFile, lease: Lease, cache: ShardCache | None, local: list[str] | None
) -> Iterator[dict[str, Any]]:
    try:
        for block, shard in enumerate(row_file.shards):
            path = manifest.shard_path(root, row_file.split, row_file.row, block)
            if cache is not None and local is not None:
                cache.fetch([local[block]])
                path = Path(local[block])
            num_records = 0
            for record in read_records(path):
                yield _example(record, manifest, f"{path}: record {num_records}")
                num_records += 1
            if num_records != shard.num_records:
                raise DatasetError(f"{path}: {num_records} records, expected {shard.num_records}. {REPAIR}")
    finally:
        lease.close()


def _example(record: bytes, manifest: Manifest, where: str) -> dict[str, Any]:
    try:
        example = decode_record(record, multilabel=manifest.target.kind == "multilabel")
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from error
    wrong = difference(example, manifest)
    if wrong:
        raise DatasetError(f"{where} ({example['key']}): {wrong}. {REPAIR}")
    return {name: value for name, value in example.items() if name not in ("source_id", "format")}
