"""The options of a build: its groups, and all of them in one flat set. Those of sources and of workers stand apart."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from precompute.errors import UsageError
from precompute.images.color_modes import ALPHAS, COLOR_MODES, EXPECTED_SCALE, parse_scale
from precompute.options.option import Options, option
from precompute.options.running import RunOptions
from precompute.options.sources import SourceOptions, TableOptions
from precompute.options.values import (
    check_alpha,
    check_class_copies,
    check_seed,
    check_share,
    check_unicode,
    number_of,
    parse_bytes,
    parse_class_copies,
    parse_image_size,
    within,
)

__all__ = ["BuildOptions", "PixelOptions", "RowOptions", "SplitOptions"]


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


@dataclass(frozen=True, kw_only=True)
class PixelOptions(Options):
    """What decides the pixels of records."""

    title = "pixels"

    pipeline: Any = option(
        None,
        "pipelines for train, validation, test: a Python file, a YAML or JSON that Albumentations wrote, or a preset: "
        "light, medium, heavy",
        metavar="FILE",
        stored=False,
    )
    image_size: tuple[int, int] | None = option(
        None,
        "one number, or height and width: for presets and pipelines that are functions",
        read=parse_image_size,
        nargs="+",
        metavar="N",
    )
    max_source_size: int | None = option(
        None,
        "shrink sources whose longer side has more than N pixels to N while decoding, their masks with them, before "
        "the pipeline; smaller ones stay as they are. Quicker; pixels change, so it is kept in the manifest",
        check=within(16),
    )
    image_format: str = option("jpeg", "encoding of images; masks are always lossless", choices=("jpeg", "png", "raw"))
    quality: int = option(95, "quality of JPEG, 1 to 100", check=within(1, 100))
    color_mode: str = option("rgb", "channels of images: 1, 3 or 4; rgba needs png or raw", choices=COLOR_MODES)
    alpha: str = option(
        "opaque",
        "alpha channel of a source, where records have none: opaque: it has to be 255 everywhere, and is taken off; "
        "drop: taken off whatever it holds; white, black: what lies behind; masks are laid on nothing. Kept in the "
        "manifest",
        choices=ALPHAS,
    )
    scale: str | None = option(
        None,
        "how images of more than 8 bits a channel, or of fractions, become 8: " + EXPECTED_SCALE + "; others stay as "
        "they are. Kept in the manifest",
        read=lambda text: str(parse_scale(text)),
    )
    mask_fill: str = option(
        "ignore",
        "what transforms fill masks with where their fill_mask is at its default, 0: the ignore class if there is one, "
        "or 0 as written",
        choices=("ignore", "as-written"),
    )
    min_visibility: float = option(
        0.0,
        "boxes: share of its area that each transform must leave of a box, 0 to 1, or it falls out",
        check=within(0, 1, whole=False),
    )
    min_area: float = option(
        0.0,
        "boxes: pixels that must be left of a box, or of an object's mask, or it falls out",
        check=within(0, whole=False),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_alpha(self.color_mode, self.alpha, self.image_format)


@dataclass(frozen=True, kw_only=True)
class RowOptions(Options):
    """Options for which rows shall be listed, of which places, and what happens to rows that are there."""

    title = "rows"

    variants: int = option(
        10, "augmented variants of each training source: rows 0 to N-1 of this seed", check=within(1, 9_999)
    )
    seed: int = option(0, "seed of the augmentation; another seed adds rows", check=lambda _, seed: check_seed(seed))
    include_original: bool = option(False, "one more row: training sources through the validation pipeline")
    class_copies: dict[str, int] = option(
        {},
        "rare classes more often: places that each of their training sources takes, such as shoes=3,hats=2; names with "
        "commas as in --class-names",
        parse=parse_class_copies,
        metavar="COPIES",
    )
    balance: bool = option(False, "choose the copies so that classes have about as many training records each")
    no_mirroring: bool = option(False, "text, left and right hands: readers never mirror, whatever the pipeline does")
    shard_size: int | None = option(
        None,
        "bytes a shard, such as 128MiB; default: a 1024th of a row, from 64 to 512 MiB; at least 16 shards where that "
        "leaves 8 records each",
        parse=parse_bytes,
        check=within(1024),
        metavar="SIZE",
    )
    check: str = option(
        "sizes", "how rows written before are looked at: sizes, or full for their sha256", choices=("sizes", "full")
    )
    skip_bad: str = option(
        "0",
        "accept up to this many bad sources, or this share (5%): they are left out of all rows",
        check=check_share,
        metavar="N|N%",
    )
    retry_bad: bool = option(False, "try sources that were left out again: those that are fixed join all rows")
    replace: bool = option(False, "where settings or sources differ: write a new generation, then swap")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_class_copies(self.class_copies, balance=self.balance)

    def allowed_bad(self, num_sources: int) -> int:
        """Return how many bad sources are accepted."""
        return number_of("skip_bad", self.skip_bad, num_sources)


@dataclass(frozen=True, kw_only=True)
class BuildOptions(RunOptions, RowOptions, PixelOptions, SplitOptions, TableOptions, SourceOptions):
    """Options of `precompute build`; bad values are refused and shown.

    Each field is an option of the command line with the same name and default. Fields come in the order of the groups
    from right to left, as dataclasses inherit them, and last those that only a build takes.
    """

    ignore_space: bool = option(False, "start although the disk seems too small for what is missing")
    dry_run: bool = option(
        False, "show the plan with its records, bytes, hours and free disk, and when it pays, and write nothing"
    )
    runs: int | None = option(None, "with --dry-run: trainings that will read the records; default: 1", check=within(1))
    epochs: int | None = option(
        None, "with --dry-run: epochs of each of these trainings; default: 100", check=within(1)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for f in dataclasses.fields(self):
            if f.metadata.get("stored", True):  # others are files and folders whose names no manifest holds
                check_unicode(f.name, getattr(self, f.name))
        for name in ("runs", "epochs"):
            if getattr(self, name) is not None and not self.dry_run:
                raise UsageError(f"{name}: only a dry run uses it, to tell when records pay; add --dry-run.")
