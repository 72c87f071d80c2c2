"""The options of a build. One definition serves the Python call, the command line, its help and the manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from precompute.errors import UsageError
from precompute.fields.colors import read_mask_colors
from precompute.fields.skeleton import checked_pairs, parse_flip_pairs, parse_pairs
from precompute.images.color_modes import ALPHAS, COLOR_MODES, EXPECTED_SCALE, parse_scale
from precompute.options.backends import BACKENDS, check_backend, check_timeout, count_workers, lacks_workers
from precompute.options.patterns import checked_patterns
from precompute.options.plain_values import check_kind, convert
from precompute.options.values import (
    RANGES,
    check_alpha,
    check_choice,
    check_class_copies,
    check_mask_map,
    check_no_ids,
    check_number,
    check_range,
    check_seed,
    check_unicode,
    number_of,
    parse_bytes,
    parse_class_copies,
    parse_image_size,
    parse_mask_map,
)
from precompute.text.names import parse_names

__all__ = ["TABLE_OPTIONS", "BuildOptions"]

TABLE_OPTIONS = (
    *("root", "image_column", "mask_column", "label_column", "label_columns", "label_separator"),
    *("split_column", "group_column", "key_column", "weight_column", "extra_columns", "value_columns"),
)
NOT_STORED = ("pipeline", "mask_colors", "lease_dir", "exclude")  # files and folders whose names no manifest holds
SHARES = ("skip_bad", "skip_unmatched")  # numbers, or per cent
OWN_CHECKS = {*RANGES, *SHARES, "seed", "min_visibility", "min_area", "task_timeout", "address"}  # that say more


def _option(default: Any, help: str, *, parse: Callable[[str], Any] | None = None, **cli: Any) -> Any:
    """Return a field whose metadata makes its argument on the command line."""
    return field(default=default, metadata={"help": help, "parse": parse, **cli})


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What `precompute build` can be told; refuses bad values and shows them.

    Each field is an option of the command line with the same name and default.
    """

    pipeline: Any = _option(
        None,
        "pipelines for train, validation, test: a Python file, a YAML or JSON that Albumentations wrote, or a preset: "
        "light, medium, heavy",
        metavar="FILE",
    )
    variants: int = _option(10, "augmented variants of each training source: rows 0 to N-1 of this seed", parse=int)
    seed: int = _option(0, "seed of the augmentation; another seed adds rows", parse=int)
    jobs: int | None = _option(
        None,
        "worker processes; default: all cores of the machine or container; with dask, tasks under way: twice what its "
        "workers take",
        parse=int,
    )
    backend: str = _option(
        "loky", "joblib backend that runs the workers; dask: those of the cluster at --address", choices=BACKENDS
    )
    address: str | None = _option(
        None,
        "Dask scheduler, as `dask scheduler` prints it, such as tcp://10.0.0.1:8786; its workers must see sources and "
        "output under the same paths",
    )
    allow_mixed_cpus: bool = _option(
        False, "workers of the cluster may have different processors, which may round pixels by a grey level"
    )
    image_size: tuple[int, int] | None = _option(
        None, "one number, or height and width: for presets and pipelines that are functions", parse=str, nargs="+"
    )
    max_source_size: int | None = _option(
        None,
        "shrink sources whose longer side has more than N pixels to N while decoding, their masks with them, before "
        "the pipeline; smaller ones stay as they are. Quicker; pixels change, so it is kept in the manifest",
        parse=int,
    )
    image_format: str = _option("jpeg", "encoding of images; masks are always lossless", choices=("jpeg", "png", "raw"))
    quality: int = _option(95, "quality of JPEG, 1 to 100", parse=int)
    color_mode: str = _option("rgb", "channels of images: 1, 3 or 4; rgba needs png or raw", choices=COLOR_MODES)
    alpha: str = _option(
        "opaque",
        "alpha channel of a source, where records have none: opaque: it has to be 255 everywhere, and is taken off; "
        "drop: taken off whatever it holds; white, black: what lies behind; masks are laid on nothing. Kept in the "
        "manifest",
        choices=ALPHAS,
    )
    scale: str | None = _option(
        None,
        "how images of more than 8 bits a channel, or of fractions, become 8: " + EXPECTED_SCALE + "; others stay as "
        "they are. Kept in the manifest",
        parse=lambda text: str(parse_scale(text)),
    )
    validation_split: float = _option(0.0, "fraction of sources for validation, by class and group", parse=float)
    test_split: float = _option(0.0, "fraction of sources for test", parse=float)
    group_by: str | None = _option(
        None,
        "regular expression that finds in each key, in parentheses, the group (patient, scene, video) that a split may "
        "not tear apart, such as '^(patient[0-9]+)_'; or the name of a table's column that holds it",
        metavar="REGEX",
    )
    images: str | None = _option(None, "folder of the images, where it is not called images", metavar="DIR")
    masks: str | None = _option(None, "folder of the masks, where it is not called masks", metavar="DIR")
    image_suffix: str = _option("", "end of every image's stem, such as _leftImg8bit")
    mask_suffix: str = _option("", "end of every mask's stem, such as _L or _gtFine_labelTrainIds")
    exclude: Any = _option(
        None,
        "leave out files and folders of SOURCE, named by a table or an annotation too: *.tif, old/, train/rejected/*, "
        "**/thumbs/**; names alone fit at any depth, * stays in a folder, ** does not; may be repeated",
        action="append",
        metavar="PATTERN",
    )
    split_in_key: bool = _option(False, "keep the split's folder in keys, where names repeat from split to split")
    class_names: list[str] | None = _option(
        None,
        "classes in the order of their index, separated by commas, those with a comma in quotation marks as in CSV; or "
        "@FILE, a class a line; default: sorted by name, numbers as numbers",
        parse=parse_names,
    )
    num_classes: int | None = _option(None, "classes of masks; default: by the largest id found", parse=int)
    mask_map: dict[int, int] = field(
        default_factory=dict,
        metadata={
            "help": "class ids to change on reading, as from:to, such as 255:1,128:2 or 1-999:1",
            "parse": parse_mask_map,
            "metavar": "IDS",
        },
    )
    mask_offset: int = _option(
        0, "added to every id in the masks' files that --mask-map does not name: -1 for ids that start at 1", parse=int
    )
    mask_colors: Any = _option(
        None,
        "masks are colours: a JSON or CSV file with the class of each; `precompute mask-colors` writes one",
        metavar="FILE",
    )
    ignore_class: int | None = _option(
        None, "id of mask pixels that shall count neither in loss nor metrics", parse=int
    )
    mask_fill: str = _option(
        "ignore",
        "what transforms fill masks with where their fill_mask is at its default, 0: the ignore class if there is one, "
        "or 0 as written",
        choices=("ignore", "as-written"),
    )
    annotations: str | None = _option(
        None,
        "boxes: file or folder of the annotations, from the working folder or from SOURCE on: a COCO JSON, a folder of "
        "Pascal VOC xml or of YOLO txt, YOLO's data.yaml, or a table of boxes or keypoints",
        metavar="PATH",
    )
    root: str | None = _option(
        None, "tables: folder that their paths start from; default: the folder that the table lies in", metavar="DIR"
    )
    image_column: str | None = _option(
        None, "tables: column of the images; default: by its name, such as image, path, filename", metavar="NAME"
    )
    mask_column: str | None = _option(None, "tables: column of the masks; default: mask …", metavar="NAME")
    label_column: str | None = _option(
        None, "tables: column of the class, or of several labels; default: label, class, category …", metavar="NAME"
    )
    label_columns: list[str] | None = _option(
        None, "tables: columns of 0 and 1, one for each label, separated by commas", parse=parse_names, metavar="NAMES"
    )
    label_separator: str | None = _option(
        None, "tables: what stands between several labels in one cell, such as '|'", metavar="TEXT"
    )
    split_column: str | None = _option(
        None, "tables: column of train, validation, test; default: split, subset …; '' for none", metavar="NAME"
    )
    group_column: str | None = _option(
        None, "tables: column of the groups that splits never tear apart; default: group; '' for none", metavar="NAME"
    )
    key_column: str | None = _option(
        None, "tables: column of the keys; default: key, else the image's path without its extension", metavar="NAME"
    )
    weight_column: str | None = _option(
        None, "tables: column of what each source counts in training; default: sample_weight", metavar="NAME"
    )
    extra_columns: list[str] | None = _option(
        None,
        "tables: columns that travel along unchanged, numbers or texts, separated by commas",
        parse=parse_names,
        metavar="NAMES",
    )
    value_columns: list[str] | None = _option(
        None,
        "tables: columns of numbers that a model shall learn, such as age,bmi, separated by commas",
        parse=parse_names,
        metavar="NAMES",
    )
    missing_values: str = _option(
        "refuse",
        "numbers that a model shall learn where a source has none: refuse, or nan: kept as not a number, which losses "
        "and scores leave out",
        choices=("refuse", "nan"),
    )
    mirror_negates: list[str] | None = _option(
        None,
        "those of these numbers that change their sign where an image is mirrored, such as angle, separated by commas",
        parse=parse_names,
        metavar="NAMES",
    )
    target: str = _option(
        "auto",
        "none: images alone, for training without labels; keypoints, boxes, instances (a box and a mask for each "
        "object) or mask (all objects of an image merged into class ids): what is read of annotations that hold "
        "several; auto: of COCO keypoints where there are some, else boxes; of mask files an object, instances; else "
        "what there is",
        choices=("auto", "none", "boxes", "keypoints", "instances", "mask"),
    )
    keypoint_names: list[str] | None = _option(
        None,
        "keypoints from Python: their names in their order, separated by commas",
        parse=parse_names,
        metavar="NAMES",
    )
    skeleton: Any = _option(
        None,
        "keypoints that are joined when they are drawn, as pairs of names, such as nose:neck,neck:hip; default: those "
        "of the COCO file",
        parse=lambda text: parse_pairs(text, "skeleton"),
        metavar="PAIRS",
    )
    flip_pairs: Any = _option(
        None,
        "left and right keypoints that change places where images are mirrored, such as left_eye:right_eye,…; auto: by "
        "names with left and right; none, and no warning",
        parse=parse_flip_pairs,
        metavar="PAIRS",
    )
    drop_empty: bool = _option(False, "leave out images that have no boxes; they are kept by default")
    min_visibility: float = _option(
        0.0, "boxes: share of its area that each transform must leave of a box, 0 to 1, or it falls out", parse=float
    )
    min_area: float = _option(
        0.0, "boxes: pixels that must be left of a box, or of an object's mask, or it falls out", parse=float
    )
    include_original: bool = _option(False, "one more row: training sources through the validation pipeline")
    class_copies: dict[str, int] = field(
        default_factory=dict,
        metadata={
            "help": "rare classes more often: places that each of their training sources takes, such as "
            "shoes=3,hats=2; names with commas as in --class-names",
            "parse": parse_class_copies,
            "metavar": "COPIES",
        },
    )
    balance: bool = _option(False, "choose the copies so that classes have about as many training records each")
    no_mirroring: bool = _option(False, "text, left and right hands: readers never mirror, whatever the pipeline does")
    shard_size: int | None = _option(
        None,
        "bytes a shard, such as 128MiB; default: a 1024th of a row, from 64 to 512 MiB; at least 16 shards where that "
        "leaves 8 records each",
        parse=parse_bytes,
        metavar="SIZE",
    )
    limit: int | None = _option(None, "use only this many sources, for a quick try", parse=int)
    check: str = _option(
        "sizes", "how rows written before are looked at: sizes, or full for their sha256", choices=("sizes", "full")
    )
    skip_bad: str = _option(
        "0", "accept up to this many bad sources, or this share (5%%): they are left out of all rows"
    )
    skip_unmatched: str = _option(
        "0",
        "accept up to this many files without a partner, or this share of the images (5%%): images without a mask or "
        "annotation, masks and annotations without an image; they are left out and listed",
    )
    retry_bad: bool = _option(False, "try sources that were left out again: those that are fixed join all rows")
    task_timeout: float | None = _option(
        None,
        "end a worker that stays at one source for so many seconds, all its new rows together; a source that does so "
        "twice is bad. Needs loky; default: no limit",
        parse=float,
        metavar="SECONDS",
    )
    ignore_space: bool = _option(False, "start although the disk seems too small for what is missing")
    replace: bool = _option(False, "where settings or sources differ: write a new generation, then swap")
    dry_run: bool = _option(
        False, "show the plan with its records, bytes, hours and free disk, and when it pays, and write nothing"
    )
    runs: int | None = _option(None, "with --dry-run: trainings that will read the records; default: 1", parse=int)
    epochs: int | None = _option(None, "with --dry-run: epochs of each of these trainings; default: 100", parse=int)
    lease_dir: str | Path | None = _option(
        None, "folder where readers of this dataset leave leases, if it is read-only to them", parse=str, metavar="DIR"
    )
    quiet: bool = _option(False, "say nothing but errors")

    def __post_init__(self) -> None:
        self._take_plain_values()
        check_seed(self.seed)
        for name, (low, high) in RANGES.items():
            check_range(name, getattr(self, name), low, high)
        for name in ("runs", "epochs"):
            if getattr(self, name) is not None and not self.dry_run:
                raise UsageError(f"{name}: only a dry run uses it, to tell when records pay; add --dry-run.")
        for option in dataclasses.fields(self):
            if "choices" in option.metadata and option.name != "backend":  # of which Python may name others
                check_choice(option.name, getattr(self, option.name), option.metadata["choices"])
        check_alpha(self.color_mode, self.alpha, self.image_format)
        if self.scale is not None:
            object.__setattr__(self, "scale", str(parse_scale(self.scale)))
        for name in ("skeleton", "flip_pairs"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checked_pairs(getattr(self, name), name))
        object.__setattr__(self, "exclude", checked_patterns(self.exclude))
        check_backend(self.backend, self.address)
        check_number("min_visibility", self.min_visibility, 0, 1)
        check_number("min_area", self.min_area, 0)
        self.allowed_bad(100), self.allowed_unmatched(100)
        check_timeout(self.task_timeout, self.backend)
        if self.image_size is not None:
            given: Any = self.image_size
            words = [str(number) for number in given] if isinstance(given, list | tuple) else str(given)
            object.__setattr__(self, "image_size", parse_image_size(words))
        check_class_copies(self.class_copies, balance=self.balance)
        self._read_colors()
        check_mask_map(self.mask_map)

    def _take_plain_values(self) -> None:
        for f in dataclasses.fields(self):
            default = f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
            value = convert(f.type, getattr(self, f.name), default, f.metadata["parse"])
            object.__setattr__(self, f.name, value)
            if f.name not in OWN_CHECKS:
                check_kind(f.name, f.type, value)
            if f.name not in NOT_STORED:
                check_unicode(f.name, value)

    @property
    def num_jobs(self) -> int:
        """Workers to start: all cores that the container grants, unless told otherwise; 1 where none can be started."""
        return count_workers(self.jobs, self.backend)

    @property
    def has_no_workers(self) -> bool:
        """Whether several workers are asked for where none can be: in a daemonic process, in threads of joblib."""
        return lacks_workers(self.jobs, self.backend)

    @property
    def default_mask_fill(self) -> int | None:
        """What masks are filled with where a pipeline does not say it; None: as Albumentations does, with 0."""
        return self.ignore_class if self.mask_fill == "ignore" else None

    @property
    def image_only(self) -> bool:
        """Whether images alone are wanted, without any target."""
        return self.target == "none"

    def allowed_bad(self, num_sources: int) -> int:
        """Return how many bad sources are accepted.

        Raises:
            UsageError: `skip_bad` is neither a number nor a percentage.
        """
        return number_of("skip_bad", self.skip_bad, num_sources)

    def allowed_unmatched(self, num_images: int) -> int:
        """Return how many files without a partner are accepted.

        Raises:
            UsageError: `skip_unmatched` is neither a number nor a percentage.
        """
        return number_of("skip_unmatched", self.skip_unmatched, num_images)

    @classmethod
    def make(cls, **given: Any) -> BuildOptions:
        """Return options from keyword arguments, with an error that names what it does not know."""
        known = [f.name for f in dataclasses.fields(cls)]
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise UsageError(f"build: unknown option {', '.join(unknown)}; expected: {', '.join(known)}.")
        return cls(**given)

    def _read_colors(self) -> None:
        """Put the class of each colour in place of the file that says it, and its names where none were given."""
        if self.mask_colors is None:
            return
        check_no_ids(self.mask_map, self.mask_offset)
        colors = read_mask_colors(self.mask_colors, class_names=self.class_names, ignore_class=self.ignore_class)
        object.__setattr__(self, "mask_colors", colors.ids)
        if colors.names is not None:
            object.__setattr__(self, "class_names", colors.names)
