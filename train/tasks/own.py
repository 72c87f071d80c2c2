"""Models from a user's own function: `--model my_models:make` or `--model path/to/file.py:make`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import keras

from precompute.errors import PrecomputeError, UsageError

__all__ = ["import_model_code", "is_own", "make_own_model"]

PREFIX = "own_model_"  # before a file's name, so that it hides no module


def is_own(name: str) -> bool:
    """Return whether the name of a model is that of a function."""
    return ":" in name


def import_model_code(name: str) -> Callable[..., Any] | None:
    """Import what `--model` names, if it is a function; a saved model may need its classes to open.

    Returns:
        The function ((height, width, channels), num_outputs) → Keras model; None for other names.

    Raises:
        UsageError: There is no such function.
        PrecomputeError: Its module cannot be imported.
    """
    if not is_own(name):
        return None
    place, _, function_name = name.rpartition(":")
    path = Path(place)
    if path.suffix == ".py" and not path.is_file():
        raise UsageError(f"--model: there is no file {place}, got {name!r}.")
    with _translate_errors(name), _importing_from(path.parent if path.suffix == ".py" else Path.cwd()):
        module = _import_file(path) if path.suffix == ".py" else importlib.import_module(place)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UsageError(
            f"--model: expected module:function or file.py:function; {place} has no function {function_name!r}."
        )
    return cast(Callable[..., Any], function)


def make_own_model(
    name: str, shape: tuple[int, int, int], num_outputs: Any, *, output_shape: Any, outputs: Any = "logits"
) -> Any:
    """Return a model from uint8 images [B, H, W, C] to float32 outputs, around the one that a user's function makes.

    With several targets, what follows is given by their names, and the function's model returns such a dictionary.

    Args:
        name: Name of the function, as `import_model_code` takes it.
        shape: Height, width and channels.
        num_outputs: Number of classes or of values.
        output_shape: Shape of the outputs of one image.
        outputs: What the outputs are, in words for messages.

    Raises:
        UsageError: There is no such function.
        PrecomputeError: The function raises, or does not make a model as expected.
    """
    function = import_model_code(name)
    if function is None:
        raise UsageError(f"--model: expected module:function, got {name!r}.")
    with _translate_errors(name):
        model = function(shape, num_outputs)
    if not isinstance(model, keras.Model):
        raise PrecomputeError(f"--model {name}: expected a keras.Model from it, got {type(model).__name__}.")
    images = keras.Input(shape, dtype="uint8", name="image")
    takes_uint8 = bool(getattr(model, "inputs", None)) and model.inputs[0].dtype == "uint8"
    with _translate_errors(name):
        logits = model(images if takes_uint8 else keras.layers.Rescaling(1.0, dtype="float32", name="to_float")(images))
    several = isinstance(num_outputs, dict)
    if several and (not isinstance(logits, dict) or set(logits) != set(num_outputs)):
        got = f"outputs {', '.join(logits)}" if isinstance(logits, dict) else "one without a name"
        raise PrecomputeError(
            f"--model {name}: expected a model whose outputs are a dictionary of {', '.join(num_outputs)}; got {got}."
        )
    found = {head: logits[head] for head in num_outputs} if several else {"": logits}
    for head, of_head in found.items():
        wanted = (None, *(output_shape[head] if several else output_shape))
        words = f"{outputs[head]} of {head}" if several else outputs
        shown = tuple(getattr(of_head, "shape", ()))
        if shown != wanted:
            raise PrecomputeError(
                f"--model {name}: expected {words} of shape {wanted} for images {(None, *shape)}, "
                f"got {shown or type(of_head).__name__}."
            )
        if _is_probability(model, head):
            raise PrecomputeError(
                f"--model {name}: expected {words}, but its last layer has a softmax or sigmoid; leave it out."
            )
    _check_opens_again(model, name)
    found = {head: _as_float32(of_head, f"{head}_logits" if head else "logits") for head, of_head in found.items()}
    return keras.Model(images, found if several else found[""], name="own")


def _as_float32(logits: Any, name: str) -> Any:
    return (
        logits if logits.dtype == "float32" else keras.layers.Activation("linear", dtype="float32", name=name)(logits)
    )


def _is_probability(model: Any, head: str) -> bool:
    """Return whether the layer that makes an output is a softmax or sigmoid, or has one."""
    last = model.layers[-1] if model.layers else None
    if head:  # of a model that is no functional one, nothing is known
        outputs = getattr(model, "output", None)
        last = outputs[head]._keras_history.operation if isinstance(outputs, dict) else None
    activation = getattr(last, "activation", None)
    return isinstance(last, keras.layers.Softmax) or getattr(activation, "__name__", "") in ("softmax", "sigmoid")


def _check_opens_again(model: Any, name: str) -> None:
    """Check before training that the saved model can be opened again."""
    try:
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    except Exception as error:  # whatever a class's own from_config raises
        first = str(error).strip().splitlines()[0]
        raise PrecomputeError(
            f"--model {name}: a saved file of this model could not be opened again ({type(error).__name__}: {first}). "
            "Give its own classes get_config and the decorator @keras.saving.register_keras_serializable()."
        ) from error


def _import_file(path: Path) -> Any:
    name = PREFIX + path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Keras finds the classes of a saved model by their module's name
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Let imports look into a folder first while the block runs; a command's path lacks even the current folder."""
    entry = str(folder.absolute())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


@contextlib.contextmanager
def _translate_errors(name: str) -> Iterator[None]:
    """Raise errors of the user's code with the line in which they occurred."""
    try:
        yield
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [f for f in frames[1:] if "site-packages" not in f.filename and "<frozen" not in f.filename]
        frame = (theirs or frames)[-1]
        raise PrecomputeError(
            f"--model {name}: {type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})"
        ) from error
