"""Pipelines of Albumentations: loaded, prepared, described, and applied to an image with all its fields."""
