"""The options of a build about its sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from precompute.fields.colors import MaskColors, read_mask_colors
from precompute.fields.skeleton import checked_pairs
from precompute.options.of_fields import by_field, each_value, of_field
from precompute.options.option import Options, option
from precompute.options.patterns import checked_patterns
from precompute.options.values import (
    check_mask_map,
    check_no_ids,
    check_share,
    checked_target,
    number_of,
    parse_mask_map,
    read_named,
    within,
)

__all__ = ["SourceOptions", "TableOptions"]

LABEL, MASK = "label", "mask"  # the field of labels, and that of masks which were given no other name


@dataclass(frozen=True, kw_only=True)
class SourceOptions(Options):
    """Options for what is read: files, classes, targets."""

    title = "what is read"

    images: str | None = option(None, "folder of the images, where it is not called images", metavar="DIR")
    masks: str | dict[str, str] | None = option(
        None, "folder of the masks, where it is not called masks", metavar="DIR", by_field=True
    )
    image_suffix: str = option("", "end of every image's stem, such as _leftImg8bit", metavar="TEXT")
    mask_suffix: str = option("", "end of every mask's stem, such as _L or _gtFine_labelTrainIds", metavar="TEXT")
    extra_images: Any = option(
        None,
        "folders of further images, each with its name, such as depth=depth/ clean=clean/: a file for each image, of "
        "the same stem and size, PNG, TIFF, .npy …; how they move is said in the pipeline's additional_targets",
        read=partial(read_named, option="extra_images", example="depth=depth/"),
        named=True,
        metavar="NAME=DIR",
    )
    annotations: str | None = option(
        None,
        "boxes: file or folder of the annotations, from the working folder or from SOURCE on: a COCO JSON, a folder of "
        "Pascal VOC xml or of YOLO txt, YOLO's data.yaml, or a table of boxes or keypoints",
        metavar="PATH",
    )
    exclude: Any = option(
        None,
        "leave out files and folders of SOURCE, named by a table or an annotation too: *.tif, old/, train/rejected/*, "
        "**/thumbs/**; names alone fit at any depth, * stays in a folder, ** does not; may be repeated",
        read=checked_patterns,
        action="append",
        metavar="PATTERN",
        stored=False,
    )
    limit: int | None = option(None, "use only this many sources, for a quick try", check=within(1))
    skip_unmatched: str = option(
        "0",
        "accept up to this many files without a partner, or this share of the images (5%): images without a mask or "
        "annotation, masks and annotations without an image; they are left out and listed",
        check=check_share,
        metavar="N|N%",
    )
    target: str = option(
        "auto",
        "none: images alone, for training without labels; keypoints, boxes, instances (a box and a mask for each "
        "object) or mask (all objects of an image merged into class ids): what is read of annotations that hold "
        "several; label,mask and the like: several targets at once, of sources that have them; auto: of COCO keypoints "
        "where there are some, else boxes; of mask files an object, instances; else what there is",
        read=checked_target,
        metavar="TARGETS",
    )
    class_names: list[str] | dict[str, list[str]] | None = option(
        None,
        "classes in the order of their index, separated by commas, those with a comma in quotation marks as in CSV; or "
        "@FILE, a class a line; default: sorted by name, numbers as numbers",
        metavar="NAMES",
        by_field=True,
    )
    num_classes: int | dict[str, int] | None = option(
        None, "classes of masks; default: by the largest id found", check=within(1, 65_536), by_field=True
    )
    ignore_class: int | dict[str, int] | None = option(
        None, "id of mask pixels that shall count neither in loss nor metrics", check=within(0, 65_535), by_field=True
    )
    mask_map: dict[int, int] | dict[str, dict[int, int]] = option(
        {},
        "class ids to change on reading, as from:to, such as 255:1,128:2 or 1-999:1",
        parse=parse_mask_map,
        metavar="IDS",
        by_field=True,
    )
    mask_offset: int | dict[str, int] = option(
        0,
        "added to every id in the masks' files that --mask-map does not name: -1 for ids that start at 1",
        check=within(-65_535, 65_535),
        by_field=True,
    )
    mask_colors: Any = option(
        None,
        "masks are colours: a JSON or CSV file with the class of each; `precompute mask-colors` writes one",
        metavar="FILE",
        stored=False,
        by_field=True,
    )
    missing_values: str = option(
        "refuse",
        "numbers that a model shall learn where a source has none: refuse, or nan: kept as not a number, which losses "
        "and scores leave out",
        choices=("refuse", "nan"),
    )
    mirror_negates: list[str] | None = option(
        None,
        "those of these numbers that change their sign where an image is mirrored, such as angle, separated by commas",
        metavar="NAMES",
    )
    drop_empty: bool = option(False, "leave out images that have no boxes; they are kept by default")
    keypoint_names: list[str] | None = option(
        None, "keypoints from Python: their names in their order, separated by commas", metavar="NAMES"
    )
    skeleton: Any = option(
        None,
        "keypoints that are joined when they are drawn, as pairs of names, such as nose:neck,neck:hip; default: those "
        "of the COCO file",
        read=partial(checked_pairs, option="skeleton"),
        metavar="PAIRS",
    )
    flip_pairs: Any = option(
        None,
        "left and right keypoints that change places where images are mirrored, such as left_eye:right_eye,…; auto: by "
        "names with left and right; none, and no warning",
        read=partial(checked_pairs, option="flip_pairs"),
        metavar="PAIRS",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        each_value(self.mask_map, check_mask_map)
        if self.mask_colors is not None:
            self._read_colors()

    def _read_colors(self) -> None:
        """Replace files of colours by the classes that they hold."""
        colors = self.mask_colors if by_field(self.mask_colors) else {MASK: self.mask_colors}
        read = {name: self._colors(name, given) for name, given in colors.items()}
        object.__setattr__(self, "mask_colors", read if by_field(self.mask_colors) else read[MASK])

    def _colors(self, name: str, given: Any) -> MaskColors:
        if isinstance(given, MaskColors):
            return given
        check_no_ids(of_field(self.mask_map, name) or {}, of_field(self.mask_offset, name) or 0)
        names, ignored = of_field(self.class_names, name), of_field(self.ignore_class, name)
        return read_mask_colors(given, class_names=names, ignore_class=ignored)

    @property
    def image_only(self) -> bool:
        """Whether images alone are wanted, without any target."""
        return self.target == "none"

    @property
    def mask_folders(self) -> dict[str, str | None]:
        """Folder of the masks of each field of masks; None where it is not named."""
        return {**self.masks} if isinstance(self.masks, dict) else {MASK: self.masks}

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets that are wanted; empty where the sources decide."""
        return () if self.target in ("auto", "none") else tuple(self.target.split(","))

    def allowed_unmatched(self, num_images: int) -> int:
        """Return how many files without a partner are accepted."""
        return number_of("skip_unmatched", self.skip_unmatched, num_images)


@dataclass(frozen=True, kw_only=True)
class TableOptions(Options):
    """Options for which columns of tables are read."""

    title = "tables"

    root: str | None = option(
        None, "folder that their paths start from; default: the folder that the table lies in", metavar="DIR"
    )
    image_column: str | None = option(
        None, "column of the images; default: by its name, such as image, path, filename", metavar="NAME"
    )
    mask_column: str | dict[str, str] | None = option(
        None, "column of the masks; default: mask …", metavar="NAME", by_field=True
    )
    label_column: str | None = option(
        None, "column of the class, or of several labels; default: label, class, category …", metavar="NAME"
    )
    label_columns: list[str] | None = option(
        None, "columns of 0 and 1, one for each label, separated by commas", metavar="NAMES"
    )
    label_separator: str | None = option(
        None, "what stands between several labels in one cell, such as '|'", metavar="TEXT"
    )
    split_column: str | None = option(
        None, "column of train, validation, test; default: split, subset …; '' for none", metavar="NAME"
    )
    group_column: str | None = option(
        None, "column of the groups that splits never tear apart; default: group; '' for none", metavar="NAME"
    )
    key_column: str | None = option(
        None, "column of the keys; default: key, else the image's path without its extension", metavar="NAME"
    )
    weight_column: str | None = option(
        None, "column of what each source counts in training; default: sample_weight", metavar="NAME"
    )
    extra_columns: list[str] | None = option(
        None, "columns that travel along unchanged, numbers or texts, separated by commas", metavar="NAMES"
    )
    extra_image_columns: Any = option(
        None,
        "columns of further images, each with the name of these, such as depth=depth_path",
        read=partial(read_named, option="extra_image_columns", example="depth=depth_path"),
        named=True,
        metavar="NAME=COLUMN",
    )
    value_columns: list[str] | None = option(
        None, "columns of numbers that a model shall learn, such as age,bmi, separated by commas", metavar="NAMES"
    )
