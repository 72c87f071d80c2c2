"""A whole report: frozen data, all of it JSON but for pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from precompute.pages.blocks import Finding
from precompute.pictures.legend import Entry
from precompute.reporting.cost import Cost
from precompute.reporting.effects import Effects
from precompute.reporting.facts import Facts
from precompute.reporting.gallery import NOT_IN_JSON, Picture, Sample
from precompute.reporting.transforms import PipelineRates, Variants
from precompute.reporting.trust import Trust
from precompute.text.display import Displayed, Html, html_lines, html_table, html_text

__all__ = ["Report"]

SHOWN_SAMPLES, SHOWN_VARIANTS = 4, 5  # in a notebook


@dataclass(frozen=True, kw_only=True, repr=False)
class Report(Displayed):
    """All that a report says.

    Attributes:
        made: When it was made, ISO 8601, UTC.
        num_sources: Number of sources a split that were looked at, at most; facts and trust are about all sources.
        num_rows: Number of rows a split that were looked at, at most.
        findings: What to mend, the worst first.
        notes: What could not be looked at, and why.
        facts: What is it.
        samples: What does it look like.
        legend: Name of a field → what colours mean in the pictures of samples.
        transforms: Did the augmentation do what was asked; a pipeline each split.
        variants: How different variants are; each split.
        effects: What did it do to the data; each split.
        trust: Can it be trusted.
        cost: What did it cost.
        damages: What is wrong with shards that were looked at; not in the JSON.
    """

    made: str
    num_sources: int
    num_rows: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    facts: Facts
    samples: tuple[Sample, ...]
    legend: Mapping[str, Sequence[Entry]] = field(default_factory=dict, metadata=NOT_IN_JSON)
    transforms: tuple[PipelineRates, ...]
    variants: tuple[Variants, ...]
    effects: tuple[Effects, ...]
    trust: Trust
    cost: Cost
    damages: tuple[str, ...] = field(default=(), metadata=NOT_IN_JSON)

    def json(self) -> str:
        """Return the report as JSON, without its pictures."""
        return json.dumps(_plain(self), indent=1, ensure_ascii=False) + "\n"

    def text(self) -> str:
        """Return findings and notes for people, a few lines each."""
        head = f"{self.facts.name}, generation {self.facts.generation}: {self.facts.meaning}"
        found = [line for finding in self.findings for line in _finding_lines(finding)]
        return "\n".join([head, *(found or ["nothing was found to mend"]), *(f"note: {note}" for note in self.notes)])

    def summary(self) -> str:
        """Return the text: it is short."""
        return self.text()

    def _html(self) -> Iterator[Html]:
        from precompute.pictures.sheet_html import photo_html  # here: nothing else of it needs pictures

        yield html_text(self.text())
        rows = [
            [html_lines(sample.key, *sample.texts), *(photo_html(p.plain, p.overlay) for p in _pictures(sample))]
            for sample in self.samples[:SHOWN_SAMPLES]
        ]
        if rows:
            yield html_table([], rows)


def _pictures(sample: Sample) -> Iterator[Picture]:
    """Yield pictures of a source and of its first variants."""
    yield from [sample.picture] if sample.picture else []
    yield from (variant.picture for variant in sample.variants[:SHOWN_VARIANTS])


def _finding_lines(finding: Finding) -> list[str]:
    return [f"{finding.severity}: {finding.title}", f"  {finding.why}", f"  {finding.mend}"]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = (one for one in dataclasses.fields(value) if one.metadata.get("json", True))
        return {one.name: _plain(getattr(value, one.name)) for one in shown}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
