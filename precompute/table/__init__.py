"""The table of sources: columns in memory, lines in the listing on disk."""
