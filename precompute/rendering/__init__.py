"""From a source to its record: decoded, put through the pipeline, encoded; one pure function, which all else calls."""
