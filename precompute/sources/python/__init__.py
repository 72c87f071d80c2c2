"""Sources from Python: `Source` objects, or parallel lists."""
