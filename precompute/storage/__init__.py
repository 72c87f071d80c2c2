"""Datasets and sources in object stores: paths that are URLs, read and written through fsspec."""
