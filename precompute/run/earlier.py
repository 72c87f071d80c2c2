"""Datasets go on by the rules that they were made by, where rules have changed since: what they keep, and the notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from precompute.options import BuildOptions
from precompute.plan.generation import GenerationPlan
from precompute.plan.make import TAKES_FROM
from precompute.record.pipelines.pipeline import Prepared
from precompute.run.folder import Known
from precompute.sources.checks import class_order
from precompute.sources.instance_column import BACKGROUND
from precompute.sources.source import Sources
from precompute.targets.keypoints import AUTO, skeleton_settings, worded_pairs

__all__ = ["keep_class_order", "keep_pairs", "notes_on_pipelines", "stored_pipelines"]


def stored_pipelines(plan: GenerationPlan) -> Mapping[str, Any]:
    """Return split → description of the pipeline that a generation was made with."""
    pipelines: Mapping[str, Any] = plan.settings["pixels"]["pipelines"]
    return pipelines


def notes_on_pipelines(
    prepared: Mapping[str, Prepared], plan: GenerationPlan, pipelines: Mapping[str, Prepared], *, is_new: bool
) -> Iterator[str]:
    """Yield what splits get that have no pipeline of their own; of a dataset that goes on, what it keeps.

    Args:
        prepared: The pipelines that were given.
        plan: Of the generation.
        pipelines: Those that it is made with.
        is_new: It was not on disk before.
    """
    without = [split for split in plan.splits if split not in prepared]
    size = f"{plan.image.height}×{plan.image.width}"
    for split in without:
        other = TAKES_FROM.get(split, "")
        if other in prepared and pipelines[split] is prepared[other]:
            if is_new:
                yield f"{split}: without a pipeline of its own, it takes that of {other}."
        elif other in prepared:
            yield (
                f"{split}: stays resized to {size} and no more, as it was built; a new dataset would take the pipeline "
                f"of {other} where {split} has none of its own."
            )
    plain = [split for split in without if TAKES_FROM.get(split) not in prepared]
    if plain and is_new:
        yield f"{' and '.join(plain)}: without a pipeline of its own, only resized to {size}."


def keep_pairs(known: Sequence[Known], options: BuildOptions, sources: Sources) -> tuple[Sources, list[str]]:
    """Return sources with the pairs of keypoints that their dataset was made with, and a note.

    ``auto`` once found left and right only where they were words of their own (left_eye).

    Args:
        known: Generations on disk.
        options: Of the build.
        sources: With the pairs that are found today.
    """
    if sources.skeleton is None or options.flip_pairs != AUTO or not known:
        return sources, []
    before = replace(sources.skeleton, flip_pairs=worded_pairs(sources.skeleton.names))
    was, now = (skeleton_settings(skeleton)["flip_pairs"] for skeleton in (before, sources.skeleton))
    if was == now or known[-1].plan.settings["pixels"].get("flip_pairs") != was:
        return sources, []
    note = (
        f"flip_pairs: this dataset keeps the pairs that auto found when it was built, {', '.join(was)}; a new one "
        f"would also have {', '.join(pair for pair in now if pair not in was)}."
    )
    return replace(sources, skeleton=before), [note]


def keep_class_order(known: Sequence[Known], options: BuildOptions, sources: Sources) -> tuple[Sources, list[str]]:
    """Return sources whose classes have the order that their dataset was made with, and a note.

    Names that are whole numbers were once sorted as text, in folders and some other layouts.

    Args:
        known: Generations on disk.
        options: Of the build.
        sources: With the order of today.
    """
    names = sources.class_names
    first = names[:1] if names[:1] == [BACKGROUND] else []  # of merged masks
    numbers = names[len(first) :]
    as_text = [*first, *sorted(numbers)]
    if options.class_names is not None or names == as_text or numbers != class_order(numbers):
        return sources, []
    if not known:
        return sources, [
            f"Classes are numbers: their indices follow the numbers, not the text ({_shown(names)}); another order: "
            "--class-names."
        ]
    if known[-1].plan.settings["dataset"].get("class_names") != as_text:
        return sources, []
    note = (
        f"Classes keep the order of text in which this dataset was built, {_shown(as_text)}; a new one would follow "
        "the numbers."
    )
    return sources.with_class_order(as_text), [note]


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
