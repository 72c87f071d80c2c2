"""Listings on disk: one line of JSON per source, written many at a time and checked as they are read."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, pairwise
from json.encoder import encode_basestring
from pathlib import Path
from typing import IO, Any

from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.errors import DatasetError
from precompute.fields.entry_checks import are_surely_names, check_name
from precompute.fields.registry import COLUMN_TYPES
from precompute.fields.string_column import take
from precompute.options.values import MAX_COPIES
from precompute.table.listing import Listing, Sha256Column
from precompute.table.sources import Sources

__all__ = ["listing_lines", "read_listing", "stored_listing"]

MAX_BYTES = 2**62
NAMES = ("key", "image", "group")
HASHES = ("sha256", "mask_sha256")
NUMBERS = ("segment", "copies", "num_bytes")
MAX_SEGMENT = 2**16 - 1
NEEDED = ("key", "image", "num_bytes")

CHUNK = 10_000  # sources that are written together
CHUNK_BYTES = 2**17  # read and decoded together, and still in the processor's cache when they are looked at


def listing_lines(
    sources: Sources, split: str, sha256: Sha256Column | None = None, mask_sha256: Sha256Column | None = None
) -> Iterator[bytes]:
    """Yield the content of a split's listing, many lines at a time: one line of JSON per source, sorted by key.

    Args:
        sources: All sources.
        split: Name of the split.
        sha256: SHA-256 of the image of each source of the split, where it is known.
        mask_sha256: SHA-256 of the files beside each image, where it is known.
    """
    positions = array("q", sources.of_split(split))
    for first in range(0, len(positions), CHUNK):
        chosen = positions[first : first + CHUNK]
        fields = _spelled(sources, chosen)
        for name, column in (("sha256", sha256), ("mask_sha256", mask_sha256)):
            if column:
                known = column[first : first + CHUNK]
                fields.append(["" if one is None else f', "{name}": "{one}"' for one in known])
        yield "".join(f"{''.join(line)}}}\n" for line in zip(*fields, strict=True)).encode()


def _spelled(sources: Sources, chosen: Sequence[int]) -> list[list[str]]:
    """Return each field's column as `json.dumps` spells its values, in a fifth of the time of one call per source."""
    text, copies, num_bytes = encode_basestring, sources.copies, sources.num_bytes
    fields = [
        [f'{{"key": {text(key)}' for key in take(sources.keys, chosen)],
        [f', "image": {text(image)}' for image in take(sources.images, chosen)],
    ]
    for key, columns in groupby(sources.columns.values(), key=lambda column: column.shared_key):
        spelled = [column.spelled(chosen) for column in columns]
        if key is not None:  # the first one's comma and space go before the key of the object that they stand in
            spelled = [[f', "{key}": {{{"".join(line)[2:]}}}' for line in zip(*spelled, strict=True)]]
        fields += spelled
    if sources.groups is not None:
        groups = [sources.groups[i] for i in chosen]
        fields.append(["" if group is None else f', "group": {text(group)}' for group in groups])
    if sources.segments is not None:
        fields.append([f', "segment": {segment}' if (segment := sources.segments[i]) else "" for i in chosen])
    fields.append([f', "copies": {1 if copies is None else copies[i]}, "num_bytes": {num_bytes[i]}' for i in chosen])
    return fields


def read_listing(path: Path) -> Listing:
    """Return the listing that a file holds.

    Raises:
        DatasetError: The file is missing or not valid.
    """
    listing, number = Listing(), 1
    try:
        with path.open("rb") as file:
            for lines in _lines(file):
                entries = _decode(lines)
                columns = _columns(entries)
                if columns is None:
                    for i, entry in enumerate(entries):
                        _check_entry(entry, f"{path}: line {number + i}")
                    names = dict.fromkeys(chain.from_iterable(entries))
                    columns = {name: [entry.get(name) for entry in entries] for name in names}
                _check_order(columns["key"], listing, path, number)
                listing.add(columns, len(entries))
                number += len(lines)
        listing.check(path)
    except OSError as error:
        raise DatasetError(f"{path}: the list of sources cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not a list of sources in JSON lines ({error!r}).") from error
    return listing


def stored_listing(out: Path, manifest: Manifest, split: str) -> Listing:
    """Return the list of the sources of a split of a dataset; see `read_listing`."""
    return read_listing(DatasetPaths(out).sources(manifest.generation, split))


def _lines(file: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of a file, many at a time; files in object stores do not iterate over lines."""
    rest = b""
    while part := file.read(CHUNK_BYTES):
        *lines, rest = (rest + part).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]


def _decode(lines: list[bytes]) -> list[Any]:
    try:
        entries = json.loads(b"[" + b",".join(lines) + b"]")  # one call a line would take twice as long
        if len(entries) == len(lines):
            return list(entries)
    except ValueError:
        pass
    return [json.loads(line) for line in lines]


def _columns(entries: list[Any]) -> dict[str, Sequence[Any]] | None:
    """Return entries as columns if all have the same fields and none needs a closer look, else None."""
    if set(map(type, entries)) != {dict} or len(fields := set(map(tuple, entries))) != 1:
        return None
    columns = dict(zip(fields.pop(), zip(*map(dict.values, entries), strict=True), strict=True))
    return columns if _are_surely_fine(columns) else None


def _check_order(keys: Sequence[str], listing: Listing, path: Path, number: int) -> None:
    before = [listing.sorted_keys[-1]] if len(listing) else []
    for i, (a, b) in enumerate(pairwise((*before, *keys)), number + 1 - len(before)):
        if a >= b:
            raise DatasetError(f"{path}: line {i}: key: expected one after {a!r}, as the list is sorted; got {b!r}.")


# Entries: what no build writes is refused.


def _check_entry(entry: Any, where: str) -> None:
    """Refuse an entry that no build writes: its values are used as they are, some as names of files."""
    if not isinstance(entry, dict):
        raise DatasetError(f"{where}: expected an object, got {entry!r:.60}.")
    missing = [name for name in NEEDED if name not in entry]
    if missing:
        raise DatasetError(f"{where}: the field {missing[0]!r} is missing.")
    for name, value in entry.items():
        if name in NAMES or name in HASHES:
            check_name(name, value, where)
        if name in HASHES and not _is_hash(value):
            raise DatasetError(f"{where}: {name}: expected 64 hexadecimal digits, got {value!r:.80}.")
        if name in NUMBERS and (not isinstance(value, int) or isinstance(value, bool)):
            raise DatasetError(f"{where}: {name}: expected int, got {value!r:.60}.")
    for key, column in COLUMN_TYPES.items():
        column.check_entry(key, entry, where)
    if not 0 <= entry.get("segment", 0) <= MAX_SEGMENT:
        raise DatasetError(f"{where}: segment: expected 0 to {MAX_SEGMENT}, got {entry['segment']!r:.60}.")
    if not 1 <= entry.get("copies", 1) <= MAX_COPIES:
        raise DatasetError(f"{where}: copies: expected 1 to {MAX_COPIES}, got {entry['copies']!r:.60}.")
    if abs(entry["num_bytes"]) >= MAX_BYTES:
        raise DatasetError(f"{where}: num_bytes: expected the size of files, got {entry['num_bytes']}.")


def _is_hash(value: str) -> bool:
    return len(value) == 64 and not set(value) - set("0123456789abcdef")


def _are_surely_fine(entries: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether a quick look at whole columns shows that no entry needs `_check_entry`, in a fraction of the time.

    Args:
        entries: Key → value in each of many entries; none is missing.
    """

    def there(names: Iterable[str]) -> list[Sequence[Any]]:
        return [entries[name] for name in names if name in entries]

    copies, segments = entries.get("copies", (1,)), entries.get("segment", (0,))
    return (
        set(NEEDED) <= entries.keys()
        and all(map(are_surely_names, there((*NAMES, *HASHES))))
        and all(set(map(len, hashes)) == {64} for hashes in there(HASHES))
        and all(set(map(type, numbers)) == {int} for numbers in there(NUMBERS))
        and all(column.is_surely_fine(entries[key]) for key, column in COLUMN_TYPES.items() if key in entries)
        and 0 <= min(segments) <= max(segments) <= MAX_SEGMENT
        and 1 <= min(copies) <= max(copies) <= MAX_COPIES
        and max(map(abs, entries["num_bytes"])) < MAX_BYTES
    )
