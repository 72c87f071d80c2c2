"""What is seen of one tree: names in order, each with the bytes that were seen, kept once by their sha256."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SAID = " | said"  # ends the names of what commands say; messages may change where a commit says so
HERE = "<here>"

# What differs from run to run and means nothing: times, rates, free memory and disk, addresses of objects.
NOT_COMPARED: tuple[tuple[str, str], ...] = (
    (r"(?s)\n  time: about.*?(?=\n--- |\Z)", "\n  <what a dry run measured>\n"),
    (r"(?m)^[\d,]+ of [\d,]+ records?, .* left\n", ""),  # said every ten seconds
    (r"\b[\d.,]+(?: to [\d.,]+)? (?:ms|s|min|hours)\b", "<time>"),
    (r"\b[\d.,]+ records/s", "<rate>"),
    (r"\b0x[0-9a-f]{6,}\b", "<address>"),
    (r"\b[\d.,]+ [kMG]B (?:are )?free", "<free>"),
)
# Entries of a dataset's files that are measured.
MEASURED = re.compile(rb'("record_s": )[-+.0-9e]+')
# Files of a dataset that come and go with the processes that hold them.
NOT_LOOKED_AT = (".leases", ".build/lock")


class Observations:
    """Writes what is seen, in order.

    Args:
        folder: Where to keep it; `load` reads it again.
        here: The folder that this tree works in: its path is no part of what is seen.
        stage: Names the file, so that several processes write beside each other.
    """

    def __init__(self, folder: Path, here: Path, stage: str) -> None:
        self._store, self._here = folder / "bytes", str(here)
        self._store.mkdir(parents=True, exist_ok=True)
        self._list = folder / f"{stage}.jsonl"
        self._list.touch()
        self._names: set[str] = set()

    def add(self, name: str, seen: bytes | str) -> None:
        """Note what was seen under a name that was not used before."""
        if name in self._names:
            raise ValueError(f"{name} was observed before.")
        self._names.add(name)
        content = seen.encode("utf-8", "backslashreplace") if isinstance(seen, str) else seen
        content = content.replace(self._here.encode(), HERE.encode())
        digest = hashlib.sha256(content).hexdigest()
        path = self._store / digest
        if not path.exists():
            path.write_bytes(content)
        with self._list.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, "sha256": digest}, ensure_ascii=False) + "\n")

    def add_said(self, name: str, code: int, out: str, err: str) -> None:
        """Note the exit code of a command, and apart from it what it said."""
        self.add(f"{name}: exit code", str(code))
        said = f"{out}--- standard error:\n{err}"
        for pattern, shown in NOT_COMPARED:
            said = re.sub(pattern, shown, said)
        self.add(f"{name}{SAID}", said)

    def add_folder(self, name: str, folder: Path) -> None:
        """Note all files of a dataset, or of what was exported: shards first, what tells of them after."""
        for path in sorted(files_of(folder), key=lambda path: (_rank(path), path)):
            content = path.read_bytes()
            if path.suffix == ".json":
                content = MEASURED.sub(rb'\1"<measured>"', content)
            self.add(f"{name}: {path.relative_to(folder).as_posix()}", content)


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that are compared."""
    for path in folder.rglob("*"):
        below = path.relative_to(folder).as_posix()
        if path.is_file() and not any(below == name or below.startswith(f"{name}/") for name in NOT_LOOKED_AT):
            yield path


def _rank(path: Path) -> int:
    """Order files so that a cause stands before what follows from it: a shard before the hash that names it."""
    words = (".tfrecord-", "sources-", "/rows/", "/.build/", "manifest.json")
    return next((rank for rank, word in enumerate(words) if word in path.as_posix()), len(words))


class Seen:
    """What was seen of one tree.

    Attributes:
        digests: Name → sha256, in order.
    """

    def __init__(self, folder: Path, stages: tuple[str, ...]) -> None:
        self._store = folder / "bytes"
        self.digests: dict[str, str] = {}
        for stage in stages:
            lines = (folder / f"{stage}.jsonl").read_text(encoding="utf-8").splitlines()
            self.digests |= {seen["name"]: seen["sha256"] for seen in map(json.loads, lines)}

    def content(self, name: str) -> bytes:
        """Return the bytes that were seen under a name."""
        return (self._store / self.digests[name]).read_bytes()


def describe_array(value: Any) -> str:
    """Return one line for an array or another value: type, shape and a hash of the bytes, or the value itself."""
    import numpy as np

    if not isinstance(value, np.ndarray):
        return repr(value)
    plain = np.array(value.tolist(), dtype="S") if value.dtype == object else value  # texts, of TensorFlow
    digest = hashlib.sha256(np.ascontiguousarray(plain).tobytes()).hexdigest()[:16]
    shown = f" {value.tolist()!r}" if 0 < value.size <= 8 else ""
    return f"{value.dtype} {list(value.shape)} {digest}{shown}"


def describe_example(example: dict[str, Any]) -> str:
    """Return an example, or what a batch holds, with each of its values, on one line."""
    return " | ".join(f"{name}: {describe_array(example[name])}" for name in sorted(example))
