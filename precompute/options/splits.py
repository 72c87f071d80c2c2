"""The options of a build about its splits."""

from __future__ import annotations

from dataclasses import dataclass

from precompute.options.option import Options, option

__all__ = ["SplitOptions"]


@dataclass(frozen=True, kw_only=True)
class SplitOptions(Options):
    """Options for which source belongs to which split."""

    title = "splits"

    validation_split: float = option(0.0, "fraction of sources for validation, by class and group")
    test_split: float = option(0.0, "fraction of sources for test")
    group_by: str | None = option(
        None,
        "regular expression that finds in each key, in parentheses, the group (patient, scene, video) that a split may "
        "not tear apart, such as '^(patient[0-9]+)_'; or the name of a table's column that holds it",
        metavar="REGEX",
    )
    split_in_key: bool = option(False, "keep the split's folder in keys, where names repeat from split to split")
