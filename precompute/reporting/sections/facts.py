"""What a dataset is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Facts", "FieldFacts", "Generation", "SplitFacts"]


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
