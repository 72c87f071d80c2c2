"""Which targets of a dataset a model learns; loads nothing heavy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.fields.field import Field, Schema

__all__ = ["IMAGE", "SEVERAL", "VALUE", "choose_targets", "head_names", "is_joint", "learnt_values", "target_facts"]

IMAGE = "extra_image"  # the form of a field that holds a further image, which is learnt only where it is named
VALUE = "value"  # the form of a field that holds a number
SEVERAL = "several"  # in the settings of a run: targets of different forms, each with a head


def choose_targets(manifest: Manifest, names: Sequence[str] | None) -> Manifest:
    """Return the manifest with the named targets alone, in that order.

    Args:
        manifest: Manifest of the dataset.
        names: Names of the targets, as users know them; None: all that the dataset has.

    Raises:
        UsageError: The dataset has no such target.
    """
    if names is None:
        return manifest
    fields = {name: f for name, f in manifest.schema.items() if f.is_target or f.form == IMAGE}
    known = {field.own_name: name for name, field in fields.items()} | {name: name for name in fields}
    unknown = [name for name in names if name not in known]
    if unknown:
        has = ", ".join(field.own_name for field in fields.values()) or "none"
        raise UsageError(f"--target: the dataset has no target {unknown[0]!r}; its targets: {has}.")
    return dataclasses.replace(manifest, schema=_LearntSchema(manifest.schema, [known[name] for name in names]))


class _LearntSchema(Schema):
    """The fields of a dataset, of which some are learnt."""

    def __init__(self, schema: Schema, targets: Sequence[str]) -> None:
        super().__init__(schema.values())
        self._learnt = list(targets)

    @property
    def targets(self) -> dict[str, Field]:
        """The fields that are learnt, in the order in which the user names them."""
        return {name: self[name] for name in self._learnt}


def learnt_values(schema: Schema) -> list[str]:
    """Return the names of the values that a model learns; none unless all targets are values."""
    targets = schema.targets
    if any(field.form != VALUE for field in targets.values()):
        return []
    return [field.own_name for field in targets.values()]


def is_joint(schema: Schema) -> bool:
    """Return whether each target gets a head of its own: there are several, and not all are numbers."""
    return len(schema.targets) > 1 and not learnt_values(schema)


def head_names(schema: Schema) -> dict[str, str]:
    """Return the name of each target's head → its name in the schema; both differ for a value beside such a field."""
    targets = schema.targets
    return {name.replace("/", "_") if f.own_name in targets else f.own_name: name for name, f in targets.items()}


def target_facts(manifest: Manifest) -> dict[str, Any]:
    """Return the facts about what is learnt by which a run's dataset is known again."""
    values = learnt_values(manifest.schema)
    if values:
        return {"target": VALUE, "classes": [], "values": values}
    if not is_joint(manifest.schema):
        facts = {"target": manifest.target.kind, "classes": manifest.target.class_names}
        return facts | ({"values": list(manifest.schema.targets)} if facts["target"] == IMAGE else {})
    alone = {name: choose_targets(manifest, [field]) for name, field in head_names(manifest.schema).items()}
    return {"target": SEVERAL, "classes": [], "targets": {name: target_facts(one) for name, one in alone.items()}}
