"""`precompute.verify`: checks that everything that the manifest lists is still what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import joblib

from precompute.dataset.leases import all_rows, hold_rows
from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError, VerificationError
from precompute.options.plain_values import converts_arguments
from precompute.storage.paths import as_path
from precompute.text.display import Displayed, Html, html_text
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons
from precompute.verifying.lists import Lists, Problem, read_lists
from precompute.verifying.shards import Cell, ShardCheck, check_shard

__all__ = ["Problem", "ShardCheck", "VerifyReport", "verify"]

ADVICE = {  # by the kind of a problem
    "shard": "Run `precompute build` with the same options and --check full: it writes the missing and altered shards "
    "again, and no others.",
    "record": "Some shards are whole, but their records are not what the manifest says: look at manifest and pipeline "
    "(a fill_mask that is no class?), and build with --replace.",
    "list": "Manifest, row files and lists of sources are not made again: put them back from a copy, or run "
    "`precompute build` with --replace.",
    "source": "Records that do not come out again: have sources or package versions changed since?",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class VerifyReport(Displayed):
    """What was checked, and all that is wrong with it.

    Attributes:
        out: The dataset's folder.
        num_shards: Number of shards checked.
        num_records: Number of records read and decoded.
        num_bytes: Size of these shards.
        num_remade: Number of records made again from their sources and compared.
        problems: Everything that is wrong; empty when nothing is.
        notes: Notes for the user on how records were compared.
    """

    out: Path
    num_shards: int
    num_records: int
    num_bytes: int
    num_remade: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Return one line: what was checked, and how much is wrong."""
        reproduced = (
            f", {format_count(self.num_remade, 'record')} made again from their sources" if self.num_remade else ""
        )
        verdict = format_count(len(self.problems), "problem") if self.problems else "all as written"
        looked_at = f"{format_count(self.num_shards, 'shard')}, {format_count(self.num_records, 'record')} decoded"
        return f"{looked_at}{reproduced}: {verdict}"

    def _html(self) -> Iterator[Html]:
        yield html_text(self.summary())
        if self.problems:
            yield html_text("\n".join([describe_reasons([str(p) for p in self.problems]), *self._advice()]))
        yield from ([html_text("\n".join(f"note: {note}" for note in self.notes))] if self.notes else [])

    def raise_for_problems(self) -> None:
        """Raise an error if anything is wrong; the command line ends with it.

        Raises:
            VerificationError: Names the first few problems, their number, and what to do.
        """
        if self.problems:
            shown = describe_reasons([str(problem) for problem in self.problems])
            advice = "\n".join(self._advice())
            raise VerificationError(f"{self.out}: {self.summary()}:\n{shown}\n{advice}".rstrip())

    def _advice(self) -> Iterator[str]:
        kinds = {problem.kind for problem in self.problems}
        return (text for kind, text in ADVICE.items() if kind in kinds)


@converts_arguments
def verify(
    out: str | Path,
    *,
    sources: int = 0,
    seed: int = 0,
    pipeline: Any = None,
    source: str | Path | None = None,
    jobs: int | None = None,
    on_shard: Callable[[ShardCheck], None] | None = None,
) -> VerifyReport:
    """Compare all that the manifest lists with what is on disk, and decode every record.

    Args:
        out: The dataset's folder, or its URL: shards of a store are fetched one by one to a temporary file.
        sources: Number of records, chosen at random, to make again from their sources and compare byte for byte.
        seed: Seed of that choice.
        pipeline: The pipeline as for a build; needed with `sources` only where the manifest's pipelines hold a user's
            own code.
        source: Folder of the sources, where it has moved.
        jobs: Number of threads; one per core when None.
        on_shard: Called after each shard, for progress.

    Returns:
        What was checked, and all problems. They are returned, not raised.

    Raises:
        DatasetError: There is no readable manifest.
    """
    ineffective = {"pipeline (--pipeline)": pipeline, "source (--source)": source, "seed": seed or None}
    given = next((name for name, value in ineffective.items() if value is not None), None)
    if given and not sources:
        raise UsageError(
            f"{given}: is for records that are made again from their sources, and none are; say how many: --sources K."
        )
    folder = as_path(out)
    manifest, lease = hold_rows(folder, all_rows)
    try:
        lists = read_lists(folder, manifest)
        report = _report(folder, lists, _check_shards(_cells(folder, manifest, lists), manifest, jobs, on_shard))
        if not sources:
            return report
        # This module imports Albumentations, which nothing else here needs.
        from precompute.verifying.reproduced import compare_reproduced

        reproduced = compare_reproduced(
            folder, manifest, lists, number=sources, seed=seed, pipeline=pipeline, source=source
        )
    finally:
        lease.close()
    problems = [*report.problems, *reproduced.problems]
    return replace(report, num_remade=reproduced.num_records, problems=problems, notes=reproduced.notes)


def _report(out: Path, lists: Lists, checks: Sequence[ShardCheck]) -> VerifyReport:
    faulty = [
        Problem(path=check.path, why="; ".join(check.faults), kind="shard" if check.altered else "record")
        for check in checks
        if check.faults
    ]
    return VerifyReport(
        out=out,
        num_shards=len(checks),
        num_records=sum(check.num_records for check in checks),
        num_bytes=sum(check.num_bytes for check in checks),
        problems=[*lists.problems, *faulty],
    )


def _cells(out: Path, manifest: Manifest, lists: Lists) -> Iterator[Cell]:
    rows = {(name, row.row): row for name, split in manifest.splits.items() for row in split.rows}
    names = {name: field.listed_as for name, field in manifest.schema.items() if field.listed_as is not None}
    listed = {
        split: {
            name: [[listing[key].get(listed_as) for key, _ in places] for places in lists.places[split]]
            for name, listed_as in names.items()
        }
        for split, listing in lists.listings.items()
    }
    for (split, number), row_file in lists.row_files.items():
        for block, shard in enumerate(row_file.shards):
            yield Cell(
                path=manifest.shard_path(out, split, number, block),
                shard=shard,
                row=rows[split, number],
                places=lists.places[split][block] if split in lists.places else None,
                listed={name: blocks[block] for name, blocks in listed.get(split, {}).items()},
            )


def _check_shards(
    cells: Iterator[Cell], manifest: Manifest, jobs: int | None, on_shard: Callable[[ShardCheck], None] | None
) -> list[ShardCheck]:
    # Threads and not processes: hashing and decoding release Python's lock, and results need not be pickled.
    parallel = joblib.Parallel(n_jobs=jobs or joblib.cpu_count(), backend="threading", return_as="generator")
    checks = []
    for check in parallel(joblib.delayed(check_shard)(cell, manifest) for cell in cells):
        checks.append(check)
        if on_shard is not None:
            on_shard(check)
    return checks
