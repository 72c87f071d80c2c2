"""The two sides of a comparison: a dataset each, and the rows of it that are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from precompute.dataset.leases import Lease, RowName, hold_rows
from precompute.dataset.manifest import Manifest, Row
from precompute.dataset.rows import describe_numbers, parse_row_ranges, select_rows
from precompute.errors import UsageError
from precompute.plan.places import shard_places
from precompute.storage.paths import as_path
from precompute.table.listing import Listing
from precompute.table.listing_file import stored_listing

__all__ = ["RowPair", "Selection", "Side", "open_side", "pair_rows"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rows of one side, as a user chooses them.

    Attributes:
        split: Name of the split; all of them when None.
        rows: Row numbers, or ranges such as ``"0-3,7"``; all rows when None.
        seed: Seed of the rows; rows of all seeds when None.
        suffix: End of the names of these options, for messages: ``"_b"`` for the second side.
    """

    split: str | None = None
    rows: str | Sequence[int] | None = None
    seed: int | None = None
    suffix: str = ""

    def choose(self, manifest: Manifest) -> dict[str, list[Row]]:
        """Return split → chosen rows of a dataset.

        Raises:
            UsageError: There is no such split or row, or no row has this seed.
        """
        split = self.split or ("train" if self.rows is not None or self.seed is not None else None)
        if split is not None and split not in manifest.splits:
            raise UsageError(f"split: the dataset has {', '.join(manifest.splits)}; got {split!r}.")
        chosen = {name: of.rows for name, of in manifest.splits.items() if split in (None, name)}
        if self.rows is not None:
            numbers = parse_row_ranges(self.rows) if isinstance(self.rows, str) else list(self.rows)
            try:
                chosen = {name: select_rows(manifest.splits[name], numbers, name=name) for name in chosen}
            except UsageError as error:
                raise UsageError(f"rows{self.suffix}: {str(error).removeprefix('rows: ')}") from error
        if self.seed is None:
            return chosen
        found = {
            name: [row for row in rows if row.seed == self.seed and not row.original] for name, rows in chosen.items()
        }
        if not any(found.values()):
            seeds = sorted({row.seed for rows in chosen.values() for row in rows})
            listed = ", ".join(map(str, seeds)) or "none"
            raise UsageError(f"seed{self.suffix}: {split} lists rows of seed {listed}; got {self.seed}.")
        return found


@dataclass(frozen=True, kw_only=True)
class Side:
    """A dataset, and what of it is compared.

    Attributes:
        out: Folder of the dataset.
        manifest: Its manifest.
        rows: Split → rows that are compared.
    """

    out: Path
    manifest: Manifest
    rows: Mapping[str, Sequence[Row]]

    @cached_property
    def listings(self) -> dict[str, Listing]:
        """Split → its list of sources."""
        return {split: stored_listing(self.out, self.manifest, split) for split in self.manifest.splits}

    @cached_property
    def places(self) -> dict[str, list[list[tuple[str, int]]]]:
        """Split → block → (key, copy) of each record in order."""
        return {split: shard_places(self.manifest, split, listing) for split, listing in self.listings.items()}

    def shard(self, split: str, row: Row, block: int) -> Path:
        """Return the path of a shard."""
        return self.manifest.shard_path(self.out, split, row.row, block)

    def describe(self) -> str:
        """Return the dataset and the rows, for people."""
        chosen = [
            f"{split} rows {describe_numbers([row.row for row in rows])}"
            for split, rows in self.rows.items()
            if len(rows) < len(self.manifest.splits[split].rows) or len(self.rows) < len(self.manifest.splits)
        ]
        return ", ".join([f"{self.out}, generation {self.manifest.generation}", *chosen])


def open_side(out: str | Path, selection: Selection) -> tuple[Side, Lease]:
    """Return one side, and a lease that keeps its rows while they are compared.

    Raises:
        DatasetError: There is no dataset.
        UsageError: It has no such rows.
    """

    def names(manifest: Manifest) -> list[RowName]:
        chosen = selection.choose(manifest)
        return [(manifest.generation, split, row.row) for split, rows in chosen.items() for row in rows]

    folder = as_path(out)
    manifest, lease = hold_rows(folder, names)
    return Side(out=folder, manifest=manifest, rows=selection.choose(manifest)), lease


@dataclass(frozen=True, kw_only=True)
class RowPair:
    """Two rows that are compared.

    Attributes:
        split: Name of the split.
        a: Row of the first side.
        b: Row of the second side.
    """

    split: str
    a: Row
    b: Row


def _draws(row: Row) -> tuple[int, int]:
    return (0 if row.original else row.seed, row.stored_variant)


def pair_rows(a: Side, b: Side, *, in_order: bool) -> tuple[list[RowPair], dict[str, list[Row]], dict[str, list[Row]]]:
    """Return which rows are compared with which, and the rows of each side that have no partner, by split.

    Args:
        a: The first side.
        b: The second side.
        in_order: Whether rows are paired in the order of their numbers; else those with the same seed and variant are,
            and in their order only those of a split where no two have the same.
    """
    pairs = list[RowPair]()
    only: tuple[dict[str, list[Row]], dict[str, list[Row]]] = ({}, {})
    for split in dict.fromkeys([*a.rows, *b.rows]):
        of_a, of_b = ([*side.rows.get(split, ())] for side in (a, b))
        matched = _in_order(of_a, of_b) if in_order else _by_draws(of_a, of_b) or _in_order(of_a, of_b)
        pairs += [RowPair(split=split, a=one, b=other) for one, other in matched]
        for rows, found, side in ((of_a, only[0], 0), (of_b, only[1], 1)):
            used = {pair[side].row for pair in matched}
            rest = [row for row in rows if row.row not in used]
            found |= {split: rest} if rest else {}
    return pairs, *only


def _in_order(of_a: Sequence[Row], of_b: Sequence[Row]) -> list[tuple[Row, Row]]:
    by_number = [sorted(rows, key=lambda row: row.row) for rows in (of_a, of_b)]
    return list(zip(*by_number, strict=False))


def _by_draws(of_a: Sequence[Row], of_b: Sequence[Row]) -> list[tuple[Row, Row]]:
    there = {_draws(row): row for row in of_b}
    return [(row, there[_draws(row)]) for row in of_a if _draws(row) in there]
