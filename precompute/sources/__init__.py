"""Finding sources: files, tables and lists → the table of sources."""
