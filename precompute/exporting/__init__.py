"""From shards back to files that other programs read."""
