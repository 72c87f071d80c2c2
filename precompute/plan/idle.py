"""Options that have no effect on these sources with these pipelines: said, or refused where a wish would not come true.

One table knows them; what cannot be known before the sources are found or the pipeline was tried is here, what can be
known from the options alone is refused by `BuildOptions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from precompute.dataset.manifest import Image
from precompute.errors import UsageError
from precompute.idle import Idle
from precompute.options import BuildOptions
from precompute.record.pipelines.pipeline import Prepared
from precompute.sources.source import Sources

__all__ = [
    "FOLDER_OPTIONS",
    "IDLE",
    "Situation",
    "check_idle",
    "check_idle_workers",
    "check_image_size",
    "idle_options",
]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What decides whether an option has an effect.

    Attributes:
        options: Of the build.
        sources: As they were found, their splits not yet assigned.
        is_new: There is no dataset to go on with.
    """

    options: BuildOptions
    sources: Sources
    is_new: bool


def _no_masks(of: Situation) -> bool:
    return of.sources.kind != "mask"


def _no_masks_nor_objects(of: Situation) -> bool:
    return of.sources.kind not in ("mask", "instances")


def _no_splits(of: Situation) -> bool:
    chosen = of.options.validation_split or of.options.test_split
    return not chosen and all(split in (None, "train") for split in of.sources.splits)


def _no_workers(options: BuildOptions) -> bool:
    return options.backend == "sequential" and options.jobs != 1


def _no_cluster(options: BuildOptions) -> bool:
    return options.backend != "dask"


IDLE: dict[str, Idle[Situation]] = {
    "mask_map": Idle(_no_masks, "is for masks, and these sources have none", refused=True),
    "num_classes": Idle(_no_masks, "is for masks, and these sources have none", refused=True),
    "ignore_class": Idle(_no_masks, "is for masks, and these sources have none", refused=True),
    "mask_fill": Idle(_no_masks, "is for masks, and these sources have none", refused=True),
    "masks": Idle(_no_masks_nor_objects, "is for masks, and these sources have none", refused=True),
    "mask_suffix": Idle(_no_masks_nor_objects, "is for masks, and these sources have none", refused=True),
    "quality": Idle(
        lambda of: of.options.image_format != "jpeg", "is for JPEG; this image format keeps pixels as they are"
    ),
    "jobs": Idle(
        lambda of: _no_workers(of.options),
        "is for workers; backend sequential makes all records in this process",
    ),
    "allow_mixed_cpus": Idle(lambda of: _no_cluster(of.options), "is for the workers of backend dask"),
    "alpha": Idle(
        lambda of: of.options.color_mode == "rgba" and _no_masks_nor_objects(of),
        "is for records without an alpha channel, and color mode rgba keeps it",
    ),
    "group_by": Idle(_no_splits, "keeps groups together where sources are split, and here all are in train"),
    "split_in_key": Idle(
        lambda of: all(split is None for split in of.sources.splits),
        "is for sources in folders of splits, and here are none",
    ),
    "retry_bad": Idle(lambda of: of.is_new, "is for sources that a dataset has left out; this one is new"),
}
FOLDER_OPTIONS = ("images", "masks", "image_suffix", "mask_suffix", "split_in_key")  # tables refuse them themselves
OF_FOLDERS: Idle[Situation] = Idle(
    lambda of: of.sources.from_python, "is for sources in folders, and these come from Python", refused=True
)


def idle_options(of: Situation) -> Iterator[tuple[str, Idle[Situation]]]:
    """Yield the options that were given and have no effect, with why."""
    defaults = BuildOptions()
    given = [f.name for f in fields(of.options) if getattr(of.options, f.name) != getattr(defaults, f.name)]
    for name in given:
        of_folders = OF_FOLDERS if name in FOLDER_OPTIONS and OF_FOLDERS.when(of) else None
        idle = of_folders or IDLE.get(name)
        if idle is not None and idle.when(of):
            yield name, idle


def check_idle(options: BuildOptions, sources: Sources, *, is_new: bool) -> list[str]:
    """Return a note for each option that has no effect.

    Raises:
        UsageError: One of them asks for what does not happen. A dataset that was built with it goes on, with a note.
    """
    notes = []
    for name, idle in idle_options(Situation(options=options, sources=sources, is_new=is_new)):
        if idle.refused and is_new:
            raise UsageError(f"{_shown(name)}: {idle.why}; leave it out.")
        notes.append(idle.note(_shown(name)))
    return notes


def check_idle_workers(options: BuildOptions) -> list[str]:
    """Return a note for each option of workers that has no effect where more rows of a dataset are made."""
    idle = {"jobs": options.jobs is not None and _no_workers(options)}
    idle["allow_mixed_cpus"] = options.allow_mixed_cpus and _no_cluster(options)
    return [IDLE[name].note(_shown(name)) for name, is_idle in idle.items() if is_idle]


def check_image_size(
    options: BuildOptions, prepared: Mapping[str, Prepared], image: Image, *, is_new: bool
) -> list[str]:
    """Return a note where records have another size than the one that was given.

    Raises:
        UsageError: No pipeline takes it, and they end at another one. A dataset that was built so goes on.
    """
    if options.image_size is None or options.image_size == (image.height, image.width):
        return []
    asked, made = "×".join(map(str, options.image_size)), f"{image.height}×{image.width}"
    if any(p.is_sized for p in prepared.values()):
        return [f"{_shown('image_size')}: {asked} was given, and the pipeline makes {made} of it."]
    words = f"{_shown('image_size')}: {asked} was given, and the pipeline ends at {made}; it is for presets, and for "
    words += "pipelines that are functions of height and width"
    if is_new:
        raise UsageError(f"{words}. Change the pipeline, or leave it out.")
    return [f"{words}, and has no effect here."]


def _shown(name: str) -> str:
    return f"{name} (--{name.replace('_', '-')})"
