"""The list of a split's sources, as JSON lines: what a generation was made from."""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise, repeat
from json.encoder import encode_basestring
from pathlib import Path
from typing import IO, Any

from precompute.boxes import BoxColumn, Boxes
from precompute.dataset.manifest import Label
from precompute.errors import DatasetError
from precompute.instances import Instances
from precompute.options import MOST_COPIES
from precompute.plan.digests import Digests
from precompute.sources.extras import NAME
from precompute.sources.instance_column import InstanceColumn
from precompute.sources.source import Sources
from precompute.sources.texts import Texts, pick

__all__ = ["HASHES", "Entry", "Listing", "box_fields", "boxes_of_entry", "label_of", "listing_lines", "read_listing"]

Entry = dict[str, Any]
CHUNK = 10_000  # sources that are written together
CHUNK_BYTES = 2**20  # read and decoded together
MOST_BYTES = 2**62
_NAMES = ("key", "image", "mask", "group")
HASHES = ("sha256", "mask_sha256")
FIELDS = (
    *(*_NAMES, "label", "boxes", "boxes_size", "keypoints", "instances", "instances_size", "extra", "copies"),
    *("num_bytes", *HASHES),
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_KINDS: dict[str, type] = {**dict.fromkeys((*_NAMES, *HASHES), str), **dict.fromkeys(("copies", "num_bytes"), int)}


class Listing(Mapping[str, Entry]):
    """A split's sources by key, sorted: a mapping to the entries of the file, held as columns.

    Attributes:
        sorted_keys: Of the sources.
        images: Paths.
        masks: Paths; empty where a source has none.
        groups: Likewise.
        labels: Class or classes of each source; None when it has a mask or boxes.
        extra: Weight and extra values, by name a value of each source; empty where there are none.
        copies: Places of each source in every row.
        num_bytes: Size of each source's files.
        sha256: Of each image file, where rows have been made from it.
        mask_sha256: Of each mask file.
    """

    def __init__(self) -> None:
        self.sorted_keys, self.images, self.masks, self.groups = Texts(), Texts(), Texts(), Texts()
        self.labels: list[Label | None] = []
        self.extra: dict[str, list[Any]] = {}
        self.copies: array[int] = array("q")
        self.num_bytes: array[int] = array("q")
        self.sha256, self.mask_sha256 = Digests(), Digests()
        self._same: dict[Any, Any] = {}  # one object for all equal labels
        self._boxes: list[BoxColumn] = []

    @property
    def boxes(self) -> BoxColumn | None:
        """The boxes of all sources; None when they have another target."""
        if len(self._boxes) > 1:
            self._boxes = [type(self._boxes[0]).joined(self._boxes)]
        return self._boxes[0] if self._boxes else None

    def add(self, columns: Mapping[str, Sequence[Any]], num: int) -> None:
        """Add so many sources, sorted and checked: field → a value of each source, None where it has none."""

        def column(name: str, none: Any) -> Iterable[Any]:
            return (
                (none if value is None else value for value in columns[name]) if name in columns else repeat(none, num)
            )

        self.sorted_keys.extend(columns["key"])
        self.images.extend(columns["image"])
        self.masks.extend(column("mask", ""))
        self.groups.extend(column("group", ""))
        labels = [tuple(label) if isinstance(label, list) else label for label in column("label", None)]
        self.labels.extend(map(self._same.setdefault, labels, labels))
        rows = [of_one for of_one in column("boxes", None) if of_one is not None]
        if rows:
            sizes = columns.get("boxes_size", [None] * num)
            points = columns.get("keypoints", [None] * num)
            self._boxes.append(BoxColumn.of_images(map(_boxes, rows, sizes, points)))
        shapes = [of_one for of_one in column("instances", None) if of_one is not None]
        if shapes:
            sizes = columns.get("instances_size", [None] * num)
            self._boxes.append(InstanceColumn.of_instances(map(_instances, shapes, sizes)))
        for values in column("extra", {}):
            for name, value in values.items():
                self.extra.setdefault(name, []).append(value)
        self.copies.extend(column("copies", 1))
        self.num_bytes.extend(columns["num_bytes"])
        self.sha256.extend(columns.get("sha256", [None] * num))
        self.mask_sha256.extend(columns.get("mask_sha256", [None] * num))

    def entry(self, i: int) -> Entry:
        """Return what the file says of the source at a position; fields that it has not are left out."""
        label, boxes = self.labels[i], None if self.boxes is None else self.boxes.of(i)
        fields = {
            "key": self.sorted_keys[i],
            "image": self.images[i],
            "mask": self.masks[i] or None,
            "label": list(label) if isinstance(label, tuple) else label,
            **box_fields(boxes),
            "group": self.groups[i] or None,
            "extra": {name: values[i] for name, values in self.extra.items()} or None,
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
    """Return a column a field, what `json.dumps` makes of it: in a fifth of the time of a call for each source."""
    text, copies, num_bytes = encode_basestring, sources.copies, sources.num_bytes
    fields = [
        [f'{{"key": {text(key)}' for key in pick(sources.keys, chosen)],
        [f', "image": {text(image)}' for image in pick(sources.images, chosen)],
    ]
    if sources.masks is not None:
        fields.append([f', "mask": {text(mask)}' for mask in pick(sources.masks, chosen)])
    if sources.label_sets is not None:
        fields.append([f', "label": {list(sources.label_sets[i])}' for i in chosen])
    elif sources.labels is not None:
        fields.append([f', "label": {sources.labels[i]}' for i in chosen])
    if sources.boxes is not None:
        fields.append([_spelled_boxes(sources.boxes.of(i)) for i in chosen])
    if sources.extra is not None:
        fields.append([f', "extra": {json.dumps(sources.extra_of(i))}' for i in chosen])
    if sources.groups is not None:
        groups = [sources.groups[i] for i in chosen]
        fields.append(["" if group is None else f', "group": {text(group)}' for group in groups])
    fields.append([f', "copies": {1 if copies is None else copies[i]}, "num_bytes": {num_bytes[i]}' for i in chosen])
    return fields


def _spelled_boxes(boxes: Boxes) -> str:
    fields = [(name, value) for name, value in box_fields(boxes).items() if value is not None]
    return "".join(f', "{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in fields)


def box_fields(boxes: Boxes | None) -> Entry:
    """Return what an entry says of boxes, keypoints or objects with masks; None for what it leaves out."""
    if boxes is None:
        return {}
    size = None if boxes.size is None else list(boxes.size)
    if isinstance(boxes, Instances):
        return {"instances": boxes.to_shapes(), "instances_size": size}
    return {"boxes": boxes.to_rows(), "boxes_size": size, "keypoints": boxes.point_rows()}


# Read.


def read_listing(path: Path) -> Listing:
    """Return the entries of a sources file.

    Raises:
        DatasetError: It is missing or not valid.
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
                    columns = {name: [entry.get(name) for entry in entries] for name in FIELDS}
                _check_order(columns["key"], listing, path, number)
                listing.add(columns, len(entries))
                number += len(lines)
        mixed = len(set(map(type, listing._boxes))) > 1
        boxes = None if mixed else listing.boxes  # puts those of all parts together
    except OSError as error:
        raise DatasetError(f"{path}: the list of sources cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not a list of sources in JSON lines ({error!r}).") from error
    if any(len(values) != len(listing) for values in listing.extra.values()):
        raise DatasetError(f"{path}: extra: expected the same names for all {len(listing)} sources.")
    if mixed:
        raise DatasetError(f"{path}: some sources have boxes and others instances; expected one kind for all.")
    if boxes is not None and len(boxes) != len(listing):
        raise DatasetError(f"{path}: boxes: expected them for all {len(listing)} sources, got {len(boxes)}.")
    return listing


def _lines(file: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of a file, many at a time; an object of a store gives no lines itself."""
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
    """Return entries as columns if all have the same fields and nothing has to be looked at closely, else None.

    To look at whole columns takes a fraction of the time that it takes to look at each entry.
    """
    if set(map(type, entries)) != {dict} or len(fields := set(map(tuple, entries))) != 1:
        return None
    columns = dict(zip(fields.pop(), zip(*map(dict.values, entries), strict=True), strict=True))
    slow = {"boxes", "instances", "extra"} & columns.keys()
    if not {"key", "image", "num_bytes"} <= columns.keys() or slow:
        return None
    texts = [columns[name] for name in (*_NAMES, *HASHES) if name in columns]
    numbers = [columns[name] for name in ("num_bytes", "copies", "label") if name in columns]
    if not all(set(map(type, column)) == {str} for column in texts) or not all(
        set(map(type, column)) == {int} for column in numbers
    ):
        return None
    joined = "".join(chain.from_iterable(texts))
    fine = (
        all(map(all, texts))
        and "\0" not in joined
        and not _SURROGATE.search(joined)
        and all(set(map(len, columns[name])) == {64} for name in HASHES if name in columns)
        and 1 <= min(columns.get("copies", (1,))) <= max(columns.get("copies", (1,))) <= MOST_COPIES
        and max(map(abs, columns["num_bytes"])) < MOST_BYTES
    )
    return columns if fine else None


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
    _check_boxes(entry, where)
    _check_extra(entry.get("extra", {}), where)
    _check_instances(entry, where)
    if not 1 <= entry.get("copies", 1) <= MOST_COPIES:
        raise DatasetError(f"{where}: copies: expected 1 to {MOST_COPIES}, got {entry['copies']!r:.60}.")
    if abs(entry["num_bytes"]) >= MOST_BYTES:
        raise DatasetError(f"{where}: num_bytes: expected the size of files, got {entry['num_bytes']}.")


def _check_boxes(entry: Entry, where: str) -> None:
    rows, size = entry.get("boxes", []), entry.get("boxes_size", [1, 1])
    if not (isinstance(rows, list) and all(map(_is_box, rows))):
        raise DatasetError(f"{where}: boxes: expected a list of four sides, class index and flags each.")
    if not (isinstance(size, list) and len(size) == 2 and all(_is_index(n) and 0 < n < 2**31 for n in size)):
        raise DatasetError(f"{where}: boxes_size: expected width and height, got {size!r:.60}.")
    points = entry.get("keypoints")
    if points is not None and not _are_points(points, len(rows)):
        raise DatasetError(f"{where}: keypoints: expected for each box as many numbers, three a point.")


def _check_extra(extra: Any, where: str) -> None:
    if not isinstance(extra, dict) or not all(map(_is_extra, extra, extra.values())):
        raise DatasetError(f"{where}: extra: expected numbers and texts by their names, got {extra!r:.60}.")


def _is_extra(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not NAME.fullmatch(name):
        return False
    if isinstance(value, str):
        return not _SURROGATE.search(value)
    return isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _check_instances(entry: Entry, where: str) -> None:
    rows, size = entry.get("instances", []), entry.get("instances_size", [1, 1])
    if not (isinstance(rows, list) and all(map(_is_instance, rows))):
        raise DatasetError(f"{where}: instances: expected a list of shape, class index and flags each.")
    if not (isinstance(size, list) and len(size) == 2 and all(_is_index(n) and 0 < n < 2**31 for n in size)):
        raise DatasetError(f"{where}: instances_size: expected width and height, got {size!r:.60}.")


def _is_instance(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 3 or not isinstance(row[0], str) or not _is_name(row[0]):
        return False
    return all(map(_is_index, row[1:])) and 0 <= row[1] < 2**31 and 0 <= row[2] < 256


def _is_box(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 6:
        return False
    sides = all(isinstance(side, int | float) and not isinstance(side, bool) and abs(side) < 2**31 for side in row[:4])
    return sides and _is_index(row[4]) and _is_index(row[5]) and 0 <= row[4] < 2**31 and 0 <= row[5] < 256


def _are_points(points: Any, num_boxes: int) -> bool:
    if not isinstance(points, list) or len(points) != num_boxes or not all(isinstance(row, list) for row in points):
        return False
    lengths = {len(row) for row in points}
    numbers = (number for row in points for number in row)
    return (
        len(lengths) <= 1
        and all(length and length % 3 == 0 for length in lengths)
        and all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 2**31 for n in numbers)
        and all(visibility in (0, 1, 2) for row in points for visibility in row[2::3])
    )


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


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


def _check_order(keys: Sequence[str], listing: Listing, path: Path, number: int) -> None:
    before = [listing.sorted_keys[-1]] if len(listing) else []
    for i, (a, b) in enumerate(pairwise((*before, *keys)), number + 1 - len(before)):
        if a >= b:
            raise DatasetError(f"{path}: line {i}: key: expected one after {a!r}, as the list is sorted; got {b!r}.")


def label_of(entry: Entry) -> Label | None:
    """Return the class or the classes of a source; None when it has a mask."""
    label: Any = entry.get("label")
    return tuple(label) if isinstance(label, list) else label


def boxes_of_entry(entry: Entry) -> Boxes | None:
    """Return the boxes, or the objects with masks, of a source; None when it has another target."""
    if "instances" in entry:
        return _instances(entry["instances"], entry.get("instances_size"))
    return None if "boxes" not in entry else _boxes(entry["boxes"], entry.get("boxes_size"), entry.get("keypoints"))


def _instances(rows: list[list[Any]], size: list[int] | None) -> Instances:
    return Instances.of_shapes(rows, None if size is None else (size[0], size[1]))


def _boxes(rows: list[list[Any]], size: list[int] | None, points: list[list[Any]] | None) -> Boxes:
    return Boxes.of_rows(rows, None if size is None else (size[0], size[1]), points)
