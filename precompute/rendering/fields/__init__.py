"""Renderers: for each type of field its twin that reads files, lets a pipeline move values, and encodes records."""
