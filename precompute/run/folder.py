"""The dataset's folder as the writer sees it: its lock, its drafts, and what is no longer listed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from precompute.dataset.json_files import parse_json, read_json
from precompute.dataset.leases import held_rows
from precompute.dataset.manifest import SPLITS, Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.errors import BuildError, DatasetError
from precompute.plan.generation import GenerationPlan
from precompute.plan.listing import Entry, listing_lines, read_listing
from precompute.run.files import remove, remove_tree, write_whole
from precompute.sources.source import Sources

__all__ = ["Known", "known_generations", "next_generation", "save_draft", "sweep", "write_lock"]


@contextmanager
def write_lock(out: Path) -> Iterator[None]:
    """Hold the right to write into a dataset; the operating system gives it back when the process dies.

    Raises:
        BuildError: Another process holds it, or the folder cannot be used.
    """
    paths = DatasetPaths(out)
    if out.exists() and not out.is_dir():
        raise BuildError(f"{out}: expected a folder for the dataset, this is a file.")
    if out.is_dir() and not paths.build.exists() and not paths.manifest.exists() and any(out.iterdir()):
        raise BuildError(f"{out}: holds other files and no dataset; give a new or empty folder.")
    try:
        paths.build.mkdir(parents=True, exist_ok=True)
        lock = FileLock(paths.lock, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise BuildError(f"{out}: another build is writing here; wait until it has ended.") from error
    except OSError as error:
        raise BuildError(f"{out}: cannot be written to: {error.strerror}.") from error
    try:
        remove_tree(paths.temporary)
        remove_tree(paths.whereabouts)
        yield
    except OSError as error:  # the disk is full, read-only, or gone
        raise BuildError(
            f"{error.filename or out}: {error.strerror or error}. What was finished is kept: mend this, then run the "
            "same command again."
        ) from error
    finally:
        lock.release()


@dataclass(frozen=True, kw_only=True)
class Known:
    """A generation that is on disk.

    Attributes:
        plan: What it is made of.
        manifest: Lists it; None while it is a draft.
        listing: Split → key → entry of its sources.
    """

    plan: GenerationPlan
    manifest: Manifest | None
    listing: dict[str, dict[str, Entry]]


def known_generations(out: Path) -> list[Known]:
    """Return the listed generation and a draft that an interrupted build left, newest first."""
    paths, known = DatasetPaths(out), []
    manifest = Manifest.load(out) if paths.manifest.exists() else None
    for draft in sorted(paths.build.glob("g*/plan.json"), reverse=True):
        if manifest is not None and draft.parent.name <= manifest.generation:
            continue
        plan = _read_draft(draft)
        if plan is not None:
            listing = {split: read_listing(draft.parent / f"sources-{split}.jsonl") for split in plan.splits}
            known.append(Known(plan=plan, manifest=None, listing=listing))
    if manifest is not None:
        listing = {split: read_listing(paths.sources(manifest.generation, split)) for split in manifest.splits}
        known.append(Known(plan=GenerationPlan.of_manifest(manifest), manifest=manifest, listing=listing))
    return known


def _read_draft(path: Path) -> GenerationPlan | None:
    try:
        return parse_json(GenerationPlan, read_json(path, missing="no draft"), str(path))
    except DatasetError:
        return None  # never finished: planned again


def save_draft(out: Path, plan: GenerationPlan, sources: Sources) -> None:
    """Keep the plan of a generation that is being written, in place of earlier drafts."""
    paths = DatasetPaths(out)
    listed = Manifest.load(out).generation if paths.manifest.exists() else None
    for folder in paths.build.glob("g*"):
        if folder.name != listed and folder.name != plan.generation:
            remove_tree(folder)
            remove_tree(paths.generation(folder.name))
    for split in plan.splits:
        listing = paths.draft(plan.generation).with_name(f"sources-{split}.jsonl")
        write_whole(listing, listing_lines(sources, split), paths.temporary)
    write_whole(paths.draft(plan.generation), plan.to_bytes(), paths.temporary)


def next_generation(out: Path) -> str:
    """Return a generation's name that was never used here."""
    paths = DatasetPaths(out)
    drafts = [plan.parent for plan in paths.build.glob("g*/plan.json")]
    folders = [*drafts, *(paths.root / "data").glob("g*")]
    used = [int(folder.name[1:]) for folder in folders if re.fullmatch(r"g\d{4}", folder.name)]
    if paths.manifest.exists():
        used.append(int(Manifest.load(out).generation[1:]))
    return f"g{max(used, default=0) + 1:04d}"


def sweep(out: Path, manifest: Manifest, *, keep_draft: str | None = None) -> int:
    """Delete what the manifest does not list and no living reader holds; returns how many files stay for readers.

    Args:
        out: The dataset's folder.
        manifest: Already in place on disk.
        keep_draft: A generation that is being written.
    """
    paths = DatasetPaths(out)
    held = held_rows(out, now=time.time())
    listed = {(manifest.generation, s, row.row) for s, split in manifest.splits.items() for row in split.rows}
    kept = 0
    for folder in (paths.root / "data").glob("g*"):
        if folder.name == keep_draft:
            continue
        names = [*folder.glob("*.tfrecord-*"), *(folder / "rows").glob("*.json")]
        for path in names:
            row = _row_of(path)
            if row is None or (folder.name, *row) in listed:
                continue
            if (folder.name, *row) in held:
                kept += 1
            else:
                remove(path)
        if folder.name != manifest.generation and not any(folder.glob("*.tfrecord-*")):
            remove_tree(folder)
    for folder in paths.build.glob("g*"):
        if folder.name != keep_draft:
            remove_tree(folder)
    return kept


def _row_of(path: Path) -> tuple[str, int] | None:
    match = re.search(rf"({'|'.join(SPLITS)})_r(\d{{4}})\.", path.name)
    return (match[1], int(match[2])) if match else None
