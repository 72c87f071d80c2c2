"""Options of `train bench`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from precompute.errors import UsageError
from precompute.options.option import option
from precompute.options.values import within
from train.options import FitOptions, TrainOptions

__all__ = ["BenchOptions"]

FIT_FIELDS = {field.name: field for field in dataclasses.fields(FitOptions)}


def _as_in_fit(name: str) -> Any:
    """Return an option of `train fit`: its default, its help, its choices."""
    return dataclasses.field(default=FIT_FIELDS[name].default, metadata=FIT_FIELDS[name].metadata)


@dataclass(frozen=True, kw_only=True)
class BenchOptions(TrainOptions):
    """Options of `train bench`: how long to measure, and the options of `train fit` that decide the time of a step."""

    target: list[str] | None = _as_in_fit("target")  # noqa: RUF009
    batch_size: int = _as_in_fit("batch_size")
    model: str = _as_in_fit("model")
    base_channels: int = _as_in_fit("base_channels")
    optimizer: str = _as_in_fit("optimizer")
    precision: str = _as_in_fit("precision")
    jit: str = _as_in_fit("jit")
    mixup: float = _as_in_fit("mixup")
    cutmix: float = _as_in_fit("cutmix")
    fresh: str = _as_in_fit("fresh")
    cache: str = _as_in_fit("cache")
    epochs: int = _as_in_fit("epochs")
    ignore_class: int | None = _as_in_fit("ignore_class")
    allow_leak: bool = _as_in_fit("allow_leak")
    lease_dir: str | None = _as_in_fit("lease_dir")
    steps: int = option(50, "steps of each measurement", check=within(1))
    seconds: float = option(10.0, "a measurement ends sooner when so many seconds are over")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.seconds < float("inf"):
            raise UsageError(f"--seconds: expected a positive number, got {self.seconds!r}.")
        self.as_fit()

    def as_fit(self) -> FitOptions:
        """Return the options of the planned `train fit`.

        Raises:
            UsageError: The options make no sense there.
        """
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name in FIT_FIELDS}
        return FitOptions(**shared)
