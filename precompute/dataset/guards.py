"""Checks before a split is read: its shards are those of the manifest, and it shares no content with other splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from precompute.dataset.manifest import Manifest, Row
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import read_row_file
from precompute.errors import DatasetError, first_few
from precompute.storage.paths import is_remote
from precompute.storage.snapshot import seen_at_once
from precompute.text.format import format_count

__all__ = ["check_leaks", "check_shards", "check_still_there"]


def check_leaks(root: Path, manifest: Manifest, split: str) -> None:
    """Refuse a split that shares a source's content with another one.

    Raises:
        DatasetError: It shares some; the message names the first such sources.
    """
    for leak in manifest.leaks:
        if split in leak.get("splits", ()):
            pairs = [" = ".join(map(str, pair)) for pair in leak.get("examples", ())]
            raise DatasetError(
                f"{root}: {' and '.join(leak['splits'])} share the content of "
                f"{format_count(leak.get('num_sources', 0), 'source')}, so a "
                f"score on one would flatter a model trained on the other:\n{first_few(pairs)}\n"
                "Remove the duplicates and build again, or pass allow_leak=True."
            )


def check_shards(root: Path, manifest: Manifest, split: str, rows: Sequence[Row], *, full: bool) -> None:
    """Compare the files of rows with their row files: sizes, and with `full` also sha256.

    Raises:
        DatasetError: Some are missing, short or altered; the message names the first ones.
    """
    wrong, num_shards = [], 0
    with seen_at_once(DatasetPaths(root).generation(manifest.generation)):
        for row in {row.row: row for row in rows}.values():  # a row may be asked for more than once
            shards = read_row_file(root, manifest, split, row).shards
            num_shards += len(shards)
            for block, shard in enumerate(shards):
                path = manifest.shard_path(root, split, row.row, block)
                try:
                    fault = shard.fault(path, full=full)
                except OSError as error:
                    fault = f"cannot be read ({error.strerror})"
                if fault is not None:
                    wrong.append(f"{path}: {fault}")
    if wrong:
        raise DatasetError(
            f"{root}: {len(wrong)} of {format_count(num_shards, 'shard')} of {split} "
            f"{'is' if len(wrong) == 1 else 'are'} not what the manifest says:\n"
            f"{first_few(wrong)}\nRun the same `precompute build` again{' with --check full' if full else ''}: it puts "
            "back what is missing or altered."
        )


def check_still_there(root: Path, manifest: Manifest, split: str, row: int, paths: Sequence[str]) -> None:
    """Check that the shards of a row are still there when it is read; they were when the dataset was opened.

    Args:
        manifest: The manifest as the reader knows it.
        paths: Paths of its shards, on a local disk.

    Raises:
        DatasetError: Some are missing; the message says what happened to the row, and what to do.
    """
    missing = [] if is_remote(root) else [path for path in paths if not Path(path).exists()]
    if missing:
        now = Manifest.load(root)
        rows = {row.row for row in now.splits[split].rows} if split in now.splits else set()
        if now.generation != manifest.generation:
            became = f"it was built anew meanwhile (generation {now.generation}, before {manifest.generation})"
        elif row not in rows:
            became = "the row was taken away meanwhile, by drop, follow or regenerate"
        else:
            raise DatasetError(
                f"{root}: {len(missing)} of {format_count(len(paths), 'shard')} of row {row} of {split} "
                f"{'is' if len(missing) == 1 else 'are'} missing:\n"
                f"{first_few(missing)}\nRun the same `precompute build` again: it puts back what is missing or altered."
            )
        raise DatasetError(
            f"{root}: row {row} of {split} is gone while it was to be read: {became}. The lease that keeps rows from "
            "being deleted was not seen there: name one folder for leases to readers and to those commands (lease_dir, "
            "--lease-dir), and load the dataset again."
        )
