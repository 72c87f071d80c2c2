"""Fields of an image ↔ features of a record, under the keys of TensorFlow's own readers."""
