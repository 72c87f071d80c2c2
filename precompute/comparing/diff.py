"""`precompute.diff`: what differs between two datasets, or two seeds or ranges of rows of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from precompute.comparing.classes import ClassChanges, compare_classes, compare_fields
from precompute.comparing.difference import Difference, PairChanges, Sample, compare_pair
from precompute.comparing.installed import InstalledDifference
from precompute.comparing.records import RecordPair, Sampler, compare_rows
from precompute.comparing.sides import Selection, Side, open_side, pair_rows
from precompute.comparing.sources import SourceChanges, compare_sources
from precompute.comparing.values import light_of, summarize
from precompute.errors import UsageError
from precompute.options.plain_values import converts_arguments
from precompute.pages.html import check_page, save_page
from precompute.plan.settings import differences
from precompute.storage.paths import local_path

__all__ = ["diff"]


@converts_arguments
def diff(
    a: str | Path,
    b: str | Path | None = None,
    *,
    split: str | None = None,
    rows: str | Sequence[int] | None = None,
    rows_b: str | Sequence[int] | None = None,
    seed: int | None = None,
    seed_b: int | None = None,
    num_pairs: int = 64,
    output: str | Path | None = None,
    against_installed: bool = False,
    pipeline: Any = None,
    source: str | Path | None = None,
) -> Difference | InstalledDifference:
    """Return what differs between two datasets, two seeds or ranges of rows of one, or what is installed and stored.

    Rows of two datasets are compared where they have the same seed and variant; chosen rows are compared in their
    order. Hashes tell which records are equal, and nothing is decoded but a sample of those that differ. The hashes are
    those that were taken when the records were written: whether files are still the same, `verify` tells.

    Args:
        a: Folder of the first dataset, or its URL.
        b: That of the second; the first again when None.
        split: Split whose rows are compared; all when None, and ``"train"`` where rows or seeds are chosen.
        rows: Rows of the first, or text such as ``"0-3,7"``, ranges inclusive; all when None.
        rows_b: Rows of the second, as many as in `rows`; the same numbers when None.
        seed: Seed of the rows of the first; all when None.
        seed_b: Seed of the rows of the second; that of `seed` when None.
        num_pairs: Number of pairs of records that differ to decode; with `against_installed`, of records to make again.
        output: File of HTML to write: the differences, and pairs of records side by side.
        against_installed: In place of a second dataset, records of the first are made again from their sources with the
            versions that are installed, and compared with what is stored.
        pipeline: For `against_installed`, where the manifest cannot hold the pipeline: the one that it was built with.
        source: For `against_installed`: folder of the sources, where it has moved.

    Raises:
        DatasetError: There is no such dataset, or a shard is missing, short or altered.
        UsageError: There are no such rows, both sides are the same, or arguments do not go together.
        PipelineError: A pipeline cannot be made from the manifest, and is not given.
    """
    page = None if output is None else local_path(output, "output")
    if page is not None:
        check_page(page)
    if num_pairs < 0:
        raise UsageError(f"num_pairs: expected 0 or more, got {num_pairs}.")
    first = Selection(split=split, rows=rows, seed=seed)
    found: Difference | InstalledDifference
    if against_installed:
        for name, value in (("b", b), ("rows_b", rows_b), ("seed_b", seed_b)):
            if value is not None:
                raise UsageError(f"{name}: does not go with --against-installed, which compares records of A alone.")
        side, lease = open_side(a, first)
        with closing(lease):
            from precompute.comparing.remake import compare_with_installed  # here: it imports Albumentations

            found = compare_with_installed(side, number=num_pairs, pipeline=pipeline, source=source)
    else:
        if pipeline is not None or source is not None:
            raise UsageError("pipeline, source: go with --against-installed, which makes records again.")
        if b is None and rows_b is None and seed_b is None:
            raise UsageError(
                "b: expected another dataset, or other rows of this one: --rows with --rows-b, or --seed with --seed-b."
            )
        for name, of_a, of_b in (("rows", rows, rows_b), ("seed", seed, seed_b)):
            if of_b is not None and of_a is None:
                raise UsageError(f"{name}_b: goes with --{name}, which says what of A it is compared with.")
        same = rows_b is None and seed_b is None
        second = first if same else Selection(split=split, rows=rows_b, seed=seed_b, suffix="_b")
        with ExitStack() as stack:
            side_a, lease = open_side(a, first)
            stack.callback(lease.close)
            side_b, lease = open_side(a if b is None else b, second)
            stack.callback(lease.close)
            found = _compare(side_a, side_b, in_order=not same, num_pairs=num_pairs)
    if page is not None:
        from precompute.comparing.page import page_of  # here: it needs the extra

        save_page(page_of(found), page)
    return found


def _compare(a: Side, b: Side, *, in_order: bool, num_pairs: int) -> Difference:
    classes = compare_classes(a.manifest.schema, b.manifest.schema)
    sources = _sources(a, b, classes)
    pairs, only_a, only_b = pair_rows(a, b, in_order=in_order)
    sampler = Sampler(num_pairs)
    rows = [compare_rows(a, b, pair, sources.changed, sampler) for pair in pairs]
    return Difference(
        a=a.describe(),
        b=b.describe(),
        settings=differences(a.manifest.settings, b.manifest.settings, where="in A", now="in B"),
        fields=compare_fields(a.manifest.schema, b.manifest.schema),
        classes=classes,
        sources=sources,
        rows=rows,
        only_a=only_a,
        only_b=only_b,
        sample=_sample(a, b, sampler.chosen),
    )


def _sources(a: Side, b: Side, classes: Mapping[str, ClassChanges]) -> SourceChanges:
    left_out = [{(entry["split"], entry["key"]) for entry in side.manifest.skipped} for side in (a, b)]
    hashes = [{name: split.sources_sha256 for name, split in side.manifest.splits.items()} for side in (a, b)]
    if hashes[0] == hashes[1] and left_out[0] == left_out[1]:  # the same files
        num = sum(map(len, a.listings.values()))
        return SourceChanges(num_a=num, num_b=num)
    keys = [{key for _, key in of_side} for of_side in left_out]
    return compare_sources(a.listings, b.listings, classes, (keys[0], keys[1]))


def _sample(a: Side, b: Side, chosen: Sequence[RecordPair]) -> Sample:
    pairs = sorted((_pair(a, b, pair) for pair in chosen), key=lambda pair: (-pair.distance, pair.key, pair.row_a))
    light = tuple(light_of([pair.images[side] for pair in pairs]) for side in (0, 1)) if pairs else None
    return Sample(
        pairs=pairs,
        values=summarize([pair.changes for pair in pairs]),
        light=None if light is None else (light[0], light[1]),
    )


def _pair(a: Side, b: Side, pair: RecordPair) -> PairChanges:
    return compare_pair(
        (pair.a.read(), pair.b.read()),
        (a.manifest.schema, b.manifest.schema),
        split=pair.rows.split,
        place=(pair.key, pair.copy),
        rows=(pair.rows.a.row, pair.rows.b.row),
    )
