"""The command `train`. The one module here that prints."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence

from precompute.errors import BadSourcesError, SettingsError, UsageError
from precompute.program.interruption import ends_at_once
from precompute.program.parser import CommandParser
from precompute.program.run import run_program
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons
from train.bench_options import BenchOptions
from train.options import EvaluateOptions, ExportOptions, FitOptions, PredictOptions
from train.start import quiet_stderr, require_tensorflow

__all__ = ["main", "make_parser"]

EXIT_CODES = (
    "exit codes: 0 done, 1 user error, 2 usage, 3 image files that cannot be used, 130 interrupted (143 by SIGTERM, "
    "129 by SIGHUP)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Arguments of the command line; the process's own by default.

    Returns:
        The exit code: 0 done, 1 an error that the user can fix, 2 a bad option, 3 image files that
        cannot be used, 130 interrupted.
    """
    return run_program(make_parser, arguments)


@functools.cache  # of a program that runs several commands
def make_parser() -> CommandParser:
    """Return the parser of all commands, made from the options."""
    parser = CommandParser(
        prog="train", description="Train Keras models from datasets made by precompute.", epilog=EXIT_CODES
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    parser.set_defaults(interrupted="interrupted; the same command begins again")

    text = "train a model, or go on with a run that was stopped"
    command = commands.add_parser("fit", help=text, description=text.capitalize() + ".")
    command.add_argument("dataset", metavar="DATASET", nargs="?", help="folder that precompute has written")
    command.add_argument("--run", required=True, metavar="RUN", help="folder of the run: models, history, pictures")
    command.add_argument(
        "--like", metavar="RUN", help="a run whose dataset and options hold, where nothing else is given"
    )
    FitOptions.add_arguments(command, from_file=True)
    command.add_argument("--restart", action="store_true", help="throw away the run that the folder holds")
    command.add_argument("--quiet", action="store_true", help="say only what went wrong")
    again = "interrupted; the same command goes on from the last checkpoint"
    command.set_defaults(run_command=_fit, command=command.prog, interrupted=again)

    text = "time loader and step on this machine, and say which of them a training waits for"
    command = commands.add_parser("bench", help=text, description=text.capitalize() + ". Nothing is written.")
    command.add_argument("dataset", metavar="DATASET", help="folder that precompute has written")
    BenchOptions.add_arguments(command)
    command.set_defaults(run_command=_bench, command=command.prog)

    text = "write the scores and a picture of a run's model on a split"
    command = commands.add_parser("evaluate", help=text, description=text.capitalize() + ".")
    command.add_argument("run", metavar="RUN", help="folder of the run")
    EvaluateOptions.add_arguments(command)
    command.set_defaults(run_command=_evaluate, command=command.prog)

    text = "write what a run's model sees in image files"
    command = commands.add_parser("predict", help=text, description=text.capitalize() + ".")
    command.add_argument("run", metavar="RUN", help="folder of the run")
    command.add_argument("images", metavar="IMAGES", nargs="+", help="files, folders, or patterns such as 'new/*.jpg'")
    command.add_argument("--output", required=True, metavar="DIR", help="folder for masks, table and picture")
    PredictOptions.add_arguments(command)
    command.set_defaults(run_command=_predict, command=command.prog)

    text = "write a run's model for use elsewhere"
    command = commands.add_parser("export", help=text, description=text.capitalize() + ".")
    command.add_argument("run", metavar="RUN", help="folder of the run")
    command.add_argument("--output", required=True, metavar="PATH", help="folder of a SavedModel, or .keras file")
    ExportOptions.add_arguments(command)
    command.set_defaults(run_command=_export, command=command.prog)
    return parser


def _fit(parsed: argparse.Namespace) -> int:
    dataset, options = _what_to_fit(parsed)
    _load_tensorflow()
    from train.fit import fit

    result = fit(
        dataset,
        run=parsed.run,
        options=options,
        restart=parsed.restart,
        say=(lambda line: None) if parsed.quiet else _say,
        progress_bar=sys.stdout.isatty() and not parsed.quiet,
    )
    if parsed.quiet:
        return 0
    metrics, folder = result.metrics, result.folder
    if result.was_finished:
        more = "early stopping has ended it" if result.state.stopped else "more --epochs go on from there"
        _say(f"{folder.path}: this run is finished, it has {format_count(metrics['epochs'], 'epoch')}; {more}")
    else:
        _say(f"\nbest: epoch {metrics['best_epoch']} of {metrics['epochs']}, on {metrics['judged_on']}")
    for line in result.table:
        _say(f"  {line}")
    for path in (
        folder.model("best"),
        folder.history,
        folder.curves,
        *result.pictures,
        folder.metrics,
    ):
        _say(str(path))
    return 0


def _bench(parsed: argparse.Namespace) -> int:
    options = BenchOptions.from_arguments(parsed)
    _load_tensorflow()
    from precompute.dataset.manifest import Manifest
    from precompute.storage.paths import as_path
    from train.bench import bench, describe

    result = bench(parsed.dataset, options)
    for note in result.notes:
        _note(note)
    for line in describe(result, as_path(parsed.dataset), Manifest.load(parsed.dataset), options):
        _say(line)
    return 0


def _what_to_fit(parsed: argparse.Namespace) -> tuple[str, FitOptions]:
    """Return dataset and options: from the command line, else from its file, else from the run to repeat."""
    dataset, values = parsed.dataset, {}
    if parsed.like is not None:
        from train.run_folder import RunFolder

        try:
            settings = RunFolder(parsed.like).load_settings()
        except SettingsError as error:
            raise SettingsError(f"--like {error}") from error
        values = FitOptions.check_values(settings.options, f"--like: {parsed.like}")
        dataset = dataset if dataset is not None else settings.dataset
    if dataset is None:
        raise UsageError("DATASET: expected the folder that precompute has written, or --like RUN to repeat a run.")
    return dataset, FitOptions.from_arguments(parsed, values)


def _evaluate(parsed: argparse.Namespace) -> int:
    options = EvaluateOptions.from_arguments(parsed)
    _load_tensorflow()
    from train.evaluate import evaluate

    result = evaluate(parsed.run, options)
    for note in result.notes:
        _note(note)
    so_far = "" if result.is_final else ", of a run that has not come to its end"
    num_images = result.summary["num_images"]
    _say(
        f"{options.checkpoint} model of {parsed.run} on {format_count(num_images, 'image')} of {options.split}{so_far}"
    )
    for line in result.table:
        _say(f"  {line}")
    for path in (result.json_path, *result.pictures):
        _say(str(path))
    return 0


def _predict(parsed: argparse.Namespace) -> int:
    options = PredictOptions.from_arguments(parsed)
    _load_tensorflow()
    from train.predict import predict

    result = predict(
        parsed.run,
        parsed.images,
        output=parsed.output,
        options=options,
        say=_note,
        progress_bar=sys.stderr.isatty(),
    )
    size = result.summary.get("mask_size")
    _say(f"images predicted: {result.num_images}" + (f"; masks have the size {size}" if size else ""))
    for path in result.paths:
        _say(str(path))
    if result.failed:
        print(f"error: files that could not be used ({len(result.failed)}):", file=sys.stderr)
        print(describe_reasons(list(result.failed.values())), file=sys.stderr)
        return BadSourcesError.exit_code
    return 0


def _export(parsed: argparse.Namespace) -> int:
    options = ExportOptions.from_arguments(parsed)
    _load_tensorflow()
    from train.export import export

    result = export(parsed.run, output=parsed.output, options=options)
    _say(f"takes {result.takes}, gives {result.gives}")
    _say(str(result.path))
    for path in result.labels_paths:
        _say(str(path))
    return 0


def _load_tensorflow() -> None:
    """Load TensorFlow, before anything imports Keras, without the dozen lines that it prints about itself."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":  # set by somebody who wants to see them
        with ends_at_once():
            require_tensorflow()
        return
    with ends_at_once(), quiet_stderr():
        require_tensorflow()


def _say(line: str) -> None:
    print(line, flush=True)


def _note(note: str) -> None:
    print(f"note: {note}", file=sys.stderr)
