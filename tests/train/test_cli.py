"""The command line: options, messages, exit codes, and what it loads."""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys

import pytest

from precompute.errors import UsageError
from precompute.text.names import flag
from tests.helpers.trainer_datasets import write_masks
from train.cli import main, make_parser
from train.options import (
    EvaluateOptions,
    ExportOptions,
    FitOptions,
    LearningOptions,
    MachineOptions,
    ModelOptions,
    PredictOptions,
    TargetOptions,
)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("epochs", 0, "--epochs: expected an integer of 1 or more, got 0."),
        ("epochs", 2.5, "--epochs: expected an integer of 1 or more, got 2.5."),
        ("batch_size", -1, "--batch-size: expected an integer of 1 or more, got -1."),
        ("base_channels", True, "--base-channels: expected an integer of 1 or more, got True."),
        ("learning_rate", 0, "--learning-rate: expected a positive number, got 0."),
        ("learning_rate", float("nan"), "--learning-rate: expected a number, got nan."),
        ("seed", -1, "--seed: expected an integer from 0 to 4294967295, got -1."),
        ("seed", 2**32, "--seed: expected an integer from 0 to 4294967295, got 4294967296."),
        ("ignore_class", -1, "--ignore-class: expected an integer of 0 or more, got -1."),
        ("model", "", "--model: expected a name, got ''."),
        ("weights", ["none"], "--weights: expected a name, got ['none']."),
    ],
)
def test_bad_options_are_refused_with_the_value(option, value, message):
    with pytest.raises(UsageError) as error:
        FitOptions(**{option: value})
    assert str(error.value) == message


def test_none_stands_for_the_default():
    assert FitOptions(weights=None, epochs=None) == FitOptions()


def test_evaluate_options_name_their_choices():
    with pytest.raises(UsageError, match="--split: expected one of train, validation, test, got 'val'"):
        EvaluateOptions(split="val")


def test_the_same_defaults_in_python_and_on_the_command_line():
    parsed = make_parser().parse_args(["fit", "data", "--run", "run"])
    assert FitOptions.from_arguments(parsed) == FitOptions()
    parsed = make_parser().parse_args(["evaluate", "run"])
    assert EvaluateOptions.from_arguments(parsed) == EvaluateOptions()
    parsed = make_parser().parse_args(["predict", "run", "a.jpg", "b.jpg", "--output", "out"])
    assert PredictOptions.from_arguments(parsed) == PredictOptions()
    assert parsed.images == ["a.jpg", "b.jpg"]
    parsed = make_parser().parse_args(["export", "run", "--output", "out"])
    assert ExportOptions.from_arguments(parsed) == ExportOptions()


def test_help_states_each_option_with_its_default(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for f in dataclasses.fields(FitOptions):
        assert flag(f.name) in text
        if f.default not in (None, False):
            assert f"(default: {f.default})" in text


def test_options_of_fit_stand_in_groups():
    [commands] = [action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    shown = {group.title: group._group_actions for group in commands.choices["fit"]._action_groups}
    groups = (ModelOptions, LearningOptions, TargetOptions, MachineOptions)
    assert [group.title for group in groups] == [title for title in shown if title in {g.title for g in groups}]
    for group in groups:
        assert {action.dest for action in shown[group.title]} == set(group.names())
    assert {name for group in groups for name in group.names()} == set(FitOptions.names())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--epochs", "0"], "--epochs: expected an integer of 1 or more, got 0"),
        (["--epochs", "many"], "--epochs: expected an integer, got 'many'."),
        (["--epohcs", "3"], "unknown option --epohcs; did you mean --epochs?"),
    ],
)
def test_a_bad_option_is_one_line_and_ends_with_2(arguments, error, tmp_path, capsys):
    try:
        code = main(["fit", str(tmp_path), "--run", str(tmp_path), *arguments])
    except SystemExit as stop:
        code = stop.code
    [line] = capsys.readouterr().err.splitlines()
    assert code == 2
    assert line.startswith("error: ") and error in line and line.endswith(" See train fit --help.")


def test_user_errors_end_with_1_and_no_traceback(tmp_path, capsys):
    assert main(["fit", str(tmp_path / "none"), "--run", str(tmp_path / "run")]) == 1
    assert main(["evaluate", str(tmp_path / "run")]) == 1
    message = capsys.readouterr().err
    assert f"error: {tmp_path / 'none' / 'manifest.json'}: there is no such file" in message
    assert "there is no run in this folder" in message
    assert "Traceback" not in message


@pytest.mark.slow
def test_weights_that_are_not_there_are_refused(tmp_path, capsys):
    dataset = write_masks(tmp_path / "data")
    code = main(["fit", str(dataset), "--run", str(tmp_path / "run"), "--weights", "lost.keras"])
    assert code == 2
    assert "--weights: expected none, imagenet or a file, got 'lost.keras'" in capsys.readouterr().err


def run_python(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PATH": "", **environment}, check=False
    )


def test_help_loads_nothing_heavy():
    program = """
import sys
try:
    from train.cli import main
    main(["fit", "--help"])
finally:
    heavy = {"tensorflow", "keras", "numpy", "matplotlib", "albumentations", "cv2"} & set(sys.modules)
    print("loaded:", sorted(heavy))
"""
    assert "loaded: []" in run_python(program).stdout


def test_another_backend_is_refused(tmp_path):
    program = f"import sys; from train.cli import main; sys.exit(main(['evaluate', {str(tmp_path)!r}]))"
    done = run_python(program, KERAS_BACKEND="jax")
    assert done.returncode == 1
    assert done.stderr.startswith("error: KERAS_BACKEND: train needs tensorflow, got 'jax'.")


@pytest.mark.slow
def test_trainer_loads_no_albumentations_and_says_nothing_of_its_own_start():
    program = """
import sys
from train.cli import main
main(["evaluate", "nowhere"])
import keras
before = set(sys.modules)  # Keras loads OpenCV and, by way of scikit-learn, joblib where they are installed
import train.fit
print("loaded:", sorted({"albumentations", "cv2", "joblib"} & (set(sys.modules) - before)), "keras" in sys.modules)
print("albumentations" in sys.modules)
"""
    done = run_python(program)
    assert done.stdout == "loaded: [] True\nFalse\n"
    assert done.stderr.splitlines() == ["error: nowhere: there is no run in this folder (options.json is missing)."]
