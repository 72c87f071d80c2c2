"""A report that is made up, with something in each section, and a name that is hostile wherever one may stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from precompute.pages.blocks import Finding
from precompute.pictures.legend import Entry
from precompute.reporting.cost import Cost, SplitCost, TransformCost
from precompute.reporting.effects import BorderFill, Effect, Effects
from precompute.reporting.facts import Facts, FieldFacts, Generation, SplitFacts
from precompute.reporting.gallery import Fired, Picture, Sample, Variant
from precompute.reporting.losses import ClassPixels, LostObjects
from precompute.reporting.near_duplicates import NearDuplicates, Pair
from precompute.reporting.result import Report
from precompute.reporting.transforms import Parameter, PipelineRates, TransformPair, TransformRate, Variants
from precompute.reporting.trust import ClassCounts, Reason, Trust
from tests.helpers.pages import HOSTILE

__all__ = ["draw_noise", "empty_report", "full_report", "make_sample"]


def draw_noise(side: int = 96, *, number: int = 0) -> Picture:
    """Return a picture that compresses badly, with a square drawn over it."""
    overlay = np.zeros((side, side, 4), np.uint8)
    overlay[: side // 2, : side // 2] = (255, 0, 0, 255)
    return Picture(
        plain=np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8),
        overlay=overlay,
    )


def make_sample(number: int = 0, *, is_there: bool = True, **changes: Any) -> Sample:
    """Return a source with two variants."""
    fired = Fired(name="OneOf › Crop", parameters={"coords[0]": "3", "coords[1]": "40", "scale": "0.5"})
    first = Variant(
        row=0, seed=7, variant=0, fired=(fired,), equals_original=False, texts=("2 objects",), picture=draw_noise()
    )
    original = replace(first, row=1, variant=None, fired=(), equals_original=True)
    sample = Sample(
        key=f"{number}/{HOSTILE}",
        split="validation" if number % 2 else "train",
        classes=("cat", HOSTILE),
        texts=("cat",),
        picture=draw_noise() if is_there else None,
        variants=(first, original),
    )
    return replace(sample, **changes)


def _facts() -> Facts:
    train = SplitFacts(
        name="train",
        num_sources=100,
        num_skipped=2,
        num_rows=8,
        num_records=784,
        num_bytes=8_000_000,
        num_shards=64,
        rows=("rows 0-7: seed 0, variants 0-7",),
        held=(3,),
    )
    validation = replace(train, name="validation", num_sources=20, num_rows=1, num_records=20, held=())
    return Facts(
        name=HOSTILE,
        folder="shards/cells",
        generation="g0002",
        fingerprint="0123456789abcdef" * 4,
        splits=(train, validation),
        fields=(
            FieldFacts(name="image", description="128×128", is_target=False),
            FieldFacts(name="label", description="2 classes", is_target=True, class_names=("cat", HOSTILE)),
        ),
        generations=(
            Generation(name="g0001", num_bytes=5_000, is_current=False),
            Generation(name="g0002", num_bytes=8_000_000, is_current=True),
        ),
        settings={"image_format": "jpeg"},
        pipelines={"train": ("HorizontalFlip(p=0.5)", f"Rotate({HOSTILE})")},
        versions={"numpy": "2.0"},
        other_versions={"numpy": ("2.0", "2.1")},
        seeds=(0,),
        layout="folders of classes",
        root="data/cells",
        command="precompute build data/cells shards/cells --options options.toml",
        options='variants = 8\nimage-format = "jpeg"\n',
        num_held=1,
        meaning="784 records.",
    )


def _rates() -> PipelineRates:
    numbers = Parameter(name="angle", num=60, low=-15.0, high=15.0, mean=0.25, counts=(20, 20, 20))
    words = Parameter(name="kind", num=60, counts=(40, 20), words=("flip", HOSTILE))
    constant = Parameter(name="constant", num=60, low=3.0, high=3.0, mean=3.0, counts=(60,))
    flip = TransformRate(
        name="HorizontalFlip", p=0.5, expected=0.5, num=100, num_fired=10, low=30, high=70, is_likely=False
    )
    rotate = replace(
        flip, name=f"OneOf › {HOSTILE}", num_fired=60, is_likely=True, parameters=(numbers, words, constant)
    )
    never = replace(flip, name="Never", p=0.01, expected=0.01, num_fired=0, low=0, high=6, is_likely=True)
    unknown = replace(flip, name="Own", expected=None, low=None, high=None, is_likely=True)
    pairs = (
        TransformPair(first=flip.name, second=rotate.name, correlation=0.9, bound=0.3, is_expected=False),
        TransformPair(first=flip.name, second="Own", correlation=-0.5, bound=0.3, is_expected=True),
    )
    return PipelineRates(
        split="train", num_records=100, num_same=99, rates=(flip, rotate, never, unknown), pairs=pairs, meaning="rates"
    )


def _resize_only() -> PipelineRates:
    resize = TransformRate(name="Resize", p=1, expected=1, num=20, num_fired=20, low=20, high=20, is_likely=True)
    return PipelineRates(split="validation", num_records=20, num_same=20, rates=(resize,), pairs=(), meaning="rates")


def _effects() -> Effects:
    brightness = Effect(
        name="brightness",
        unit="mean luma",
        edges=(0.0, 1.0, 2.0),
        before=(5, 5),
        after=(30, 10),
        before_quantiles=(0.1, 0.5, 1.0, 1.5, 1.9),
        after_quantiles=(0.1, 0.4, 0.75, 1.5, 1.9),
    )
    cell = ClassPixels(
        field="mask",
        class_name="cell",
        before=0.25,
        after=0.125,
        num_before=10,
        num_after=38,
        num_expected=40,
        num_lost=2,
    )
    by_class = LostObjects(field="objects", group=HOSTILE, by="class", num_before=100, num_after=50)
    return Effects(
        split="train",
        num_sources=10,
        num_records=40,
        baseline="the original row",
        images=(brightness,),
        classes=(cell, replace(cell, class_name=HOSTILE)),
        lost=(by_class, replace(by_class, group="small", by="size", num_after=99)),
        num_emptied=3,
        fill=BorderFill(share=0.1, num_records=40, num_filled=20, grid=((0.0, 0.4), (0.2, 0.0))),
        meaning="effects",
    )


def _trust() -> Trust:
    pair = Pair(first="a", second=HOSTILE, first_split="train", second_split="test", distance=3, classes=("cat", "dog"))
    return Trust(
        leaks=(("a", HOSTILE),),
        num_leaks=5,
        conflicts=(("c", "d"),),
        num_conflicts=1,
        near=NearDuplicates(
            num_sources=100,
            num_missing=1,
            num_flat=2,
            max_distance=6,
            across=2,
            within=0,
            pairs=(replace(pair, pictures=(draw_noise(), draw_noise(number=1))), pair),
        ),
        skipped=(Reason(what="cut off", num=2, examples=(HOSTILE, "b")),),
        bad=(),
        torn_groups=("patient 1",),
        num_groups=9,
        classes=(
            ClassCounts(field="label", class_name="cat", counted="sources", counts={"train": 90, "validation": 20}),
            ClassCounts(field="label", class_name=HOSTILE, counted="sources", counts={"train": 10, "validation": 0}),
        ),
        meaning="trust",
    )


def _cost() -> Cost:
    split = SplitCost(
        split="train",
        row_bytes=1_000_000,
        record_bytes=10_000,
        decode_ms=2.5,
        augment_ms=1.25,
        encode_ms=0.5,
        read_ms=0.75,
        row_s=0.4,
        transforms=(
            TransformCost(name="Rotate", run_ms=1, record_ms=0.5),
            TransformCost(name=HOSTILE, run_ms=1, record_ms=0.25),
        ),
    )
    return Cost(
        splits=(split,),
        num_bytes=8_000_000,
        old_bytes=5_000,
        online_ms=4.0,
        stored_ms=0.75,
        pays_from=3,
        meaning="cost",
    )


def full_report(**changes: Any) -> Report:
    """Return a report with something in each section."""
    finding = Finding(
        name="splits-share-content",
        severity="error",
        title="2 sources stand in two splits",
        why="Scores flatter.",
        mend="Run `precompute build … --replace`.",
        examples=(HOSTILE,),
        section="trust",
    )
    report = Report(
        made="2026-01-02T03:04:05Z",
        num_sources=128,
        num_rows=8,
        findings=(finding, replace(finding, severity="note", section="cost")),
        notes=(f"Sources are not there: {HOSTILE}",),
        facts=_facts(),
        samples=(make_sample(0), make_sample(1, is_there=False)),
        legend={"mask": [Entry("cell", (0, 235, 100), class_id=1)]},
        transforms=(_rates(), _resize_only()),
        variants=(
            Variants(
                split="train", num_sources=10, num_records=40, num_distinct=39, num_equal_original=1, meaning="distinct"
            ),
        ),
        effects=(_effects(), replace(_effects(), split="validation")),
        trust=_trust(),
        cost=_cost(),
    )
    return replace(report, **changes)


def empty_report() -> Report:
    """Return a report of a dataset of which nothing is known but its manifest."""
    full = full_report()
    trust = replace(
        full.trust,
        leaks=(),
        num_leaks=0,
        conflicts=(),
        num_conflicts=0,
        near=None,
        skipped=(),
        torn_groups=(),
        num_groups=0,
        classes=(),
    )
    facts = replace(
        full.facts, splits=(), fields=(), generations=(), root="", other_versions={}, options="", pipelines={}
    )
    cost = replace(full.cost, splits=(), online_ms=None, pays_from=None)
    nothing: dict[str, Any] = dict.fromkeys(("findings", "notes", "samples", "transforms", "variants", "effects"), ())
    return replace(full, facts=facts, trust=trust, cost=cost, **nothing)
