"""Sources from the names of folders and files alone."""
