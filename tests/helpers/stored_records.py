"""What a dataset holds, read by other means than the loader: the truth that readers are compared with."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import PIL.Image
import tensorflow as tf

import precompute
from tests.helpers.small_datasets import draw_classes, options

NUM_ROWS = 4

Seen = tuple[int, str]  # row, key


def build_rows(folder: Path, *, num_rows: int = NUM_ROWS, **changes: Any) -> Path:
    """Build a small dataset, in a few blocks, whose every record has pixels of its own."""
    brightness = A.RandomBrightnessContrast(brightness_limit=0.4, contrast_limit=0.4, p=1)
    pipeline = {"train": A.Compose([A.Resize(16, 16), brightness])}
    sources = draw_classes(folder / "sources", per_class=20)
    given = {"pipeline": pipeline, "variants": num_rows, "validation_split": 0.2, **changes}
    precompute.build(sources, folder / "out", **options(**given))
    return folder / "out"


class Stored:
    """Tells of any image which row and key it is, by its pixels.

    Attributes:
        keys: Split → keys of one row, sorted.
        rows: Split → numbers of the rows.
        records: (split, row, key) → features of the record, as TensorFlow's own classes parse them.
        by_pixels: Bytes of an image → its row and key.
    """

    def __init__(self, out: Path) -> None:
        self.records: dict[tuple[str, int, str], Any] = {}
        self.by_pixels: dict[bytes, Seen] = {}
        for shard in sorted((out / "data").rglob("*.tfrecord-*")):
            split, _, row = shard.name.split(".")[0].rpartition("-")[2].partition("_r")
            for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
                features = tf.train.Example.FromString(record).features.feature
                key = features["augment/key"].bytes_list.value[0].decode()
                assert (split, int(row), key) not in self.records
                self.records[split, int(row), key] = features
                pixels = decode(features["image/encoded"].bytes_list.value[0])
                assert self.by_pixels.setdefault(pixels.tobytes(), (int(row), key)) == (int(row), key)
        self.keys = {split: sorted({k for s, _, k in self.records if s == split}) for split, _, _ in self.records}
        self.rows = {split: sorted({r for s, r, _ in self.records if s == split}) for split, _, _ in self.records}

    def whole_row(self, row: int, split: str = "train") -> list[Seen]:
        """Return what an epoch that reads this row consists of, sorted."""
        return [(row, key) for key in self.keys[split]]

    def name(self, images: Any) -> list[Seen]:
        """Return (row, key) of each image of a batch."""
        return [self.by_pixels[np.asarray(image).astype(np.uint8).tobytes()] for image in images]

    def epoch(self, dataset: Iterable[Any]) -> list[Seen]:
        """Return (row, key) of all that one iteration yields, in its order."""
        return [seen for batch in dataset for seen in self.name(batch[0])]


def decode(encoded: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(PIL.Image.open(io.BytesIO(encoded)))
