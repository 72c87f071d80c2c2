"""`fit` and `evaluate`, end to end on tiny datasets: runs, their files, and going on with them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, PrecomputeError, SettingsError, UsageError
from tests.helpers import small_datasets
from tests.helpers.numbered_masks import draw_numbered
from tests.helpers.tensorboard_log import read_log
from tests.helpers.trainer_datasets import SIZE, write_classes, write_masks
from train.evaluate import evaluate
from train.fit import fit
from train.options import EvaluateOptions, FitOptions
from train.recorder import Recorder
from train.run_folder import RunFolder, RunSettings

PNG = b"\x89PNG"


def tiny(**changes):
    return FitOptions(**{"epochs": 3, "batch_size": 4, "base_channels": 2, "learning_rate": 0.01} | changes)


def history_of(run):
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def stop_at(start):
    """Return a `say` that interrupts the run at a line that starts so."""

    def say(line):
        if line.startswith(start):
            raise KeyboardInterrupt

    return say


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    return write_masks(tmp_path_factory.mktemp("masks") / "data", border=255, ignore_class=255)


@pytest.fixture(scope="module")
def continued(masks, tmp_path_factory):
    """A run on masks that died in its second epoch, right after the checkpoint, and went on to three epochs."""
    run = tmp_path_factory.mktemp("runs") / "masks"
    write_derived = Recorder.write_derived

    def die_in_second_epoch(self):
        if len(self._state.history) == 2:
            raise KeyboardInterrupt
        write_derived(self)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Recorder, "write_derived", die_in_second_epoch)
        fit(masks, run=run, options=tiny(epochs=2))
    died, on_return, lines = history_of(run), [], []

    def say(line):
        lines.append(line)
        if line.startswith("continuing"):
            on_return.extend(history_of(run))

    result = fit(masks, run=run, options=tiny(), say=say)
    return SimpleNamespace(run=run, died=died, on_return=on_return, lines=lines, result=result)


@pytest.mark.slow
def test_a_stopped_run_goes_on_after_its_last_finished_epoch(continued):
    assert [entry["epoch"] for entry in history_of(continued.run)] == ["1", "2", "3"]
    assert any("after epoch 2" in line for line in continued.lines)
    assert [line for line in continued.lines if line.startswith("epoch ")][0].startswith("epoch 3/3")  # noqa: RUF015


@pytest.mark.slow
def test_what_a_kill_left_behind_the_checkpoint_is_made_again(continued):
    assert [entry["epoch"] for entry in continued.died] == ["1"]
    assert [entry["epoch"] for entry in continued.on_return] == ["1", "2"]


@pytest.mark.slow
def test_a_run_says_what_it_reads(continued, masks):
    text = "\n".join(continued.lines)
    assert f"{masks}: masks, 2 classes, {SIZE}×{SIZE}" in text
    assert "train 12, validation 6" in text
    assert "reuse = epochs / rows = 1.5" in text  # 3 epochs, 2 rows
    assert "NO VALIDATION" not in text


@pytest.mark.slow
def test_the_run_folder_is_complete(continued):
    names = {path.name for path in continued.run.iterdir() if not path.name.startswith(".")}
    models = {"best.keras", "last.keras", "checkpoint.npz"}
    assert names >= models | {"options.json", "history.csv", "curves.png", "predictions.png", "metrics.json"}
    assert not list(continued.run.glob(".unfinished*"))
    assert names >= {"scores.png", "environment.json", "tensorboard"}
    for name in ("curves.png", "predictions.png", "scores.png"):
        assert (continued.run / name).read_bytes().startswith(PNG)
    metrics = json.loads((continued.run / "metrics.json").read_bytes())
    assert metrics["epochs"] == 3
    assert metrics["judged_on"] == "validation"
    best = max(history_of(continued.run), key=lambda entry: float(entry["val_foreground_iou"]))
    assert metrics["best_epoch"] == int(best["epoch"])
    assert metrics["scores"]["foreground_iou"] == pytest.approx(float(best["val_foreground_iou"]), abs=1e-6)


@pytest.mark.slow
def test_the_tensorboard_log_of_a_continued_run_equals_its_history(continued):
    found, history = read_log(continued.run / "tensorboard"), history_of(continued.run)
    for split, tag, name in [("train", "loss", "loss"), ("validation", "foreground_iou", "val_foreground_iou")]:
        expected = {int(entry["epoch"]): pytest.approx(float(entry[name]), rel=1e-6) for entry in history}
        assert found[split][tag] == expected
    assert "learning_rate" in found["train"]
    assert len(json.loads((continued.run / "environment.json").read_bytes())) == 2  # it was started twice


@pytest.mark.slow
def test_a_finished_run_does_nothing_again(continued, masks):
    before = {
        path: path.stat().st_mtime_ns for path in continued.run.iterdir() if path.suffix not in (".json", ".toml")
    }
    result = fit(masks, run=continued.run, options=tiny())
    assert result.was_finished
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_a_run_with_other_options_is_refused_option_by_option(continued, masks):
    with pytest.raises(SettingsError) as error:
        fit(masks, run=continued.run, options=tiny(batch_size=5, seed=1))
    assert "--batch-size: 4 in the run, 5 now" in str(error.value)
    assert "--seed: 0 in the run, 1 now" in str(error.value)
    assert "base-channels" not in str(error.value)
    assert "--restart" in str(error.value)


@pytest.mark.slow
def test_a_run_on_another_dataset_is_refused(continued, tmp_path):
    other = write_masks(tmp_path, ignore_class=255, fingerprint="0" * 64, sizes={"train": 13, "validation": 6})
    with pytest.raises(SettingsError, match="train sources: 12 in the run, 13 now, not the same ones"):
        fit(other, run=continued.run, options=tiny())


@pytest.mark.slow
def test_models_open_in_a_fresh_interpreter_without_this_package(continued):
    program = f"""
import sys, numpy as np, keras
for name in ("best", "last"):
    model = keras.models.load_model(sys.argv[1] + "/" + name + ".keras")
    logits = model.predict(np.zeros((2, {SIZE}, {SIZE}, 3), np.uint8), verbose=0)
    print(logits.shape, logits.dtype)
print("train" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(continued.run)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:3] == [f"(2, {SIZE}, {SIZE}, 2) float32"] * 2 + ["False"]


@pytest.mark.slow
def test_evaluate_agrees_with_iou_by_hand(continued, masks):
    found = evaluate(continued.run, EvaluateOptions(checkpoint="last", batch_size=4))
    model = keras.models.load_model(continued.run / "last.keras")
    images, truth = next(iter(precompute.load(masks, split="validation", batch_size=6)))
    predicted, truth = model.predict(images, verbose=0).argmax(-1), truth.numpy()
    counted = truth != 255
    iou = [
        ((truth == c) & (predicted == c) & counted).sum() / (((truth == c) | (predicted == c)) & counted).sum()
        for c in (0, 1)
    ]
    stored = json.loads(found.json_path.read_bytes())
    assert [row["iou"] for row in stored["classes"]] == pytest.approx(iou)
    assert stored["mean_iou"] == pytest.approx(np.mean(iou))
    assert stored["foreground_iou"] == pytest.approx(iou[1])
    assert stored["pixel_accuracy"] == pytest.approx((truth == predicted)[counted].mean())
    assert found.json_path.name == "evaluate-validation.json"
    assert found.pictures[0].read_bytes().startswith(PNG)
    assert [row["name"] for row in stored["classes"]] == ["background", "foreground"]
    assert any(line.startswith("mean IoU") for line in found.table)


@pytest.mark.slow
def test_evaluate_refuses_a_missing_split_and_an_unfit_dataset(continued, tmp_path):
    with pytest.raises(UsageError, match=r"--split: .* has train, validation; got 'test'"):
        evaluate(continued.run, EvaluateOptions(split="test"))
    other = write_masks(tmp_path, num_classes=4)
    with pytest.raises(SettingsError, match="number of classes: 2 in the run, 4 there"):
        evaluate(continued.run, EvaluateOptions(dataset=str(other)))
    with pytest.raises(SettingsError, match="no run in this folder"):
        evaluate(tmp_path)


@pytest.mark.slow
def test_classes_end_to_end_without_validation(tmp_path):
    dataset, lines = write_classes(tmp_path / "data", sizes={"train": 24, "test": 9}), []
    result = fit(dataset, run=tmp_path / "run", options=tiny(epochs=4, base_channels=4), say=lines.append)
    assert any(line.startswith("NO VALIDATION SPLIT") for line in lines)
    assert result.metrics["judged_on"] == "train"
    found = evaluate(tmp_path / "run", EvaluateOptions(split="test"))
    confusion = np.array(found.summary["confusion"])
    assert confusion.sum(axis=1).tolist() == [3, 3, 3]
    assert found.summary["accuracy"] == pytest.approx(np.trace(confusion) / 9)
    recalls = [row["recall"] for row in found.summary["classes"]]
    assert recalls == pytest.approx((np.diag(confusion) / 3).tolist())
    assert [row["name"] for row in found.summary["classes"]] == ["blue", "green", "red"]
    assert "scores" in result.metrics
    with pytest.raises(UsageError, match="--split"):
        evaluate(tmp_path / "run")


@pytest.mark.slow
def test_class_ids_without_an_output_are_named_before_training(tmp_path):
    dataset = write_masks(tmp_path / "data", border=255)
    with pytest.raises(DatasetError) as error:
        fit(dataset, run=tmp_path / "run", options=tiny())
    assert "outside its 2 classes (0 to 1):\n  255" in str(error.value)
    assert "--ignore-class 255" in str(error.value)
    # Nothing was trained, so the same folder may be used with the option.
    with pytest.raises(KeyboardInterrupt):
        fit(dataset, run=tmp_path / "run", options=tiny(ignore_class=255), say=stop_at("epochs"))


def test_one_process_a_run(tmp_path, masks):
    with RunFolder(tmp_path).hold(), pytest.raises(PrecomputeError, match="another process is training"):
        fit(masks, run=tmp_path, options=tiny())
    with RunFolder(tmp_path).hold():
        pass  # free again
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used as a folder"), RunFolder(tmp_path / "file").hold():
        pass


def test_a_folder_of_other_files_is_left_alone(tmp_path, masks):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SettingsError, match="has files but no run"):
        fit(masks, run=tmp_path, options=tiny(), restart=True)


def test_restart_throws_away_the_run_and_nothing_else(tmp_path, masks):
    folder = RunFolder(tmp_path)
    settings = RunSettings.of(masks, Manifest.load(masks), tiny())
    folder.open(settings)
    mine = (
        "checkpoint.npz",
        "best.keras",
        "history.csv",
        "scores.png",
        "evaluate-test.json",
        "evaluate-test-scores.png",
    )
    for name in (*mine, "environment.json", "tensorboard/train/events.out.tfevents.1.v2", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    other = RunSettings.of(masks, Manifest.load(masks), tiny(seed=5))
    with pytest.raises(SettingsError, match="--seed: 0 in the run, 5 now"):
        folder.open(other)
    folder.open(other, restart=True)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "options.json", "options.toml"}
    assert folder.load_settings() == other


def test_masks_that_look_like_numbers_of_objects_are_told_before_training(tmp_path):
    source = draw_numbered(tmp_path / "in", [20, 31, 12, 44, 25, 38])
    precompute.build(source, tmp_path / "out", **small_datasets.options(variants=1))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("refused, and so quick")
    lines = []
    with pytest.raises(PrecomputeError):
        fit(tmp_path / "out", run=tmp_path / "run", options=tiny(), say=lines.append)
    assert sum("45 classes" in line and "numbers of objects, not classes" in line for line in lines) == 1
