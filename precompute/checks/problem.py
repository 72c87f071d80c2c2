"""One thing that is not what it should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Problem"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One file that is not what it should be.

    Attributes:
        path: The file.
        why: What is wrong with it.
        kind: ``"shard"``: a build writes it again; ``"record"``: a shard as it was written, whose records are not what
            the manifest says; ``"list"``: manifest, row file or sources file; ``"source"``: a record
            does not come out again from its source; ``"pipeline"``: none could be made again.
    """

    path: Path
    why: str
    kind: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"
