"""Pipelines: where they come from, what they promise, applied to one record."""
