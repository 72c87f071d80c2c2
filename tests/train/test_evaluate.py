"""`train evaluate` on each split, by a model whose answers are known."""

from __future__ import annotations

import json

import pytest

from precompute.errors import DatasetError, SettingsError, UsageError
from tests.helpers.runs_without_training import make_run
from tests.helpers.trainer_datasets import write_classes, write_masks
from train.evaluate import evaluate
from train.files import write_json
from train.options import EvaluateOptions
from train.run_folder import RunFolder

SIZES = {"train": 9, "validation": 6, "test": 12}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    return make_run(folder / "run", write_classes(folder / "data", sizes=SIZES))


@pytest.mark.parametrize("split", SIZES)
@pytest.mark.slow
def test_every_split_has_its_scores_and_pictures(run, split):
    found = evaluate(run, EvaluateOptions(split=split, batch_size=5))
    third = SIZES[split] // 3
    # The model numbers classes by channel, red first; in the dataset blue is first.
    assert found.summary["confusion"] == [[0, 0, third], [0, third, 0], [third, 0, 0]]
    assert found.summary["accuracy"] == pytest.approx(1 / 3)
    assert found.json_path == run / f"evaluate-{split}.json"
    assert json.loads(found.json_path.read_bytes())["num_images"] == SIZES[split]
    assert found.pictures == [run / f"evaluate-{split}.png", run / f"evaluate-{split}-scores.png"]
    for path in found.pictures:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_split_that_is_not_there_comes_with_advice(tmp_path):
    run = make_run(tmp_path / "run", write_masks(tmp_path / "data", num_classes=3))
    with pytest.raises(UsageError) as error:
        evaluate(run, EvaluateOptions(split="test"))
    assert f"{tmp_path / 'data'} has train, validation; got 'test'" in str(error.value)
    assert "build with --test-split 0.1, or with a folder test/" in str(error.value)


def test_a_dataset_of_another_target_is_refused(run, tmp_path):
    other = write_masks(tmp_path / "data", num_classes=3)
    with pytest.raises(SettingsError, match="target: class in the run, mask there"):
        evaluate(run, EvaluateOptions(dataset=str(other)))


@pytest.mark.slow
def test_a_dataset_that_has_moved_is_asked_for(tmp_path):
    data = write_classes(tmp_path / "data")
    run = make_run(tmp_path / "run", data)
    data.rename(tmp_path / "moved")
    with pytest.raises(DatasetError, match=r"is not there; where it has moved to, pass --dataset DIR\.") as error:
        evaluate(run)
    assert str(data) in str(error.value)
    found = evaluate(run, EvaluateOptions(dataset=str(tmp_path / "moved")))
    assert not found.is_final  # it was never finished


@pytest.mark.slow
def test_a_finished_run_is_final(run):
    folder = RunFolder(run)
    write_json(folder.metrics, {"epochs": 1, "scores": {}})
    assert evaluate(run).is_final


def test_a_model_without_classes_of_its_own_opens_without_the_code_that_made_it(tmp_path):
    run = make_run(tmp_path / "run", write_classes(tmp_path / "data"))
    folder = RunFolder(run)
    settings = json.loads(folder.options.read_bytes())
    write_json(folder.options, settings | {"options": settings["options"] | {"model": "lost.py:make"}})
    assert evaluate(run).summary["num_images"] == 9
    folder.model("best").write_bytes(b"needs code")
    with pytest.raises(SettingsError, match=r"no file lost\.py.*in the folder where the training was started"):
        evaluate(run)
