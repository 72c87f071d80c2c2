"""The task of several targets at once: one network with a head for each, on a trunk that all share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from precompute.errors import UsageError
from train.options import FitOptions
from train.tasks.task import OneTarget, Task
from train.weights import check_loss_weights

__all__ = ["Joint"]

SCORE = "score"  # of all targets, in logs and files


@dataclass(frozen=True, kw_only=True)
class Joint(Task):
    """Several targets, judged by the mean of their scores; a score below 0, as R² may be, counts as 0.

    Attributes:
        heads: Task of each target, by the name of its head.
        fields: Names of the targets in the dataset's schema, by the names of their heads.
    """

    score = SCORE
    heads: Mapping[str, OneTarget]
    fields: Mapping[str, str]

    @property
    def parts(self) -> Mapping[str, OneTarget]:
        """The task of each target, by its name."""
        return self.heads

    def describe_target(self) -> str:
        """Return the targets in words."""
        return "; ".join(f"{name} ({part.describe_target()})" for name, part in self.heads.items())

    def check_target_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that no target can use."""
        for name in ("mixup", "cutmix"):
            if getattr(options, name):
                raise UsageError(f"--{name}: it is for one target; several are learnt, got {getattr(options, name)}.")
        check_loss_weights(options.loss_weights, list(self.heads))
        for part in self.heads.values():
            part.check_target_options(self._options_of(part, options))

    def _options_of(self, part: OneTarget, options: FitOptions) -> FitOptions:
        """Return the options of one head: those that are for other heads alone are not given."""
        taken = set().union(*(other.takes for other in self.heads.values()))
        left_out = {name: getattr(FitOptions(), name) for name in taken - part.takes}
        return dataclasses.replace(options, **left_out, loss_weights=None)

    def compiling(self, options: FitOptions) -> dict[str, Any]:
        """Return loss, metrics and weight of each head."""
        return {
            "loss": {name: part.make_loss(self._options_of(part, options)) for name, part in self.heads.items()},
            "metrics": {name: part.make_metrics() for name, part in self.heads.items()},
            "loss_weights": {name: (options.loss_weights or {}).get(name, 1.0) for name in self.heads},
        }

    def keras_model(self, inputs: Any, outputs: Any, name: str) -> Any:
        """Return a functional model whose logs have the scores of all heads."""
        model = _JointModel(inputs, outputs, name=name)
        model.judge_by({head: part.score for head, part in self.heads.items()})
        return model

    def fitted_to(self, batches: Callable[[], Iterable[Any]]) -> Joint:
        """Return the task with the facts that its parts need about the training targets."""

        def of_part(name: str) -> Callable[[], Iterable[Any]]:
            return lambda: (targets[name] for targets in batches())

        return self._with_heads({name: part.fitted_to(of_part(name)) for name, part in self.heads.items()})

    def with_model(self, model: Any) -> Joint:
        """Return the task with the facts that its parts need about a trained model."""
        return self._with_heads({name: part.with_model(model) for name, part in self.heads.items()})

    def _with_heads(self, heads: Mapping[str, OneTarget]) -> Joint:
        return dataclasses.replace(self, heads=heads)

    def misfits(self, facts: dict[str, Any], output_shape: Any) -> list[str]:
        """Return why a run's model cannot be used here: it has other targets, or one of them other classes."""
        of_run = facts.get("targets", {})
        if list(of_run) != list(self.heads):
            return [f"targets: {', '.join(of_run)} in the run, {', '.join(self.heads)} there"]
        found = {name: part.misfits(of_run[name], output_shape[name]) for name, part in self.heads.items()}
        return [f"{name}: {line}" for name, lines in found.items() for line in lines]

    def pack(self, targets: Any, *weights: Any) -> tuple[Any, ...]:
        """Return targets, and weights, by the names of the heads."""
        given = (targets, *weights)
        packed = {name: part.pack(*(of[self.fields[name]] for of in given)) for name, part in self.heads.items()}
        return tuple({name: one[place] for name, one in packed.items()} for place in range(len(given)))

    def join(self, summaries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return the mean score, and the scores of each target."""
        scores = [max(0.0, summaries[name][part.score] or 0.0) for name, part in self.heads.items()]
        return {SCORE: sum(scores) / len(scores), "targets": dict(summaries)}

    def describe(self, summary: dict[str, Any]) -> list[str]:
        """Return the table of each target below its name, and the mean score."""
        lines = []
        for name, part in self.heads.items():
            lines += [f"{name}:", *(f"  {line}" for line in part.describe(summary["targets"][name]))]
        judged = ", ".join(f"{part.score} of {name}" for name, part in self.heads.items())
        return [*lines, f"score {summary[SCORE]:.3f}, the mean of {judged.replace('_', ' ')}"]


class _JointModel(keras.Model):  # type: ignore[misc]
    """A functional model whose logs have each head's scores under its name, and their mean. It is only for training."""

    def judge_by(self, scores: Mapping[str, str]) -> None:
        """Set the score of each head that counts in the mean; call this once, before the model is compiled."""
        self._scores = dict(scores)

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the numbers of an epoch; Keras itself would drop the heads' names of metrics with several."""
        logs: dict[str, Any] = {}
        for name, value in super().get_metrics_result().items():
            several = isinstance(value, dict)
            head = next((head for head in self._scores if name.startswith(f"{head}_")), "")
            logs |= {f"{head}_{score}": number for score, number in value.items()} if several else {name: value}
        judged = [ops.cast(logs[f"{head}_{score}"], "float32") for head, score in self._scores.items()]
        return logs | {SCORE: ops.mean(ops.maximum(ops.stack(judged), 0.0))}
