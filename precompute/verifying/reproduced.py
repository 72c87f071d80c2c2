"""Records made again from their sources, compared with what is stored."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.errors import DatasetError, PipelineError, RejectedSource
from precompute.fields.feature import decode_origin, decode_size
from precompute.fields.field import Schema
from precompute.fields.pixels import GREY_LEVELS, JPEG_GREY_LEVELS
from precompute.plan.places import PlacedRecord, sample_records
from precompute.plan.versions import other_versions
from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records
from precompute.rendering.rebuild import RecordRebuilder
from precompute.verifying.lists import Lists, Problem

__all__ = ["Reproduction", "compare_reproduced", "is_same_processor"]


@dataclass(kw_only=True)
class Reproduction:
    """The result of making records again.

    Attributes:
        num_records: Number of records that were compared.
        problems: Records that came out differently, or not at all.
        notes: Notes on how they were compared, where that was not byte for byte.
    """

    num_records: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare_reproduced(
    out: Path,
    manifest: Manifest,
    lists: Lists,
    *,
    number: int,
    seed: int,
    pipeline: Any,
    source: str | Path | None,
) -> Reproduction:
    """Make records that are chosen at random again, and compare each with the stored one."""
    reproduced = Reproduction(notes=list(_version_notes(manifest)))
    try:
        rebuilder = RecordRebuilder(out, manifest, pipeline=pipeline, source=source)
    except PipelineError as error:
        text = f"no record could be made again: {error}"  # asked for and not done: that is no success
        reproduced.problems.append(Problem(path=DatasetPaths(out).manifest, why=text, kind="pipeline"))
        return reproduced
    exact = is_same_processor(manifest)
    if not exact:
        reproduced.notes.append(
            "this processor has other features than those that wrote the dataset and may round otherwise: pixels were "
            f"compared to within {GREY_LEVELS} grey level ({JPEG_GREY_LEVELS} in the mean for JPEG), not byte for byte."
        )
    rows = {split: manifest.splits[split].rows for split in lists.places}
    for choice in sample_records(lists.places, rows, number, seed=seed):
        why = _compare(out, manifest, rebuilder, choice, exact=exact)
        reproduced.num_records += 1
        if why is not None:
            path = manifest.shard_path(out, choice.split, choice.row.row, choice.block)
            text = f"record {choice.index} ({choice.place[0]}, seed {choice.row.seed}, variant {choice.row.variant})"
            reproduced.problems.append(Problem(path=path, why=f"{text}: {why}", kind="source"))
    return reproduced


def is_same_processor(manifest: Manifest) -> bool:
    """Return whether this processor has the features of one that wrote the dataset; others may round otherwise."""
    return cv2.getCPUFeaturesLine() in manifest.cpu_features


def _compare(
    out: Path, manifest: Manifest, rebuilder: RecordRebuilder, choice: PlacedRecord, *, exact: bool
) -> str | None:
    """Return how the stored record differs from the one that is made now, or None."""
    key, copy = choice.place
    try:
        made = rebuilder.record(choice.split, choice.row, key, copy)
        records = read_records(manifest.shard_path(out, choice.split, choice.row.row, choice.block))
        stored = next(itertools.islice(records, choice.index, None), None)
    except (RejectedSource, DatasetError) as error:
        return str(error).rstrip(".")
    if stored == made:
        return None
    if stored is None:
        return "the shard ends before it"
    try:
        return _deviation(stored, made, manifest.schema, exact=exact)
    except DatasetError as error:
        return str(error).rstrip(".")


def _deviation(stored: bytes, made: bytes, schema: Schema, *, exact: bool) -> str | None:
    """Return how a record's fields differ from those that are made now, or None."""
    records = [decode_example(record) for record in (stored, made)]
    origins = [decode_origin(values) for values in records]
    sizes = [decode_size(values) for values in records]
    for name, value in origins[1].items():
        if origins[0][name] != value:
            return f"{name} is {origins[0][name]!r}, its source now gives {value!r}"
    pairs = list(zip(records, sizes, strict=True))
    found = [field.deviation(*(field.decode(values, size) for values, size in pairs)) for field in schema.values()]
    deviations = [deviation for deviation in found if deviation is not None]
    if not deviations:
        return "its source now gives the same pixels in other bytes"
    if not exact and all(deviation.is_rounding for deviation in deviations):
        return None
    return "; ".join(dict.fromkeys(deviation.text for deviation in deviations))


def _version_notes(manifest: Manifest) -> Iterator[str]:
    for package, (written, installed) in other_versions(manifest.settings["pixels"]["versions"]).items():
        yield f"written with {package} {written}, installed is {installed}: pixels may differ."
