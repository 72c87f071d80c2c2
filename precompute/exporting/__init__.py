"""Exports: from shards to files that other programs read."""
