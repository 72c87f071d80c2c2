"""From a source to its record in one pure function: decoding, the pipeline, encoding."""
