"""From receipts to the manifest: the last step of a build, and the only one that readers see."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.building.cells import BuildPlan, Grid, Receipts, Rows
from precompute.building.files import sync_folder, write_whole
from precompute.building.make_plan import facts_of_plan
from precompute.building.receipts import BadSources, entries_of, generation_seen, read_block_facts
from precompute.dataset.manifest import ORIGINAL_VARIANT, BoxCounts, Manifest, Row, Split
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import RowFile, Shard, read_row_files
from precompute.dataset.tfds import tfds_files
from precompute.errors import BuildError
from precompute.fields.column import Column, RecordFacts
from precompute.fields.field import Schema
from precompute.pipelines.description import mirrorings
from precompute.pipelines.mask_rules import pickled_fills
from precompute.plan.generation import GenerationPlan, RowPlan
from precompute.table.listing import Sha256Column
from precompute.table.listing_file import listing_lines
from precompute.table.sources import Sources
from precompute.text.format import format_count

__all__ = ["list_rows", "publish", "start_manifest"]

MAX_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """Facts about a split's sources that are known from decoding them.

    Attributes:
        sha256: SHA-256 of the image file of each source of the split; None for those that failed.
        mask_sha256: SHA-256 of the mask file of each source; None for those that failed.
        class_ids: Name of a field of masks → class ids found there.
    """

    sha256: Sha256Column
    mask_sha256: Sha256Column
    class_ids: dict[str, set[int]]
    counters: dict[str, dict[str, int]]

    @property
    def starts(self) -> NDArray[np.uint64]:
        """The first 8 of 32 bytes of each image's hash; only the few sources with equal ones have to be compared."""
        return np.frombuffer(self.sha256.content, "<u8")[::4]


def start_manifest(
    build_plan: BuildPlan, grid: Grid, left_out: BadSources
) -> tuple[Manifest, dict[str, dict[int, str]]]:
    """Write the listings of a new generation.

    Returns:
        Its manifest without rows; and for each field of masks: class id that no source has → transform that fills
        masks with it.
    """
    plan, paths, sources, pipelines = grid.plan, grid.paths, build_plan.sources, build_plan.pipelines
    source_facts = {split: _source_facts(grid, split) for split in plan.splits}
    splits = {}
    for split, split_plan in plan.splits.items():
        content = hashlib.sha256()
        lines = listing_lines(sources, split, source_facts[split].sha256, source_facts[split].mask_sha256)
        write_whole(paths.sources(plan.generation, split), _hashed(lines, content), paths.temporary)
        splits[split] = Split(
            segments=split_plan.segments,
            num_records=split_plan.num_places
            - sum(sources.num_copies(sources.position(key)) for of, key in left_out if of == split),
            sources_sha256=content.hexdigest(),
            next_row=0,
            rows=[],
        )
    ids = {one.name: {i for of in source_facts.values() for i in of.class_ids[one.name]} for one in sources.masks}
    fills = {i: name for p in pipelines.values() for i, name in pickled_fills(p.pickled).items()}
    new = {name: _new_classes(plan, sources, name, of_field, fills) for name, of_field in ids.items()}
    order = list(plan.splits)
    manifest = Manifest(
        name=plan.name,
        generation=plan.generation,
        fingerprint=plan.fingerprint,
        settings=plan.settings,
        schema=_schema(plan, sources, {name: {*ids[name], *new[name]} for name in ids}),
        normalize=plan.normalize,
        splits=splits,
        skipped=sorted(entries_of(left_out), key=lambda entry: (order.index(entry["split"]), entry["key"])),
        leaks=_leaks(grid, source_facts),
        conflicts=_find_conflicts(grid, source_facts),
        counters=plan.counters | _counters(source_facts),
        origin=plan.origin,
        mirroring=[] if plan.settings["dataset"].get("no_mirroring") else mirrorings(pipelines["train"].pickled),
    )
    return manifest, new


def _source_facts(grid: Grid, split: str) -> SourceFacts:
    """Return the facts about a split's sources; all cells must be proven by receipts."""
    num_sources = len(grid.places[split].positions)
    masks = [column.name for column in grid.places[split].sources.masks]
    found = SourceFacts(
        sha256=Sha256Column(num_sources),
        mask_sha256=Sha256Column(num_sources if grid.places[split].sources.has_files else 0),
        class_ids={name: set() for name in masks},
        counters={},
    )
    with generation_seen(grid.paths, grid.plan.generation):
        for number, block in enumerate(grid.blocks[split]):
            facts = read_block_facts(grid.paths.block_facts(grid.plan.generation, split, number))
            if facts is None:
                raise BuildError(f"{grid.paths.build}: files of the build have vanished; run the command again.")
            for name in masks:
                found.class_ids[name].update(facts.ids_of_fields.get(name, facts.class_ids))
            found.counters.update(facts.counters)
            for i, key in zip(block.indices.tolist(), block.source_keys(), strict=True):
                if key in facts.sha256:
                    found.sha256[i] = facts.sha256[key]
                if key in facts.mask_sha256:
                    found.mask_sha256[i] = facts.mask_sha256[key]
    return found


def _hashed(parts: Iterable[bytes], content: Any) -> Iterator[bytes]:
    """Yield the parts of a file, and update a hash with them."""
    for part in parts:
        content.update(part)
        yield part


def _new_classes(
    plan: GenerationPlan, sources: Sources, name: str, ids: set[int], fills: Mapping[int, str]
) -> dict[int, str]:
    """Return the fills that are classes of their own; training must know them, or it would stop at the first one."""
    facts = facts_of_plan(plan, sources)(sources.columns[name])
    counted = {*ids, 0, facts.ignore_class}
    return {} if facts.num_classes is not None else {fill: by for fill, by in fills.items() if fill not in counted}


def _schema(plan: GenerationPlan, sources: Sources, ids: Mapping[str, set[int]]) -> Schema:
    """Return the schema; the number of unnamed classes of masks follows from their ids."""
    known = facts_of_plan(plan, sources)

    def facts_of(column: Column) -> RecordFacts:
        facts = known(column)
        if facts.num_classes is not None or column.name not in ids:
            return facts
        return replace(facts, num_classes=max(ids[column.name] - {facts.ignore_class}, default=0) + 1)

    return Schema([plan.image, *sources.fields(facts_of)])


def _counters(source_facts: Mapping[str, SourceFacts]) -> dict[str, Any]:
    """Return the manifest's counters: name → number, number of sources, and the first keys."""
    found: dict[str, Any] = {}
    for key, counts in sorted((key, counts) for of in source_facts.values() for key, counts in of.counters.items()):
        for what, number in counts.items():
            entry = found.setdefault(what, {"number": 0, "num_sources": 0, "examples": []})
            entry["number"] += number
            entry["num_sources"] += 1
            entry["examples"] += [key] if len(entry["examples"]) < 5 else []
    return found


def _leaks(grid: Grid, source_facts: Mapping[str, SourceFacts]) -> list[dict[str, Any]]:
    """Return the pairs of splits that share a source's content."""
    leaks = []
    for (a, of_a), (b, of_b) in combinations(source_facts.items(), 2):
        keys_a = _first_keys(grid, a, of_a, np.isin(of_a.starts, of_b.starts))
        keys_b = _first_keys(grid, b, of_b, np.isin(of_b.starts, of_a.starts))
        of_key = {keys_a[sha256]: sha256 for sha256 in keys_a.keys() & keys_b.keys()}
        if of_key:
            examples = [[key, keys_b[of_key[key]]] for key in sorted(of_key)[:5]]
            leaks.append({"splits": [a, b], "num_sources": len(of_key), "examples": examples})
    return leaks


def _first_keys(grid: Grid, split: str, source_facts: SourceFacts, chosen: NDArray[np.bool_]) -> dict[str, str]:
    """Return sha256 → first key that has it, for the chosen sources of a split."""
    places, found = grid.places[split], dict[str, str]()
    for i in places.order.sources[chosen[places.order.sources]].tolist():
        sha256 = source_facts.sha256[i]
        if sha256 is not None:
            found.setdefault(sha256, places.sources.keys[places.positions[i]])
    return found


def list_rows(manifest: Manifest, grid: Grid, rows: Rows, proven: Receipts) -> Manifest:
    """Write the row files of finished rows, and return the manifest that lists them."""
    splits = dict(manifest.splits)
    features = [*manifest.cpu_features, *(r.cpu_features for (split, _, _), r in proven.items() if split in rows)]
    for split, planned in rows.items():
        added = [_write_row(manifest, grid, split, row, proven) for row in planned]
        old = splits[split]
        next_row = max([old.next_row, *(row.row + 1 for row in planned)])
        splits[split] = replace(old, rows=[*old.rows, *added], next_row=next_row)
    return replace(manifest, splits=splits, cpu_features=list(dict.fromkeys(features)))


def _write_row(manifest: Manifest, grid: Grid, split: str, row: RowPlan, receipts: Receipts) -> Row:
    of_row = [receipts[split, row.row, block] for block in range(len(grid.blocks[split]))]
    original = row.variant == ORIGINAL_VARIANT
    variant = None if original else row.variant
    content = RowFile(
        generation=manifest.generation,
        split=split,
        row=row.row,
        seed=row.seed,
        variant=variant,
        original=original,
        shards=[
            Shard(num_records=r.num_records, num_bytes=r.num_bytes, sha256=r.sha256, boxes=r.boxes) for r in of_row
        ],
    ).to_bytes()
    num_records = sum(r.num_records for r in of_row)
    if num_records != manifest.splits[split].num_records:
        raise BuildError(
            f"row {row.row} of {split} has {format_count(num_records, 'record')}, expected "
            f"{manifest.splits[split].num_records}; "
            "this is a defect of precompute: please report it."
        )
    write_whole(grid.paths.row_file(manifest.generation, split, row.row), content, grid.paths.temporary)
    return Row(
        row=row.row,
        seed=row.seed,
        variant=variant,
        original=original,
        num_records=num_records,
        num_bytes=sum(r.num_bytes for r in of_row),
        boxes=BoxCounts.total(r.boxes for r in of_row),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def publish(out: Path, manifest: Manifest) -> None:
    """Write the files for TensorFlow Datasets, and then the manifest, from which on readers see the rows."""
    paths = DatasetPaths(out)
    row_files = defaultdict[str, list[RowFile]](list)
    for (split, _), row_file in read_row_files(out, manifest).items():
        row_files[split].append(row_file)
    for name, content in tfds_files(manifest, row_files).items():
        write_whole(out / name, content, paths.temporary)
    for folder in _folders_of(paths, manifest):
        sync_folder(folder)
    write_whole(paths.manifest, manifest.to_bytes(), paths.temporary)


def _folders_of(paths: DatasetPaths, manifest: Manifest) -> list[Path]:
    """Return the folders that hold files of the manifest, and those above.

    Whoever makes or fills a folder syncs it, but may have been killed before: then nobody has.
    """
    rows = paths.row_file(manifest.generation, "train", 0).absolute().parent
    return [rows, *islice(rows.parents, 4)]  # generation, data, the dataset, and where its own name stands


# Images that occur twice with different labels or masks: a model cannot learn both


def _find_conflicts(grid: Grid, source_facts: Mapping[str, SourceFacts]) -> dict[str, Any]:
    """Return how many sources share an image file's content with one that has another label, mask or boxes.

    Returns:
        `num_sources` and `examples`, pairs of keys; empty when there are none.
    """
    first: dict[str, tuple[str, Any]] = {}
    pairs = []
    for key, image, answer in sorted(_repeated(grid, source_facts), key=lambda entry: entry[0]):
        other, other_answer = first.setdefault(image, (key, answer))
        if answer != other_answer:
            pairs.append([other, key])
    keys = {key for pair in pairs for key in pair}
    return {"num_sources": len(keys), "examples": pairs[:MAX_EXAMPLES]} if pairs else {}


def _repeated(grid: Grid, source_facts: Mapping[str, SourceFacts]) -> Iterator[tuple[str, str, Any]]:
    """Yield key, sha256 and label or mask of the sources whose image may occur twice."""
    values, counts = np.unique(np.concatenate([of.starts for of in source_facts.values()]), return_counts=True)
    for split, of in source_facts.items():
        places = grid.places[split]
        own = [column for column in places.sources.targets if not column.has_files]
        for i in np.flatnonzero(np.isin(of.starts, values[counts > 1])).tolist():
            image, position = of.sha256[i], int(places.positions[i])
            if image is not None:
                in_files = (of.mask_sha256[i],) if places.sources.has_files else ()
                yield places.sources.keys[position], image, (*(column.entry(position) for column in own), *in_files)
