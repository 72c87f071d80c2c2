"""The list of a split's sources, as JSON lines: what a generation was made from."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import Label
from precompute.errors import DatasetError
from precompute.options import MOST_COPIES
from precompute.plan.digests import Digests
from precompute.sources.source import Sources
from precompute.sources.texts import Texts

__all__ = ["HASHES", "Entry", "Listing", "label_of", "listing_lines", "read_listing"]

Entry = dict[str, Any]
CHUNK_BYTES = 2**20  # read and decoded together
_NAMES = ("key", "image", "mask", "group")
HASHES = ("sha256", "mask_sha256")
_KINDS: dict[str, type] = {**dict.fromkeys((*_NAMES, *HASHES), str), **dict.fromkeys(("copies", "num_bytes"), int)}


class Listing(Mapping[str, Entry]):
    """A split's sources by key, sorted: a mapping to the entries of the file, held as columns.

    Attributes:
        sorted_keys: Of the sources.
        images: Paths.
        masks: Paths; empty where a source has none.
        groups: Likewise.
        labels: Class or classes of each source; None when it has a mask.
        copies: Places of each source in every row.
        num_bytes: Size of each source's files.
        sha256: Of each image file, where rows have been made from it.
        mask_sha256: Of each mask file.
    """

    def __init__(self) -> None:
        self.sorted_keys, self.images, self.masks, self.groups = Texts(), Texts(), Texts(), Texts()
        self.labels: list[Label | None] = []
        self.copies: array[int] = array("q")
        self.num_bytes: array[int] = array("q")
        self.sha256, self.mask_sha256 = Digests(), Digests()
        self._same: dict[Any, Any] = {}  # one object for all equal labels

    def add(self, entries: Sequence[Entry]) -> None:
        """Add entries that have been checked and are sorted."""
        self.sorted_keys.extend(entry["key"] for entry in entries)
        self.images.extend(entry["image"] for entry in entries)
        self.masks.extend(entry.get("mask", "") for entry in entries)
        self.groups.extend(entry.get("group", "") for entry in entries)
        labels = map(label_of, entries)
        self.labels.extend(self._same.setdefault(label, label) for label in labels)
        self.copies.extend(entry.get("copies", 1) for entry in entries)
        self.num_bytes.extend(entry["num_bytes"] for entry in entries)
        self.sha256.extend(entry.get("sha256") for entry in entries)
        self.mask_sha256.extend(entry.get("mask_sha256") for entry in entries)

    def entry(self, i: int) -> Entry:
        """Return what the file says of the source at a position; fields that it has not are left out."""
        label = self.labels[i]
        fields = {
            "key": self.sorted_keys[i],
            "image": self.images[i],
            "mask": self.masks[i] or None,
            "label": list(label) if isinstance(label, tuple) else label,
            "group": self.groups[i] or None,
            "copies": self.copies[i],
            "num_bytes": self.num_bytes[i],
            "sha256": self.sha256[i],
            "mask_sha256": self.mask_sha256[i],
        }
        return {name: value for name, value in fields.items() if value is not None}

    def position(self, key: str) -> int | None:
        """Return where a key stands, or None when it is not there."""
        i = bisect_left(self.sorted_keys, key)
        return i if i < len(self.sorted_keys) and self.sorted_keys[i] == key else None

    def __getitem__(self, key: str) -> Entry:
        i = self.position(key)
        if i is None:
            raise KeyError(key)
        return self.entry(i)

    def __iter__(self) -> Iterator[str]:
        return iter(self.sorted_keys)

    def __len__(self) -> int:
        return len(self.sorted_keys)


# Written.


def listing_lines(
    sources: Sources, split: str, sha256: Digests | None = None, mask_sha256: Digests | None = None
) -> Iterator[bytes]:
    """Yield the content of a split's sources file: a line of JSON a source, sorted by key, many lines at a time.

    Args:
        sources: All of them.
        split: Whose sources are listed.
        sha256: Of the image of each source of the split, where it is known.
        mask_sha256: Of the mask.
    """
    lines = []
    for number, i in enumerate(sources.of_split(split)):
        lines.append(
            _line(sources, i, sha256[number] if sha256 else None, mask_sha256[number] if mask_sha256 else None)
        )
        if len(lines) == 10_000:
            yield "".join(lines).encode()
            lines = []
    yield "".join(lines).encode()


def _line(sources: Sources, i: int, sha256: str | None, mask_sha256: str | None) -> str:
    """Return what `json.dumps` makes of an entry, in a third of its time."""
    text = encode_basestring
    parts = [f'{{"key": {text(sources.keys[i])}, "image": {text(sources.images[i])}']
    if sources.masks is not None:
        parts.append(f'"mask": {text(sources.masks[i])}')
    label = sources.label(i)
    if label is not None:
        parts.append(f'"label": {list(label) if isinstance(label, tuple) else label}')
    if sources.groups is not None and (group := sources.groups[i]) is not None:
        parts.append(f'"group": {text(group)}')
    parts.append(f'"copies": {sources.num_copies(i)}, "num_bytes": {sources.num_bytes[i]}')
    if sha256 is not None:
        parts.append(f'"sha256": "{sha256}"')
    if mask_sha256 is not None:
        parts.append(f'"mask_sha256": "{mask_sha256}"')
    return ", ".join(parts) + "}\n"


# Read.


def read_listing(path: Path) -> Listing:
    """Return the entries of a sources file.

    Raises:
        DatasetError: It is missing or not valid.
    """
    listing, number = Listing(), 1
    try:
        with path.open("rb") as file:
            while lines := file.readlines(CHUNK_BYTES):
                entries = _decode(lines)
                if not _surely_fine(entries):
                    for i, entry in enumerate(entries):
                        _check_entry(entry, f"{path}: line {number + i}")
                _check_order(entries, listing, path, number)
                listing.add(entries)
                number += len(lines)
    except OSError as error:
        raise DatasetError(f"{path}: the list of sources cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not a list of sources in JSON lines ({error!r}).") from error
    return listing


def _decode(lines: list[bytes]) -> list[Any]:
    try:
        entries = json.loads(b"[" + b",".join(lines) + b"]")  # one call a line would take twice as long
        if len(entries) == len(lines):
            return list(entries)
    except ValueError:
        pass
    return [json.loads(line) for line in lines]


def _surely_fine(entries: list[Any]) -> bool:
    """Tell whether a look at whole columns finds nothing to look at closely: it takes a fraction of the time."""
    try:
        names = [[entry[name] for entry in entries] for name in ("key", "image")]
        names += [[entry.get(name, "none") for entry in entries] for name in ("mask", "group", *HASHES)]
        joined = "".join(chain.from_iterable(names))
        joined.encode()
        copies = [entry.get("copies", 1) for entry in entries]
        numbers = (*copies, *(entry["num_bytes"] for entry in entries), *(entry.get("label", 0) for entry in entries))
        hashes = {len(value) for column in names[-2:] for value in column}
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        return False
    return (
        all(map(all, names))
        and "\0" not in joined
        and set(map(type, numbers)) <= {int}
        and max(copies, default=1) <= MOST_COPIES
        and min(numbers, default=1) >= -(2**62)
        and max(numbers, default=1) <= 2**62
        and min(copies, default=1) >= 1
        and hashes <= {4, 64}
    )


def _check_entry(entry: Any, where: str) -> None:
    """Refuse what no build writes: each field is used as it stands, some as file names."""
    if not isinstance(entry, dict):
        raise DatasetError(f"{where}: expected an object, got {entry!r:.60}.")
    missing = [name for name in ("key", "image", "num_bytes") if name not in entry]
    if missing:
        raise DatasetError(f"{where}: the field {missing[0]!r} is missing.")
    for name, value in entry.items():
        kind = _KINDS.get(name)
        if kind is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise DatasetError(f"{where}: {name}: expected {kind.__name__}, got {value!r:.60}.")
        if kind is str and not _is_name(value):
            raise DatasetError(f"{where}: {name}: {value!r:.60} cannot be a name.")
        if name in HASHES and not _is_hash(value):
            raise DatasetError(f"{where}: {name}: expected 64 hexadecimal digits, got {value!r:.80}.")
    if not _is_label(entry.get("label", 0)):
        raise DatasetError(f"{where}: label: expected a class index or a list of them, got {entry['label']!r:.60}.")
    if not 1 <= entry.get("copies", 1) <= MOST_COPIES:
        raise DatasetError(f"{where}: copies: expected 1 to {MOST_COPIES}, got {entry['copies']!r:.60}.")
    if abs(entry["num_bytes"]) >= 2**62:
        raise DatasetError(f"{where}: num_bytes: expected the size of files, got {entry['num_bytes']}.")


def _is_label(value: Any) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)


def _is_name(value: str) -> bool:
    try:
        return bool(value) and b"\0" not in value.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


def _is_hash(value: str) -> bool:
    return len(value) == 64 and not set(value) - set("0123456789abcdef")


def _check_order(entries: list[Entry], listing: Listing, path: Path, number: int) -> None:
    before = [listing.sorted_keys[-1]] if len(listing) else []
    for i, (a, b) in enumerate(pairwise([*before, *(entry["key"] for entry in entries)]), number + 1 - len(before)):
        if a >= b:
            raise DatasetError(f"{path}: line {i}: key: expected one after {a!r}, as the list is sorted; got {b!r}.")


def label_of(entry: Entry) -> Label | None:
    """Return the class or the classes of a source; None when it has a mask."""
    label: Any = entry.get("label")
    return tuple(label) if isinstance(label, list) else label
