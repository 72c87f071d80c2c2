"""Which fields of a dataset are read, and as what each is handed out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from precompute.errors import UsageError
from precompute.fields.field import Field, Schema

__all__ = ["ChosenFields", "choose_fields"]


@dataclass(frozen=True, kw_only=True)
class ChosenFields:
    """What `load` hands out: inputs, targets, weights, extra values; names in the order of each.

    Attributes:
        inputs: Names of what a model sees.
        targets: Names of what it learns.
        weight: Name of the value that each source weighs, or None.
        extra: Names of what is handed out beside these, as asked for.
    """

    inputs: list[str]
    targets: list[str]
    weight: str | None = None
    extra: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """All that is parsed, each once."""
        return list(dict.fromkeys([*self.inputs, *self.targets, *([self.weight] if self.weight else []), *self.extra]))

    def fields(self, schema: Schema) -> list[Field]:
        """Return all that is parsed."""
        return [schema[name] for name in self.names]


def choose_fields(schema: Schema, *, sample_weights: bool = True, extra: Sequence[str] = ()) -> ChosenFields:
    """Return what is read of a dataset.

    Args:
        schema: Fields of the dataset; the first is the input.
        sample_weights: Whether sources weigh what they are said to; they do not without targets, as weights come third.
        extra: Names of extra values.

    Raises:
        UsageError: The dataset has no such extra value.
    """
    if isinstance(extra, str):
        raise UsageError(f"extra: expected a list of names, got the text {extra!r}.")
    image, targets = next(iter(schema)), list(schema.targets)
    others = [name for name in schema if name != image and name not in targets]
    unknown = [name for name in extra if name not in others]
    if unknown:
        raise UsageError(f"extra: the dataset has no {unknown[0]!r}; its extra values: {', '.join(others) or 'none'}.")
    weights = [name for name in others if schema[name].is_weight and sample_weights and targets]
    return ChosenFields(inputs=[image], targets=targets, weight=next(iter(weights), None), extra=list(extra))
