"""Options without effect on these sources and pipelines give a note, or an error where the user expects an effect.

One table lists them. This module has the cases that depend on the found sources or the tried pipeline; `BuildOptions`
refuses those that follow from the options alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from precompute.errors import UsageError
from precompute.fields.image import ImageField
from precompute.options.build_options import BuildOptions
from precompute.options.option import Ineffective
from precompute.pipelines.pipeline import Prepared
from precompute.table.sources import Sources
from precompute.text.format import format_shape
from precompute.text.names import with_flag

__all__ = [
    "FOLDER_OPTIONS",
    "INEFFECTIVE",
    "Situation",
    "check_image_size",
    "check_ineffective_options",
    "check_ineffective_worker_options",
    "ineffective_options",
]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The facts that decide whether an option has an effect.

    Attributes:
        options: Options of the build.
        sources: Sources as they were found, before splits are assigned.
        is_new: Whether there is no dataset to continue.
    """

    options: BuildOptions
    sources: Sources
    is_new: bool


def _no_masks(of: Situation) -> bool:
    return not of.sources.masks


def _no_masks_nor_objects(of: Situation) -> bool:
    return not any(column.has_pixels for column in of.sources.targets)


def _no_splits(of: Situation) -> bool:
    chosen = of.options.validation_split or of.options.test_split
    return not chosen and all(split in (None, "train") for split in of.sources.splits)


def _no_workers(options: BuildOptions) -> bool:
    return options.backend == "sequential" and options.jobs != 1


def _no_cluster(options: BuildOptions) -> bool:
    return options.backend != "dask"


FOR_MASKS = "is for masks, and these sources have none"
INEFFECTIVE: dict[str, Ineffective[Situation]] = {
    **dict.fromkeys(
        ("mask_map", "num_classes", "ignore_class", "mask_fill"), Ineffective(_no_masks, FOR_MASKS, refused=True)
    ),
    **dict.fromkeys(("masks", "mask_suffix"), Ineffective(_no_masks_nor_objects, FOR_MASKS, refused=True)),
    "quality": Ineffective(
        lambda of: of.options.image_format != "jpeg", "is for JPEG; this image format keeps pixels as they are"
    ),
    "jobs": Ineffective(
        lambda of: _no_workers(of.options),
        "is for workers; backend sequential makes all records in this process",
    ),
    "allow_mixed_cpus": Ineffective(lambda of: _no_cluster(of.options), "is for the workers of backend dask"),
    "alpha": Ineffective(
        lambda of: of.options.color_mode == "rgba" and _no_masks_nor_objects(of),
        "is for records without an alpha channel, and color mode rgba keeps it",
    ),
    "group_by": Ineffective(_no_splits, "keeps groups together where sources are split, and here all are in train"),
    "split_in_key": Ineffective(
        lambda of: all(split is None for split in of.sources.splits),
        "is for sources in folders of splits, and here are none",
    ),
    "retry_bad": Ineffective(lambda of: of.is_new, "is for sources that a dataset has left out; this one is new"),
}
# Tables refuse these options themselves, except for the last.
FOLDER_OPTIONS = ("images", "masks", "extra_images", "image_suffix", "mask_suffix", "split_in_key", "exclude")
OF_FOLDERS: Ineffective[Situation] = Ineffective(
    lambda of: of.sources.from_python, "is for sources in folders, and these come from Python", refused=True
)


def ineffective_options(of: Situation) -> Iterator[tuple[str, Ineffective[Situation]]]:
    """Yield the given options that have no effect, with the reason."""
    defaults = BuildOptions()
    given = [f.name for f in fields(of.options) if getattr(of.options, f.name) != getattr(defaults, f.name)]
    for name in given:
        of_folders = OF_FOLDERS if name in FOLDER_OPTIONS and OF_FOLDERS.when(of) else None
        ineffective = of_folders or INEFFECTIVE.get(name)
        if ineffective is not None and ineffective.when(of):
            yield name, ineffective


def check_ineffective_options(options: BuildOptions, sources: Sources, *, is_new: bool) -> list[str]:
    """Return a note for each option that has no effect.

    Raises:
        UsageError: The user expects an effect of one. If an existing dataset was built with it, there is only a note.
    """
    notes = []
    for name, ineffective in ineffective_options(Situation(options=options, sources=sources, is_new=is_new)):
        if ineffective.refused and is_new:
            raise UsageError(f"{with_flag(name)}: {ineffective.why}; leave it out.")
        notes.append(ineffective.note(with_flag(name)))
    return notes


def check_ineffective_worker_options(options: BuildOptions) -> list[str]:
    """Return a note for each option of workers that has no effect when more rows of a dataset are made."""
    ineffective = {"jobs": options.jobs is not None and _no_workers(options)}
    ineffective["allow_mixed_cpus"] = options.allow_mixed_cpus and _no_cluster(options)
    return [INEFFECTIVE[name].note(with_flag(name)) for name, is_idle in ineffective.items() if is_idle]


def check_image_size(
    options: BuildOptions, prepared: Mapping[str, Prepared], image: ImageField, *, is_new: bool
) -> list[str]:
    """Return a note if records have another size than the given one.

    Raises:
        UsageError: No pipeline takes the size, and pipelines end at another one. An existing dataset goes on.
    """
    if options.image_size is None or options.image_size == (image.height, image.width):
        return []
    name = with_flag("image_size")
    asked, made = format_shape(options.image_size), format_shape((image.height, image.width))
    if any(p.is_sized for p in prepared.values()):
        return [f"{name}: {asked} was given, and the pipeline makes {made} of it."]
    words = f"{name}: {asked} was given, and the pipeline ends at {made}; it is for presets, and for "
    words += "pipelines that are functions of height and width"
    if is_new:
        raise UsageError(f"{words}. Change the pipeline, or leave it out.")
    return [f"{words}, and has no effect here."]
