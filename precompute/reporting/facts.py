"""What a dataset is: what its manifest says, what lies on disk, and how to make it again."""

from __future__ import annotations

import contextlib
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.dataset.paths import DatasetPaths
from precompute.inspecting.inspection import Inspection, SplitInspection, describe_pipeline, describe_rows
from precompute.inspecting.stored_options import stored_options
from precompute.storage.paths import is_remote
from precompute.text.format import format_bytes, format_count

__all__ = ["Facts", "FieldFacts", "Generation", "SplitFacts", "collect_facts"]

OPTIONS_FILE = "options.toml"
NO_SETTINGS = ("pipelines", "versions", "class_names", "root")  # shown elsewhere


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """Numbers of one split.

    Attributes:
        name: ``"train"``, ``"validation"`` or ``"test"``.
        num_sources: Number of listed sources, skipped ones included.
        num_skipped: Number of sources that are left out of all rows.
        num_rows: Number of listed rows.
        num_records: Number of records in all rows.
        num_bytes: Size of all shards.
        num_shards: Number of shard files.
        rows: Rows in words, a line for each seed: ``"rows 0-7: seed 0, variants 0-7"``.
        held: Rows that living readers hold, by their leases.
        has_original: Whether it has the original row.
    """

    name: str
    num_sources: int
    num_skipped: int
    num_rows: int
    num_records: int
    num_bytes: int
    num_shards: int
    rows: tuple[str, ...]
    held: tuple[int, ...] = ()
    has_original: bool = False


@dataclass(frozen=True, kw_only=True)
class FieldFacts:
    """One field of the schema, in words.

    Attributes:
        name: Name in the schema.
        description: What it is, as `inspect` says it.
        is_target: Whether a model learns it.
        class_names: Names of its classes, if it has some.
    """

    name: str
    description: str
    is_target: bool
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A generation that lies on disk.

    Attributes:
        name: ``"g0001"`` …
        num_bytes: Size of its files; those of shards that are hard links to another generation's count once.
        is_current: Whether the manifest lists it.
    """

    name: str
    num_bytes: int
    is_current: bool


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the dataset is.

    Attributes:
        name: Name of the dataset.
        folder: Its folder or URL.
        generation: Name of the current generation.
        fingerprint: Hash of all that decides pixels.
        splits: Numbers of each split.
        fields: Fields, the image first.
        generations: All generations on disk; empty in an object store.
        settings: The settings that decide pixels or sources, name → value in words; pipelines apart.
        pipelines: Split → its transforms, a line each, indented inside compositions.
        versions: Package → version that wrote the dataset.
        other_versions: Package → (version that wrote it, installed version), where these differ.
        seeds: Augmentation seeds of the rows.
        layout: How sources were found.
        root: Folder of the sources; empty if files were named one by one.
        command: The command that makes it again.
        options: The options file for it, TOML.
        num_held: Number of rows that living readers hold.
        meaning: One sentence.
    """

    name: str
    folder: str
    generation: str
    fingerprint: str
    splits: tuple[SplitFacts, ...]
    fields: tuple[FieldFacts, ...]
    generations: tuple[Generation, ...]
    settings: Mapping[str, str]
    pipelines: Mapping[str, tuple[str, ...]]
    versions: Mapping[str, str]
    other_versions: Mapping[str, tuple[str, str]]
    seeds: tuple[int, ...]
    layout: str
    root: str
    command: str
    options: str
    num_held: int
    meaning: str


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
