"""Is a dataset still what was written? Lists, shards, and records made again."""
