"""Options of `train` without effect for this dataset, model or other options: they give a note or an error.

One table lists those that `FitOptions` and the tasks do not refuse themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from precompute.errors import UsageError
from precompute.options.option import Ineffective
from precompute.text.names import flag
from train.devices import find_devices
from train.options import FitOptions
from train.tasks import Task

__all__ = ["INEFFECTIVE", "Situation", "check_ineffective_options"]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The facts that decide whether an option has an effect.

    Attributes:
        options: Options of the run.
        task: Task of the dataset.
        is_timed: Whether loader and step are only timed, and nothing is trained.
    """

    options: FitOptions
    task: Task
    is_timed: bool = False


def _never_waits(epochs: int, patience: int) -> bool:
    """Return whether a run is too short for so many epochs without a better score; the first is always better."""
    return epochs < patience + 2


def _no_plateau(of: Situation) -> bool:
    return of.options.schedule != "plateau"


def _one_image(of: Situation) -> bool:
    return of.options.batch_size == 1


def _no_channels(of: Situation) -> bool:
    name = of.task.model_name(of.options)
    return ":" in name or (of.task.default_model == "small" and name != "small")


INEFFECTIVE: dict[str, Ineffective[Situation]] = {
    "plateau_patience": Ineffective(_no_plateau, "is for --schedule plateau, and another one is chosen", refused=True),
    "plateau_factor": Ineffective(_no_plateau, "is for --schedule plateau, and another one is chosen", refused=True),
    "mixup": Ineffective(_one_image, "mixes the images of a batch, and --batch-size 1 has one alone", refused=True),
    "cutmix": Ineffective(_one_image, "mixes the images of a batch, and --batch-size 1 has one alone", refused=True),
    "schedule": Ineffective(
        lambda of: not _no_plateau(of) and _never_waits(of.options.epochs, of.options.plateau_patience),
        "lowers the learning rate after --plateau-patience epochs without a better score, and --epochs are too few",
    ),
    "early_stopping": Ineffective(
        lambda of: _never_waits(of.options.epochs, of.options.early_stopping),
        "stops after so many epochs without a better score, and --epochs are too few",
    ),
    "base_channels": Ineffective(
        _no_channels, "is for unet, small and detector, alone or around a backbone, and this model has its own"
    ),
    "fresh": Ineffective(
        lambda of: of.options.fresh == "on" and of.options.clean_epochs >= of.options.epochs,
        "moves no image in --clean-epochs, and all epochs are",
    ),
    "devices": Ineffective(lambda of: len(find_devices()) == 1, "shares batches out, and there is one device"),
    "epochs": Ineffective(
        lambda of: of.is_timed and of.options.fresh != "auto",
        "decides here whether --fresh auto moves images, and --fresh says it",
    ),
}


def ineffective_options(of: Situation) -> Iterator[tuple[str, Ineffective[Situation]]]:
    """Yield the given options that have no effect, with the reason."""
    defaults = FitOptions()
    for name, ineffective in INEFFECTIVE.items():
        if getattr(of.options, name) != getattr(defaults, name) and ineffective.when(of):
            yield name, ineffective


def check_ineffective_options(of: Situation, *, is_new: bool = True) -> list[str]:
    """Return a note for each option that has no effect.

    Raises:
        UsageError: The user expects an effect of one. A run that was begun with it continues, with a note.
    """
    notes = []
    for name, ineffective in ineffective_options(of):
        if ineffective.refused and is_new:
            raise UsageError(f"{flag(name)}: it {ineffective.why}; got {getattr(of.options, name)}.")
        notes.append(ineffective.note(flag(name)))
    return notes
