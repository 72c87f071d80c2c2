"""What each command does with its arguments, and what it prints. Each loads what it needs: --help stays quick."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from precompute.errors import UsageError
from precompute.options.build_options import BuildOptions, PixelOptions, SplitOptions
from precompute.options.running import RunOptions
from precompute.options.sources import SourceOptions, TableOptions

__all__ = [
    "COLOR_OPTIONS",
    "PREVIEW_OPTIONS",
    "PROFILE_OPTIONS",
    "RUN_OPTIONS",
    "run_build",
    "run_dali_index",
    "run_diff",
    "run_drop",
    "run_export",
    "run_follow",
    "run_inspect",
    "run_mask_colors",
    "run_preview",
    "run_profile",
    "run_regenerate",
    "run_report",
    "run_verify",
]

SEEN = (SourceOptions, TableOptions, SplitOptions, PixelOptions)  # groups of what a preview shows
PREVIEW_OPTIONS = (*(name for group in SEEN for name in group.names()), "seed")
PROFILE_OPTIONS = (*PREVIEW_OPTIONS, "variants", "jobs", "backend")
RUN_OPTIONS = ("pipeline", *RunOptions.names())
DIFFERENT, HAS_FINDINGS = 5, 6  # exit codes
COLOR_OPTIONS = (
    "mask_colors",
    "alpha",
    "images",
    "masks",
    "image_suffix",
    "mask_suffix",
    "split_in_key",
    "class_names",
    "ignore_class",
    "exclude",
    "limit",
)


def _options(parsed: argparse.Namespace) -> BuildOptions:
    """Return the options of a command that runs a pipeline.

    Raises:
        UsageError: No pipeline is given, or the options make no sense.
    """
    options = BuildOptions.from_arguments(parsed)
    if options.pipeline is None:
        raise UsageError("--pipeline: none given; expected a file, or a preset with --image-size.")
    return options


def _run_options(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the options on how a command that makes more rows runs."""
    options = BuildOptions.from_arguments(parsed, names=RUN_OPTIONS)
    return _given(options, *RUN_OPTIONS) | _given(parsed, "split", "source")


def _given(holder: Any, *names: str) -> dict[str, Any]:
    """Return the attributes of these names, as arguments of a function that calls them alike."""
    return {name: getattr(holder, name) for name in names}


def _say_note(note: str) -> None:
    print(f"note: {note}", file=sys.stderr)


def run_build(parsed: argparse.Namespace) -> None:
    """Write variants of all sources."""
    options = _options(parsed)
    is_new = Path(parsed.source).exists() and not Path(parsed.output).exists()
    if is_new and options.backend == "loky" and not options.dry_run:
        # First: they start beside the imports. A new dataset will surely need them.
        from precompute.building.workers import start_workers

        start_workers(options.num_jobs)
    from precompute.building.build import build_dataset
    from precompute.building.progress import Progress
    from precompute.sources.find import find
    from precompute.storage.paths import as_path

    with Progress(quiet=options.quiet) as progress:
        result = build_dataset(
            find(parsed.source, options, output=parsed.output), as_path(parsed.output), options, progress
        )
    if not options.quiet:
        print(result.summary())


def run_regenerate(parsed: argparse.Namespace) -> None:
    """Replace rows by as many with a new seed."""
    from precompute.building.change_rows import regenerate

    options = _run_options(parsed)
    result = regenerate(parsed.output, seed=parsed.seed, **options)
    if not options["quiet"]:
        print(result.summary())


def run_follow(parsed: argparse.Namespace) -> None:
    """Write new rows in the place of old ones until interrupted."""
    from precompute.building.follow import follow

    options = _run_options(parsed)
    followed = follow(parsed.output, **_given(parsed, "keep", "rows", "rows_a_pass", "seed"), **options)
    if not options["quiet"]:
        print(followed.summary())


def run_drop(parsed: argparse.Namespace) -> None:
    """Take rows away."""
    from precompute.building.change_rows import drop

    lease_dir = BuildOptions.from_arguments(parsed).lease_dir
    print(drop(parsed.output, lease_dir=lease_dir, **_given(parsed, "rows", "split")).summary())


def run_preview(parsed: argparse.Namespace) -> None:
    """Draw sources and variants of them."""
    from precompute.inspecting.preview import draw_preview

    drawn = draw_preview(
        parsed.source,
        options=_options(parsed),
        say=_say_note,
        **_given(parsed, "output", "num_sources", "num_variants", "split"),
    )
    print(drawn.path)


def run_mask_colors(parsed: argparse.Namespace) -> None:
    """Write a file with the colours that masks hold."""
    from precompute.inspecting.mask_colors import write_colors

    print(write_colors(parsed.source, parsed.output, BuildOptions.from_arguments(parsed), overwrite=parsed.overwrite))


def run_profile(parsed: argparse.Namespace) -> None:
    """Measure where the time of a build goes."""
    from precompute.inspecting.profile import profile, profile_json

    options = _options(parsed)
    found = profile(
        parsed.source,
        say=_say_note,
        **_given(parsed, "split", "num_sources", "num_variants"),
        **_given(options, *PROFILE_OPTIONS),
    )
    print(found.report())
    if parsed.json is not None:
        _write_json(parsed.json, profile_json(found))


def _write_json(path: Path, content: str) -> None:
    """Write the file that --json names.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"json: {path} cannot be written: {error.strerror}.") from error


def run_inspect(parsed: argparse.Namespace) -> None:
    """Show what a dataset holds."""
    from precompute.inspecting.inspect import inspect
    from precompute.pictures.stored_sheet import draw_stored

    if parsed.options:
        from precompute.inspecting.stored_options import stored_options

        print(stored_options(parsed.output), end="")
    else:
        print(inspect(parsed.output).text())
    if parsed.sheet is not None:
        print(draw_stored(parsed.output, parsed.sheet))


def run_report(parsed: argparse.Namespace) -> int:
    """Look at a dataset; returns 6 if there is anything to mend and that was asked for."""
    from precompute.reporting.report import report

    names = ("output", "json", "num_sources", "num_rows", "near_duplicates", "source", "pipeline", "jobs")
    found = report(parsed.dataset, **_given(parsed, *names))
    print(found.text())
    print(parsed.output)
    return HAS_FINDINGS if parsed.strict and found.findings else 0


def run_export(parsed: argparse.Namespace) -> None:
    """Write one row as plain files."""
    from precompute.exporting.export import export

    print(export(parsed.dataset, parsed.output, **_given(parsed, "split", "row", "format", "overwrite")).summary())


def run_dali_index(parsed: argparse.Namespace) -> None:
    """Write index files for NVIDIA DALI."""
    from precompute.exporting.dali import dali_index

    print(dali_index(parsed.dataset, **_given(parsed, "split", "rows")).summary())


def run_verify(parsed: argparse.Namespace) -> None:
    """Compare all files with what the manifest says of them."""
    from precompute.verifying.verify import verify

    found = verify(parsed.output, **_given(parsed, "sources", "pipeline", "source"))
    for note in found.notes:
        _say_note(note)
    found.raise_for_problems()
    print(found.summary())


def run_diff(parsed: argparse.Namespace) -> int:
    """Show what differs; returns the exit code."""
    from precompute.comparing.diff import diff

    rows = ("split", "rows", "rows_b", "seed", "seed_b")
    names = (*rows, "num_pairs", "output", "against_installed", "pipeline", "source")
    found = diff(parsed.a, parsed.b, **_given(parsed, *names))
    print(found.summary())
    if parsed.json is not None:
        _write_json(parsed.json, found.to_json())
    return 0 if found.are_equal else DIFFERENT
