"""Schemas of one target, and manifests whose fields are others."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from precompute.dataset.manifest import Manifest, Target
from precompute.fields.field import Schema
from precompute.fields.image import ImageField
from precompute.fields.registry import schema_of_target


def schema_of(target: Target, *, extra: dict[str, str] | None = None, **image: Any) -> Schema:
    """Return the schema of an image, of these attributes, and a target."""
    return schema_of_target(ImageField(**image), **vars(target), extra=extra)


def with_image(manifest: Manifest, **changes: Any) -> Manifest:
    """Return the manifest of a dataset whose images are others."""
    changed = {**manifest.schema, "image": replace(manifest.image, **changes)}
    return replace(manifest, schema=Schema(changed.values()))


def with_target(manifest: Manifest, **changes: Any) -> Manifest:
    """Return the manifest of a dataset with another target."""
    image = {field.name: getattr(manifest.image, field.name) for field in fields(manifest.image)}
    return replace(manifest, schema=schema_of(replace(manifest.target, **changes), **image))
