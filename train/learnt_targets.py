"""Which targets of a dataset a model learns; loads nothing heavy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.fields.field import Schema

__all__ = ["SEVERAL", "VALUE", "choose_targets", "head_names", "is_joint", "learnt_values", "target_facts"]

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
    schema, targets = manifest.schema, manifest.schema.targets
    known = {field.own_name: name for name, field in targets.items()} | {name: name for name in targets}
    unknown = [name for name in names if name not in known]
    if unknown:
        has = ", ".join(field.own_name for field in targets.values()) or "none"
        raise UsageError(f"--target: the dataset has no target {unknown[0]!r}; its targets: {has}.")
    image, *others = (field for name, field in schema.items() if name not in targets)
    chosen = (targets[known[name]] for name in names)
    return dataclasses.replace(manifest, schema=Schema([image, *chosen, *others]))


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
        return {"target": manifest.target.kind, "classes": manifest.target.class_names}
    alone = {name: choose_targets(manifest, [field]) for name, field in head_names(manifest.schema).items()}
    return {"target": SEVERAL, "classes": [], "targets": {name: target_facts(one) for name, one in alone.items()}}
