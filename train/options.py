"""What a user can choose. One field holds default, help and whether a run may be continued with another value."""

from __future__ import annotations

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from precompute.errors import UsageError
from train.interval import Interval

__all__ = ["EvaluateOptions", "FitOptions", "Options", "flag"]

SPLITS = ("train", "validation", "test")


def option(default: Any, text: str, *, choices: tuple[str, ...] = (), decides: bool = True) -> Any:
    """Return a field of an options class.

    Args:
        default: Value when the user says nothing.
        text: Help for the command line; it adds the default.
        choices: The only values accepted; empty for any.
        decides: Whether it decides the weights that come out: a run is continued only with the same value.
    """
    return field(default=default, metadata={"help": text, "choices": choices, "decides": decides})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options that refuse bad values, and that make their own command-line arguments."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for f in dataclasses.fields(self):
            _check_type(f.name, getattr(self, f.name), hints[f.name])
            choices = f.metadata["choices"]
            if choices and getattr(self, f.name) not in choices:
                raise UsageError(f"{flag(f.name)}: expected {' or '.join(choices)}, got {getattr(self, f.name)!r}.")

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Give the parser one argument a field."""
        hints = typing.get_type_hints(cls)
        for f in dataclasses.fields(cls):
            text = f.metadata["help"].replace("%", "%%")
            if hints[f.name] is bool:
                parser.add_argument(flag(f.name), action="store_true", default=f.default, help=text)
                continue
            if f.default is not None:
                text += f" (default: {f.default})"
            kind = _plain_type(hints[f.name])
            choices = f.metadata["choices"] or None
            metavar = None if choices else {int: "N", float: "X", str: "NAME"}[kind]
            parser.add_argument(flag(f.name), type=kind, default=f.default, choices=choices, metavar=metavar, help=text)

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> Self:
        """Make the options from parsed arguments."""
        return cls(**{f.name: getattr(arguments, f.name) for f in dataclasses.fields(cls)})

    @classmethod
    def deciding(cls) -> list[str]:
        """Return the names of the options that decide what comes out of a run."""
        return [f.name for f in dataclasses.fields(cls) if f.metadata["decides"]]

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON takes them."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class FitOptions(Options):
    """Options of `train fit`."""

    epochs: int = option(
        20,
        "epochs to train for; each reads one stored row. More than a finished run has: it goes on from there",
        decides=False,
    )
    batch_size: int = option(16, "images a step")
    model: str = option(
        "auto",
        "masks: unet; classes: small (a compact network), or a backbone of keras.applications such as "
        "MobileNetV3Small or EfficientNetB0; auto: unet or small",
    )
    weights: str = option(
        "none",
        "what to start from: none; imagenet (a backbone, downloaded by Keras); or a file: a .keras or .weights.h5 "
        "of the same whole model, or an .h5 of the backbone without its top, as Keras offers them",
    )
    learning_rate: float = option(
        0.003,
        "peak of the learning rate: it warms up over the first steps and falls along a cosine to the last; a backbone "
        "with trained weights wants less, such as 0.0003",
    )
    base_channels: int = option(
        16, "channels of the first level of unet and small; each further level has twice as many"
    )
    ignore_class: int | None = option(
        None, "class id of pixels that count neither in loss nor in metrics (default: the dataset's, if it has one)"
    )
    seed: int = option(0, "seed of the initial weights and of the order of reading")
    allow_leak: bool = option(
        False, "train although splits share the content of sources: scores will flatter the model", decides=False
    )

    early_stopping: int = option(0, "stop after so many epochs without a better score; 0: never")
    checkpoint_every: str = option(
        "60s",
        "how often to write a checkpoint within an epoch, beside the one at its end: seconds such as 60s, batches "
        "such as 200, or 0",
        decides=False,
    )
    deterministic: bool = option(
        False, "use only operations that give the same bits every time; slower, and without just-in-time compilation"
    )
    devices: str = option(
        "one", "all: share each batch out among all GPUs, or all logical CPUs without one", choices=("one", "all")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_at_least(0, early_stopping=self.early_stopping)
        Interval.parse(self.checkpoint_every)
        _check_at_least(1, epochs=self.epochs, batch_size=self.batch_size, base_channels=self.base_channels)
        _check_at_least(0, seed=self.seed)
        if self.seed >= 2**32:
            raise UsageError(f"--seed: expected less than 2**32, got {self.seed!r}.")
        if self.ignore_class is not None:
            _check_at_least(0, ignore_class=self.ignore_class)
        if not (0 < self.learning_rate < math.inf):
            raise UsageError(f"--learning-rate: expected a positive number, got {self.learning_rate!r}.")
        for name in ("model", "weights"):
            if not getattr(self, name):
                raise UsageError(f"{flag(name)}: expected a name, got {getattr(self, name)!r}.")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """Options of `train evaluate`."""

    split: str = option("validation", "split to read", choices=SPLITS)
    checkpoint: str = option("best", "which model of the run", choices=("best", "last"))
    dataset: str | None = option(None, "folder of the dataset (default: the one that the run was trained on)")
    batch_size: int = option(32, "images a step; changes no result")
    allow_leak: bool = option(False, "evaluate although the split shares the content of sources with another")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_at_least(1, batch_size=self.batch_size)


def flag(name: str) -> str:
    """Return how the command line spells a field."""
    return "--" + name.replace("_", "-")


def _plain_type(hint: Any) -> type:
    """Return `int` for `int | None`."""
    kinds: list[type] = [part for part in typing.get_args(hint) or (hint,) if part is not types.NoneType]
    return kinds[0]


def _check_type(name: str, value: Any, hint: Any) -> None:
    accepted: Iterable[type] = typing.get_args(hint) or (hint,)
    if float in accepted and isinstance(value, int) and not isinstance(value, bool):
        return
    if not any(type(value) is kind for kind in accepted):
        names = " or ".join("None" if kind is types.NoneType else kind.__name__ for kind in accepted)
        raise UsageError(f"{flag(name)}: expected {names}, got {value!r}.")


def _check_at_least(smallest: int, **values: int) -> None:
    for name, value in values.items():
        if value < smallest:
            raise UsageError(f"{flag(name)}: expected {smallest} or more, got {value!r}.")
