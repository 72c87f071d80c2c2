"""The colours in a data set's masks: counted, and written as a file for `--mask-colors`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from precompute.errors import BadSourcesError, RejectedSource, SourceError, UsageError, accessible
from precompute.fields.colors import FoundColor, MaskColors, write_mask_colors
from precompute.images.decode import decode_colors
from precompute.images.mask_files import count_colors, unpacked_color
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import of_field
from precompute.sources.chosen import limit_sources
from precompute.sources.find import find
from precompute.storage.paths import local_path
from precompute.text.format import format_count
from precompute.text.names import with_flag
from precompute.text.reasons import describe_reasons

__all__ = ["find_colors", "write_colors"]

MAX_COLORS = 1_024


def write_colors(source: str | Path, output: str | Path, options: BuildOptions, *, overwrite: bool = False) -> str:
    """Write a file of all colours in the masks, most pixels first; returns a line for people.

    Args:
        source: Folder of the sources.
        output: JSON file to write; colours have the classes of `options.mask_colors` where it lists them, else
            ``"unnamed #…"``, for people to replace.
        options: Options of the build.
        overwrite: Whether an existing file is replaced.

    Raises:
        UsageError: The file exists, or cannot be written.
        SourceError: There are no masks, or they hold too many colours to be classes.
        BadSourcesError: Masks cannot be read.
    """
    path = local_path(output, "output")
    if path.suffix.lower() != ".json":
        raise UsageError(f"output: expected the name of a JSON file, such as colors.json, got {path}.")
    with accessible(path, UsageError, "written"):
        is_there = path.exists()
    if is_there and not overwrite:
        raise UsageError(f"output: {path} is there already; give another name, or --overwrite.")
    found, num_masks = find_colors(source, options, path)
    write_mask_colors(path, found)
    unnamed = sum(str(color.name).startswith("unnamed ") for color in found)
    return (
        f"{path}: {format_count(len(found), 'colour')} of {format_count(num_masks, 'mask')}, {unnamed} without a "
        "class; put class names in their place (several colours may be one class), then build with --mask-colors"
    )


def find_colors(source: str | Path, options: BuildOptions, output: Path | None = None) -> tuple[list[FoundColor], int]:
    """Return the colours that the masks hold, most pixels first, and the number of masks.

    Raises:
        UsageError: An option has no effect here.
    """
    for name in ("class_names", "ignore_class"):
        if getattr(options, name) is not None and options.mask_colors is None:
            raise UsageError(
                f"{with_flag(name)}: is for the classes of --mask-colors, and none are given; leave "
                "it out, and put names into the file."
            )
    sources = limit_sources(find(source, options, output=output), options.limit)
    names = [column.name for column in sources.targets if column.id_maps()]
    if len(names) > 1:
        raise UsageError(
            f"masks: these sources have several masks ({', '.join(names)}), whose colours may mean other classes; give "
            "the folder or the column of one of them."
        )
    paths = [path for column in sources.targets for path in column.id_maps()]
    if not paths:
        raise SourceError(f"{source}: there are no masks here, but classes; colours are looked for in masks.")
    pixels, masks, rejected = Counter[int](), Counter[int](), list[str]()
    for path in map(sources.path, paths):
        named = ""
        try:
            with accessible(path, RejectedSource):
                content = path.read_bytes()
            named = f"{path}: "  # which the reason of a file that cannot be read begins with
            counts = count_colors(decode_colors(content, options.alpha))
        except RejectedSource as error:
            rejected.append(f"{named}{error}")
            continue
        pixels.update(counts)
        masks.update(counts.keys())
        if len(pixels) > MAX_COLORS:
            raise SourceError(
                f"{path}: with it the masks hold {len(pixels):,} colours, too many to be classes (limit "
                f"{MAX_COLORS:,}): edges were smoothed or files stored with loss, or these are no masks."
            )
    if rejected:
        raise BadSourcesError(f"masks that cannot be read ({len(rejected):,}):\n{describe_reasons(rejected)}")
    colors = of_field(options.mask_colors, names[0]) or MaskColors(ids={}, names=None)
    return [_named(color, pixels, masks, colors) for color, _ in pixels.most_common()], len(sources)


def _named(color: int, pixels: Counter[int], masks: Counter[int], colors: MaskColors) -> FoundColor:
    shown, names = unpacked_color(color), colors.names or []
    known = colors.ids.get(shown)
    name = f"unnamed {shown}" if known is None else names[known] if known < len(names) else known
    return FoundColor(color=shown, name=name, num_pixels=pixels[color], num_masks=masks[color])
