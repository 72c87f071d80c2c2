"""One record: pixels, pipeline, draws, bytes."""
