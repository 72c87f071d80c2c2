"""The summary of found sources for people and programs: how they were read, their numbers, what was passed over."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any

from precompute.dataset.manifest import SPLITS, Origin
from precompute.errors import on_one_line
from precompute.images.file_kinds import UNREADABLE, ignored_files_text, num_unreadable
from precompute.table.sources import Sources
from precompute.text.display import Displayed
from precompute.text.format import format_bytes, format_count, format_counts, format_few, format_name
from precompute.text.notes import SummarizedNote

__all__ = ["FoundSources"]

MAX_LINES, MAX_NOTE = 20, 200
LABEL = 14  # width of the first column
SHOWN_FOLDERS = 4


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FoundSources(Displayed):
    """Sources as a build takes them, and facts about how they were found; it prints as a few lines of text.

    Attributes:
        table: The sources as columns, sorted by key.
        given_splits: Split, or None → number of sources that came with it, before a limit and fractions.
        class_counts: Split → name of each field whose classes are known → number of sources or objects per class.
        left_out: What options left out, such as ``"images without boxes (--drop-empty)"`` → how many.
    """

    table: Sources
    given_splits: Mapping[str | None, int]
    class_counts: Mapping[str, Mapping[str, Sequence[int]]]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Sources, used: Sources) -> FoundSources:
        """Make the summary of sources.

        Args:
            found: All sources, with the splits that they came with.
            used: Sources that a limit has left, with their splits.
        """
        told = (note.left_out for note in used.notes if isinstance(note, SummarizedNote))
        left_out = {what: number for of_note in told for what, number in of_note.items()}
        left_out["sources (--limit)"] = len(found) - len(used)
        splits = [split for split in SPLITS if split in used.splits]
        return cls(
            table=used,
            given_splits=Counter(found.splits),
            class_counts={split: used.class_counts(split) for split in splits},
            left_out={what: number for what, number in left_out.items() if number},
        )

    # The sources

    def __len__(self) -> int:
        return len(self.table)

    @property
    def keys(self) -> list[str]:
        """Key of each source."""
        return list(self.table.keys)

    @property
    def images(self) -> list[str]:
        """Full path of each image, or its URL."""
        return [str(self.table.path(image)) for image in self.table.images]

    @property
    def splits(self) -> list[str | None]:
        """Split of each source."""
        return list(self.table.splits)

    def values(self, name: str) -> list[Any]:
        """Return the value of each source in a field, in the form of `to_rows`.

        Args:
            name: One of `fields`.
        """
        column, names, path = self.table.columns[name], self.table.names_of(name), self.table.path
        return [column.plain(i, names, path) for i in range(len(self))]

    def to_rows(self) -> Iterator[dict[str, Any]]:
        """Yield a dictionary for each source: `key`, `image`, `split`, `group` where there are groups, and each field.

        `label` is the name of a class, `labels` a list of names, and `mask` a path. `objects` is a list of dictionaries
        with `class`, `flags` (names such as ``"crowd"``), and, if objects have them, `box`: x_min, y_min, x_max, y_max
        in pixels, or as shares of width and height where annotations hold shares (YOLO); `keypoints`: x, y, visibility
        of each in the same unit; `mask`: a path or COCO's run-length code. Values are numbers or texts under their
        names.
        """
        table, groups = self.table, self.table.groups
        for i, key in enumerate(table.keys):
            row = {"key": key, "image": str(table.path(table.images[i])), "split": table.splits[i]}
            row |= {} if groups is None else {"group": groups[i]}
            yield row | {
                name: column.plain(i, table.names_of(name), table.path) for name, column in table.columns.items()
            }

    # Facts about them

    @property
    def layout(self) -> str:
        """The layout of the sources: ``"a folder a class"``, ``"images and masks"``, ``"COCO"`` …"""
        return self.table.layout

    @property
    def num_bytes(self) -> int:
        """Size of all files of the sources."""
        return sum(self.table.num_bytes)

    @property
    def split_counts(self) -> dict[str, int]:
        """Split → number of sources."""
        return {split: self.table.splits.count(split) for split in self.class_counts}

    @property
    def fields(self) -> dict[str, str]:
        """Name of each field beside the image → what it is: ``"class"``, ``"mask"``, ``"boxes"``, ``"float"`` …"""
        return {name: column.value_type or column.kind for name, column in self.table.columns.items()}

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in the order of their indices; empty where they are unknown before masks are decoded."""
        return list(self.table.class_names)

    @property
    def field_class_names(self) -> dict[str, list[str]]:
        """Name of each target with classes → their names, which for masks may be unknown."""
        targets = (column for column in self.table.targets if column.has_classes)
        return {column.name: list(self.table.names_of(column.name)) for column in targets}

    @property
    def num_groups(self) -> int:
        """Number of groups, each of which stays in one split; 0 without groups."""
        return len(set(self.table.groups or ()) - {None})

    @property
    def passed_endings(self) -> dict[str, int]:
        """Ending of files passed over that are not images → their number, without images that cannot be decoded."""
        return self._endings(self.table.passed)

    @property
    def passed_folders(self) -> dict[str, int]:
        """Folder directly below the source (``""`` for that itself) → number of such files in it."""
        counts = {name: sum(self._endings(of).values()) for name, of in self.table.passed_folders.items()}
        return {name: number for name, number in counts.items() if number}

    def _endings(self, passed: Mapping[str, int]) -> dict[str, int]:
        names = self.table.passed.keys() - UNREADABLE
        return {ending: number for ending, number in passed.items() if ending in names}

    @property
    def num_passed_over(self) -> int:
        """Number of files that were passed over, with hidden ones and images outside of the layout."""
        number = self.table.num_ignored_files - num_unreadable(self.table.passed)
        return max(number, sum(self.passed_endings.values()))

    @property
    def notes(self) -> list[str]:
        """Further notes for the user on the sources."""
        return [str(note) for note in self.table.notes if not (isinstance(note, SummarizedNote) and note.is_whole)]

    @property
    def origin(self) -> Origin:
        """The part that a manifest keeps."""
        return Origin(
            layout=self.layout,
            num_passed_over=self.num_passed_over,
            passed_over=self.passed_endings,
            left_out=dict(self.left_out),
        )

    def to_json(self) -> str:
        """Return the summary as JSON, without the sources themselves."""
        names = self.class_names
        content = {
            "layout": self.layout,
            "num_sources": len(self),
            "num_bytes": self.num_bytes,
            "splits": self.split_counts,
            "given_splits": {split or "": number for split, number in self.given_splits.items()},
            "fields": self.fields,
            "class_names": names,
            **({"field_class_names": self.field_class_names} if len(self.field_class_names) > 1 else {}),
            "class_counts": {
                split: {name: list(of) for name, of in c.items()} for split, c in self.class_counts.items()
            },
            "num_groups": self.num_groups,
            "passed_over": {
                "num_files": self.num_passed_over,
                "endings": self.passed_endings,
                "folders": self.passed_folders,
                "own_folders": list(self.table.own_folders),
                "empty_folders": list(self.table.empty_folders),
            },
            "left_out": dict(self.left_out),
            "notes": self.notes,
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    # The text

    def summary(self) -> str:
        """Return a few lines for people, without the notes."""
        return "\n".join(self._lines())

    def __str__(self) -> str:
        lines = [*self._lines(), *(_labelled("note", shorten(note, MAX_NOTE, placeholder=" …")) for note in self.notes)]
        rest = len(lines) - MAX_LINES
        return "\n".join(lines if rest <= 0 else [*lines[: MAX_LINES - 1], f"  … and {rest + 1} more notes: `notes`"])

    def _lines(self) -> Iterator[str]:
        yield f"found {format_count(len(self), 'source')}, {format_bytes(self.num_bytes)}: {self.layout}"
        yield _labelled("splits", self._splits_text())
        fields = (name if name == kind else f"{name} ({kind})" for name, kind in self.fields.items())
        yield _labelled("fields", ", ".join(fields) or "none")
        yield from _labelled_once("classes", self._class_lines())
        if self.num_groups:
            first = next(group for group in self.table.groups or () if group is not None)
            yield _labelled("groups", f"{self.num_groups:,}, such as {first!r}")
        yield from _labelled_once("passed over", self._passed_lines())
        if self.left_out:
            yield _labelled("left out", format_counts(self.left_out))

    def _splits_text(self) -> str:
        text = _counted(self.split_counts)
        given = {split: self.given_splits[split] for split in SPLITS if self.given_splits.get(split)}
        without = self.given_splits.get(None, 0)
        if not given:
            return f"{text}; the sources name none"
        if without or given.keys() != self.split_counts.keys():  # a fraction took some from train
            more = f", {without:,} without one" if without else ""
            return f"{text}; the sources name {_counted(given)}{more}"
        return text

    def _class_lines(self) -> Iterator[str]:
        several = len({name for of_split in self.class_counts.values() for name in of_split}) > 1
        for split, of_split in self.class_counts.items():
            for name, counts in of_split.items():
                by_number = sorted(zip(self.table.names_of(name), counts, strict=False), key=lambda pair: -pair[1])
                there = [f"{format_name(name)} {number:,}" for name, number in by_number if number]
                absent = [format_name(name) for name, number in by_number if not number]
                which = f"{name} of {split}" if several else split
                texts = [format_few(there)] if there else []
                yield f"{which}: {'; '.join([*texts, *([f'none of {format_few(absent)}'] if absent else [])])}"

    def _passed_lines(self) -> Iterator[str]:
        if self.num_passed_over:
            text = f"{format_count(self.num_passed_over, 'file')}{ignored_files_text(self.passed_endings)}"
            folders = sorted(self.passed_folders.items(), key=lambda pair: (-pair[1], pair[0]))
            places = [f"{on_one_line(name) + '/' if name else 'at the top'} {n:,}" for name, n in folders]
            yield f"{text}: {format_few(places, SHOWN_FOLDERS)}" if places else text
        for what, paths in (
            ("written by this program", self.table.own_folders),
            ("folders without images", self.table.empty_folders),
        ):
            if paths:
                yield f"{what}: {format_few([on_one_line(path) for path in paths], SHOWN_FOLDERS)}"


def _labelled(label: str, text: str) -> str:
    return f"  {label:<{LABEL}}{text}"


def _labelled_once(label: str, texts: Iterator[str]) -> Iterator[str]:
    return (_labelled("" if i else label, text) for i, text in enumerate(texts))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())
