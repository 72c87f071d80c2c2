"""Checks of a report's figures: what each kind of finding is found by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from precompute.reporting.losses import LostObjects
from precompute.reporting.near_duplicates import NearDuplicates
from precompute.reporting.result import Report
from precompute.reporting.transforms import TransformRate
from precompute.reporting.trust import ClassCounts, Reason
from precompute.text.format import format_bytes, format_count, format_few

__all__ = ["CHECKS", "Found"]

REPEATED, UNCHANGED = 0.1, 0.5  # shares of records
VANISHED, LOST, EMPTIED, FILLED = 0.5, 0.2, 0.1, 0.1
MUCH_MORE = 1.5  # times the share that other classes lose
T = TypeVar("T", ClassCounts, LostObjects)
MIN_COUNTED = 20  # records or objects, below which a share says little
UNBALANCED = 20
OLD_BYTES = 0.01  # of what is listed


@dataclass(frozen=True)
class Found:
    """What a check has found.

    Attributes:
        title: One sentence with its numbers.
        examples: Keys, pairs or names that show it.
    """

    title: str
    examples: Sequence[str] = ()


def _leaks(report: Report) -> Iterator[Found]:
    trust = report.trust
    if trust.num_leaks:
        number = format_count(trust.num_leaks, "source has", "sources have")
        yield Found(f"{number} the same content as one of another split.", _pairs(trust.leaks))


def _torn(report: Report) -> Iterator[Found]:
    torn = report.trust.torn_groups
    if torn:
        number = format_count(len(torn), "group stands", "groups stand")
        yield Found(f"{number} in several splits, of {report.trust.num_groups:,}.", torn)


def _damages(report: Report) -> Iterator[Found]:
    if report.damages:
        number = format_count(len(report.damages), "shard")
        yield Found(f"{number} of those that were looked at cannot be read.", report.damages)


def _untrained(report: Report) -> Iterator[Found]:
    lacking = [one for one in report.trust.classes if not one.counts.get("train") and any(one.counts.values())]
    yield from _classes(lacking, "in no source of train, but in other splits")


def _unvalidated(report: Report) -> Iterator[Found]:
    every = [one for one in report.trust.classes if "validation" in one.counts]
    lacking = [one for one in every if not one.counts["validation"] and one.counts.get("train")]
    yield from _classes(lacking, "in no source of validation")


def _classes(found: Sequence[ClassCounts], where: str) -> Iterator[Found]:
    if found:
        names = [one.class_name for one in found]
        yield Found(f"{format_count(len(found), 'class is', 'classes are')} {where}: {format_few(names)}.", names)


def _tied(report: Report) -> Iterator[Found]:
    for rates in report.transforms:
        for pair in rates.pairs:
            if not pair.is_expected and abs(pair.correlation) > pair.bound:
                how = "together" if pair.correlation > 0 else "in place of each other"
                yield Found(
                    f"{rates.split}: {pair.first} and {pair.second} are applied {how}, with correlation "
                    f"{pair.correlation:.2f}; chance makes up to {pair.bound:.2f}."
                )


def _alike_across(report: Report) -> Iterator[Found]:
    near = report.trust.near
    if near is not None and near.across:
        number = format_count(near.across, "pair of sources looks", "pairs of sources look")
        yield Found(f"{number} alike across splits.", _alike(near, are_across=True))


def _alike_in_train(report: Report) -> Iterator[Found]:
    near = report.trust.near
    if near is not None and near.within:
        number = format_count(near.within, "pair of sources of train looks", "pairs of sources of train look")
        yield Found(f"{number} alike.", _alike(near, are_across=False))


def _alike(near: NearDuplicates, *, are_across: bool) -> list[str]:
    pairs = (pair for pair in near.pairs if (pair.first_split != pair.second_split) == are_across)
    return [f"{pair.first} ≈ {pair.second}" for pair in pairs]


def _conflicts(report: Report) -> Iterator[Found]:
    trust = report.trust
    if trust.num_conflicts:
        number = format_count(trust.num_conflicts, "source has", "sources have")
        yield Found(f"{number} the same image as another one and another answer.", _pairs(trust.conflicts))


def _augmented(report: Report) -> Iterator[Found]:
    for split, rate in _rates(report):
        if split != "train" and 0 < rate.num_fired < rate.num:
            number = format_count(rate.num, "record")
            yield Found(f"{split}: {rate.name} was applied to {rate.num_fired:,} of {number}.")


def _shifted(report: Report) -> Iterator[Found]:
    for effects in (one for one in report.effects if one.split == "train" and one.num_sources >= MIN_COUNTED):
        for image in effects.images:
            if not image.before_quantiles or not image.after_quantiles:
                continue
            (low, *_, high), middle = image.before_quantiles, image.after_quantiles[2]
            if not low <= middle <= high:
                yield Found(
                    f"{image.name} ({image.unit}) is {middle:.3g} in the median record; in nine sources of ten it is "
                    f"{low:.3g} to {high:.3g}."
                )


def _never(report: Report) -> Iterator[Found]:
    for split, rate in _rates(report):
        if not rate.num_fired and not rate.is_likely:
            yield Found(
                f"{split}: {rate.name} was applied to none of {format_count(rate.num, 'record')}; by its p it should "
                f"be to {rate.expected:.0%}."
            )


def _rate(report: Report) -> Iterator[Found]:
    for split, rate in _rates(report):
        if rate.num_fired and not rate.is_likely:
            yield Found(
                f"{split}: {rate.name} was applied to {rate.num_fired:,} of {format_count(rate.num, 'record')}; by its "
                f"p between {rate.low:,} and {rate.high:,} are likely."
            )


def _rates(report: Report) -> Iterator[tuple[str, TransformRate]]:
    return ((one.split, rate) for one in report.transforms for rate in one.rates)


def _not_made_again(report: Report) -> Iterator[Found]:
    for rates in report.transforms:
        other = rates.num_records - rates.num_same
        if other:
            yield Found(
                f"{rates.split}: {other:,} of {format_count(rates.num_records, 'record')} do not come out again."
            )


def _repeated(report: Report) -> Iterator[Found]:
    for variants in report.variants:
        again = variants.num_records - variants.num_distinct
        if again > REPEATED * variants.num_records:
            number = format_count(variants.num_records, "record")
            yield Found(f"{variants.split}: {again:,} of {number} repeat another variant of their source.")


def _unchanged(report: Report) -> Iterator[Found]:
    for variants in report.variants:
        equal = variants.num_equal_original or 0
        if equal > UNCHANGED * variants.num_records and variants.split == "train":
            number = format_count(variants.num_records, "record")
            yield Found(f"{variants.split}: {equal:,} of {number} are their source without augmentation.")


def _vanished(report: Report) -> Iterator[Found]:
    for effects in report.effects:
        for one in effects.classes:
            expected = one.num_expected or 0
            if expected >= MIN_COUNTED and (one.num_lost or 0) > VANISHED * expected:
                number = format_count(expected, "record")
                yield Found(
                    f"{effects.split}: {one.num_lost:,} of {number} lack {one.class_name} in {one.field}, which "
                    "their source has."
                )


def _lost(report: Report) -> Iterator[Found]:
    for effects in report.effects:
        for classes in _by_field(one for one in effects.lost if one.by == "class"):
            yield from _lost_of(classes, effects.split)


def _lost_of(classes: Sequence[LostObjects], split: str) -> Iterator[Found]:
    """Yield one finding for classes of a field that lose about as much, and one for each that loses much more."""
    many = [one for one in classes if one.num_before >= MIN_COUNTED and one.share > LOST]
    apart = [one for one in many if one.share > MUCH_MORE * _share(other for other in classes if other is not one)]
    alike = [one for one in many if one not in apart]
    for one in (*apart, *(alike if len(alike) == 1 else ())):
        yield Found(f"{split}: {_share_of([one])} of {one.group} are lost.")
    if len(alike) > 1:
        shown = [f"{one.share:.0%} of {one.group}" for one in alike]
        yield Found(f"{split}: {_share_of(alike)} are lost: {format_few(shown)}.", shown)


def _share(classes: Iterable[LostObjects]) -> float:
    """Return the share of all objects of some classes that are lost, 0 to 1."""
    numbers = [(one.num_before, one.num_after) for one in classes]
    before, after = (sum(column) for column in zip(*numbers, strict=True)) if numbers else (0, 0)
    return 1 - after / before if before else 0.0


def _share_of(classes: Sequence[LostObjects]) -> str:
    return f"{_share(classes):.0%} of {format_count(sum(one.num_before for one in classes), 'object')}"


def _emptied(report: Report) -> Iterator[Found]:
    for effects in report.effects:
        if effects.num_records >= MIN_COUNTED and (effects.num_emptied or 0) > EMPTIED * effects.num_records:
            number = format_count(effects.num_records, "record")
            yield Found(f"{effects.split}: {effects.num_emptied:,} of {number} have lost all their objects.")


def _filled(report: Report) -> Iterator[Found]:
    for effects in report.effects:
        if effects.fill is not None and effects.fill.share > FILLED:
            yield Found(f"{effects.split}: {effects.fill.share:.0%} of all pixels are filled, mostly at borders.")


def _refused(report: Report) -> Iterator[Found]:
    number, shown = _counted(report.trust.bad)
    if number:
        yield Found(f"The last build refused {format_count(number, 'bad source')}.", shown)


def _left_out(report: Report) -> Iterator[Found]:
    number, shown = _counted(report.trust.skipped)
    if number:
        yield Found(f"{format_count(number, 'source is', 'sources are')} left out of all rows.", shown)


def _counted(reasons: Sequence[Reason]) -> tuple[int, list[str]]:
    """Return the number of all sources, and each reason with its number."""
    return sum(reason.num for reason in reasons), [f"{reason.num:,} × {reason.what}" for reason in reasons]


def _no_validation(report: Report) -> Iterator[Found]:
    if not any(split.name == "validation" and split.num_sources for split in report.facts.splits):
        yield Found("There is no validation split.")


def _unbalanced(report: Report) -> Iterator[Found]:
    for classes in _by_field(one for one in report.trust.classes if one.counts.get("train")):
        most, least = (choose(classes, key=lambda one: one.counts["train"]) for choose in (max, min))
        if most.counts["train"] > UNBALANCED * least.counts["train"]:
            yield Found(
                f"train has {most.counts['train']:,} {most.counted} of {most.class_name} and "
                f"{least.counts['train']:,} of {least.class_name}."
            )


def _other_versions(report: Report) -> Iterator[Found]:
    other = report.facts.other_versions
    if other:
        shown = [f"{name} {old}, installed is {new}" for name, (old, new) in other.items()]
        yield Found(f"Records were written by other versions: {format_few(shown)}.", shown)


def _old_generations(report: Report) -> Iterator[Found]:
    cost, old = report.cost, [one for one in report.facts.generations if not one.is_current]
    if old and cost.old_bytes > OLD_BYTES * cost.num_bytes:
        size = format_bytes(cost.old_bytes)
        yield Found(f"{format_count(len(old), 'generation')} that the manifest does not list: {size}.")


def _no_gain(report: Report) -> Iterator[Found]:
    cost = report.cost
    if cost.online_ms is not None and cost.stored_ms is not None and cost.stored_ms >= cost.online_ms:
        yield Found(
            f"An image takes {cost.stored_ms:.1f} ms to read from a record, and {cost.online_ms:.1f} ms to decode and "
            "augment."
        )


def _by_field(classes: Iterable[T]) -> list[list[T]]:
    found: dict[str, list[T]] = {}
    for one in classes:
        found.setdefault(one.field, []).append(one)
    return list(found.values())


def _pairs(pairs: Sequence[Sequence[str]]) -> list[str]:
    return [" = ".join(pair) for pair in pairs]


CHECKS: Mapping[str, Callable[[Report], Iterator[Found]]] = {
    "splits-share-content": _leaks,
    "groups-torn-apart": _torn,
    "damaged-shards": _damages,
    "class-without-training": _untrained,
    "transforms-tied": _tied,
    "near-duplicates-across-splits": _alike_across,
    "labels-disagree": _conflicts,
    "validation-augmented": _augmented,
    "transform-never-applied": _never,
    "transform-rate": _rate,
    "not-made-again": _not_made_again,
    "variants-alike": _repeated,
    "variants-unchanged": _unchanged,
    "images-shifted": _shifted,
    "class-vanishes": _vanished,
    "objects-lost": _lost,
    "images-emptied": _emptied,
    "last-build-refused": _refused,
    "no-validation": _no_validation,
    "borders-filled": _filled,
    "near-duplicates-in-train": _alike_in_train,
    "sources-left-out": _left_out,
    "classes-unbalanced": _unbalanced,
    "class-without-validation": _unvalidated,
    "other-versions": _other_versions,
    "old-generations": _old_generations,
    "does-not-pay": _no_gain,
}
