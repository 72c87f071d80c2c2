"""Models of a user's own function: made, checked, trained, and opened again in another process."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest

from precompute.errors import PrecomputeError, UsageError
from tests.helpers.trainer_datasets import CLASSES, SIZE, write_classes
from train.fit import fit
from train.options import FitOptions
from train.tasks.classify import Classify
from train.tasks.own import import_model_code
from train.tasks.segment import Segment

CODE = """
import keras
from keras import layers

def functional(shape, num_classes):
    inputs = keras.Input(shape)
    x = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, layers.Dense(num_classes)(x))

def of_bytes(shape, num_classes):
    inputs = keras.Input(shape, dtype="uint8")
    return keras.Model(inputs, layers.Dense(num_classes)(layers.Flatten()(layers.Rescaling(1 / 255)(inputs))))

def pixels(shape, num_classes):
    return keras.Sequential([layers.Rescaling(1 / 255), layers.Conv2D(num_classes, 1)])

class Unregistered(keras.Model):
    def call(self, images):
        return images[:, 0, 0]

def unregistered(shape, num_classes):
    return Unregistered()

@keras.saving.register_keras_serializable()
class Subclassed(keras.Model):
    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.dense = layers.Dense(num_classes)

    def call(self, images):
        return self.dense(keras.ops.mean(images, axis=(1, 2)) / 255)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}

def subclassed(shape, num_classes):
    return Subclassed(num_classes)

def probabilities(shape, num_classes):
    return keras.Sequential([layers.Flatten(), layers.Dense(num_classes, activation="softmax")])

def too_many(shape, num_classes):
    return keras.Sequential([layers.Flatten(), layers.Dense(num_classes + 1)])

def nothing(shape, num_classes):
    pass

def fails(shape, num_classes):
    raise RuntimeError("no idea")

number = 3
"""
CLASSIFY = Classify(shape=(SIZE, SIZE, 3), num_classes=3, class_names=tuple(CLASSES), normalize=None)
SEGMENT = Segment(shape=(SIZE, SIZE, 3), num_classes=2, class_names=("off", "on"), normalize=None)


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "my_models.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize("function", ["functional", "of_bytes", "subclassed", "pixels"])
@pytest.mark.slow
def test_a_function_makes_a_model_of_bytes_to_logits(function, code):
    task = SEGMENT if function == "pixels" else CLASSIFY
    options = FitOptions(model=f"{code}:{function}")
    task.check_options(options)
    model = task.make_model(options)
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    assert model.input.dtype == "uint8"
    assert model.predict(images, verbose=0).shape == (2, *task.output_shape)
    model.save(code.parent / "model.keras")
    again = keras.models.load_model(code.parent / "model.keras")
    np.testing.assert_array_equal(again.predict(images, verbose=0), model.predict(images, verbose=0))


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        ("probabilities", PrecomputeError, "expected logits, but its last layer has a softmax or sigmoid"),
        ("too_many", PrecomputeError, r"expected logits of shape \(None, 3\) .* got \(None, 4\)"),
        ("pixels", PrecomputeError, r"expected logits of shape \(None, 3\) .* got \(None, 32, 32, 3\)"),
        ("nothing", PrecomputeError, "expected a keras.Model from it, got NoneType"),
        ("fails", PrecomputeError, r"RuntimeError: no idea \(.*my_models.py, line 50\)"),
        ("unregistered", PrecomputeError, "could not be opened again .*register_keras_serializable"),
        ("number", UsageError, "has no function 'number'"),
        ("missing", UsageError, "has no function 'missing'"),
    ],
)
def test_what_does_not_make_such_a_model_is_refused(function, kind, message, code):
    with pytest.raises(kind, match=message):
        CLASSIFY.make_model(FitOptions(model=f"{code}:{function}"))


def test_code_that_cannot_be_imported_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"there is no file lost.py, got 'lost.py:make'"):
        import_model_code("lost.py:make")
    with pytest.raises(PrecomputeError, match=r"--model lost_module:make: ModuleNotFoundError: No module named"):
        import_model_code("lost_module:make")
    (tmp_path / "broken.py").write_text("x = 1\nx +\n")
    with pytest.raises(PrecomputeError, match=r"SyntaxError: invalid syntax"):
        import_model_code(f"{tmp_path / 'broken.py'}:make")


def test_a_module_of_the_current_folder_is_found_and_its_neighbours_too(tmp_path, monkeypatch):
    (tmp_path / "neighbour_of_mine.py").write_text("from my_own_sizes import SIZE\ndef make(shape, n): return SIZE\n")
    (tmp_path / "my_own_sizes.py").write_text("SIZE = 3\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert import_model_code("neighbour_of_mine:make")((1, 1, 3), 2) == 3
    assert import_model_code("neighbour_of_mine.py:make")((1, 1, 3), 2) == 3
    assert sys.path == before


def test_options_for_backbones_are_refused():
    for options in ({"weights": "imagenet"}, {"freeze_epochs": 1}):
        for task in (CLASSIFY, SEGMENT):
            with pytest.raises(UsageError, match="your own --model"):
                task.check_options(FitOptions(model="mine:make", **options))


@pytest.mark.slow
def test_a_run_with_a_model_of_its_own_is_evaluated_in_another_process(code):
    data, run = write_classes(code.parent / "data", num_rows=1), code.parent / "run"
    fit(data, run=run, options=FitOptions(epochs=1, model=f"{code}:subclassed"))
    command = [sys.executable, "-m", "train", "evaluate", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "best model" in done.stdout
