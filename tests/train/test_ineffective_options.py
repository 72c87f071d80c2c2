"""An option of `train` that has no effect is refused or said: all of them, so that a new one is not forgotten."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from tests.helpers.runs_without_training import make_run
from tests.helpers.trainer_datasets import write_classes, write_masks
from train.bench_options import BenchOptions
from train.cli import main
from train.fit import fit
from train.ineffective_options import INEFFECTIVE, Situation, check_ineffective_options
from train.options import EvaluateOptions, ExportOptions, FitOptions, PredictOptions
from train.run_folder import RunFolder
from train.tasks import Task, make_task

OTHER = "is for --schedule plateau, and another one is chosen"
ALONE = "mixes the images of a batch, and --batch-size 1 has one alone"
# What each option is given, with others, where it has no effect for classes, and the words that say so.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "plateau_patience": ({"plateau_patience": 3}, f"--plateau-patience: it {OTHER}; got 3."),
    "plateau_factor": ({"plateau_factor": 0.5}, f"--plateau-factor: it {OTHER}; got 0.5."),
    "mixup": ({"mixup": 0.2, "batch_size": 1}, f"--mixup: it {ALONE}; got 0.2."),
    "cutmix": ({"cutmix": 1.0, "batch_size": 1}, f"--cutmix: it {ALONE}; got 1.0."),
}
SAID: dict[str, tuple[dict[str, Any], str]] = {
    "schedule": ({"schedule": "plateau", "epochs": 6}, "--schedule has no effect: it lowers the learning rate after"),
    "early_stopping": ({"early_stopping": 5, "epochs": 6}, "--early-stopping has no effect: it stops after so many"),
    "base_channels": ({"base_channels": 8, "model": "MobileNetV3Small"}, "--base-channels has no effect: it is for"),
    "fresh": ({"fresh": "on", "clean_epochs": 3, "epochs": 3}, "--fresh has no effect: it moves no image in"),
    "devices": ({"devices": "all"}, "--devices has no effect: it shares batches out, and there is one device"),
    "epochs": ({"epochs": 6, "fresh": "on"}, "--epochs has no effect: it decides here whether --fresh auto"),
}
# Refused by the options themselves, by the task, or where the dataset is opened: with tests of their own there.
ELSEWHERE = {
    *("weights", "weight_decay", "label_smoothing", "class_weights", "freeze_epochs", "ignore_class", "clean_epochs"),
    *("deterministic", "jit", "loss_weights"),
}
# They always do what they say: or they are limits and permissions, which are kept whether they are needed or not.
ALWAYS = {
    *("target", "batch_size", "model", "learning_rate", "optimizer", "warm_up", "sample_weights", "precision", "seed"),
    *("allow_leak", "cache", "lease_dir", "checkpoint_every"),
}
USED_ALWAYS: dict[type, set[str]] = {
    EvaluateOptions: {"split", "checkpoint", "dataset", "batch_size", "allow_leak"},
    ExportOptions: {"format", "checkpoint", "overwrite"},
    PredictOptions: {"checkpoint", "dataset", "pipeline", "batch_size", "overwrite"},
}
USED_REFUSED = {PredictOptions: {"alpha", "draw", "model_size"}}  # the first where the dataset keeps alpha


def names_of(options: type) -> set[str]:
    return {f.name for f in dataclasses.fields(options)}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("idle") / "data")


@pytest.fixture(scope="module")
def task(classes: Path) -> Task:
    return make_task(Manifest.load(classes))


@pytest.fixture(autouse=True)
def one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.ineffective_options.find_devices", lambda: ["one"])


def test_each_option_of_fit_and_bench_is_in_one_place() -> None:
    groups = [set(REFUSED), set(SAID), ELSEWHERE, ALWAYS]
    assert names_of(FitOptions) == set.union(*groups), "a new option: say in INEFFECTIVE when it has no effect"
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert {name for name, idle in INEFFECTIVE.items() if idle.refused} == REFUSED.keys()
    assert {name for name, idle in INEFFECTIVE.items() if not idle.refused} == SAID.keys()
    assert names_of(BenchOptions) - names_of(FitOptions) == {"steps", "seconds"}


@pytest.mark.parametrize("options", USED_ALWAYS)
def test_each_option_of_the_other_commands_is_in_one_place(options: type) -> None:
    assert names_of(options) == USED_ALWAYS[options] | USED_REFUSED.get(options, set())


@pytest.mark.parametrize("name", REFUSED)
def test_option_without_effect_is_refused_and_a_run_begun_with_it_goes_on(name: str, task: Task) -> None:
    given, words = REFUSED[name]
    of = Situation(options=FitOptions(**given), task=task)
    with pytest.raises(UsageError) as caught:
        check_ineffective_options(of)
    assert str(caught.value) == words
    [note] = check_ineffective_options(of, is_new=False)
    assert "has no effect: it " in note


@pytest.mark.parametrize("name", SAID)
def test_option_without_effect_is_said(name: str, task: Task) -> None:
    given, words = SAID[name]
    [note] = check_ineffective_options(Situation(options=FitOptions(**given), task=task, is_timed=name == "epochs"))
    assert note.startswith(words)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"schedule": "plateau", "plateau_patience": 3, "plateau_factor": 0.5},
        {"schedule": "plateau", "epochs": 7},
        {"early_stopping": 5, "epochs": 7, "base_channels": 4},
        {"mixup": 0.3, "batch_size": 2, "fresh": "on", "epochs": 4, "clean_epochs": 3},
    ],
    ids=str,
)
def test_options_with_effect_are_taken_in_silence(given: dict[str, Any], task: Task) -> None:
    assert check_ineffective_options(Situation(options=FitOptions(**given), task=task)) == []


def test_base_channels_are_for_unets_with_a_backbone_too(tmp_path: Path) -> None:
    task = make_task(Manifest.load(write_masks(tmp_path / "data")))
    own, around = FitOptions(model="mine:make", base_channels=4), FitOptions(model="unet-Xception", base_channels=4)
    assert len(check_ineffective_options(Situation(options=own, task=task))) == 1
    assert check_ineffective_options(Situation(options=around, task=task)) == []


def test_fit_refuses_it_before_the_folder_holds_a_run(
    classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", str(classes), "--run", str(tmp_path / "run"), "--plateau-factor", "0.5"]) == 2
    assert f"error: --plateau-factor: it {OTHER}; got 0.5." in capsys.readouterr().err
    assert not (tmp_path / "run" / "options.json").exists()


def test_fit_says_it_first(classes: Path, tmp_path: Path) -> None:
    class SaidError(Exception):
        pass

    def stop(line: str) -> None:
        raise SaidError(line)

    with pytest.raises(SaidError, match="NOTE: --early-stopping has no effect"):
        fit(classes, run=tmp_path / "run", options=FitOptions(early_stopping=5, epochs=3), say=stop)


def test_bench_refuses_as_fit_does(classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(classes), "--cutmix", "1", "--batch-size", "1"]) == 2
    assert f"--cutmix: it {ALONE}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--draw", "--draw: there are no masks or boxes to draw"),
        ("--model-size", "--model-size: it is for masks, boxes and images, and the dataset has classes; leave it out."),
    ],
)
def test_predict_refuses_what_is_for_masks_and_boxes(
    flag: str, words: str, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", classes)
    assert RunFolder(run).options.exists()
    assert main(["predict", str(run), "x.png", "--output", str(tmp_path / "out"), flag]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
