"""A mistake on the command line is answered by one line, which ends with where to read more, in both programs."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute import cli
from precompute.program.parser import CommandParser
from train import cli as train_cli

PROGRAMS = {"precompute": cli, "train": train_cli}


def parsers(program: str) -> dict[str, CommandParser]:
    """Return command → its parser."""
    actions = PROGRAMS[program].make_parser()._actions
    [commands] = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    return dict(commands.choices)


COMMANDS = [(program, command) for program in PROGRAMS for command in parsers(program)]


def said_of(program: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that a mistake is answered by."""
    try:
        code = PROGRAMS[program].main(arguments)
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert code == 2 and captured.out == ""
    return captured.err.splitlines()


@pytest.mark.parametrize(("program", "command"), COMMANDS)
def test_what_is_missing_is_one_sentence(program: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    [error] = said_of(program, [command], capsys)
    assert error.startswith(("error: the following arguments are required: ", "error: DATASET"))
    assert error.endswith(f". See {program} {command} --help.")


@pytest.mark.parametrize(("program", "command"), COMMANDS)
def test_a_misspelled_option_is_named_with_the_nearest_one(
    program: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    option = max(parsers(program)[command]._option_string_actions, key=len)
    [error] = said_of(program, [command, f"{option[:-2]}xx", "3"], capsys)
    assert error == f"error: unknown option {option[:-2]}xx; did you mean {option}? See {program} {command} --help."


def test_options_may_be_cut_short_and_stand_before_or_after() -> None:
    parsed = cli.make_parser().parse_args(["build", "--pipel", "p.py", "in", "--variants=3", "--", "--odd"])
    assert (parsed.source, parsed.output, parsed.pipeline, parsed.variants) == ("in", "--odd", "p.py", 3)


@given(st.lists(st.text(max_size=8), max_size=4))
def test_nothing_that_is_typed_is_a_traceback(arguments: list[str]) -> None:
    try:
        cli.make_parser().parse_args(arguments)
    except SystemExit as stop:
        assert stop.code in (0, 2)
