"""Which fields of a dataset are read, and as what each is handed out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from precompute.errors import UsageError
from precompute.fields.field import Schema

__all__ = ["ChosenFields", "choose_fields"]


@dataclass(frozen=True, kw_only=True)
class ChosenFields:
    """What `load` hands out: inputs, targets, weights, extra values; each by the names of its fields.

    Attributes:
        inputs: What a model sees.
        targets: What it learns.
        weights: How much each source counts; none or one.
        extra: What is handed out beside these, as asked for, by the names that users know.
    """

    inputs: list[str]
    targets: list[str]
    weights: list[str]
    extra: dict[str, str]

    @property
    def names(self) -> list[str]:
        """All that is parsed, each once."""
        return list(dict.fromkeys([*self.inputs, *self.targets, *self.weights, *self.extra.values()]))


def choose_fields(schema: Schema, *, sample_weights: bool = True, extra: Sequence[str] = ()) -> ChosenFields:
    """Return what is read of a dataset.

    Args:
        schema: Fields of the dataset; the first is the input.
        sample_weights: Whether sources count what they are said to; without targets they do not, as weights come third.
        extra: Names of extra values.

    Raises:
        UsageError: The dataset has no such extra value.
    """
    if isinstance(extra, str):
        raise UsageError(f"extra: expected a list of names, got the text {extra!r}.")
    image, *others = schema
    targets = [name for name in others if schema[name].is_target]
    known = {schema[name].own_name: name for name in others if name not in targets}
    unknown = [name for name in extra if name not in known]
    if unknown:
        raise UsageError(f"extra: the dataset has no {unknown[0]!r}; its extra values: {', '.join(known) or 'none'}.")
    weights = [name for name in known.values() if schema[name].is_weight and sample_weights and targets]
    return ChosenFields(inputs=[image], targets=targets, weights=weights, extra={name: known[name] for name in extra})
