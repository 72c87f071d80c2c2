"""Paths of all files of a dataset; no other module spells their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from precompute.storage.paths import is_remote
from precompute.storage.transfer import local_side

__all__ = ["DatasetPaths", "dataset_name"]

MAX_ROW = 9_999  # TensorFlow Datasets takes five digits for a shard number
# File systems take 255 bytes: after the name come split, row and block, and while a shard is written 32 digits.
MAX_NAME = 255 - len("-validation_r9999.tfrecord-99999-of-99999.") - 32


@dataclass(frozen=True)
class DatasetPaths:
    """File names of one dataset.

    For a dataset in an object store, `lock`, `temporary` and `heartbeats` lie on this machine's disk.

    Attributes:
        root: The dataset's folder.
    """

    root: Path

    @property
    def _on_disk(self) -> Path:
        return local_side(str(self.root)) if is_remote(self.root) else self.build

    @property
    def manifest(self) -> Path:
        """The manifest, the only file that is ever replaced."""
        return self.root / "manifest.json"

    @property
    def leases(self) -> Path:
        """Folder of small files that living readers renew."""
        return self.root / ".leases"

    @property
    def build(self) -> Path:
        """Folder for the writer alone."""
        return self.root / ".build"

    @property
    def lock(self) -> Path:
        """Lock file that the only writing process holds."""
        return self._on_disk / "lock"

    @property
    def temporary(self) -> Path:
        """Folder of files that have no final name yet."""
        return self._on_disk / "tmp"

    @property
    def heartbeats(self) -> Path:
        """Folder of notes that tell which source each worker is at."""
        return self._on_disk / "at"

    def marker(self, token: str) -> Path:
        """Return a file by which workers on other machines know that they see this dataset."""
        return (self.build if is_remote(self.root) else self.temporary) / f"marker.{token}"

    @property
    def errors(self) -> Path:
        """File of all bad sources of the last build, one JSON object per line."""
        return self.root / "errors.jsonl"

    @property
    def perceptual_hashes(self) -> Path:
        """File of hashes by which a report finds sources that look alike."""
        return self.build / "perceptual-hashes.npz"

    def draft(self, generation: str) -> Path:
        """Return the plan of a generation that the manifest does not list yet."""
        return self.build / generation / "plan.json"

    def receipts(self, generation: str) -> Path:
        """Return the folder of a generation's receipts."""
        return self.build / generation / "receipts"

    def receipt(self, generation: str, split: str, row: int, block: int) -> Path:
        """Return the proof that one cell of the grid is whole."""
        return self.receipts(generation) / f"{split}_r{row:04d}-{block:05d}.json"

    def block_facts(self, generation: str, split: str, block: int) -> Path:
        """Return the file of facts about the sources of one block."""
        return self.build / generation / "columns" / f"{split}-{block:05d}.json"

    def generation(self, generation: str) -> Path:
        """Return the folder of a generation's data."""
        return self.root / "data" / generation

    def sources(self, generation: str, split: str) -> Path:
        """Return the list of a split's sources."""
        return self.generation(generation) / f"sources-{split}.jsonl"

    def row_file(self, generation: str, split: str, row: int) -> Path:
        """Return the file with counts and hashes of one row's shards."""
        return self.generation(generation) / "rows" / f"{split}_r{row:04d}.json"

    def shard(self, name: str, generation: str, split: str, row: int, block: int, num_blocks: int) -> Path:
        """Return the shard of one cell of the grid."""
        return self.generation(generation) / f"{name}-{split}_r{row:04d}.tfrecord-{block:05d}-of-{num_blocks:05d}"

    def dali_index(self, shard: Path) -> Path:
        """Return the index file that NVIDIA DALI reads beside a shard; patterns for shards do not match its name."""
        return shard.parent / "dali" / f"{shard.name.replace('.tfrecord-', '.')}.idx"


def dataset_name(folder: Path) -> str:
    """Return the folder's name in snake_case, fit for TensorFlow Datasets and for the names of shards.

    Source: https://github.com/tensorflow/datasets/blob/v4.9.10/tensorflow_datasets/core/naming.py
    (names are ``[a-zA-Z][\\w]*``; five or more digits are read as a shard number).
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", folder.name)
    name = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    name = re.sub(r"(\d{4})(?=\d)", r"\1_", name)
    if not name or not name[0].isalpha():
        name = f"dataset_{name}".rstrip("_")
    return name[:MAX_NAME].rstrip("_")
