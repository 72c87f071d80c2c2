"""Which generation a build continues: the one on disk with the same settings, sources and files, else a new one."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from precompute.building.earlier_rules import stored_pipelines
from precompute.building.execute import make_workers, run_side_by_side
from precompute.building.folder import StoredGeneration, next_generation, save_draft
from precompute.building.make_plan import make_plan, make_settings
from precompute.building.progress import Progress
from precompute.building.receipts import read_receipt
from precompute.dataset.paths import DatasetPaths, dataset_name
from precompute.errors import SettingsError, first_few
from precompute.fields.column import digest_of_fields
from precompute.options.build_options import BuildOptions
from precompute.pipelines.load import complete_pipelines
from precompute.pipelines.pipeline import Prepared
from precompute.plan.generation import GenerationPlan
from precompute.plan.settings import differences
from precompute.preflight.ineffective_options import check_image_size
from precompute.preflight.sample import serially
from precompute.sources.summary import FoundSources
from precompute.storage.paths import as_path
from precompute.storage.snapshot import seen_at_once
from precompute.storage.transfer import sha256_of
from precompute.table.listed_sources import compare_listing
from precompute.table.sources import Sources

__all__ = ["choose_generation", "num_changed"]


def choose_generation(
    generations: Sequence[StoredGeneration],
    out: Path,
    options: BuildOptions,
    prepared: Mapping[str, Prepared],
    shown: FoundSources,
    progress: Progress,
) -> StoredGeneration:
    """Return the generation on disk that these settings and sources belong to, else a new one.

    A generation that was begun with other settings is replaced without asking if it has no whole row.

    Raises:
        SettingsError: The dataset on disk was made with other settings, and --replace was not given.
    """
    sources = shown.table
    found = list[list[str]]()
    for candidate in generations:
        found.append(_differences(candidate, out, options, prepared, sources))
        if not found[-1]:
            return candidate
    listed = any(candidate.manifest for candidate in generations)
    if generations and not listed and not _num_whole_rows(DatasetPaths(out), generations[0].plan):
        first = found[0][0]
        progress.say(f"note: the unfinished build had other settings and no whole row, and begins anew ({first}).")
    elif generations and not options.replace:
        state = "dataset was" if generations[0].manifest else "unfinished build was"
        raise SettingsError(
            f"{out}: the {state} made with other settings or sources:\n{first_few(found[0], 10)}\n"
            "Use the same ones to go on, another folder to keep both, or --replace to write a new generation that "
            "takes its place when it is complete."
        )
    name = next((g.plan.name for g in generations if g.manifest), dataset_name(out.resolve()))
    run_calls = serially if options.dry_run else functools.partial(run_side_by_side, make_workers(options))
    plan = make_plan(name, next_generation(out), options, prepared, sources, run_calls)
    check_image_size(options, prepared, plan.image, is_new=not generations)
    plan = replace(plan, origin=shown.origin)
    draft = StoredGeneration(plan=plan, manifest=None, listing={})
    if not options.dry_run:
        save_draft(out, plan, sources)
    return draft


def _differences(
    stored: StoredGeneration, out: Path, options: BuildOptions, prepared: Mapping[str, Prepared], sources: Sources
) -> list[str]:
    pipelines = complete_pipelines(prepared, list(stored.plan.splits), stored.plan.image, stored_pipelines(stored.plan))
    settings = make_settings(options, pipelines, sources, stored.plan.measured)
    lines = differences(stored.plan.settings, settings)
    lines += compare_listing(stored.listing, sources, fixed=_fixed_keys(out, stored))
    return lines or _changed_files(out, stored, sources)


# The state of an unfinished build


def _num_whole_rows(paths: DatasetPaths, plan: GenerationPlan) -> int:
    """Return the number of rows of train that are written whole, without a failed source: a build can list them."""
    receipts = map(read_receipt, paths.receipts(plan.generation).glob("train_r*.json"))
    proven = Counter(receipt.cell.row for receipt in receipts if receipt is not None and not receipt.bad)
    return sum(number >= plan.splits["train"].num_blocks for number in proven.values())


# Have the sources' files changed since rows were made from them?


def _changed_files(out: Path, stored: StoredGeneration, sources: Sources) -> list[str]:
    """Return the sources whose files have changed since rows were made from them, one line each.

    Sizes were compared before; only files that are newer than the manifest are read.
    """
    if stored.manifest is None:
        return []
    written = DatasetPaths(out).manifest.stat().st_mtime
    found = []
    with _all_seen(sources):
        for split, listing in stored.listing.items():
            # Keys were compared before, so sources and listing of a split have the same order.
            for i, sha256, of_files in zip(sources.of_split(split), listing.sha256, listing.mask_sha256, strict=True):
                found += [
                    (i, f"{sources.keys[i]}: {text} changed")
                    for text in _changed(sources, i, written, sha256, of_files)
                ]
    return [line for _, line in sorted(found)]


def _all_seen(sources: Sources) -> AbstractContextManager[None]:
    return seen_at_once() if sources.root is None else seen_at_once(sources.root)


def _changed(sources: Sources, i: int, written: float, sha256: str | None, of_files: str | None) -> Iterator[str]:
    """Yield which files of a source have changed: they are newer than the rows, and hold other bytes.

    Args:
        written: Time when rows were made, in seconds since 1970.
        sha256: SHA-256 of the image then; None where it is unknown.
        of_files: SHA-256 of the files beside it then; None where it is unknown.
    """
    image = sources.path(sources.images[i])
    if sha256 is not None and image.stat().st_mtime > written and sha256_of(image) != sha256:
        yield f"the content of {image}"
    if of_files is None:
        return
    values = {name: column.located(column[i], sources.path) for name, column in sources.columns.items()}
    files = {name: [as_path(path) for path in sources.columns[name].files(value)] for name, value in values.items()}
    younger = [name for name, paths in files.items() if any(path.stat().st_mtime > written for path in paths)]
    if younger and _digest(sources, values, files) != of_files:
        yield " or ".join(sources.columns[name].files_text(values[name]) for name in younger)


def _digest(sources: Sources, values: Mapping[str, Any], files: Mapping[str, Sequence[Path]]) -> str | None:
    """Return the sha256 of the files beside an image, read anew; see `digest_of_fields`."""
    return digest_of_fields(
        {
            name: sources.columns[name].digest(values[name], [sha256_of(path) for path in paths])
            for name, paths in files.items()
            if sources.columns[name].has_files
        }
    )


def _fixed_keys(out: Path, stored: StoredGeneration) -> set[str]:
    """Return the keys of sources that were bad and are in no row; their files were expected to change."""
    if stored.manifest is not None:
        return {entry["key"] for entry in stored.manifest.skipped}
    receipts = map(read_receipt, DatasetPaths(out).receipts(stored.plan.generation).glob("*.json"))
    return {bad.key for receipt in receipts if receipt is not None for bad in receipt.bad}


def num_changed(out: Path, stored: StoredGeneration, sources: Sources) -> int:
    """Return how many of the left-out sources have files of another size, or newer than the manifest."""
    written, skipped = DatasetPaths(out).manifest.stat().st_mtime, _fixed_keys(out, stored)
    listed = {key: entry for key in skipped for of in stored.listing.values() if (entry := of.get(key)) is not None}
    positions = {key: sources.position(key) for key in listed}
    with _all_seen(sources):
        return sum(
            sources.num_bytes[i] != listed[key]["num_bytes"]
            or any(path.stat().st_mtime > written for path in (sources.path(sources.images[i]), *sources.files(i)))
            for key, i in positions.items()
        )
