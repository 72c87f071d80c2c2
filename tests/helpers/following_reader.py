"""A reader that follows, without TensorFlow. A program, not a test: it reads rows until it is killed.

Each epoch it holds the row that it reads and those not yet read, looks at the bytes of all that it holds, and appends
what it saw to a log: generation, row, variant and sha256 of the row's shards.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

from precompute.dataset import leases
from precompute.dataset.manifest import Manifest
from precompute.dataset.rows import read_row_file

RENEW_S = 0.2


def row_hash(out: Path, manifest: Manifest, row: int) -> str:
    """Return the sha256 of a row's shards; they must be those that the row file names."""
    listed = next(r for r in manifest.splits["train"].rows if r.row == row)
    hashed = hashlib.sha256()
    for block, shard in enumerate(read_row_file(out, manifest, "train", listed).shards):
        content = manifest.shard_path(out, "train", row, block).read_bytes()
        assert hashlib.sha256(content).hexdigest() == shard.sha256, f"row {row}, block {block}"
        hashed.update(content)
    return hashed.hexdigest()


def main(out: Path, log: Path, epoch_s: float) -> None:
    """Read one row an epoch."""
    leases.RENEW_S = RENEW_S
    chosen, read = 0, list[int]()

    def choose(manifest: Manifest) -> list[tuple[str, str, int]]:
        nonlocal chosen
        rows = [row.row for row in manifest.splits["train"].rows]
        unread = [row for row in rows if row not in read]
        chosen = (unread or sorted(rows, key=lambda row: (read.count(row), row)))[0]
        return [(manifest.generation, "train", row) for row in sorted({chosen, *unread})]

    manifest, lease = leases.hold_rows(out, choose)
    while True:
        variants = {row.row: row.variant for row in manifest.splits["train"].rows}
        for stays in (0.0, epoch_s):
            time.sleep(stays)
            for _, _, row in choose(manifest):
                seen = [manifest.generation, row, variants[row], row_hash(out, manifest, row)]
                with log.open("a") as file:
                    file.write(json.dumps(seen) + "\n")
        read.append(chosen)
        manifest = leases.hold_again(out, lease, choose)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
