"""Measures the time of functions where they are called, without changing the code that calls them."""

from __future__ import annotations

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Calls", "Stopwatch"]


@dataclass
class Calls:
    """All calls of one stage.

    Attributes:
        seconds: Seconds of each call, without time in other stages.
        ran: For transforms: whether each call applied it, or skipped it by its p.
        pixels: For transforms: number of pixels of the image in each run.
    """

    seconds: list[float] = field(default_factory=list)
    ran: list[bool] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)


class Stopwatch:
    """Counts time where it is spent: a stage is not charged for another stage that it calls.

    It is not for threads: it replaces functions and methods while it watches them.

    Args:
        clock: Returns the time in seconds.

    Attributes:
        stages: Stage → its calls.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._inside = [0.0]  # for each open call, the seconds of the calls inside it
        self._running: set[int] = set()
        self.stages: dict[Hashable, Calls] = defaultdict(Calls)

    def call(self, stage: Hashable, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function and count its time for a stage; a call that raises is not counted."""
        self._inside.append(0.0)
        start = self._clock()
        try:
            result = function(*args, **kwargs)
        except BaseException:
            self._inside.pop()
            raise
        whole = self._clock() - start
        self.stages[stage].seconds.append(whole - self._inside.pop())
        self._inside[-1] += whole
        return result

    @contextmanager
    def watching(self, owner: Any, name: str, stage: Hashable) -> Iterator[None]:
        """Count all calls of a module's function or a class's method."""
        original, static = getattr(owner, name), inspect.getattr_static(owner, name)

        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            return self.call(stage, original, *args, **kwargs)

        with _replaced(owner, name, static, staticmethod(timed) if isinstance(static, staticmethod) else timed):
            yield

    @contextmanager
    def watching_transforms(self, transforms: Mapping[Hashable, Any]) -> Iterator[None]:
        """Count calls of Albumentations' transforms: stage → transform.

        Python looks `__call__` up in the class, so classes are watched, and transforms are told apart by identity.
        """
        stage_of = {id(transform): stage for stage, transform in transforms.items()}
        owners = {next(c for c in type(t).__mro__ if "__call__" in vars(c)): None for t in transforms.values()}
        with ExitStack() as stack:
            for owner in owners:
                original = vars(owner)["__call__"]
                stack.enter_context(_replaced(owner, "__call__", original, self._timed_call(original, stage_of)))
            yield

    def _timed_call(self, original: Any, stage_of: Mapping[int, Hashable]) -> Callable[..., Any]:
        @functools.wraps(original)
        def timed(transform: Any, *args: Any, **data: Any) -> Any:
            if id(transform) not in stage_of or id(transform) in self._running:  # it calls that of its base class
                return original(transform, *args, **data)
            stage = stage_of[id(transform)]
            self._running.add(id(transform))
            try:
                result = self.call(stage, original, transform, *args, **data)
            finally:
                self._running.discard(id(transform))
            ran = bool(getattr(transform, "params", None)) or result["image"] is not data["image"]
            self.stages[stage].ran.append(ran)
            if ran:
                self.stages[stage].pixels.append(data["image"].shape[0] * data["image"].shape[1])
            return result

        return timed


@contextmanager
def _replaced(owner: Any, name: str, original: Any, other: Any) -> Iterator[None]:
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, original)
