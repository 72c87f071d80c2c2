"""Small files for lists of sources."""

from __future__ import annotations

from pathlib import Path


def make(root: Path, *paths: str) -> list[str]:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x" * len(path))
    return [str(root / path) for path in paths]
