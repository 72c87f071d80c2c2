"""`precompute.report`: all that there is to say of a dataset, as data, JSON and a page.

A sample of its records is read and made again, and everything is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from precompute.dataset.leases import all_rows, hold_rows
from precompute.dataset.manifest import Manifest
from precompute.errors import PipelineError, UsageError, accessible
from precompute.images.threads import one_opencv_thread
from precompute.inspecting.inspect import inspect
from precompute.inspecting.inspection import Inspection
from precompute.options.plain_values import converts_arguments
from precompute.options.values import check_choice, check_counts
from precompute.pages.html import check_page
from precompute.rendering.rebuild import RecordRebuilder, source_paths, stored_spec
from precompute.reporting.cost import CostTally, collect_cost
from precompute.reporting.effects import EffectsTally
from precompute.reporting.facts import collect_facts
from precompute.reporting.findings import find
from precompute.reporting.gallery import GalleryTally, merge_legends
from precompute.reporting.near_duplicates import NearDuplicates, collect_near_duplicates
from precompute.reporting.observing import Observer, Tracer
from precompute.reporting.result import Report
from precompute.reporting.source_hashes import hash_sources
from precompute.reporting.transforms import RatesTally, VarietyTally
from precompute.reporting.trust import collect_trust
from precompute.storage.paths import as_path, local_path
from precompute.table.listing_file import stored_listing
from precompute.text.format import format_count
from precompute.text.reasons import group_reasons

__all__ = ["MAX_HASHED", "report"]
MAX_HASHED = 200_000  # sources, above which those that look alike are only looked for when asked


@converts_arguments
def report(
    out: str | Path,
    *,
    output: str | Path | None = None,
    json: str | Path | None = None,
    num_sources: int = 128,
    num_rows: int = 8,
    near_duplicates: str = "auto",
    source: str | Path | None = None,
    pipeline: Any = None,
    jobs: int | None = None,
) -> Report:
    """Look at a dataset: what it is, whether augmentation did what was asked, whether scores can be trusted.

    Args:
        out: The dataset's folder.
        output: File for the report as a page of HTML, which needs the extra `report`; none is written when None.
        json: File for the report as JSON; none is written when None.
        num_sources: Number of sources a split whose records are read and made again.
        num_rows: Number of rows in which these are looked at.
        near_duplicates: Whether sources that look alike are searched for among all sources: ``"auto"``, up to 200,000
            of them; ``"always"``; ``"never"``. Their hashes are kept in the dataset's `.build` folder.
        source: Folder of the sources, where it has moved.
        pipeline: The pipeline as for a build; needed only where the manifest's pipelines hold a user's own code.
        jobs: Number of threads that read sources; one per core when None.

    Returns:
        The report; `findings` says what to mend, the worst first.

    Raises:
        DatasetError: Manifest or lists of sources are missing or not valid.
        PipelineError: The given pipeline is not the one that the dataset was made with.
        UsageError: An argument makes no sense, or a file cannot be written.
    """
    check_counts(num_sources=num_sources, num_rows=num_rows)
    check_choice("near_duplicates", near_duplicates, ("auto", "always", "never"))
    if jobs is not None and near_duplicates == "never":
        raise UsageError(
            "jobs (--jobs): is for sources that look alike, and nobody looks for them; leave one of both out."
        )
    path = None if json is None else local_path(json, "json")
    if path is not None and path.is_dir():
        raise UsageError(f"json: {path} is a folder; expected a file.")
    page = None if output is None else local_path(output, "output")
    if page is not None:
        check_page(page)
    folder = as_path(out)
    inspected = inspect(folder)  # before this report is a reader, too
    manifest, lease = hold_rows(folder, all_rows)
    with closing(lease):
        if inspected.manifest != manifest:
            inspected = inspect(folder)
        work = _Collecting(folder, manifest, num_sources, num_rows, pipeline=pipeline, source=source)
        found = work.report(inspected, near_duplicates=near_duplicates, jobs=jobs)
    if path is not None:
        with accessible(path, UsageError, "written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found.json(), encoding="utf-8")
    if page is not None:
        from precompute.reporting.page.render import write_page

        write_page(found, page)
    return found


class _Collecting:
    """The work of one report; see `report` for the arguments."""

    def __init__(
        self,
        out: Path,
        manifest: Manifest,
        num_sources: int,
        num_rows: int,
        *,
        pipeline: Any,
        source: str | Path | None,
    ) -> None:
        self._out, self._manifest = out, manifest
        self._num_sources, self._num_rows = num_sources, num_rows
        self._notes: list[str] = []
        self._listings = {name: stored_listing(out, manifest, name) for name in manifest.splits}
        self._locate = source_paths(out, manifest, source)
        self._tracer = self._make_tracer(pipeline, source)
        self._observer = Observer(out, manifest, self._listings, self._tracer)

    def _make_tracer(self, pipeline: Any, source: str | Path | None) -> Tracer | None:
        try:
            rebuilder = RecordRebuilder(self._out, self._manifest, pipeline=pipeline, source=source)
            return Tracer(rebuilder, self._manifest.splits)
        except PipelineError as error:
            if pipeline is not None:
                raise
            self._notes.append(f"What transforms did is not known: {error}")
            return None

    def report(self, inspected: Inspection, *, near_duplicates: str, jobs: int | None) -> Report:
        """Return the report, from what `inspect` found."""
        with one_opencv_thread():
            tallies = [self._tallied(name) for name in self._manifest.splits]
        rates, variety, effects, gallery, costs = ([of_split[i] for of_split in tallies] for i in range(5))
        self._note_problems()
        near = self._near_duplicates(near_duplicates, jobs)
        facts = collect_facts(inspected)
        found = Report(
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            num_sources=self._num_sources,
            num_rows=self._num_rows,
            findings=(),
            notes=tuple(self._notes),
            facts=facts,
            samples=tuple(sample for one in gallery for sample in one.result()),
            legend=merge_legends(gallery),
            transforms=_known(rates),
            variants=_known(variety),
            effects=_known(effects),
            trust=collect_trust(inspected, self._listings, near),
            cost=collect_cost(self._manifest, facts, _known(costs)),
            damages=tuple(self._observer.damages),
        )
        return replace(found, findings=find(found, str(self._out)))

    def _tallied(self, split: str) -> tuple[Any, ...]:
        """Return what is counted in a split: rates, variety, effects, gallery and costs."""
        schema, listing = self._manifest.schema, self._listings[split]
        chances = [] if self._tracer is None else self._tracer.pipeline(split).chances
        tallies = (
            RatesTally(split, chances),
            VarietyTally(split),
            EffectsTally(split, schema, listing.columns),
            GalleryTally(split, schema, listing, chances),
            CostTally(split, self._manifest.splits[split], len(listing), chances),
        )
        for observed in self._observer.observe(split, self._num_sources, self._num_rows):
            for tally in tallies:
                tally.add(observed)
        return tallies

    def _note_problems(self) -> None:
        lost = self._observer.lost_sources
        if lost:
            reasons = "; ".join(f"{len(kind.reasons):,} × {kind.what}" for kind in group_reasons(lost))
            self._notes.append(
                f"Of sources that cannot be read again, only their records are shown: "
                f"{format_count(len(lost), 'source')} ({reasons}). Where their folder has moved, name it: --source DIR."
            )

    def _near_duplicates(self, wanted: str, jobs: int | None) -> NearDuplicates | None:
        number = sum(map(len, self._listings.values()))
        if wanted == "never" or (wanted == "auto" and number > MAX_HASHED):
            asked = "" if wanted == "never" else ": --near-duplicates always looks for them"
            self._notes.append(f"Nobody looked for sources that look alike among {number:,}{asked}.")
            return None
        spec = stored_spec(self._manifest)
        hashes = hash_sources(self._out, self._listings, self._locate, scale=spec.scale, alpha=spec.alpha, jobs=jobs)
        near = collect_near_duplicates(hashes, self._listings, spec, self._locate)
        if near.num_missing:
            missing = format_count(near.num_missing, "source")
            self._notes.append(f"{missing} could not be compared with others: they cannot be read, or have changed.")
        return near


def _known(tallies: Iterable[Any]) -> tuple[Any, ...]:
    """Return the results of tallies that had something to count."""
    return tuple(result for tally in tallies if (result := tally.result()) is not None)
