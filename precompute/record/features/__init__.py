"""What a record says of a source's target and values, under the keys of TensorFlow's own readers."""
