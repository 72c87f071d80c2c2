"""Where rules have changed, datasets go on with the rules that they were made by: what they keep, and notes on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from precompute.building.folder import StoredGeneration
from precompute.fields.instance_column import BACKGROUND
from precompute.fields.skeleton import AUTO, describe_pairs, skeleton_settings
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import of_field
from precompute.options.sources import LABEL
from precompute.pipelines.load import TAKES_FROM
from precompute.pipelines.pipeline import Prepared
from precompute.plan.generation import GenerationPlan
from precompute.sources.classes import class_order
from precompute.table.sources import Sources

__all__ = ["keep_classes", "keep_pairs", "keep_splits", "notes_on_pipelines", "stored_pipelines"]


def stored_pipelines(plan: GenerationPlan) -> Mapping[str, Any]:
    """Return split → description of the pipeline that a generation was made with."""
    pipelines: Mapping[str, Any] = plan.settings["pixels"]["pipelines"]
    return pipelines


def notes_on_pipelines(
    prepared: Mapping[str, Prepared], plan: GenerationPlan, pipelines: Mapping[str, Prepared], *, is_new: bool
) -> Iterator[str]:
    """Yield notes on splits without a pipeline of their own, and on what an existing dataset keeps.

    Args:
        prepared: The given pipelines.
        pipelines: The pipelines that it is made with.
        is_new: Whether the generation was not on disk before.
    """
    as_before = [split for split, one in prepared.items() if pipelines.get(split, one) is not one]
    for kept in dict.fromkeys(pipelines[split].kept for split in as_before):
        splits = [split for split in as_before if pipelines[split].kept == kept]
        yield f"pipeline of {', '.join(splits)}: {kept}"
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


def keep_splits(stored: Sequence[str | None] | None, sources: Sources) -> tuple[Sources, list[str]]:
    """Return sources with the splits of their dataset, if that was made before lists of splits were read; and notes.

    Args:
        stored: Split of each source in the dataset, None for new sources; None without a dataset.
    """
    if not sources.splits_are_new or stored is None:
        return sources, []
    if all(was in (None, now) for was, now in zip(stored, sources.splits, strict=True)):
        return sources, []
    note = "Splits stay as this dataset was built; a new one would have those of the lists beside the images."
    return replace(sources, splits=[None] * len(sources)), [note]


def keep_pairs(
    generations: Sequence[StoredGeneration], options: BuildOptions, sources: Sources
) -> tuple[Sources, list[str]]:
    """Return sources with the flip pairs of keypoints that their dataset was made with, and a note.

    In earlier versions ``auto`` found left and right only as words of their own (left_eye).

    Args:
        generations: Generations on disk, the newest first.
    """
    skeleton = sources.skeleton
    if options.flip_pairs != AUTO or not generations or not skeleton:
        return sources, []
    before = replace(skeleton, flip_pairs=describe_pairs(skeleton.names))
    was, now = (skeleton_settings(one)["flip_pairs"] for one in (before, skeleton))
    if was == now or generations[-1].plan.settings["pixels"].get("flip_pairs") != was:
        return sources, []
    note = (
        f"flip_pairs: this dataset keeps the pairs that auto found when it was built, {', '.join(was)}; a new one "
        f"would also have {', '.join(pair for pair in now if pair not in was)}."
    )
    return sources.with_skeleton(before), [note]


def keep_classes(
    generations: Sequence[StoredGeneration], options: BuildOptions, sources: Sources
) -> tuple[Sources, list[str]]:
    """Return sources with the classes that their dataset was made with, in their order, and a note.

    Earlier versions sorted names that are whole numbers as text, in folders and some other layouts; and the first
    category of a COCO file was a class even if it names the project.

    Args:
        generations: Generations on disk, the newest first.
    """
    names = sources.class_names
    leading = sources.leading_target
    own = {LABEL, "" if leading is None else leading.name}
    if not names or any(of_field(options.class_names, name) is not None for name in own):
        return sources, []
    as_text = _sorted_as_text(names)
    if not generations:
        return sources, [] if names == as_text else [
            f"Classes are numbers: their indices follow the numbers, not the text ({_shown(names)}); another order: "
            "--class-names."
        ]
    stored = generations[-1].plan.settings["dataset"].get("class_names") or []
    if stored == names or (stored != as_text and stored[1:] != names):
        return sources, []
    note = f"Classes stay as this dataset was built, {_shown(stored)}; a new one would have {_shown(names)}."
    return sources.with_classes(stored), [note]


def _sorted_as_text(names: list[str]) -> list[str]:
    """Return names sorted as text, if they are sorted as numbers; else unchanged."""
    first = names[:1] if names[:1] == [BACKGROUND] else []  # of merged masks
    numbers = names[len(first) :]
    return [*first, *sorted(numbers)] if numbers == class_order(numbers) else names


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
