"""A backbone with weights from a file, frozen for a while, mixed images, weighed classes: killed and gone on with."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.helpers.killed_training import outcome, run_killed_at
from tests.helpers.trainer_datasets import SIZE, write_classes

pytestmark = pytest.mark.slow


def test_a_fine_tuned_backbone_that_was_killed_ends_as_one_that_was_not(tmp_path):
    keras.utils.set_random_seed(7)
    make = keras.applications.MobileNet
    backbone = make(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    backbone.save(tmp_path / "weights.h5")
    data = write_classes(tmp_path / "data", sizes={"train": 23, "validation": 9}, num_rows=3)
    options = {
        "epochs": 3,
        "model": "MobileNet",
        "weights": str(tmp_path / "weights.h5"),
        "freeze_epochs": 1,
        "optimizer": "adamw",
        "mixup": 0.3,
        "label_smoothing": 0.1,
        "class_weights": "balanced",
        "precision": "mixed_float16",  # whose scale of the loss is one more thing to go on with
    }
    lines = run_killed_at(data, tmp_path / "killed", [2, 4], **options)
    run_killed_at(data, tmp_path / "whole", [], **options)
    assert sum(line.startswith("continuing") and "batch" in line for line in lines) == 2
    killed, whole = (outcome(tmp_path / name) for name in ("killed", "whole"))
    for what in whole:
        assert killed[what] == whole[what], what

    learnt = keras.models.load_model(tmp_path / "whole" / "last.keras")
    assert all(layer.trainable for layer in learnt._flatten_layers())
    inner = next(layer for layer in learnt.layers if isinstance(layer, keras.Model))
    changed = [
        not np.array_equal(one, two) for one, two in zip(backbone.get_weights(), inner.get_weights(), strict=True)
    ]
    assert np.mean(changed) > 0.9  # after its frozen epoch
