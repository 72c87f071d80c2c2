"""The command line: one function per command, arguments made from the options."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import precompute.commands as run
from precompute.options.build_options import BuildOptions
from precompute.program.parser import CommandParser
from precompute.program.run import run_program

__all__ = ["main", "make_parser"]

EXIT_CODES = (
    "exit codes: 0 complete, 1 user error, 2 usage, 3 bad sources, 4 verification failed, 5 different, 6 findings of "
    "report --strict, 130 interrupted (143 by SIGTERM, 129 by SIGHUP)"
)
SOURCE: Any = {
    "metavar": "SOURCE",
    "help": "folder of the sources, or its URL, such as s3://bucket/photos; or a table",
}
OUT: Any = {"metavar": "OUT", "help": "folder of the dataset, or its URL"}
MOVED: Any = {"metavar": "DIR", "help": "folder of the sources, where it has moved"}
Commands: TypeAlias = Any  # argparse gives its subparsers a private type
INTERRUPTED = "interrupted: what is finished is kept; run the same command again to go on."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    return run_program(make_parser, arguments)


@functools.cache  # of a program that runs several commands
def make_parser() -> CommandParser:
    """Return the parser of all commands."""
    parser = CommandParser(
        prog="precompute",
        description="Write augmented variants of a data set once, as sharded TFRecords.",
        epilog=EXIT_CODES,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    looking = (_add_preview, _add_mask_colors, _add_profile, _add_inspect, _add_report)
    using = (_add_export, _add_dali_index, _add_verify, _add_diff)
    for add in (_add_build, *looking, *using, _add_regenerate, _add_follow, _add_drop):
        add(commands)
    return parser


def _add_build(commands: Commands) -> None:
    build = _command(commands, "build", run.run_build, "write variants of all sources, or go on with what is there")
    build.add_argument("source", **SOURCE)
    build.add_argument("output", **OUT)
    BuildOptions.add_arguments(build, from_file=True)


def _add_preview(commands: Commands) -> None:
    preview = _command(commands, "preview", run.run_preview, "draw sources and variants of them, writing no dataset")
    preview.add_argument("source", **SOURCE)
    preview.add_argument(
        "--output", type=Path, default=Path("preview.png"), metavar="PNG", help="the picture (default: %(default)s)"
    )
    preview.add_argument("--split", default="train", help="whose pipeline to draw (default: %(default)s)")
    _add_number(preview, "--num-sources", "rows of the picture", 6)
    _add_number(preview, "--num-variants", "variants of each source", 6)
    BuildOptions.add_arguments(preview, run.PREVIEW_OPTIONS, from_file=True)


def _add_mask_colors(commands: Commands) -> None:
    colors = _command(commands, "mask-colors", run.run_mask_colors, "write a file with the colours that masks hold")
    colors.add_argument("source", metavar="SOURCE", help="folder of the sources")
    colors.add_argument(
        "--output", type=Path, default=Path("colors.json"), metavar="FILE", help="the file, JSON (default: %(default)s)"
    )
    colors.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    BuildOptions.add_arguments(colors, run.COLOR_OPTIONS)


def _add_profile(commands: Commands) -> None:
    profile = _command(
        commands,
        "profile",
        run.run_profile,
        "show where the time of a build goes, by stage and transform, from a few sources",
    )
    profile.add_argument("source", **SOURCE)
    profile.add_argument("--split", default="train", help="whose pipeline to measure (default: %(default)s)")
    _add_number(profile, "--num-sources", "sources to measure", 16)
    _add_number(profile, "--num-variants", "variants of each to measure", 8)
    profile.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here")
    BuildOptions.add_arguments(profile, run.PROFILE_OPTIONS, from_file=True)


def _add_inspect(commands: Commands) -> None:
    inspect = _command(commands, "inspect", run.run_inspect, "show what a dataset holds")
    inspect.add_argument("output", **OUT)
    inspect.add_argument(
        "--options", action="store_true", help="show its options, as a TOML file for precompute build --options FILE"
    )
    inspect.add_argument("--output", dest="sheet", type=Path, metavar="PNG", help="also draw stored records here")


def _add_report(commands: Commands) -> None:
    report = _command(commands, "report", run.run_report, "look at a dataset and say what to mend")
    report.add_argument("dataset", **OUT)
    report.add_argument(
        "--output",
        type=Path,
        default=Path("report.html"),
        metavar="HTML",
        help="the page, one file that opens anywhere (default: %(default)s)",
    )
    report.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here")
    _add_number(report, "--num-sources", "sources a split whose records are looked at", 128)
    _add_number(report, "--num-rows", "rows in which they are looked at", 8)
    report.add_argument(
        "--near-duplicates",
        choices=("auto", "always", "never"),
        default="auto",
        help="look for sources that look alike, among all of them; auto: up to 200,000 (default: %(default)s)",
    )
    report.add_argument("--source", **MOVED)
    report.add_argument("--pipeline", metavar="FILE", help="where the manifest cannot hold the pipeline")
    _add_number(report, "--jobs", "threads that read sources; default: one per core")
    report.add_argument("--strict", action="store_true", help="end with exit code 6 if there is anything to mend")


def _add_export(commands: Commands) -> None:
    export = _command(commands, "export", run.run_export, "write one row as plain files that a build reads again")
    export.add_argument("dataset", metavar="OUT", help="folder of the dataset")
    export.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write, new or empty")
    export.add_argument(
        "--split", default="train", help="whose row (default: %(default)s); all: the first row of each, in its place"
    )
    export.add_argument("--row", type=int, metavar="R", help="number of the row; default: the first one listed")
    export.add_argument(
        "--format",
        default="files",
        help="files: class folders, or images/ and masks/, with a table; of boxes: coco, yolo or voc (default: "
        "%(default)s)",
    )
    export.add_argument("--overwrite", action="store_true", help="replace an earlier export, and files of equal names")


def _add_dali_index(commands: Commands) -> None:
    dali = _command(commands, "dali-index", run.run_dali_index, "write index files for NVIDIA DALI's TFRecord reader")
    dali.add_argument("dataset", metavar="OUT", help="folder of the dataset")
    dali.add_argument("--split", help="whose rows; default: all splits")
    dali.add_argument("--rows", default="all", help="row numbers of the split, such as 0-3,7 (default: %(default)s)")


def _add_verify(commands: Commands) -> None:
    verify = _command(commands, "verify", run.run_verify, "compare all files with what the manifest says of them")
    verify.add_argument("output", **OUT)
    verify.add_argument(
        "--sources",
        type=int,
        default=0,
        metavar="K",
        help="also make K random records again from the sources (default: %(default)s)",
    )
    verify.add_argument("--pipeline", metavar="FILE", help="for --sources, where the manifest cannot hold the pipeline")
    verify.add_argument("--source", **MOVED)


def _add_diff(commands: Commands) -> None:
    diff = _command(
        commands, "diff", run.run_diff, "show what differs between two datasets, or two seeds or rows of one"
    )
    diff.add_argument("a", metavar="A", help="folder of a dataset, or its URL")
    diff.add_argument("b", nargs="?", metavar="B", help="that of another; default: other rows of the first")
    diff.add_argument("--split", help="whose rows; default: all splits, and train where rows or seeds are chosen")
    diff.add_argument("--rows", metavar="ROWS", help="rows of A; ranges are inclusive, such as 0-3,7; default: all")
    diff.add_argument("--rows-b", metavar="ROWS", help="rows of B, compared in this order; default: those of --rows")
    _add_number(diff, "--seed", "seed of the rows of A; default: all seeds")
    _add_number(diff, "--seed-b", "seed of the rows of B; default: that of --seed")
    _add_number(diff, "--num-pairs", "pairs of records to decode, of those that differ; or records to make again", 64)
    diff.add_argument(
        "--against-installed",
        action="store_true",
        help="in place of B: records of A made again from their sources with the versions that are installed",
    )
    diff.add_argument("--pipeline", metavar="FILE", help="for it, where the manifest cannot hold the pipeline")
    diff.add_argument("--source", metavar="DIR", help="for it: folder of the sources, where it has moved")
    diff.add_argument("--json", type=Path, metavar="FILE", help="also write the differences here")
    diff.add_argument("--output", type=Path, metavar="HTML", help="also write a page with pairs of pictures here")


def _add_regenerate(commands: Commands) -> None:
    regenerate = _command(commands, "regenerate", run.run_regenerate, "replace rows by as many under a new seed")
    regenerate.add_argument("output", **OUT)
    regenerate.add_argument("--seed", type=int, required=True, help="the new seed")
    _add_run_options(regenerate)


def _add_follow(commands: Commands) -> None:
    follow = _command(
        commands, "follow", run.run_follow, "go on writing new rows beside running trainings, in place of old ones"
    )
    follow.add_argument("output", **OUT)
    _add_number(follow, "--keep", "rows to keep, the original one apart", 4)
    _add_number(follow, "--rows", "end after N new rows; default: go on until interrupted")
    _add_number(follow, "--rows-a-pass", "rows to write at a time, each source decoded once; default: half of --keep")
    _add_number(follow, "--seed", "of new rows; default: that of the newest row")
    _add_run_options(follow)


def _add_drop(commands: Commands) -> None:
    drop = _command(commands, "drop", run.run_drop, "take rows away and delete their shards")
    drop.add_argument("output", **OUT)
    drop.add_argument("--rows", required=True, metavar="ROWS", help="row numbers; ranges are inclusive, such as 0-3,7")
    drop.add_argument("--split", default="train", help="whose rows (default: %(default)s)")
    BuildOptions.add_arguments(drop, ("lease_dir",))


def _add_number(parser: argparse.ArgumentParser, name: str, help: str, default: int | None = None) -> None:
    """Add an option that takes a whole number; the help ends with the default, if there is one."""
    shown = "" if default is None else " (default: %(default)s)"
    parser.add_argument(name, type=int, default=default, metavar="N", help=help + shown)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of all commands that make more rows of a dataset."""
    parser.add_argument("--split", default="train", help="whose rows (default: %(default)s)")
    parser.add_argument("--source", **MOVED)
    BuildOptions.add_arguments(parser, run.RUN_OPTIONS, from_file=True)


def _command(commands: Commands, name: str, run: Callable[[Any], int | None], help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help, epilog=EXIT_CODES)
    parser.set_defaults(run_command=run, command=parser.prog, interrupted=INTERRUPTED)
    return parser
