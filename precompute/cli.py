"""The command line: one function a command, arguments made from the options. The only module that prints."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from precompute.errors import PrecomputeError, UsageError
from precompute.interruption import EXIT_CODE, ends_soon
from precompute.options import BuildOptions

__all__ = ["main", "make_parser"]

EXIT_CODES = """exit codes: 0 complete, 1 user error, 2 usage, 3 bad sources, 4 verification failed, 130 interrupted"""
INTERRUPTED = "interrupted: what is finished is kept; run the same command again to go on."
PREVIEW_OPTIONS = (
    "pipeline",
    "image_size",
    "max_source_size",
    "seed",
    "validation_split",
    "test_split",
    "group_by",
    "images",
    "masks",
    "image_suffix",
    "mask_suffix",
    "split_in_key",
    "class_names",
    "num_classes",
    "mask_map",
    "mask_offset",
    "mask_colors",
    "ignore_class",
    "mask_fill",
    "annotations",
    "target",
    "drop_empty",
    "min_visibility",
    "min_area",
    "limit",
)
COLOR_OPTIONS = (
    "mask_colors",
    "images",
    "masks",
    "image_suffix",
    "mask_suffix",
    "split_in_key",
    "class_names",
    "ignore_class",
    "limit",
)
PROFILE_OPTIONS = ("variants", "image_format", "quality", "jobs", "backend")
MAKING_OPTIONS = (
    "pipeline",
    "jobs",
    "backend",
    "address",
    "allow_mixed_cpus",
    "task_timeout",
    "lease_dir",
    "quiet",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parsed = make_parser().parse_args(arguments)
    try:
        with ends_soon(INTERRUPTED):
            parsed.run(parsed)
    except PrecomputeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return EXIT_CODE
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="precompute",
        description="Write augmented variants of a data set once, as sharded TFRecords.",
        epilog=EXIT_CODES,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = _command(commands, "build", _build, "write variants of all sources, or go on with what is there")
    build.add_argument(
        "source", metavar="SOURCE", help="folder of the sources, or the URL of one, such as s3://bucket/photos"
    )
    build.add_argument("output", metavar="OUT", help="folder of the dataset, or its URL")
    _add_options(build, [f.name for f in dataclasses.fields(BuildOptions)])

    preview = _command(commands, "preview", _preview, "draw sources and variants of them, writing no dataset")
    preview.add_argument(
        "source", metavar="SOURCE", help="folder of the sources, or the URL of one, such as s3://bucket/photos"
    )
    preview.add_argument(
        "--output", type=Path, default=Path("preview.png"), metavar="PNG", help="the picture (preview.png)"
    )
    preview.add_argument("--split", default="train", help="whose pipeline to draw (train)")
    preview.add_argument("--num-sources", type=int, default=6, metavar="N", help="rows of the picture (6)")
    preview.add_argument("--num-variants", type=int, default=6, metavar="N", help="variants of each source (6)")
    _add_options(preview, PREVIEW_OPTIONS)

    colors = _command(commands, "mask-colors", _mask_colors, "write a file with the colours that masks hold")
    colors.add_argument("source", metavar="SOURCE", help="folder of the sources")
    colors.add_argument(
        "--output", type=Path, default=Path("colors.json"), metavar="FILE", help="the file, JSON (colors.json)"
    )
    colors.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    _add_options(colors, COLOR_OPTIONS)

    profile = _command(
        commands, "profile", _profile, "show where the time of a build goes, by stage and transform, from a few sources"
    )
    profile.add_argument(
        "source", metavar="SOURCE", help="folder of the sources, or the URL of one, such as s3://bucket/photos"
    )
    profile.add_argument("--split", default="train", help="whose pipeline to measure (train)")
    profile.add_argument("--num-sources", type=int, default=16, metavar="N", help="sources to measure (16)")
    profile.add_argument("--num-variants", type=int, default=8, metavar="N", help="variants of each to measure (8)")
    profile.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here")
    _add_options(profile, [*PREVIEW_OPTIONS, *PROFILE_OPTIONS])

    inspect = _command(commands, "inspect", _inspect, "show what a dataset holds")
    inspect.add_argument("output", metavar="OUT", help="folder of the dataset, or its URL")
    inspect.add_argument("--output", dest="sheet", type=Path, metavar="PNG", help="also draw stored records here")

    export = _command(commands, "export", _export, "write one row as plain files that a build reads again")
    export.add_argument("dataset", metavar="OUT", help="folder of the dataset")
    export.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write, new or empty")
    export.add_argument("--split", default="train", help="whose row (train)")
    export.add_argument("--row", type=int, metavar="R", help="number of the row; default: the first one listed")
    export.add_argument(
        "--format",
        default="files",
        help="files: class folders, or images/ and masks/, with a table (files); not for boxes",
    )
    export.add_argument("--overwrite", action="store_true", help="replace an earlier export, and files of equal names")

    dali = _command(commands, "dali-index", _dali_index, "write index files for NVIDIA DALI's TFRecord reader")
    dali.add_argument("dataset", metavar="OUT", help="folder of the dataset")
    dali.add_argument("--split", help="whose rows; default: all splits")
    dali.add_argument("--rows", default="all", help="row numbers of the split, such as 0-3,7 (all)")

    verify = _command(commands, "verify", _verify, "compare all files with what the manifest says of them")
    verify.add_argument("output", metavar="OUT", help="folder of the dataset, or its URL")
    verify.add_argument(
        "--sources", type=int, default=0, metavar="K", help="also make K random records again from the sources (0)"
    )
    verify.add_argument("--pipeline", metavar="FILE", help="for --sources, where the manifest cannot hold the pipeline")
    verify.add_argument("--source", metavar="DIR", help="folder of the sources, where it has moved")

    regenerate = _command(commands, "regenerate", _regenerate, "replace rows by as many under a new seed")
    regenerate.add_argument("output", metavar="OUT", help="folder of the dataset, or its URL")
    regenerate.add_argument("--seed", type=int, required=True, help="the new seed")
    _add_making(regenerate)

    follow = _command(
        commands, "follow", _follow, "go on writing new rows beside running trainings, in place of old ones"
    )
    follow.add_argument("output", metavar="OUT", help="folder of the dataset, or its URL")
    follow.add_argument("--keep", type=int, default=4, metavar="N", help="rows to keep, the original one apart (4)")
    follow.add_argument("--rows", type=int, metavar="N", help="end after N new rows; default: go on until interrupted")
    follow.add_argument(
        "--rows-a-pass",
        type=int,
        metavar="N",
        help="rows to write at a time, each source decoded once; default: half of --keep",
    )
    follow.add_argument("--seed", type=int, metavar="N", help="of new rows; default: that of the newest row")
    _add_making(follow)

    drop = _command(commands, "drop", _drop, "take rows away and delete their shards")
    drop.add_argument("output", metavar="OUT", help="folder of the dataset, or its URL")
    drop.add_argument("--rows", required=True, metavar="ROWS", help="row numbers; ranges are inclusive, such as 0-3,7")
    drop.add_argument("--split", default="train", help="whose rows (train)")
    _add_options(drop, ("lease_dir",))
    return parser


def _add_making(parser: argparse.ArgumentParser) -> None:
    """Add what all commands take that make more rows of a dataset."""
    parser.add_argument("--split", default="train", help="whose rows (train)")
    parser.add_argument("--source", metavar="DIR", help="folder of the sources, where it has moved")
    _add_options(parser, MAKING_OPTIONS, required=())


def _making(parsed: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(parsed, name) for name in ("split", "source", *MAKING_OPTIONS)}


def _command(commands: Any, name: str, run: Callable[[Any], None], help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help, epilog=EXIT_CODES)
    parser.set_defaults(run=run)
    return parser


def _add_options(
    parser: argparse.ArgumentParser, names: Sequence[str], required: Sequence[str] = ("pipeline",)
) -> None:
    defaults = BuildOptions()
    by_name = {f.name: f for f in dataclasses.fields(BuildOptions)}
    for name in names:
        metadata, default = dict(by_name[name].metadata), getattr(defaults, name)
        help, parse = metadata.pop("help"), metadata.pop("parse", None)
        flag = f"--{name.replace('_', '-')}"
        if default is False:
            parser.add_argument(flag, action="store_true", help=help)
            continue
        if parse in (int, float):
            metadata.setdefault("metavar", "N" if parse is int else "F")
        shown = "" if default in (None, "", {}) else f" ({default})"
        parser.add_argument(
            flag, default=default, type=_typed(parse), help=help + shown, required=name in required, **metadata
        )


def _typed(parse: Callable[[str], Any] | None) -> Callable[[str], Any]:
    def typed(text: str) -> Any:
        try:
            return text if parse is None else parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    typed.__name__ = getattr(parse, "__name__", "text")  # argparse names it when it refuses a value
    return typed


def _options(parsed: argparse.Namespace) -> BuildOptions:
    names = {f.name for f in dataclasses.fields(BuildOptions)}
    return BuildOptions(**{name: value for name, value in vars(parsed).items() if name in names})


def _build(parsed: argparse.Namespace) -> None:
    from precompute.run.build import build_dataset
    from precompute.run.progress import Progress
    from precompute.sources.find import find
    from precompute.storage.paths import as_path

    options = _options(parsed)
    with Progress(quiet=options.quiet) as progress:
        result = build_dataset(find(parsed.source, options), as_path(parsed.output), options, progress)
    if not options.quiet:
        print(result.summary())


def _regenerate(parsed: argparse.Namespace) -> None:
    from precompute.run.change_rows import regenerate

    result = regenerate(parsed.output, seed=parsed.seed, **_making(parsed))
    if not parsed.quiet:
        print(result.summary())


def _follow(parsed: argparse.Namespace) -> None:
    from precompute.run.follow import follow

    followed = follow(
        parsed.output,
        keep=parsed.keep,
        rows=parsed.rows,
        rows_a_pass=parsed.rows_a_pass,
        seed=parsed.seed,
        **_making(parsed),
    )
    if not parsed.quiet:
        print(followed.summary())


def _drop(parsed: argparse.Namespace) -> None:
    from precompute.dataset.rows import describe_numbers
    from precompute.run.change_rows import drop
    from precompute.text import format_bytes

    dropped = drop(parsed.output, rows=parsed.rows, split=parsed.split, lease_dir=parsed.lease_dir)
    print(f"dropped rows {describe_numbers(dropped.rows)} of {parsed.split}: {format_bytes(dropped.num_bytes)}")
    if dropped.kept_files:
        print(f"  {dropped.kept_files} files stay until their readers have ended; the next command deletes them")


def _preview(parsed: argparse.Namespace) -> None:
    from precompute.look.preview import preview

    path = preview(
        parsed.source,
        options=_options(parsed),
        output=parsed.output,
        num_sources=parsed.num_sources,
        num_variants=parsed.num_variants,
        split=parsed.split,
        say=lambda note: print(f"note: {note}", file=sys.stderr),
    )
    print(path)


def _mask_colors(parsed: argparse.Namespace) -> None:
    from precompute.look.colors import write_colors

    print(write_colors(parsed.source, parsed.output, _options(parsed), overwrite=parsed.overwrite))


def _profile(parsed: argparse.Namespace) -> None:
    from precompute.look.profile import profile, profile_json

    found = profile(
        parsed.source,
        split=parsed.split,
        num_sources=parsed.num_sources,
        num_variants=parsed.num_variants,
        say=lambda note: print(f"note: {note}", file=sys.stderr),
        **{name: getattr(parsed, name) for name in [*PREVIEW_OPTIONS, *PROFILE_OPTIONS]},
    )
    print(found.report())
    if parsed.json is not None:
        try:
            parsed.json.parent.mkdir(parents=True, exist_ok=True)
            parsed.json.write_text(profile_json(found), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"json: {parsed.json} cannot be written: {error.strerror}.") from error


def _inspect(parsed: argparse.Namespace) -> None:
    from precompute.look.inspect import inspect
    from precompute.look.report import report
    from precompute.look.stored import draw_stored

    print(report(inspect(parsed.output)))
    if parsed.sheet is not None:
        print(draw_stored(parsed.output, parsed.sheet))


def _export(parsed: argparse.Namespace) -> None:
    from precompute.exporting.export import export

    exported = export(
        parsed.dataset,
        parsed.output,
        split=parsed.split,
        row=parsed.row,
        format=parsed.format,
        overwrite=parsed.overwrite,
    )
    print(exported.summary())


def _dali_index(parsed: argparse.Namespace) -> None:
    from precompute.exporting.dali import dali_index

    print(dali_index(parsed.dataset, split=parsed.split, rows=parsed.rows).summary())


def _verify(parsed: argparse.Namespace) -> None:
    from precompute.verification import verify

    found = verify(parsed.output, sources=parsed.sources, pipeline=parsed.pipeline, source=parsed.source)
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    found.raise_for_problems()
    print(found.summary())
