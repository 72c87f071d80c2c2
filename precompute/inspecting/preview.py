"""`precompute.preview`: draws what a build would write, before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.errors import BadSourcesError, RejectedSource
from precompute.inspecting.sample_renderer import Notify, SampleRenderer, make_sample_renderer
from precompute.options.build_options import BuildOptions
from precompute.options.option import shows_options
from precompute.options.plain_values import converts_arguments
from precompute.options.values import check_counts
from precompute.pictures.sheet import Cell, Line, Sheet, cell_of, check_output, save_sheet
from precompute.pictures.sheet_html import sheet_html
from precompute.plan.places import sample_by_class
from precompute.preflight.sample import decode_one
from precompute.records.stored import decode_record
from precompute.rendering.decode import Decoded
from precompute.rendering.render import render
from precompute.sources.find import find
from precompute.sources.python import read_arguments
from precompute.storage.paths import local_path
from precompute.table.sources import Source
from precompute.text.display import Displayed, Html, html_text
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons

__all__ = ["Preview", "draw_preview", "preview", "preview_sheet"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Preview(Displayed):
    """Sources beside variants of them; a notebook shows the pictures.

    Attributes:
        sheet: The pictures with their captions.
        notes: Notes that a build would give.
        path: File that they were written to, if any.
    """

    sheet: Sheet
    notes: Sequence[str] = ()
    path: Path | None = None

    def summary(self) -> str:
        """Return what is shown, and the notes."""
        shown = f"{self.sheet.title}, {self.sheet.subtitle}"
        return "\n".join([shown, *(f"  note: {note}" for note in self.notes)])

    def save(self, output: str | Path) -> Path:
        """Write the pictures to a file, a sheet with a legend; returns its path.

        Raises:
            UsageError: It cannot be written, or its name does not end as that of a picture.
        """
        return save_sheet(self.sheet, local_path(output, "output"))

    def _html(self) -> Iterator[Html]:
        yield from sheet_html(self.sheet)
        yield from ([html_text("\n".join(f"note: {note}" for note in self.notes))] if self.notes else [])


@shows_options(BuildOptions)
@converts_arguments
def preview(
    source: str | Path | Iterable[Source] | None = None,
    *,
    output: str | Path | None = None,
    num_sources: int = 6,
    num_variants: int = 6,
    split: str = "train",
    **options: Any,
) -> Preview:
    """Draw some sources beside their first variants, as a build with the same options would store them.

    Args:
        source: A folder, the URL of one in an object store, a table, or an iterable of `Source`; None with lists.
        output: File to write the pictures to as well; None: they are only returned.
        num_sources: Number of sources to show. The choice is fixed, and covers as many classes as fit.
        num_variants: Number of variants of each source, from variant 0; at most the number of rows of the split.
        split: The split to show.
        **options: Options of `precompute.build`, and its lists such as `images` and `labels`.

    Returns:
        The pictures, which a notebook shows; `save` writes them to a file.

    Raises:
        PrecomputeError: As for a build; a source that is rejected shows its reason in the picture instead.
        BadSourcesError: All of the chosen sources are rejected.
    """
    lists, chosen = read_arguments(options)
    return draw_preview(
        source,
        options=chosen,
        output=output,
        num_sources=num_sources,
        num_variants=num_variants,
        split=split,
        lists=lists,
    )


def draw_preview(
    source: str | Path | Iterable[Source] | None,
    *,
    options: BuildOptions,
    output: str | Path | None = None,
    num_sources: int = 6,
    num_variants: int = 6,
    split: str = "train",
    lists: Mapping[str, Any] | None = None,
    say: Notify = lambda _: None,
) -> Preview:
    """Draw a preview with options that are made already; see `preview`.

    Args:
        source: As for `preview`.
        options: Options of the build.
        output: As for `preview`.
        num_sources: As for `preview`.
        num_variants: As for `preview`.
        split: As for `preview`.
        lists: `images` and other lists in place of a source, as for a build.
        say: Called with each note at once.
    """
    path = None if output is None else local_path(output, "output")
    if path is not None:
        check_output(path)
    check_counts(num_sources=num_sources, num_variants=num_variants)
    notes = list[str]()

    def notify(note: str) -> None:
        notes.append(note)
        say(note)

    renderer = make_sample_renderer(find(source, options, lists, path), options, split, notify)
    sheet = preview_sheet(renderer, num_sources=num_sources, num_variants=num_variants)
    return Preview(sheet=sheet, notes=notes, path=None if path is None else save_sheet(sheet, path))


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
    layers = renderer.spec.schema.draw_source(source.values, source.image.shape)
    original = Cell(image=source.image, layers=layers)
    height, width = source.image.shape[:2]
    rejected = ["rejected: it would have no records"] if reason else []
    remark = ", ".join([*original.remarks, f"{height}×{width}", *rejected])
    return Line(caption=source.key, cells=[original, *made], remark=remark), reason


def _cell(renderer: SampleRenderer, source: Decoded, variant: int) -> Cell:
    """Return the content of one variant's record, read back from its bytes."""
    try:
        record = render(source, renderer.pipeline, renderer.spec, seed=renderer.options.seed, variant=variant)
    except RejectedSource as error:
        return Cell(text=str(error))
    return cell_of(decode_record(record, renderer.spec.schema), renderer.spec.schema)
