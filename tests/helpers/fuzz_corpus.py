"""Valid files to start from, inputs made of them, and what reads each kind."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import precompute
from precompute.building.receipts import BlockFacts, Receipt, read_block_facts, read_receipt
from precompute.dataset.guards import check_leaks, check_shards
from precompute.dataset.leases import held_rows
from precompute.dataset.manifest import Manifest
from precompute.dataset.rows import read_row_file
from precompute.errors import DatasetError
from precompute.fields.field import Schema
from precompute.images.decode import decode_mask
from precompute.plan.generation import GenerationPlan
from precompute.plan.places import shard_places
from precompute.readers.epoch import listed_split
from precompute.records.example import decode_example, encode_example
from precompute.records.stored import decode_record, difference
from precompute.records.tfrecord import frame, read_records
from precompute.rendering.rebuild import rebuild_pipelines, stored_spec
from precompute.table.listed_sources import sources_of_listing, stored_splits
from precompute.table.listing_file import read_listing
from precompute.verifying.lists import read_lists
from tests.helpers.box_datasets import draw_boxed
from tests.helpers.decoded_sources import random_pixels, saved, smooth
from tests.helpers.decoding import decode_image
from tests.helpers.keypoint_datasets import draw_pointed, lists_of
from tests.helpers.mutations import ODD_VALUES, mutate_bytes, mutate_json
from tests.helpers.small_datasets import draw_classes, draw_pairs, options

KINDS = ("pairs", "classes", "boxes", "points")


class Corpus:
    """Valid files to start from, and what reads each kind.

    Attributes:
        out: A dataset, whose files are replaced by mutated ones in turn.
    """

    def __init__(self, folder: Path) -> None:
        draw_pairs(folder / "pairs", 8)
        draw_classes(folder / "classes", 4)
        boxes = draw_boxed(folder / "boxes", 8)
        lists = {"images": sorted((folder / "boxes").iterdir()), "boxes": list(boxes.values())}
        points = lists_of(folder / "points", draw_pointed(folder / "points", 8))
        of_python = {"boxes": lists, "points": {**points, "flip_pairs": "auto"}}
        for name in KINDS:
            given: dict[str, Any] = of_python.get(name, {"source": folder / name})
            precompute.build(output=folder / f"out_{name}", **given, **options(variants=2))
        self.out = folder / "out_pairs"
        self.manifest = Manifest.load(self.out)
        self.manifests = [(folder / f"out_{name}" / "manifest.json").read_bytes() for name in KINDS]
        self.row = self.manifest.splits["train"].rows[0]
        self.row_path = self.out / "data" / "g0001" / "rows" / "train_r0000.json"
        self.listing_path = self.out / "data" / "g0001" / "sources-train.jsonl"
        listings = [folder / f"out_{name}" / "data" / "g0001" / "sources-train.jsonl" for name in ("boxes", "points")]
        self.box_lines = [line for listing in listings for line in listing.read_bytes().splitlines()]
        self.row_file, self.listing = self.row_path.read_bytes(), self.listing_path.read_bytes()
        shards = [p for name in KINDS for p in sorted((folder / f"out_{name}" / "data").rglob("*tfrecord*"))]
        self.shards = [path.read_bytes() for path in shards]
        self.records = [record for path in shards for record in read_records(path)]
        self.schemas = [Manifest.load(folder / f"out_{name}").schema for name in KINDS]
        self.files = list(some_files())
        self.scratch = folder / "scratch"
        (self.scratch / ".leases").mkdir(parents=True)

    def restore(self) -> None:
        """Undo what other kinds replaced."""
        self.row_path.write_bytes(self.row_file)
        self.listing_path.write_bytes(self.listing)

    def make(self, kind: str, number: int) -> bytes:
        """Return an input: a pure function of kind and number."""
        rng = random.Random(f"{kind}/{number}")
        match kind:
            case "manifest":
                return mutate_json(rng, rng.choice(self.manifests))
            case "row file":
                return mutate_json(rng, self.row_file)
            case "sources listing":
                return self._listing(rng)
            case "receipt":
                return mutate_json(rng, json.dumps(RECEIPT).encode())
            case "column":
                return mutate_json(rng, json.dumps(COLUMN).encode())
            case "lease":
                return mutate_json(rng, json.dumps({"pid": 1, "rows": [["g0001", "train", 0]] * 2}).encode())
            case "tfrecord":
                return self._framed(rng)
            case "example":
                return self._record(rng)
            case _:
                return mutate_bytes(rng, rng.choice(self.files), self.files)

    def _listing(self, rng: random.Random) -> bytes:
        lines = self.listing.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = mutate_json(rng, rng.choice([lines[at], rng.choice(self.box_lines)]))
        return b"\n".join(lines)

    def _framed(self, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return mutate_bytes(rng, rng.choice(self.shards), self.shards)
        return b"".join(frame(self._record(rng)) for _ in range(rng.randrange(1, 4)))

    def _record(self, rng: random.Random) -> bytes:
        """Changed bytes of a record; or changed features, so that what comes after parsing is met too."""
        record = rng.choice(self.records)
        if rng.random() < 0.4:
            return mutate_bytes(rng, record, self.records)
        features: dict[str, Any] = dict(decode_example(record))
        for key in rng.sample(sorted(key for key, values in features.items() if values), rng.choice([1, 1, 2, 3])):
            features[key] = _other_feature(rng, features[key])
        return encode_example(features)

    def read(self, kind: str, content: bytes) -> None:
        """Read an input as the project would."""
        getattr(self, f"_read_{kind.replace(' ', '_')}")(content)

    def _read_manifest(self, content: bytes) -> None:
        (self.out / "manifest.json").write_bytes(content)
        manifest = Manifest.load(self.out)
        read_lists(self.out, manifest)
        GenerationPlan.of_manifest(manifest)
        stored_spec(manifest)
        self._decode(self.records[0], manifest.schema)
        for split in manifest.splits:
            check_leaks(self.out, manifest, split)
            listed_split(manifest, split)
        rebuild_pipelines(manifest)

    def _read_row_file(self, content: bytes) -> None:
        self.row_path.write_bytes(content)
        row = replace(self.row, sha256=hashlib.sha256(content).hexdigest())  # else no content would be looked at
        read_row_file(self.out, self.manifest, "train", row)
        check_shards(self.out, self.manifest, "train", [row], full=True)

    def _read_sources_listing(self, content: bytes) -> None:
        self.listing_path.write_bytes(content)
        entries = read_listing(self.listing_path)
        assert stored_splits({"train": entries}, list(entries)) == ["train"] * len(entries)
        sources_of_listing({"train": entries}, "/root", [])
        shard_places(self.manifest, "train", entries)

    def _read_receipt(self, content: bytes) -> None:
        path = self.scratch / "receipt"
        path.write_bytes(content)
        assert isinstance(read_receipt(path), Receipt | None)

    def _read_column(self, content: bytes) -> None:
        path = self.scratch / "column"
        path.write_bytes(content)
        assert isinstance(read_block_facts(path), BlockFacts | None)

    def _read_lease(self, content: bytes) -> None:
        (self.scratch / ".leases" / "one.json").write_bytes(content)
        assert isinstance(held_rows(self.scratch, now=time.time()), set)

    def _read_tfrecord(self, content: bytes) -> None:
        path = self.scratch / "shard"
        path.write_bytes(content)
        for record in read_records(path):
            self._decode(record, *self.schemas)

    def _read_example(self, content: bytes) -> None:
        self._decode(content, *self.schemas)

    def _decode(self, record: bytes, *schemas: Schema) -> None:
        """Read a record as one of each schema; raises what they say of it when none of them can be its own."""
        refused = []
        for schema in schemas:
            try:
                difference(decode_record(record, schema), schema)
            except DatasetError as error:
                refused.append(error)
        if len(refused) == len(schemas):
            raise refused[-1]

    def _read_image(self, content: bytes) -> None:
        image = decode_image(content)
        assert image.dtype == np.uint8 and image.shape[2:] == (3,)

    def _read_mask(self, content: bytes) -> None:
        mask = decode_mask(content)
        assert mask.dtype in (np.uint8, np.uint16) and mask.ndim == 2


CELL = {"split": "train", "row": 0, "block": 0, "seed": 0, "variant": 0, "skipped": ["a"]}
RECEIPT = {
    "cell": CELL,
    "fingerprint": "0",
    "num_records": 1,
    "num_bytes": 2,
    "sha256": "0",
    "column_sha256": "0",
    "cpu_features": "AVX",
    "bad": [{"key": "a", "reason": "empty"}],
}
COLUMN = {"sha256": {"a": "0"}, "mask_sha256": {"a": "0"}, "class_ids": [0, 1]}


def _other_feature(rng: random.Random, values: list[Any]) -> Any:
    value = rng.choice([v for v in ODD_VALUES if isinstance(v, int | float | str)])
    if isinstance(value, str):
        value = value.encode(errors="surrogatepass")
    if isinstance(value, int):
        value = max(-(2**63), min(2**63 - 1, value))
    if isinstance(values[0], bytes) and rng.random() < 0.5:
        return mutate_bytes(rng, values[0], [values[0]])
    if isinstance(values[0], int) and rng.random() < 0.5:
        return rng.choice([0, -1, -2, 1, 2**31, 2**32, 2**62, -(2**63), values[0] * 2])
    return rng.choice([value, [value, value], []])


def some_files() -> Iterator[bytes]:
    """Small pictures in every container and mode that is read, and some that are not."""
    colours, grey = smooth(12, 16), random_pixels(9, 7, high=5)
    palette = Image.fromarray(grey).convert("P")
    for name, given in (
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("PPM", {}),
        ("JPEG", {}),
        ("WEBP", {"lossless": True}),
    ):
        yield saved(colours, name, **given)
        yield saved(grey, name, **given)
    yield saved(colours, "JPEG", progressive=True)
    yield saved(colours, "JPEG", mode="CMYK")
    yield saved(colours, "WEBP")
    yield saved(colours, "TIFF", compression="tiff_lzw")
    yield saved(palette, "GIF")
    yield saved(palette, "PNG", transparency=1)
    yield saved(palette, "GIF", save_all=True, append_images=[palette])
    yield saved(grey.astype(np.uint16), "PNG")
    yield saved(grey > 2, "PNG")
    yield saved(colours, "PNG", mode="RGBA")
    exif = Image.Exif()
    exif[274] = 6
    yield saved(colours, "JPEG", exif=exif)
    yield saved(grey, "PNG", exif=exif)
