"""The contract on disk: names, manifest, rows. Standard library only."""
