"""A whole report as one file of HTML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from precompute.pages import blocks
from precompute.pages.html import save_page
from precompute.reporting.page.cost import cost_section
from precompute.reporting.page.effects import effects_section
from precompute.reporting.page.facts import facts_section
from precompute.reporting.page.gallery import gallery_section
from precompute.reporting.page.transforms import transforms_section
from precompute.reporting.page.trust import trust_section
from precompute.reporting.sections.report import Finding, Report
from precompute.reporting.sections.transforms import splits_without_chance
from precompute.text.format import format_bytes, format_count

__all__ = ["report_page", "write_page"]


def write_page(report: Report, path: Path) -> Path:
    """Write a report as a page; returns its path.

    Raises:
        UsageError: The file cannot be written, or a package that draws pages is missing.
    """
    return save_page(report_page(report), path)


def report_page(report: Report) -> blocks.Page:
    """Return a report as blocks."""
    facts = report.facts
    return blocks.Page(
        kind="Dataset report",
        title=facts.name,
        subtitle="; ".join(field.description for field in facts.fields),
        figures=list(_figures(report)),
        findings=[_finding(finding) for finding in report.findings],
        notes=report.notes,
        sections=[
            facts_section(facts),
            gallery_section(
                report.samples,
                report.legend,
                without_chance=splits_without_chance(report.transforms, report.variants),
            ),
            transforms_section(report.transforms, report.variants),
            effects_section(report.effects),
            trust_section(report.trust),
            cost_section(report.cost),
        ],
        footer=[
            f"Made {report.made} from {facts.folder}, generation {facts.generation}.",
            f"Pictures, rates and effects are of a sample: {format_count(report.num_sources, 'source')} a split and "
            f"{format_count(report.num_rows, 'row')} at most. Facts, shared content and class balance are of all.",
        ],
    )


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    splits = report.facts.splits
    yield f"{sum(split.num_sources for split in splits):,}", "sources"
    yield f"{max((split.num_rows for split in splits), default=0):,}", "rows"
    yield f"{sum(split.num_records for split in splits):,}", "records"
    yield format_bytes(sum(split.num_bytes for split in splits)), "in shards"
    classes = max((len(field.class_names) for field in report.facts.fields), default=0)
    if classes:
        yield f"{classes:,}", "classes"


def _finding(finding: Finding) -> blocks.Finding:
    return blocks.Finding(
        severity="error" if finding.severity == "error" else "warning" if finding.severity == "warning" else "note",
        title=finding.title,
        detail=finding.why,
        mend=finding.mend,
        examples=finding.examples,
        section=finding.section,
    )
