"""Pay for augmentation once: variants of each source written to sharded TFRecords, streamed by tf.data.

Importing this module loads nothing heavy: each name below brings its own module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from precompute.errors import PrecomputeError
    from precompute.exporting.dali import dali_index
    from precompute.exporting.export import export
    from precompute.loading.epoch_row import EpochRow
    from precompute.loading.loader import load
    from precompute.look.inspect import inspect
    from precompute.look.profile import profile
    from precompute.preparing import prepare_images
    from precompute.reading import read
    from precompute.run.build import build
    from precompute.run.change_rows import drop, regenerate
    from precompute.run.follow import follow
    from precompute.sources.source import Source
    from precompute.verification import verify

_HOMES = {
    "EpochRow": "precompute.loading.epoch_row",
    "PrecomputeError": "precompute.errors",
    "Source": "precompute.sources.source",
    "build": "precompute.run.build",
    "dali_index": "precompute.exporting.dali",
    "drop": "precompute.run.change_rows",
    "export": "precompute.exporting.export",
    "follow": "precompute.run.follow",
    "inspect": "precompute.look.inspect",
    "load": "precompute.loading.loader",
    "prepare_images": "precompute.preparing",
    "profile": "precompute.look.profile",
    "read": "precompute.reading",
    "regenerate": "precompute.run.change_rows",
    "verify": "precompute.verification",
}

__all__ = [
    "EpochRow",
    "PrecomputeError",
    "Source",
    "build",
    "dali_index",
    "drop",
    "export",
    "follow",
    "inspect",
    "load",
    "prepare_images",
    "profile",
    "read",
    "regenerate",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'precompute' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
