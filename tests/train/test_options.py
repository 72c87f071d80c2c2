"""Options: bad values, TOML files, and runs that are repeated."""

from __future__ import annotations

import dataclasses
import tomllib

import pytest

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from tests.helpers.trainer_datasets import write_masks
from train.cli import _what_to_fit, main, make_parser
from train.options import FitOptions
from train.run_folder import RunFolder, RunSettings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warm_up": 1.0}, "--warm-up: expected 0 or more and less than 1, got 1.0."),
        ({"label_smoothing": float("nan")}, "--label-smoothing: expected a number, got nan."),
        ({"weight_decay": -0.1}, "--weight-decay: expected 0 or more and less than 1, got -0.1."),
        ({"weight_decay": 0.1}, "--weight-decay: adam has none, adamw is adam with it: --optimizer adamw; got 0.1."),
        ({"plateau_factor": 1}, "--plateau-factor: expected between 0 and 1, got 1."),
        ({"plateau_patience": 0}, "--plateau-patience: expected an integer of 1 or more, got 0."),
        ({"optimizer": "lion"}, "--optimizer: expected one of adam, adamw, sgd, got 'lion'."),
        ({"mixup": 2}, "--mixup: expected a number from 0 to 1, got 2."),
        ({"mixup": 0.2, "cutmix": 1}, "--mixup and --cutmix: expected one of them, got 0.2 and 1."),
        ({"freeze_epochs": -1}, "--freeze-epochs: expected an integer of 0 or more, got -1."),
    ],
)
def test_values_and_combinations_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        FitOptions(**options)
    assert str(error.value) == message


def options_of(*arguments):
    return _what_to_fit(make_parser().parse_args(["fit", *arguments, "--run", "run"]))


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('epochs = 7\nbatch-size = 3\nlearning_rate = 1\nmodel = "small"\nallow-leak = true\n')
    dataset, options = options_of("data", "--options", str(file), "--batch-size", "5", "--no-allow-leak")
    assert dataset == "data"
    assert options == FitOptions(epochs=7, batch_size=5, learning_rate=1, model="small")


def test_options_may_stand_below_the_headings_of_the_help(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('batch-size = 3\n[model]\nmodel = "small"\n[images-and-targets]\nmixup = 0.2\n')
    assert options_of("data", "--options", str(file))[1] == FitOptions(batch_size=3, model="small", mixup=0.2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("batch_sise = 3", "there is no option 'batch_sise'. Did you mean batch-size?"),
        ('epochs = "many"', "--epochs: expected an integer of 1 or more, got 'many'."),
        ("seed = true", "--seed: expected an integer from 0 to 4294967295, got True."),
        ('schedule = "linear"', "--schedule: expected one of cosine, plateau, constant, got 'linear'."),
        ("batch-size = 1\nbatch_size = 2", "'batch_size' is given twice."),
        ("epochs: 3", "cannot be read as TOML: "),
        (
            "[fit]\nepochs = 3",
            "there is no heading [fit]; options stand at the top of the file, or below [model], [learning], ",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_key(content, message, tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text(content)
    assert main(["fit", "data", "--run", str(tmp_path / "run"), "--options", str(file)]) == 2
    error = capsys.readouterr().err
    assert f"--options: {file}" in error
    assert message in error


def test_without_a_dataset_or_a_run_to_repeat_it_says_so(tmp_path, capsys):
    assert main(["fit", "--run", str(tmp_path / "run")]) == 2
    assert "DATASET: expected the folder" in capsys.readouterr().err
    assert main(["fit", "--run", str(tmp_path / "run"), "--like", str(tmp_path / "none")]) == 1
    assert f"--like {tmp_path / 'none'}: there is no run in this folder" in capsys.readouterr().err


def test_a_file_of_options_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["fit", "data", "--run", "run", "--options", str(tmp_path / "none.toml")]) == 2
    assert f"--options: {tmp_path / 'none.toml'}: there is no such file." in capsys.readouterr().err


def test_a_run_keeps_its_options_as_toml_and_is_repeated_by_like(tmp_path):
    data, folder = write_masks(tmp_path / "data"), RunFolder(tmp_path / "first")
    options = FitOptions(epochs=3, optimizer="sgd", weight_decay=1e-4, class_weights="1=3", seed=2, model="unet")
    folder.path.mkdir()
    folder.open(RunSettings.of(data, Manifest.load(data), options))
    stored = tomllib.loads((folder.path / "options.toml").read_text())
    assert stored["weight-decay"] == 1e-4
    assert len(stored) == sum(value is not None for value in dataclasses.asdict(options).values())
    assert options_of("data", "--options", str(folder.path / "options.toml"))[1] == options

    dataset, like = options_of("--like", str(folder.path))
    assert (dataset, like) == (str(data), options)
    file = tmp_path / "mine.toml"
    file.write_text("seed = 4\nepochs = 5")
    dataset, like = options_of("other", "--like", str(folder.path), "--options", str(file), "--epochs", "6")
    assert dataset == "other"
    assert like == dataclasses.replace(options, seed=4, epochs=6)
