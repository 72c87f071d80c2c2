"""Pay for augmentation once: variants of each source written to sharded TFRecords, streamed by tf.data.

errors, text, program   what is raised; words for people; what both command lines have in common
storage                 paths on disks and in object stores
fields                  what travels with an image: fields, values such as boxes, and columns with those of many images
images                  image and mask files ↔ arrays
options                 what a user can choose
dataset                 the contract on disk: manifest, rows, paths, leases
records                 records as bytes, both ways; light, for readers need it
readers                 `read` with NumPy, and in `readers.tf` `load` with TensorFlow
table, sources          the table of sources; folders, annotations, tables and lists that become one
pipelines, rendering    Albumentations' pipelines; one pure function: source, pipeline, draws → record
plan, preflight         splits, blocks, settings as pure data; what a sample tells before the job
pages, pictures         HTML in one file, of plain data; what fields draw on images, sheets of records
building                `build`, `follow`, `regenerate`, `drop`: tasks, workers, receipts, manifest
verifying, comparing    is it still what was written: `verify`; what differs from another: `diff`
exporting, preparing    `export`; other images made alike
inspecting              previews and tables: what a build would do, what a dataset holds
reporting               `report`: figures of a dataset, and what to mend

Importing this module loads nothing heavy: each name below brings its own module when it is first used. Rooms are not
named like public functions (`building`, not `build`): an imported package would stand in the function's place.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from precompute.building.build import build
    from precompute.building.change_rows import drop, regenerate
    from precompute.building.follow import follow
    from precompute.comparing.diff import diff
    from precompute.errors import PrecomputeError
    from precompute.exporting.dali import dali_index
    from precompute.exporting.export import export
    from precompute.inspecting.find import find
    from precompute.inspecting.inspect import inspect
    from precompute.inspecting.preview import preview
    from precompute.inspecting.profile import profile
    from precompute.preparing import prepare_images
    from precompute.readers.read import read
    from precompute.readers.tf.epoch_row import EpochRow
    from precompute.readers.tf.load import load
    from precompute.reporting.report import report
    from precompute.table.sources import Source
    from precompute.verifying.verify import verify

_HOMES = {
    "EpochRow": "precompute.readers.tf.epoch_row",
    "PrecomputeError": "precompute.errors",
    "Source": "precompute.table.sources",
    "build": "precompute.building.build",
    "dali_index": "precompute.exporting.dali",
    "diff": "precompute.comparing.diff",
    "drop": "precompute.building.change_rows",
    "export": "precompute.exporting.export",
    "find": "precompute.inspecting.find",
    "follow": "precompute.building.follow",
    "inspect": "precompute.inspecting.inspect",
    "load": "precompute.readers.tf.load",
    "prepare_images": "precompute.preparing",
    "preview": "precompute.inspecting.preview",
    "profile": "precompute.inspecting.profile",
    "read": "precompute.readers.read",
    "regenerate": "precompute.building.change_rows",
    "report": "precompute.reporting.report",
    "verify": "precompute.verifying.verify",
}

__all__ = [
    "EpochRow",
    "PrecomputeError",
    "Source",
    "build",
    "dali_index",
    "diff",
    "drop",
    "export",
    "find",
    "follow",
    "inspect",
    "load",
    "prepare_images",
    "preview",
    "profile",
    "read",
    "regenerate",
    "report",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'precompute' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
