"""Renderers: twins of fields that read files, let a pipeline move values, and encode records."""
