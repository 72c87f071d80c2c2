"""`precompute.report`: all that there is to say of a dataset, as data, JSON and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from precompute.errors import UsageError, accessible
from precompute.options.plain_values import converts_arguments
from precompute.pages.html import check_page
from precompute.reporting.collect import ReportOptions, collect
from precompute.reporting.sections.report import Report
from precompute.storage.paths import as_path, local_path

__all__ = ["report"]

NEAR_DUPLICATES = ("auto", "always", "never")


@converts_arguments
def report(
    out: str | Path,
    *,
    output: str | Path | None = None,
    json: str | Path | None = None,
    num_sources: int = ReportOptions.num_sources,
    num_rows: int = ReportOptions.num_rows,
    near_duplicates: str = ReportOptions.near_duplicates,
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
    for name, number in (("num_sources", num_sources), ("num_rows", num_rows)):
        if number < 1:
            raise UsageError(f"{name}: expected 1 or more, got {number!r}.")
    if near_duplicates not in NEAR_DUPLICATES:
        expected = ", ".join(NEAR_DUPLICATES)
        raise UsageError(f"near_duplicates: expected one of {expected}, got {near_duplicates!r}.")
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
    found = collect(
        as_path(out),
        ReportOptions(
            num_sources=num_sources,
            num_rows=num_rows,
            near_duplicates=near_duplicates,
            source=source,
            pipeline=pipeline,
            jobs=jobs,
        ),
    )
    if path is not None:
        with accessible(path, UsageError, "written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found.json(), encoding="utf-8")
    if page is not None:
        from precompute.reporting.page.render import write_page

        write_page(found, page)
    return found
