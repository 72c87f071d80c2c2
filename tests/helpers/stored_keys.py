"""Keys of the records of a row, as its shards hold them."""

from __future__ import annotations

from pathlib import Path

from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records


def keys_of(out: Path, split: str, row: int) -> list[str]:
    shards = sorted((out / "data").rglob(f"*-{split}_r{row:04d}.tfrecord-*"))
    return [decode_example(r)["augment/key"][0].decode() for shard in shards for r in read_records(shard)]
