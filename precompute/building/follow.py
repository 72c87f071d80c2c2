"""`precompute.follow`: writes new rows beside running trainings, in the place of the oldest that nobody holds.

A reader that follows holds the row that it reads, and the listed rows that it has not read yet. So a listed row that no
lease holds was read by all readers, and can go; unless it is new and no reader has looked at the manifest since.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from precompute.building.cells import BuildPlan, Rows, Unlist, Wanted, plan_rows
from precompute.building.change_rows import listed_generation, plan_from_manifest, rows_of_split
from precompute.building.finish import publish
from precompute.building.folder import FolderInUseError, StoredGeneration, sweep, write_lock
from precompute.building.progress import Progress
from precompute.building.write import unlist_rows, write_rows
from precompute.dataset.leases import held_rows
from precompute.dataset.manifest import Manifest
from precompute.dataset.rows import describe_numbers
from precompute.errors import BadSourcesError, UsageError
from precompute.options.option import shows_options
from precompute.options.plain_values import converts_arguments
from precompute.options.running import RunOptions
from precompute.options.values import check_range, check_seed
from precompute.preflight.ineffective_options import check_ineffective_worker_options
from precompute.storage.paths import as_path, is_remote
from precompute.text.display import Displayed
from precompute.text.format import format_count

__all__ = ["Followed", "Step", "follow", "free_rows", "make_step", "plan_rotation"]

POLL_S = 1.0
POLL_REMOTE_S = 10.0  # of an object store


@dataclass(frozen=True, kw_only=True, repr=False)
class Followed(Displayed):
    """What `follow` wrote.

    Attributes:
        split: Name of the split.
        num_rows: Number of new rows.
        listed: Numbers of the rows that the split lists at the end.
    """

    split: str
    num_rows: int
    listed: list[int]

    def summary(self) -> str:
        """Return one line for people."""
        written = format_count(self.num_rows, "new row")
        return f"wrote {written}; {self.split} lists rows {describe_numbers(self.listed)}"


@shows_options(RunOptions)
@converts_arguments
def follow(
    output: str | Path,
    *,
    keep: int = 4,
    split: str = "train",
    rows: int | None = None,
    rows_a_pass: int | None = None,
    seed: int | None = None,
    pipeline: Any = None,
    source: str | Path | None = None,
    wait: Callable[[], None] | None = None,
    **running: Any,
) -> Followed:
    """Write new rows beside running trainings, and remove the oldest rows that all of them have read.

    First, rows are written until `keep` are listed. Then rows are replaced as readers release them; while nobody
    reads, or readers hold all of them, it waits. The original row stays and does not count. The variant of a new row
    is its row number. Numbers are never used twice, and no row has a variant above its number, so each draw is new.

    Args:
        output: Folder of the dataset, or its URL.
        keep: Number of rows to keep, 2 or more: a reader always holds one.
        split: Name of the split.
        rows: Number of new rows to end after; by default it goes on until interrupted.
        rows_a_pass: Number of rows to write at a time, decoding each source once; by default half of `keep`.
        seed: Augmentation seed of new rows; by default that of the newest listed row.
        pipeline: Needed only when the manifest's pipelines hold a user's own code: the same ones, from which the
            dataset was built.
        source: Folder of the sources, where it has moved.
        wait: Called between two looks at the leases; by default waits one second, or ten where a look costs requests.
        **running: Options of `build` for how it runs (see `RunOptions`): `jobs`, `backend`, `quiet` …

    Raises:
        UsageError: An argument is out of range, or there is no such split.
        PipelineError: The pipeline cannot be rebuilt from the manifest, or is another one.
        SettingsError: Sources or versions have changed.
        BadSourcesError: A source failed in a new row; the dataset stays as it was.
        DatasetError: There is no such dataset.
    """
    check_range("keep", keep, 2)
    check_range("rows", rows, 1)
    check_range("rows_a_pass", rows_a_pass, 1)
    if rows_a_pass is not None and rows_a_pass >= keep:
        raise UsageError(f"rows_a_pass: expected less than keep ({keep}), as readers hold a row; got {rows_a_pass}.")
    out = as_path(output)
    options = RunOptions.make(**running)
    follower = _Follower(
        out,
        split,
        keep=keep,
        rows_a_pass=rows_a_pass or keep // 2,
        seed=None if seed is None else check_seed(seed),
        options=options,
        make_plan=functools.partial(
            plan_from_manifest, out=out, split=split, options=options, pipeline=pipeline, source=source
        ),
    )
    try:
        while rows is None or follower.num_rows < rows:
            if not follower.go_on(most=None if rows is None else rows - follower.num_rows):
                wait() if wait is not None else time.sleep(POLL_REMOTE_S if is_remote(out) else POLL_S)
    except KeyboardInterrupt:
        follower.say(follower.followed().summary())
        raise
    return follower.followed()


@dataclass
class _Follower:
    """Looks at a dataset and its readers, and takes the next step.

    Attributes:
        out: Folder of the dataset.
        split: Name of the split.
        keep, rows_a_pass: As in `follow`.
        make_plan: Makes the plan of more rows of a generation.
        num_rows: Number of new rows so far.
    """

    out: Path
    split: str
    keep: int
    rows_a_pass: int
    seed: int | None
    options: RunOptions
    make_plan: Callable[[StoredGeneration, Manifest], BuildPlan]
    num_rows: int = 0

    def __post_init__(self) -> None:
        self._messages = set[str]()
        self._build_plan: BuildPlan | None = None  # of the generation that was looked at last
        self._unseen = set[int]()  # rows written here that no lease has named yet
        self._fresh_rows(Manifest.load(self.out))  # refuses a split that is not there

    def followed(self) -> Followed:
        """Return what was done so far."""
        listed = rows_of_split(Manifest.load(self.out), self.out, self.split)
        return Followed(split=self.split, num_rows=self.num_rows, listed=[row.row for row in listed])

    def go_on(self, *, most: int | None) -> bool:
        """Take the next step, writing at most `most` rows; returns whether there was one."""
        if self._step(Manifest.load(self.out), most) == Step():
            return False
        try:
            with write_lock(self.out, self.options.lease_dir):
                stored, manifest = listed_generation(self.out)
                step = self._step(manifest, most)  # it may be another one than before there was the lock
                if step.num_new:
                    self._write(stored, manifest, step.num_new)
                elif step.gone:
                    self._unlist(manifest, set(step.gone))
        except FolderInUseError:
            self._say_once("note: another command is writing here; new rows follow when it has ended.")
            return False
        return True

    def _step(self, manifest: Manifest, most: int | None) -> Step:
        rows = self._fresh_rows(manifest)
        held = self._held(manifest)
        free = free_rows(rows, held, self._unseen)
        rows_a_pass = self.rows_a_pass if most is None else min(self.rows_a_pass, most)
        step = make_step(rows, free, keep=self.keep, rows_a_pass=rows_a_pass, is_read=bool(held))
        if rows and held.issuperset(rows):
            self._say_once(
                "note: readers hold all rows; each is replaced when they let go of it, which only readers with "
                'rows="follow" do before they end.'
            )
        if most is not None and step.num_new > most:
            return replace(step, num_new=most, gone=step.gone[:most])
        return step

    def _fresh_rows(self, manifest: Manifest) -> list[int]:
        return [row.row for row in rows_of_split(manifest, self.out, self.split) if not row.original]

    def _held(self, manifest: Manifest) -> set[int]:
        """Return the rows of the split that living readers hold."""
        leases = held_rows(self.out, lease_dir=self.options.lease_dir)
        held = {row for generation, split, row in leases if (generation, split) == (manifest.generation, self.split)}
        self._unseen -= held
        return held

    def _write(self, stored: StoredGeneration, manifest: Manifest, number: int) -> None:
        """Write new rows and list them in the place of old ones, all in one swap of the manifest."""
        split = manifest.splits[self.split]
        newest = max(split.rows, key=lambda row: (not row.original, row.row))  # the original row if there is no other
        seed = newest.seed if self.seed is None else self.seed
        rows = plan_rows(stored, {self.split: [(seed, split.next_row + i) for i in range(number)]})
        build_plan, wanted = self._current_plan(stored, manifest), Wanted(rows=rows, choose_last=self._chooser(rows))
        try:
            with Progress(quiet=self.options.quiet) as progress:
                result = write_rows(replace(build_plan, stored=stored), wanted, progress)
        except BadSourcesError as error:
            raise BadSourcesError(
                f"{error}\nThe listed rows are as they were. `follow` leaves no source out: fix them, give another "
                "--seed, or build with --replace and --skip-bad."
            ) from error
        new = [row.row for row in result.rows[self.split]]
        listed = self._fresh_rows(Manifest.load(self.out))
        gone = set(self._fresh_rows(manifest)) - set(listed)
        self._unseen |= set(new)
        self.num_rows += len(new)
        taken = f", took away {describe_numbers(sorted(gone))}" if gone else ""
        noun = "row" if len(new) == 1 else "rows"
        self.say(f"wrote {noun} {describe_numbers(new)}{taken}; {self.split} lists {describe_numbers(listed)}")

    def _current_plan(self, stored: StoredGeneration, manifest: Manifest) -> BuildPlan:
        """Return the plan of the listed generation; a new one is tried on a few records first."""
        if self._build_plan is None or self._build_plan.stored.plan.generation != stored.plan.generation:
            self._unseen = set()
            self._build_plan = self.make_plan(stored, manifest)
            for note in check_ineffective_worker_options(self._build_plan.options):
                self._say_once(f"note: {note}")
        return self._build_plan

    def _chooser(self, rows: Rows) -> Callable[[Manifest], tuple[Rows, Unlist]]:
        def choose_last(manifest: Manifest) -> tuple[Rows, Unlist]:
            listed, new = self._fresh_rows(manifest), rows[self.split]
            free = free_rows(listed, self._held(manifest), self._unseen)
            number, gone = plan_rotation(listed, free, len(new), keep=self.keep)
            return {self.split: new[:number]}, {self.split: gone}

        return choose_last

    def _unlist(self, manifest: Manifest, gone: set[int]) -> None:
        manifest = unlist_rows(manifest, {self.split: gone})
        publish(self.out, manifest)
        sweep(self.out, manifest, self.options.lease_dir)
        self.say(f"took away {describe_numbers(sorted(gone))}: {self.split} keeps {format_count(self.keep, 'row')}")

    def say(self, text: str) -> None:
        """Say one line."""
        Progress(quiet=self.options.quiet).say(text)

    def _say_once(self, text: str) -> None:
        if text not in self._messages:
            self._messages.add(text)
            self.say(text)


# Which rows are written and which go, when rows are replaced beside readers: numbers alone, the original row apart


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is to be done next.

    Attributes:
        num_new: Number of rows to write.
        gone: Listed rows to remove; no more than there are new ones, unless too many are listed.
    """

    num_new: int = 0
    gone: tuple[int, ...] = ()


def free_rows(listed: Collection[int], held: Collection[int], unseen: Collection[int]) -> list[int]:
    """Return the rows that can go, oldest first: no reader holds them, and readers have seen them listed."""
    return sorted(set(listed) - set(held) - set(unseen))


def make_step(listed: Sequence[int], free: Sequence[int], *, keep: int, rows_a_pass: int, is_read: bool) -> Step:
    """Return what to do next.

    Args:
        listed: Numbers of the listed rows.
        free: Listed rows that can go, oldest first.
        keep: Number of rows that shall be listed.
        rows_a_pass: Number of rows that make a pass worth its decoding; fewer wait, unless they are all.
        is_read: Whether there is any reader; without one no row is replaced.
    """
    if len(listed) < keep:
        return Step(num_new=keep - len(listed))
    if len(listed) > keep:
        return Step(gone=tuple(free[: len(listed) - keep]))
    if is_read and free and len(free) >= min(rows_a_pass, len(listed)):
        return Step(num_new=len(free), gone=tuple(free))
    return Step()


def plan_rotation(listed: Sequence[int], free: Sequence[int], num_new: int, *, keep: int) -> tuple[int, set[int]]:
    """Return how many of the written rows are listed, and which rows go: readers went on while they were written.

    Where readers now hold rows that were free before, fewer new rows are listed, so that never more than `keep` are.
    """
    room = max(0, keep - len(listed))
    gone = free[: max(0, num_new - room)]
    return min(num_new, room + len(gone)), set(gone)
