"""What Keras is set to, by its settings file or by the process, decides nothing about a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from precompute.errors import PrecomputeError, UsageError
from tests.helpers.project import ROOT
from tests.helpers.runs_without_training import make_run
from tests.helpers.trainer_datasets import SIZE, write_classes, write_masks
from train.bench import bench
from train.evaluate import evaluate
from train.fit import fit
from train.options import FitOptions
from train.start import plain_keras, require_tensorflow

OTHERS = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.01, "dtype_policy": "mixed_float16"}


def what_is_set():
    config = keras.config
    return [config.image_data_format(), config.floatx(), config.epsilon(), config.dtype_policy().name]


@pytest.fixture
def set_otherwise():
    """Keras set to what nobody expects, one after the other: a policy follows from floatx until it is set."""
    before = {name: getattr(keras.config, name)() for name in OTHERS}
    for name, value in OTHERS.items():
        getattr(keras.config, f"set_{name}")(value)
    yield
    for name, value in before.items():
        getattr(keras.config, f"set_{name}")(value)


def weights_of(run):
    return [weight.tobytes() for weight in keras.models.load_model(run / "last.keras", compile=False).get_weights()]


def test_settings_are_put_back_whatever_happens(set_otherwise):
    before = what_is_set()
    assert before == list(OTHERS.values())
    with pytest.raises(KeyError), plain_keras():
        assert what_is_set() == ["channels_last", "float32", 1e-7, "float32"]
        raise KeyError
    assert what_is_set() == before


@pytest.mark.slow
def test_a_run_is_the_same_whatever_keras_is_set_to(tmp_path, request):
    dataset = write_classes(tmp_path / "data", sizes={"train": 4, "validation": 3})
    options = FitOptions(epochs=1, batch_size=4, base_channels=2, cutmix=1.0)
    fit(dataset, run=tmp_path / "plain", options=options)
    request.getfixturevalue("set_otherwise")
    before = what_is_set()
    fit(dataset, run=tmp_path / "other", options=options)
    assert what_is_set() == before
    assert weights_of(tmp_path / "other") == weights_of(tmp_path / "plain")


EVALUATE_AND_OPEN = """
import sys
import numpy as np
from train.cli import main
assert main(["evaluate", sys.argv[1]]) == 0
import keras
assert keras.config.image_data_format() == "channels_first"
images = np.load(sys.argv[2])
np.save(sys.argv[3], keras.models.load_model(sys.argv[1] + "/best.keras").predict(images, verbose=0))
"""


@pytest.mark.slow
def test_a_settings_file_changes_neither_scores_nor_a_saved_model(tmp_path):
    run = make_run(tmp_path / "run", write_masks(tmp_path / "data", num_classes=3))
    (tmp_path / "keras.json").write_text(json.dumps({**OTHERS, "floatx": "float64", "backend": "tensorflow"}))
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    np.save(tmp_path / "images.npy", images)
    arguments = [str(path) for path in (run, tmp_path / "images.npy", tmp_path / "logits.npy")]
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", EVALUATE_AND_OPEN, *arguments], env=environment, check=True, capture_output=True
    )
    found = json.loads((run / "evaluate-validation.json").read_bytes())
    assert evaluate(run).summary["confusion"] == found["confusion"]
    expected = keras.models.load_model(run / "best.keras").predict(images, verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "words"), [("epochs", "--epochs says how many"), ("steps_per_epoch", "an epoch reads a whole row")]
)
def test_a_limit_that_would_end_each_fit_is_refused(tmp_path, name, words):
    put = getattr(keras.config, f"set_max_{name}")
    put(1)
    try:
        with pytest.raises(UsageError, match=f"KERAS_MAX_{name.upper()}.*{words}"):
            fit(tmp_path, run=tmp_path / "run")
        with pytest.raises(UsageError, match=f"KERAS_MAX_{name.upper()}"):
            bench(tmp_path)
    finally:
        put(None)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'jax'", name="jax.numpy"), "set to the backend 'jax' .*KERAS_BACKEND"),
        (ModuleNotFoundError("No module named 'keras'", name="keras"), "pip install 'augment-once"),
        (AttributeError("'list' object has no attribute 'get'"), "no attribute 'get'.*keras.json"),
        (AssertionError(), "a value in its settings.*keras.json"),
        (ValueError("Unable to import backend : abc"), "backend : abc.*keras.json"),
    ],
)
def test_settings_that_keras_fails_at_are_named(monkeypatch, error, words):
    class Failing:
        def find_spec(self, name, *rest):
            if name == "keras":
                raise error

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(sys, "meta_path", [Failing(), *sys.meta_path])
    with pytest.raises(PrecomputeError, match=words):
        require_tensorflow()
