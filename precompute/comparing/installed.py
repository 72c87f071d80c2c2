"""What the installed versions make of a dataset's sources, beside what is stored: the result, as lines and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from precompute.comparing.difference import PairChanges, describe_change, pair_json, pairs_html, text_of
from precompute.comparing.values import ValueChanges
from precompute.text.display import Displayed, Html
from precompute.text.format import align_columns, format_count, format_few
from precompute.text.reasons import describe_reasons

__all__ = ["HEAD", "NO_PROOF", "InstalledDifference", "TransformEvidence", "transform_row"]

HEAD = ("transform", "applied", "of these differ", "of the others", "pixels", "grey levels")
NO_PROOF = (
    "only the installed versions are here: which transforms changed is told by what the records that differ have in "
    "common. That is evidence, and no proof"
)


@dataclass(frozen=True, kw_only=True)
class TransformEvidence:
    """What a sample of records says of one transform.

    Attributes:
        name: Name, with the compositions around it.
        num_applied: Number of records that it was applied to, as they were made again.
        num_different: How many of these came out with other values.
        num_others: Number of records that it was not applied to.
        num_others_different: How many of these came out with other values.
        share: Share of the image's pixels and channels that differ, 0 to 1: the mean of the records with another image
            that it was applied to; None where there are none.
        levels: Their mean absolute difference, in grey levels; None likewise.
    """

    name: str
    num_applied: int
    num_different: int
    num_others: int
    num_others_different: int
    share: float | None
    levels: float | None

    @property
    def is_cleared(self) -> bool:
        """Whether a record that it was applied to came out with the same values."""
        return self.num_different < self.num_applied

    @property
    def is_suspect(self) -> bool:
        """Whether all records that it was applied to came out with other values, and not all of the others."""
        return 0 < self.num_applied == self.num_different and self.num_others_different < self.num_others

    @property
    def is_always_applied(self) -> bool:
        """Whether it was applied to all records, so that it cannot be told from decoding and encoding."""
        return self.num_others == 0


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class InstalledDifference(Displayed):
    """What differs between stored records, and the same records made again with the versions that are installed.

    Attributes:
        dataset: The dataset and the rows that were looked at, in words.
        versions: Package → version that wrote the dataset, and the installed one, where they differ.
        num_records: Number of records that were made again.
        num_equal: How many of these have equal bytes.
        pairs: Those whose values differ, the most different images first; `a` is the stored one.
        values: How each value differs.
        transforms: Evidence on each transform, in the order of the pipelines.
        num_unexplained: Number of records with other values that no suspect was applied to.
        failed: Reasons why records could not be made again.
        notes: Notes on how was compared.
    """

    dataset: str
    versions: Mapping[str, tuple[str, str]]
    num_records: int
    num_equal: int
    pairs: Sequence[PairChanges]
    values: Sequence[ValueChanges]
    transforms: Sequence[TransformEvidence]
    num_unexplained: int
    failed: Sequence[str] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def are_equal(self) -> bool:
        """Whether all records of the sample came out byte for byte."""
        return self.num_equal == self.num_records and not self.failed

    @property
    def suspects(self) -> list[TransformEvidence]:
        """The transforms that all records came out otherwise that they were applied to, and not all others."""
        return [one for one in self.transforms if one.is_suspect]

    # The text

    def summary(self) -> str:
        """Return the differences for people, and the verdict in the last line."""
        parts: list[tuple[str, Sequence[str]]] = [
            ("dataset", [self.dataset]),
            ("versions", list(self.version_lines())),
            ("records", list(self._record_lines())),
            ("values", list(map(describe_change, self.values))),
            ("transforms", self._transform_lines() if self.pairs else []),
            ("verdict", list(self._verdict()) if self.pairs else []),
            ("note", [*self.notes, *[NO_PROOF] * bool(self.pairs)]),
        ]
        failed = [describe_reasons(list(self.failed))] if self.failed else []
        return text_of(parts, failed, are_equal=self.are_equal)

    def version_lines(self) -> Iterator[str]:
        """Yield the versions that wrote the dataset, beside those that are installed."""
        for package, (written, installed) in self.versions.items():
            yield f"{package}: written with {written}, installed is {installed}"
        if not self.versions:
            yield "those that the dataset was written with"

    def _record_lines(self) -> Iterator[str]:
        same = self.num_records - self.num_equal - len(self.pairs)
        texts = [f"{self.num_equal:,} equal byte for byte"]
        texts += [f"{same:,} with the same values in other bytes"] if same else []
        texts += [f"{len(self.pairs):,} with other values"]
        yield f"{self.num_records:,} made again from their sources: {', '.join(texts)}"
        if self.failed:
            yield f"{format_count(len(self.failed), 'record')} could not be made again:"

    def _transform_lines(self) -> list[str]:
        return align_columns([HEAD, *map(transform_row, self.transforms)])

    def _verdict(self) -> Iterator[str]:
        if self.suspects:
            names = format_few([one.name for one in self.suspects])
            yield f"suspect: {names}; every record that such a transform was applied to differs"
        cleared = [one.name for one in self.transforms if one.is_cleared]
        if cleared:
            yield f"cleared: {format_few(cleared)}; records that these were applied to came out the same"
        if self.num_unexplained:
            always = [one.name for one in self.transforms if one.is_always_applied and not one.is_cleared]
            what = ", ".join(["decoding", "encoding", *always])
            yield f"{format_count(self.num_unexplained, 'record differs', 'records differ')} without a suspect: {what}?"

    def _html(self) -> Iterator[Html]:
        return pairs_html(self.summary(), self.pairs, ("stored", "made again"))

    # JSON

    def to_json(self) -> str:
        """Return the differences as JSON."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the differences as dictionaries, lists, texts and numbers."""
        return {
            "equal": self.are_equal,
            "dataset": self.dataset,
            "versions": {package: list(pair) for package, pair in self.versions.items()},
            "num_records": self.num_records,
            "num_equal": self.num_equal,
            "num_different": len(self.pairs),
            "num_unexplained": self.num_unexplained,
            "values": [dataclasses.asdict(value) for value in self.values],
            "transforms": [
                {**dataclasses.asdict(one), "cleared": one.is_cleared, "suspect": one.is_suspect}
                for one in self.transforms
            ],
            "pairs": [pair_json(pair) for pair in self.pairs],
            "failed": list(self.failed),
            "notes": list(self.notes),
        }


def transform_row(one: TransformEvidence) -> tuple[str, ...]:
    """Return the cells of a transform in a table."""
    others = f"{one.num_others_different:,} of {one.num_others:,}"
    share = "" if one.share is None else f"{one.share:.1%}"
    levels = "" if one.levels is None else f"{one.levels:.2f}"
    return (one.name, f"{one.num_applied:,}", f"{one.num_different:,}", others, share, levels)
