"""`train export`: a run's model for use elsewhere, without this package."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from precompute.errors import SettingsError, UsageError
from precompute.storage.paths import local_path
from train.detection.decode import decode
from train.detection.grid import Grid
from train.files import cannot_write, of_part, remove_unfinished, unfinished, write_bytes, write_file
from train.learnt_targets import IMAGE, SEVERAL, VALUE
from train.options import ExportOptions
from train.start import plain_keras
from train.tasks import activation_of, name_classes, output_shapes, part_of
from train.trained import open_run_model

__all__ = ["Export", "export"]

SAVED_MODEL = "saved_model.pb"  # what tells a SavedModel's folder from another


@dataclass(frozen=True, kw_only=True)
class Export:
    """The files of an exported model.

    Attributes:
        path: Folder of the SavedModel, or the .keras file.
        labels_paths: For each target, a text file with the name of each class, or value, on a line of its own.
        takes: Description of the model's input.
        gives: Description of its output.
    """

    path: Path
    labels_paths: list[Path]
    takes: str
    gives: str


@plain_keras()
def export(run: str | Path, *, output: str | Path, options: ExportOptions | None = None) -> Export:
    """Write a run's model; the dataset is not needed.

    A SavedModel has one signature, `serving_default`: `images`, uint8 [B, H, W, C], to `logits` and `probabilities`,
    float32 [B, …, num_classes], and `class_ids`, int32 [B, …], the likeliest class. A model of several labels an image
    has no `class_ids`. A detector gives `boxes`, float32 [B, 100, 4] as x_min, y_min, x_max, y_max in pixels of the
    images, `scores`, float32 [B, 100], from the highest down and 0 behind the last box, and `class_ids`, int32
    [B, 100]. A model of numbers gives each under the value's name, float32 [B], in the unit of the dataset. A .keras
    file holds the run's model as it is: it gives logits, or numbers [B, K]; for a detector it is refused. A model of
    several targets gives all of these, with the target's name and _ before those of classes; a .keras file gives a
    dictionary.

    Args:
        run: Folder of the run.
        output: Folder to make for a SavedModel, file to make for Keras.
        options: Options of the export.

    Raises:
        SettingsError: There is no run or no model yet.
        UsageError: `output` exists already, or does not end with .keras where it must.
    """
    options, path = options or ExportOptions(), local_path(output, "--output")
    _check_output(path, options)
    _, settings, model = open_run_model(run, options.checkpoint)
    if not {"target", "classes"} <= settings.facts.keys():
        raise SettingsError(f"{run}: options.json does not tell the target and the classes of the run.")
    facts = settings.facts
    parts = facts["targets"] if facts["target"] == SEVERAL else {"": facts}
    shapes = output_shapes(model)
    names = {name: _names_of(part, part_of(shapes, name)) for name, part in parts.items()}
    if options.format == "keras" and facts["target"] == "boxes":
        raise UsageError(
            "--format: a .keras file cannot hold what makes boxes of a detector's output; expected saved_model. The "
            f"bare network is {options.checkpoint}.keras in the run's folder."
        )
    if options.format == "keras":
        write_file(path, model.save)
        labels_path = path.with_suffix(".labels.txt")
        heads = {name: _kept(part["target"], names[name]) for name, part in parts.items()}
        gives = "; ".join(f"{name}: {what}" if name else what for name, what in heads.items())
    else:
        served = {name: _served(model, part["target"], names[name], name) for name, part in parts.items()}
        _write_saved_model(model, path, {name: serve for name, (serve, _) in served.items()})
        labels_path, gives = path / "labels.txt", ", ".join(gives for _, gives in served.values())
    labels_paths = [of_part(labels_path, name) for name in parts]
    for path_of_names, of_target in zip(labels_paths, names.values(), strict=True):
        write_bytes(path_of_names, "".join(f"{name}\n" for name in of_target).encode())
    takes = f"uint8 images [B, {', '.join(map(str, model.input_shape[1:]))}]"
    return Export(path=path, labels_paths=labels_paths, takes=takes, gives=gives)


def _check_output(path: Path, options: ExportOptions) -> None:
    if options.format == "keras" and path.suffix != ".keras":
        raise UsageError(f"--output: expected a file that ends with .keras, got {str(path)!r}.")
    labels = sorted(path.parent.glob(glob.escape(path.stem) + ".labels*.txt"))
    if options.format == "keras" and labels and not path.exists() and not options.overwrite:
        raise UsageError(
            f"--output: {labels[0]} exists already, and would be replaced; choose another, or --overwrite."
        )
    if not path.exists():
        return
    if not options.overwrite:
        raise UsageError(f"--output: {path} exists already; choose another, or pass --overwrite.")
    if path.is_dir() != (options.format == "saved_model") or (path.is_dir() and not (path / SAVED_MODEL).exists()):
        raise UsageError(f"--output: {path} is no earlier export, so it is not replaced; choose another.")


def _names_of(facts: dict[str, Any], output_shape: Any) -> list[str]:
    """Return the names of the values that a model gives, or of its classes."""
    if facts["target"] in (VALUE, IMAGE):
        return list(facts["values"])
    num_classes = len(facts["classes"]) if facts["target"] == "boxes" else output_shape[-1]
    return name_classes(facts["target"], facts["classes"], num_classes)


def _kept(target: str, names: Sequence[str]) -> str:
    """Return the words for what a .keras file gives of a target."""
    if target == VALUE:
        return f"numbers [B, {len(names)}]: {', '.join(names)}"
    return f"images: {names[0]}" if target == IMAGE else "logits"


Serve = Callable[[Any], dict[str, Any]]  # outputs of the model for one target → what is served of them


def _served(model: Any, target: str, names: Sequence[str], head: str) -> tuple[Serve, str]:
    """Return the serving function of a target's outputs, and the names of what it gives."""
    if target == "boxes":
        return _detector(model), "boxes, scores, class_ids"
    if target == VALUE:
        return _numbers(names), ", ".join(names)
    if target == IMAGE:
        return (lambda images: {names[0]: images}), names[0]
    prefix = f"{head}_" if head else ""
    given = ["logits", "probabilities", *(["class_ids"] if activation_of(target) == "softmax" else [])]
    return _classifier(target, prefix), ", ".join(prefix + name for name in given)


def _numbers(names: Sequence[str]) -> Serve:
    """Return the serving function of one number per value."""
    return lambda numbers: {name: numbers[:, k] for k, name in enumerate(names)}


def _classifier(target: str, prefix: str) -> Serve:
    """Return the serving function of logits of classes."""

    def serve(logits: Any) -> dict[str, Any]:
        if activation_of(target) == "sigmoid":
            return {f"{prefix}logits": logits, f"{prefix}probabilities": tf.sigmoid(logits)}
        class_ids = tf.argmax(logits, axis=-1, output_type=tf.int32)
        found = {"logits": logits, "probabilities": tf.nn.softmax(logits), "class_ids": class_ids}
        return {prefix + name: value for name, value in found.items()}

    return serve


def _detector(model: Any) -> Serve:
    """Return the serving function of a detector."""
    grid = Grid(*model.input_shape[1:3])

    def serve(outputs: Any) -> dict[str, Any]:
        found = decode(outputs, grid)
        return {"boxes": found.boxes, "scores": found.scores, "class_ids": found.labels}

    return serve


def _write_saved_model(model: Any, path: Path, served: Mapping[str, Serve]) -> None:
    def serve(images: Any) -> dict[str, Any]:
        outputs = model(images, training=False)
        given: dict[str, Any] = {}
        for name, serve_target in served.items():
            given |= serve_target(tf.cast(part_of(outputs, name), tf.float32))
        return given

    archive = keras.export.ExportArchive()
    archive.track(model)
    images = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="images")
    archive.add_endpoint("serve", serve, input_signature=[images])  # the first is also called serving_default
    temporary = unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(path)
        archive.write_out(str(temporary), verbose=False)
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    except (OSError, tf.errors.OpError) as error:
        raise cannot_write(path, error) from error
    finally:
        remove_unfinished(path)
