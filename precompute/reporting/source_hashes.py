"""Perceptual hashes of all sources, kept in `.build` by the content that they were made of."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray

from precompute.building.files import write_whole
from precompute.dataset.paths import DatasetPaths
from precompute.errors import RejectedSource, StorageError
from precompute.images.color_modes import Scale
from precompute.images.perceptual_hash import perceptual_hash
from precompute.table.listing import Listing

__all__ = ["SourceHashes", "hash_sources"]

VERSION = "dct-64-2"  # of the hash: another one takes nothing from an older file
MISSING, FLAT, HASHED = 0, 1, 2
BATCH = 64  # sources a call
FAILURES = (OSError, StorageError, ValueError, KeyError, EOFError, zipfile.BadZipFile)  # there is none, or it was cut


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceHashes:
    """The hashes of the sources of all splits, in their order.

    Attributes:
        splits: Name of the split of each source.
        keys: Key of each source.
        hashes: uint64 [N]; 0 where there is none.
        states: uint8 [N]: MISSING, FLAT or HASHED.
    """

    splits: Sequence[str]
    keys: Sequence[str]
    hashes: NDArray[np.uint64]
    states: NDArray[np.uint8]


def hash_sources(
    out: Path,
    listings: Mapping[str, Listing],
    locate: Callable[[str], Path],
    *,
    scale: Scale | None,
    alpha: str,
    jobs: int | None = None,
) -> SourceHashes:
    """Return the hash of each source; those of contents that were hashed before are taken from `.build`.

    Args:
        out: The dataset's folder; where it cannot be written to, hashes are not kept.
        listings: Split → sources.
        locate: Name of a file in a listing → its path.
        scale: How more than 8 bits per channel become 8.
        alpha: How an alpha channel is handled.
        jobs: Number of threads; one per core when None.
    """
    places = [(split, i) for split, listing in listings.items() for i in range(len(listing))]
    contents = [listings[split].sha256[i] or "" for split, i in places]
    rule = f"{VERSION} {scale} {alpha}"
    known = _read(out, rule)
    missing = [place for place, content in enumerate(contents) if content not in known]

    def hashed(batch: Sequence[int]) -> list[tuple[int, int, str]]:
        paths = (locate(listings[places[place][0]].images[places[place][1]]) for place in batch)
        return [_hash(path, scale, alpha) for path in paths]

    found: dict[int, tuple[int, int]] = {}
    batches = [missing[first : first + BATCH] for first in range(0, len(missing), BATCH)]
    # Threads and not processes: reading, decoding and the DCT release Python's lock.
    parallel = joblib.Parallel(n_jobs=jobs or joblib.cpu_count(), backend="threading", return_as="generator")
    for batch, results in zip(batches, parallel(joblib.delayed(hashed)(batch) for batch in batches), strict=True):
        for place, (value, state, content) in zip(batch, results, strict=True):
            has_changed = bool(contents[place]) and content != contents[place]
            found[place] = (0, MISSING) if has_changed else (value, state)
            if state != MISSING:
                known[content] = (value, state)
    if found:
        _write(out, rule, known)
    every = [found[place] if place in found else known[content] for place, content in enumerate(contents)]
    return SourceHashes(
        splits=[split for split, _ in places],
        keys=[listings[split].sorted_keys[i] for split, i in places],
        hashes=np.array([value for value, _ in every], np.uint64),
        states=np.array([state for _, state in every], np.uint8),
    )


def _hash(path: Path, scale: Scale | None, alpha: str) -> tuple[int, int, str]:
    """Return hash, state and sha256 of a file."""
    try:
        content = path.read_bytes()
        value = perceptual_hash(content, scale, alpha)
    except (OSError, StorageError, RejectedSource):
        return 0, MISSING, ""
    return value or 0, FLAT if value is None else HASHED, hashlib.sha256(content).hexdigest()


def _read(out: Path, rule: str) -> dict[str, tuple[int, int]]:
    """Return content's sha256 → hash and state, as far as they were kept by this rule."""
    try:
        with np.load(io.BytesIO(DatasetPaths(out).perceptual_hashes.read_bytes())) as stored:
            if str(stored["rule"]) != rule:
                return {}
            contents = (content.tobytes().hex() for content in stored["contents"])
            values = zip(*(stored[name].astype(np.uint64).tolist() for name in ("hashes", "states")), strict=True)
            return dict(zip(contents, values, strict=True))
    except FAILURES:
        return {}


def _write(out: Path, rule: str, known: Mapping[str, tuple[int, int]]) -> None:
    """Keep the hashes; a folder that cannot be written to has to do without."""
    written, path = io.BytesIO(), DatasetPaths(out).perceptual_hashes
    contents = np.frombuffer(bytes.fromhex("".join(known)), np.uint8).reshape(-1, 32)
    hashes, states = zip(*known.values(), strict=True) if known else ((), ())
    np.savez(
        written,
        rule=np.array(rule),
        contents=contents,
        hashes=np.array(hashes, np.uint64),
        states=np.array(states, np.uint8),
    )
    try:
        DatasetPaths(out).temporary.mkdir(parents=True, exist_ok=True)
        write_whole(path, written.getvalue(), DatasetPaths(out).temporary)
    except (OSError, StorageError):
        return
