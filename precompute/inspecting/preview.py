"""`precompute.preview`: draws what a build would write, before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from precompute.errors import BadSourcesError, RejectedSource, UsageError
from precompute.fields.field import Schema
from precompute.inspecting.sample_renderer import Notify, SampleRenderer, make_sample_renderer
from precompute.options.build_options import BuildOptions
from precompute.options.plain_values import converts_arguments
from precompute.pictures.sheet import Cell, Line, Sheet, cell_of, check_output, save_sheet
from precompute.plan.places import sample_by_class
from precompute.preflight.sample import decode_one
from precompute.records.stored import decode_record
from precompute.rendering.decode import Decoded
from precompute.rendering.render import render
from precompute.sources.find import find
from precompute.storage.paths import local_path
from precompute.table.sources import Source
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons

__all__ = ["preview", "preview_sheet"]


@converts_arguments
def preview(
    source: str | Path | Iterable[Source] | None,
    *,
    options: BuildOptions,
    output: str | Path,
    num_sources: int = 6,
    num_variants: int = 6,
    split: str = "train",
    lists: Mapping[str, Any] | None = None,
    say: Notify = lambda _: None,
) -> Path:
    """Draw some sources beside their first variants, as a build with the same options would store them.

    Args:
        source: A folder, or an iterable of `Source`; None with `lists`.
        options: Options of the build.
        output: File of the picture.
        num_sources: Number of sources to show. The choice is fixed, and covers as many classes as fit.
        num_variants: Number of variants of each source, from variant 0; at most the number of rows of the split.
        split: The split to show.
        lists: `images` and other lists in place of a source, as for a build.
        say: Called with each note that the build would give.

    Returns:
        Path of the picture.

    Raises:
        PrecomputeError: As for a build; a source that is rejected shows its reason in the picture instead.
        BadSourcesError: All of the chosen sources are rejected.
    """
    path = local_path(output, "output")
    check_output(path)
    for name, number in (("num_sources", num_sources), ("num_variants", num_variants)):
        if number < 1:
            raise UsageError(f"{name}: expected 1 or more, got {number!r}.")
    renderer = make_sample_renderer(find(source, options, lists, path), options, split, say)
    return save_sheet(preview_sheet(renderer, num_sources=num_sources, num_variants=num_variants), path)


def preview_sheet(renderer: SampleRenderer, *, num_sources: int, num_variants: int) -> Sheet:
    """Return the sheet of sources and variants, not written yet.

    Raises:
        BadSourcesError: All of the chosen sources are rejected.
    """
    sources, options, split = renderer.sources, renderer.options, renderer.split
    of_split = {sources.keys[i]: i for i in sources.of_split(split)}
    classes = {key: sources.image_classes(i) for key, i in of_split.items()}
    variants = range(min(num_variants, options.variants if split == "train" else 1))
    lines, reasons = [], list[str]()
    for key in sample_by_class(classes, num_sources):
        line, reason = _line(renderer, of_split[key], variants)
        lines.append(line)
        reasons += [reason] if reason else []
    if len(reasons) == len(lines):
        raise BadSourcesError(
            f"{split}: none of {format_count(len(lines), 'source')} to show can be used:\n{describe_reasons(reasons)}"
        )
    return Sheet(
        title=f"{split}: {len(lines)} of {format_count(len(of_split), 'source')} under seed {options.seed}",
        subtitle=f"as they would be stored: {renderer.spec.height}×{renderer.spec.width} {options.image_format}",
        columns=["original", *(f"variant {variant}" for variant in variants)],
        lines=lines,
    )


def _line(renderer: SampleRenderer, i: int, variants: range) -> tuple[Line, str]:
    """Return a source's pictures, and the reason if a build would reject it."""
    sources = renderer.sources
    try:
        source = decode_one(sources, i, renderer.spec)
    except RejectedSource as error:
        reason = str(error)
        cells = [Cell(text=reason), *(Cell() for _ in variants)]
        return Line(caption=sources.keys[i], cells=cells, remark="rejected: it would have no records"), reason
    made = [_cell(renderer, source, variant) for variant in variants]
    reason = next((cell.text for cell in made if cell.image is None), "")
    original = _original(source, renderer.spec.schema)
    height, width = source.image.shape[:2]
    rejected = ["rejected: it would have no records"] if reason else []
    remark = ", ".join([*original.remarks, f"{height}×{width}", *rejected])
    return Line(caption=source.key, cells=[original, *made], remark=remark), reason


def _original(source: Decoded, schema: Schema) -> Cell:
    size = (source.image.shape[0], source.image.shape[1])
    layers = {name: schema[name].draw_source(value, size) for name, value in source.values.items()}
    return Cell(image=source.image, layers=layers)


def _cell(renderer: SampleRenderer, source: Decoded, variant: int) -> Cell:
    """Return the content of one variant's record, read back from its bytes."""
    try:
        record = render(source, renderer.pipeline, renderer.spec, seed=renderer.options.seed, variant=variant)
    except RejectedSource as error:
        return Cell(text=str(error))
    return cell_of(decode_record(record, renderer.spec.schema), renderer.spec.schema)
