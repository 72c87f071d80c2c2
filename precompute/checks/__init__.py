"""What `verify` looks at: lists, shards, and records made again."""
