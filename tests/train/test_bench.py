"""`train bench`: what it measures, by a clock that the test turns, and what it says."""

from __future__ import annotations

import dataclasses
import gc
from pathlib import Path
from types import SimpleNamespace

import pytest

from precompute.dataset.leases import held_rows
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, UsageError
from precompute.text.names import flag
from tests.helpers.schemas import with_image
from tests.helpers.trainer_datasets import write_classes, write_masks
from train.bench import WARM_UP, BenchResult, StepClock, advise, bench, describe
from train.bench_options import BenchOptions
from train.cli import main, make_parser
from train.options import FitOptions

RESULT = BenchResult(
    loader=100.0,
    memory=None,
    step=400.0,
    together=90.0,
    is_held=False,
    why_held="700 MB decoded, limit 537 MB",
    model="unet, 0.48 million parameters",
    batch_size=16,
)


def result(**changes: object) -> BenchResult:
    return dataclasses.replace(RESULT, **changes)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    manifest = Manifest.load(write_masks(tmp_path))
    return with_image(manifest, encoding="jpeg")


# The clock


class Steps:
    """A model that takes three seconds a step, and five more for the first batch of an epoch."""

    stop_training = False

    def fit(self, clock: StepClock, now: list[float], num_steps: int) -> None:
        clock.set_model(self)
        clock.on_epoch_begin(0)
        now[0] += 5
        for batch in range(num_steps):
            now[0] += 3
            clock.on_train_batch_end(batch)
            if self.stop_training:
                break
        now[0] += 100  # between the epochs


def test_the_first_steps_are_left_out_and_epochs_begin_again() -> None:
    now = [50.0]
    clock = StepClock(BenchOptions(steps=6, seconds=1000.0, batch_size=4), 4 * 4 + 1, lambda: now[0])
    model = Steps()
    for _ in range(2):
        assert not clock.is_over
        model.fit(clock, now, 5)
    assert clock.is_over
    assert WARM_UP == 3
    # two steps of the first epoch, the last of them with one image; then four, with the wait for the first batch
    assert clock.num_images == 4 + 1 + 4 * 4
    assert clock.measured_s == 2 * 3 + 5 + 4 * 3
    assert now[0] == 50 + 5 + 15 + 100 + 5 + 12 + 100  # the last epoch was ended after its fourth step


def test_time_ends_it_too() -> None:
    now = [0.0]
    clock = StepClock(BenchOptions(steps=1000, seconds=10.0), 10_000, lambda: now[0])
    model = Steps()
    model.fit(clock, now, 1000)
    assert clock.is_over and clock.measured_s == 12 and clock.num_images == 4 * 16


# What it says


def test_who_waits_follows_from_the_ratio() -> None:
    assert (RESULT.bound, RESULT.ratio) == ("input-bound", 0.25)
    held = result(memory=4000.0, is_held=True)
    assert (held.bound, held.ratio) == ("compute-bound", 10.0)
    assert result(step=50.0).bound == "compute-bound"


def test_advice_where_the_loader_is_waited_for(manifest: Manifest) -> None:
    advice = advise(RESULT, manifest, BenchOptions())
    assert "fewer rows can be held in memory" in advice[0] and RESULT.why_held in advice[0]
    assert "--fresh off" in advice[1]
    assert "more cores" in advice[2]
    assert "--cache auto" in advise(RESULT, manifest, BenchOptions(cache="off"))[0]
    raw = with_image(manifest, encoding="raw")
    other, last = advise(result(is_held=True, memory=110.0), raw, BenchOptions(fresh="off"))
    assert "JPEG may be read faster than raw" in other and "--image-format jpeg" in other
    assert "more cores" in last


def test_advice_where_the_step_is_waited_for(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = result(step=10.0, together=5.0)
    advice = advise(slow, manifest, BenchOptions())
    assert advice[0].startswith("the loader keeps up")
    assert advice[1].startswith("the model runs on the cores that decode")
    assert "a GPU" in advice[2]
    assert advise(result(step=99.0, together=98.0), manifest, BenchOptions())[0].startswith("loader and step are about")
    devices = SimpleNamespace(config=SimpleNamespace(list_logical_devices=lambda kind: ["one"]))
    monkeypatch.setattr("train.bench.tf", devices)
    assert "--precision mixed_float16" in advise(slow, manifest, BenchOptions())[-1]
    assert "1 GPU" in describe(slow, Path("there"), manifest, BenchOptions())[1]


# The command


def test_options_are_those_of_fit() -> None:
    parsed = make_parser().parse_args(["bench", "data", "--batch-size", "4", "--model", "small"])
    options = BenchOptions.from_arguments(parsed)
    assert options.as_fit() == FitOptions(batch_size=4, model="small")
    assert BenchOptions().as_fit() == FitOptions()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "--steps: expected an integer of 1 or more, got 0"),
        ({"seconds": 0.0}, "--seconds: expected a positive number, got 0.0"),
        ({"batch_size": 0}, "--batch-size: expected an integer of 1 or more, got 0"),
        ({"precision": "half"}, "--precision: expected one of float32,"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BenchOptions(**changes)


def test_help_states_each_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for f in dataclasses.fields(BenchOptions):
        assert flag(f.name) in text
        if f.default not in (None, False):
            assert f"(default: {f.default})" in text


@pytest.mark.parametrize("cache", ["auto", "off"])
@pytest.mark.slow
def test_a_dataset_is_measured_and_left_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cache: str
) -> None:
    out = write_masks(tmp_path / "out", sizes={"train": 13})
    before = sorted(path for path in out.rglob("*") if path.is_file())
    small = ["--steps", "4", "--base-channels", "2", "--batch-size", "3"]
    assert main(["bench", str(out), *small, "--cache", cache]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"dataset     {out}: 32×32, raw, mask"
    assert lines[2].startswith("model       unet, 0.0")
    for line, name in zip(lines[3:7], ("loader", "", "step", "together"), strict=True):
        assert line.startswith(name)
    assert ("from rows held in memory" in lines[4]) == (cache == "auto")
    assert ("not held in memory (turned off)" in lines[4]) == (cache == "off")
    assert lines[7].startswith(("compute-bound: the loader is ", "input-bound: the loader is "))
    assert lines[8].startswith("- ")
    gc.collect()
    assert held_rows(out, now=0) == set()
    assert [path for path in sorted(out.rglob("*")) if path.is_file() and path.suffix != ".json"] == [
        path for path in before if path.suffix != ".json"
    ]


@pytest.mark.slow
def test_labels_are_measured_too(tmp_path: Path) -> None:
    found = bench(write_classes(tmp_path), BenchOptions(steps=2, base_channels=2, batch_size=8))
    assert min(found.loader, found.step, found.together, found.memory or 0) > 0
    assert found.model.startswith("small, ")


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    out = write_masks(tmp_path / "out", sizes={"validation": 6})
    with pytest.raises(DatasetError, match="there is no train split, only validation"):
        bench(out)
    with pytest.raises(DatasetError, match=r"build the dataset first"):
        bench(tmp_path / "nowhere")
