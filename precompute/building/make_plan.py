"""Makes the plan of a generation: its settings, and the blocks of its splits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.dataset.json_files import canonical_json
from precompute.dataset.manifest import SPLITS, Segment
from precompute.errors import PipelineError, SourceError, UsageError
from precompute.fields.column import Column, RecordFacts
from precompute.fields.field import Schema
from precompute.fields.image import ImageField
from precompute.images.color_modes import CHANNELS
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import of_field
from precompute.pipelines.load import complete_pipelines, load_pipelines
from precompute.pipelines.mask_rules import pickled_fills
from precompute.pipelines.pipeline import Prepared, check_moves, prepare
from precompute.plan.blocks import choose_num_blocks
from precompute.plan.generation import GenerationPlan, Measured, SplitPlan
from precompute.plan.hashes import hash_all
from precompute.plan.settings import fingerprint, place_below
from precompute.plan.versions import check_distributions, pixel_versions
from precompute.preflight.needs import check_needs
from precompute.preflight.sample import RunCalls, Sample, decode_sample, serially
from precompute.preflight.survey import Survey, check_colors, check_rejected, survey
from precompute.rendering.render import NUM_SOURCE_IDS, SOURCE_ID_PERSON
from precompute.rendering.spec import RecordSpec, pixel_settings
from precompute.sources.annotations.find import named_place
from precompute.table.sources import Sources
from precompute.text.format import format_count

__all__ = ["facts_of_plan", "make_plan", "make_settings", "prepare_pipelines", "spec_of_plan"]

STORED = (
    *("validation_split", "test_split", "images", "masks", "image_suffix", "mask_suffix", "split_in_key", "limit"),
    *("shard_size", "num_classes", "ignore_class"),
)
WIDE = Measured(mask_dtype="uint16")  # what is taken for granted before a sample is read: masks may hold any id
# Settings that format 1.0 did not know.
STORED_IF_SET = ("class_copies", "balance", "no_mirroring", "annotations", "drop_empty", "group_by")


def prepare_pipelines(options: BuildOptions, sources: Sources) -> dict[str, Prepared]:
    """Return the given pipelines by split, prepared for the records of sources.

    Raises:
        PipelineError: There is no pipeline, or one cannot be used offline.
        UsageError: Rules for boxes were given, and there are no boxes; or a transform would fill masks whose ignore
            classes differ.
        BuildError: It is unclear which package would make the pixels.
    """
    check_distributions()
    if options.pipeline is None:
        raise PipelineError("pipeline: none given; expected --pipeline with a file, or a preset with --image-size.")
    spec = _wide_spec(options, sources, WIDE)
    if "box_rules" not in spec.pipeline_rules and (options.min_visibility or options.min_area):
        raise UsageError("min_visibility, min_area: they say which boxes are kept; these sources have no boxes.")
    ignored = {one.name: one.ignore_class for one in spec.fields if one.has_class_ids and options.mask_fill == "ignore"}
    fill = next((number for number in ignored.values() if number is not None), None)
    agree = len(set(ignored.values())) <= 1
    given = load_pipelines(options.pipeline, options.image_size, mask_fill=fill if agree else None)
    prepared = {
        split: replace(prepare(pipeline, split, mask_fill=fill, **spec.pipeline_rules), is_sized=given.is_sized)
        for split, pipeline in given.items()
    }
    check_moves(prepared)
    filling = list(dict.fromkeys(name for one in prepared.values() for name in one.filling))
    if filling and not agree:
        shown = ", ".join(f"{name} {'none' if number is None else number}" for name, number in ignored.items())
        raise UsageError(
            f"ignore_class (--ignore-class): {', '.join(filling)} would fill all masks alike, and theirs differ "
            f"({shown}); expected the same for all, or --mask-fill as-written, which leaves fill_mask as the pipeline "
            "has it."
        )
    return prepared


def make_settings(
    options: BuildOptions, pipelines: Mapping[str, Prepared], sources: Sources, measured: Measured
) -> dict[str, Any]:
    """Return the settings of a generation as JSON; see FORMAT.md."""
    pixels = {
        "pipelines": {split: prepared.description for split, prepared in pipelines.items()},
        "versions": pixel_versions(),
        **_pixel_settings(options, sources, measured),
    }
    dataset: dict[str, Any] = {
        "root": None if sources.root is None else str(sources.root),
        **{name: getattr(options, name) for name in STORED},
        "class_names": sources.class_names,
        **{name: getattr(options, name) for name in STORED_IF_SET if getattr(options, name)},
    }
    if options.annotations:
        dataset["annotations"] = place_below(dataset["root"], str(named_place(sources.path("."), options.annotations)))
    if options.extra_images:
        places = {name: place_below(dataset["root"], folder) for name, folder in options.extra_images.items()}
        dataset["extra_images"] = places
    if sources.value_types:  # likewise
        dataset["extra"] = sources.value_types
    if options.target != "auto":
        dataset["target"] = options.target
    settings: dict[str, Any] = json.loads(canonical_json({"pixels": pixels, "dataset": dataset}))
    return settings


def _pixel_settings(options: BuildOptions, sources: Sources, measured: Measured) -> dict[str, Any]:
    pixels = pixel_settings(options, _schema_so_far(options, sources, measured))
    if "mask_dtype" in pixels:
        pixels["mask_dtype"] = measured.mask_dtype  # None beside a dataset without masks
    if measured.attributes:
        pixels["fields"] = measured.attributes
    if any(column.can_be for column in sources.targets):
        of_objects = next(column for column in sources.targets if column.can_be)
        pixels["of_instances"] = of_objects.kind  # what became of the masks of single objects
    return pixels


def _schema_so_far(options: BuildOptions, sources: Sources, measured: Measured) -> Schema:
    """Return the schema, as far as it is known before all masks are read; the image has no size yet."""
    image = ImageField(height=0, width=0, channels=CHANNELS[options.color_mode], encoding=options.image_format)
    facts = partial(_record_facts, sources, vars(options), options.image_format, measured)
    return Schema([image, *sources.fields(facts)])


def _record_facts(
    sources: Sources, dataset: Mapping[str, Any], image_format: str, measured: Measured, column: Column
) -> RecordFacts:
    """Return the facts about records that a column's field depends on, as far as they are known before masks are read.

    Args:
        sources: All sources.
        dataset: Settings of the dataset, of which `num_classes` and `ignore_class` are used.
        image_format: Encoding of images.
        measured: What a sample told.
        column: The column.

    Raises:
        UsageError: The number of classes does not fit their names.
    """
    names, given = sources.names_of(column.name), of_field(dataset["num_classes"], column.name)
    return RecordFacts(
        class_names=names,
        num_classes=_known_num_classes(given, names) if column.has_class_ids else None,
        ignore_class=of_field(dataset["ignore_class"], column.name),
        encoding=image_format,
        mask_dtype=measured.mask_dtype,
        attributes=measured.attributes,
    )


def facts_of_plan(plan: GenerationPlan, sources: Sources) -> Callable[[Column], RecordFacts]:
    """Return a function: column → the facts about a generation's records that its field depends on."""
    return partial(_record_facts, sources, plan.settings["dataset"], plan.image.encoding, plan.measured)


def spec_of_plan(plan: GenerationPlan, sources: Sources) -> RecordSpec:
    """Return the specification of a generation's records."""
    facts = facts_of_plan(plan, sources)
    return RecordSpec.of_settings(plan.settings["pixels"], Schema([plan.image, *sources.fields(facts)]))


def _wide_spec(options: BuildOptions, sources: Sources, measured: Measured) -> RecordSpec:
    """Return the specification before the pipeline was tried; sizes are unknown."""
    schema = _schema_so_far(options, sources, measured)
    return RecordSpec.of_settings(_pixel_settings(options, sources, measured), schema)


def _known_num_classes(num_classes: int | None, class_names: list[str]) -> int | None:
    """Return the number of classes of masks, if the user gave it or gave names; else None.

    Raises:
        UsageError: Both were given, and they differ.
    """
    if num_classes is not None and class_names and len(class_names) != num_classes:
        raise UsageError(f"num_classes: {num_classes} does not fit the {len(class_names)} class_names.")
    return len(class_names) or num_classes


def make_plan(
    name: str,
    generation: str,
    options: BuildOptions,
    prepared: Mapping[str, Prepared],
    sources: Sources,
    run_calls: RunCalls = serially,
) -> GenerationPlan:
    """Measure a fixed sample of each split, and plan a generation from it.

    Args:
        name: Name of the dataset.
        generation: Name of the generation.
        options: Options of the build.
        prepared: Split → given pipeline.
        sources: All sources with splits, classes and copies.
        run_calls: Calls a function with each argument, in parallel processes if it can; it decodes the samples.

    Raises:
        PipelineError: A pipeline cannot be used offline.
        BadSourcesError: None of the sample can be decoded.
        SourceError: Masks need a map.
    """
    _check_source_ids(sources.keys)
    moves = {name: {"moves_as": known} for name, known in prepared["train"].further_targets.items()}
    wide = _wide_spec(options, sources, replace(WIDE, attributes=moves))
    for split, p in prepared.items():
        check_needs(p.pickled, wide, split)
    splits = [split for split in SPLITS if split in sources.splits]
    fills = [fill for p in prepared.values() for fill in pickled_fills(p.pickled)]
    samples, measured = _decode_samples(options, sources, splits, wide, run_calls, highest_fill=max(fills))
    blank = _wide_spec(options, sources, replace(measured, mask_dtype=measured.mask_dtype or WIDE.mask_dtype))
    samples = {split: sample.converted(blank) for split, sample in samples.items()}
    for split, p in prepared.items():
        for one in blank.fields:
            one.check_pipeline(p.pickled, split)
    accepted = _accepted_share(options, sources)
    surveys = {"train": survey(samples["train"], prepared["train"].pickled, blank, accepted=accepted)}
    size = (surveys["train"].height, surveys["train"].width)
    image = ImageField(height=size[0], width=size[1], channels=blank.channels, encoding=options.image_format)
    for split, p in prepared.items():
        _check_normalize(split, p.normalize, image.channels)
    pipelines = complete_pipelines(prepared, splits, image)
    for split in splits:
        if split != "train":
            surveys[split] = survey(samples[split], pipelines[split].pickled, blank, accepted=accepted)
            _check_size(split, (surveys[split].height, surveys[split].width), size)
    settings = make_settings(options, pipelines, sources, measured)
    return GenerationPlan(
        name=name,
        generation=generation,
        fingerprint=fingerprint(settings),
        settings=settings,
        image=image,
        mask_dtype=measured.mask_dtype,
        counters=_counters(options, samples["train"], blank),
        normalize={split: pipelines[split].normalize for split in splits},
        splits={split: _plan_split(sources, split, surveys[split], options.shard_size) for split in splits},
    )


def source_ids(keys: Sequence[str]) -> NDArray[np.uint64]:
    """Return `source_id` of each key, uint64 [number of keys]."""
    hashes = hash_all((key.encode() for key in keys), digest_size=8, person=SOURCE_ID_PERSON)[:, 0]
    return hashes.byteswap() & np.uint64(NUM_SOURCE_IDS - 1)  # a digest is read from its last byte


def _check_source_ids(keys: Sequence[str]) -> None:
    """Refuse two keys with the same `image/source_id`: readers that use it would take them for one image.

    Raises:
        SourceError: There are such keys; among ten million sources, the chance is one in 180.
    """
    ids = source_ids(keys)
    ordered = np.sort(ids)
    for duplicate in ordered[1:][ordered[1:] == ordered[:-1]]:
        a, b = (keys[i] for i in np.flatnonzero(ids == duplicate)[:2])
        raise SourceError(f"the keys {a!r} and {b!r} have the same image/source_id; rename one of the files.")


def _counters(options: BuildOptions, sample: Sample, spec: RecordSpec) -> dict[str, Any]:
    """Return the counters of a sample; none for classes whose number the user gave."""
    counted = [one for one in spec.fields if of_field(options.num_classes, one.name) is None]
    return {what: said for one in counted for what, said in one.counters(sample.values(one.name)).items()}


def _accepted_share(options: BuildOptions, sources: Sources) -> float:
    """Return the share of bad sources that is accepted."""
    return options.allowed_bad(len(sources)) / max(1, len(sources))


def _decode_samples(
    options: BuildOptions,
    sources: Sources,
    splits: list[str],
    wide: RecordSpec,
    run_calls: RunCalls,
    *,
    highest_fill: int,
) -> tuple[dict[str, Sample], Measured]:
    """Return the samples, and what they tell of the fields."""
    samples = {split: decode_sample(sources, split, wide, run_calls) for split in splits}
    for sample in samples.values():
        check_colors(sample, allowed=options.allowed_bad(len(sources)))
        check_rejected(sample, accepted=_accepted_share(options, sources))
    attributes = {one.name: one.measured(_values(samples, one.name)) for one in wide.fields}
    measured = Measured(attributes={name: told for name, told in attributes.items() if told})
    if not wide.has_class_ids:
        return samples, measured
    for split, sample in samples.items():
        for one in wide.fields:
            one.check_sample(sample.values(one.name), split)
    decoded = [source.class_ids(wide) for sample in samples.values() for source in sample.decoded]
    found = max(int(ids.max()) for of_source in decoded for ids in of_source.values())
    highest = max([found, highest_fill, *(_highest_id(options, sources, one.name) for one in sources.masks)])
    return samples, replace(measured, mask_dtype="uint16" if highest > 255 else "uint8")


def _highest_id(options: BuildOptions, sources: Sources, name: str) -> int:
    """Return the highest id that options and names of classes give to masks."""
    colors = of_field(options.mask_colors, name)
    listed = max(colors.ids.values(), default=0) if colors else 0
    named = max(of_field(options.num_classes, name) or 1, len(sources.names_of(name))) - 1
    return max(listed, named, of_field(options.ignore_class, name) or 0)


def _values(samples: Mapping[str, Sample], name: str) -> list[Any]:
    """Return the values of a field in the samples of all splits."""
    return [value for sample in samples.values() for value in sample.values(name).values()]


def _check_normalize(split: str, numbers: Mapping[str, Any] | None, channels: int) -> None:
    wrong = [] if numbers is None else [name for name in ("mean", "std") if len(numbers[name]) not in (1, channels)]
    if wrong and numbers is not None:
        raise PipelineError(
            f"pipeline of {split}: Normalize has {wrong[0]}={numbers[wrong[0]]}, and images have "
            f"{format_count(channels, 'channel')}; give it as many numbers, or one."
        )


def _check_size(split: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    if size != expected:
        raise PipelineError(
            f"pipeline of {split}: gives {size[0]}×{size[1]} (height × width), the one of train "
            f"{expected[0]}×{expected[1]}; one dataset has one size."
        )


def _plan_split(sources: Sources, split: str, measured: Survey, shard_size: int | None) -> SplitPlan:
    num_places = sum(sources.copies_of(split))
    num_blocks = choose_num_blocks(num_places, measured.record_bytes, shard_size)
    return SplitPlan(
        segments=[Segment(num_places=num_places, num_blocks=num_blocks)],
        record_bytes=measured.record_bytes,
        record_s=measured.record_s,
    )
