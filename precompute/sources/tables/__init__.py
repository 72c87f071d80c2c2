"""Sources from a table of paths."""
