"""What a dataset is: what its manifest says, what lies on disk, and how to make it again."""

from __future__ import annotations

import contextlib
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from precompute.dataset.paths import DatasetPaths
from precompute.inspecting.inspection import Inspection, SplitInspection, describe_pipeline, describe_rows
from precompute.inspecting.stored_options import stored_options
from precompute.reporting.sections.facts import Facts, FieldFacts, Generation, SplitFacts
from precompute.storage.paths import is_remote
from precompute.text.format import format_bytes, format_count

__all__ = ["collect_facts"]

OPTIONS_FILE = "options.toml"
NO_SETTINGS = ("pipelines", "versions", "class_names", "root")  # shown elsewhere


def collect_facts(found: Inspection) -> Facts:
    """Return the section, from what `inspect` found."""
    manifest, pixels = found.manifest, found.manifest.settings["pixels"]
    root = manifest.settings["dataset"]["root"]
    return Facts(
        name=manifest.name,
        folder=str(found.out),
        generation=manifest.generation,
        fingerprint=manifest.fingerprint,
        splits=tuple(_split(name, split) for name, split in found.splits.items()),
        fields=tuple(
            FieldFacts(
                name=field.own_name,
                description=field.describe(pixels, manifest.most_boxes),
                is_target=field.is_target,
                class_names=tuple(field.classes),
            )
            for field in manifest.schema.values()
        ),
        generations=tuple(_generations(found.out, manifest.generation)),
        settings=dict(_settings(manifest.settings)),
        pipelines={name: tuple(describe_pipeline(one)) for name, one in pixels["pipelines"].items()},
        versions=dict(pixels["versions"]),
        other_versions=dict(found.other_versions),
        seeds=tuple(dict.fromkeys(row.seed for split in manifest.splits.values() for row in split.rows)),
        layout=manifest.origin.layout,
        root="" if root is None else str(root),
        command=_command(found.out, root),
        options=stored_options(found.out),
        num_held=sum(len(split.held) for split in found.splits.values()) + found.held_elsewhere,
        meaning=_meaning(found),
    )


def _meaning(found: Inspection) -> str:
    splits = found.splits.values()
    records, sources = (sum(getattr(split, f"num_{what}") for split in splits) for what in ("records", "sources"))
    size = format_bytes(sum(split.num_bytes for split in splits))
    return f"{format_count(records, 'record')} made of {format_count(sources, 'source')}, {size}."


def _split(name: str, found: SplitInspection) -> SplitFacts:
    numbers = ("num_sources", "num_skipped", "num_rows", "num_records", "num_bytes", "num_shards")
    return SplitFacts(
        name=name,
        rows=tuple(describe_rows(group) for group in found.rows),
        held=tuple(found.held),
        has_original=any(group.original for group in found.rows),
        **{what: getattr(found, what) for what in numbers},
    )


def _settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in {**settings["dataset"], **settings["pixels"]}.items():
        if name not in NO_SETTINGS and value not in (None, [], {}, ""):
            yield name, value if isinstance(value, str) else ", ".join(_items(value))


def _items(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (f"{name}: {one}" for name, one in value.items())
    elif isinstance(value, list):
        yield from map(str, value)
    else:
        yield str(value)


def _command(out: Path, root: str | None) -> str:
    """Return the command that makes the dataset again, from the options file of `inspect --options`."""
    source = "SOURCE" if root is None else shlex.quote(str(root))
    return f"precompute build {source} {shlex.quote(str(out))} --options {OPTIONS_FILE}"


def _generations(out: Path, current: str) -> Iterator[Generation]:
    """Yield the generations on a local disk; a file with several names counts for the newest of them."""
    if is_remote(out):
        return
    seen = set[tuple[int, int]]()
    folders = sorted(DatasetPaths(out).generation(current).parent.glob("g[0-9]*"), reverse=True)
    sizes = [(folder.name, _bytes_of(folder, seen)) for folder in folders]
    yield from (Generation(name=name, num_bytes=size, is_current=name == current) for name, size in reversed(sizes))


def _bytes_of(folder: Path, seen: set[tuple[int, int]]) -> int:
    """Return the size of the files in a folder that were not seen yet."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # deleted meanwhile
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_size
    return total
