"""Pipelines of Albumentations: read, prepared, described, applied to one image with all that travels with it."""
