"""Power is lost after any file operation: what is left is no dataset or a whole one, and the same command goes on.

Killing a process cannot show that a sync is missing, since the operating system still has what was written. So the
operations of a build are recorded, and each prefix of them is replayed into a fresh folder, with what had not been
made to survive by then lost, kept, or lost in part.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import precompute
from precompute.errors import UsageError
from tests.helpers.file_operations import Operation, watch
from tests.helpers.late_failing_pipeline import redden
from tests.helpers.object_stores import files_of
from tests.helpers.power_loss import Disk, State, crashes, put, record
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_pairs, options, rows_of, shard_hashes

SOURCES = 16  # two blocks
FRAGILE = {"pipeline": ROOT / "tests/helpers/late_failing_pipeline.py"}  # one source fails in the second row
MIXED = 2  # mixtures of lost and kept, a prefix


def build(variants: int, **changes: object) -> Callable[[Path], object]:
    given = options(variants=variants, validation_split=0.0, **changes)
    return lambda root: precompute.build(root / "data", root / "out", **given)


def regenerate(root: Path) -> object:
    return precompute.regenerate(root / "out", seed=7, jobs=1, backend="sequential", quiet=True)


def drop(root: Path) -> None:
    with contextlib.suppress(UsageError):  # not listed any more: it was interrupted after that
        precompute.drop(root / "out", rows=[0, 1])


class Crash(BaseException):
    """Stands for the process ending: nothing in the code may catch it."""


@contextlib.contextmanager
def ended_after(root: Path, *points: str) -> Iterator[None]:
    def end(when: str, operation: Operation) -> None:
        if when == "after" and operation.point in points:
            raise Crash

    with pytest.MonkeyPatch.context() as patch:
        watch(root / "out", end, patch.setattr)
        yield


def leave_draft(root: Path) -> None:
    """Begin a generation and end after its first receipt."""
    with ended_after(root, "rename receipt"), pytest.raises(Crash):
        build(1, image_format="raw", replace=True)(root)


def build_killed_at_new_folders(root: Path) -> None:
    """Nobody syncs the name of a new folder but who made it, and that process has been killed; then power is lost."""
    for _ in range(2):
        with ended_after(root, "make folder of shards", "make folder of row files"), contextlib.suppress(Crash):
            build(2)(root)
    build(2)(root)


def lose_shards(root: Path) -> None:
    shards = sorted((root / "out").rglob("*.tfrecord-*"))
    shards[0].unlink()
    shards[-1].write_bytes(shards[-1].read_bytes()[:-1])


def redden_one(root: Path) -> None:
    redden(root / "data")


@dataclass(frozen=True)
class Scenario:
    """What is on disk before, and the command that is interrupted."""

    before: list[Callable[[Path], object]]
    act: Callable[[Path], object]
    broken: bool = False  # what is on disk before is not whole


SCENARIOS = {
    "build": Scenario([], build(2)),
    "grow": Scenario([build(1)], build(3)),
    "regenerate": Scenario([build(2)], regenerate),
    "drop": Scenario([build(3)], drop),
    "replace": Scenario([build(2)], build(1, image_format="jpeg", replace=True)),
    "replace a draft": Scenario([build(1), leave_draft], build(1, image_format="jpeg", replace=True)),
    "build, killed": Scenario([], build_killed_at_new_folders),
    "a source falls out": Scenario([redden_one, build(1, **FRAGILE)], build(2, **FRAGILE, skip_bad="1")),
    "repair": Scenario([build(2), lose_shards], build(2), broken=True),
}


def bytes_by_name(out: Path) -> dict[str, str]:
    """Return name → sha256 of all shards: a draft that is lost or given up takes a generation's number with it."""
    hashes = {Path(name).name: sha256 for name, sha256 in shard_hashes(out).items()}
    assert len(hashes) == len(shard_hashes(out)), "shards of two generations"
    return hashes


Rows = list[tuple[int, int, int | None]]


class Replay:
    """One scenario, carried out once and recorded."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.root = scenario, folder
        draw_pairs(folder / "data", SOURCES)
        for step in scenario.before:
            step(folder)
        out = folder / "out"
        self.rows: list[Rows | None] = [rows_of(out) if out.exists() else None]
        self.disk = Disk(folder)
        with pytest.MonkeyPatch.context() as patch:
            self.operations = record(folder, lambda: scenario.act(folder), patch.setattr)
        self.rows.append(rows_of(out))
        self.expected = bytes_by_name(out)
        self.disk.expect(self.operations)
        self.checked: set[frozenset[tuple[str, bytes | None]]] = set()
        self.whole: set[frozenset[tuple[str, bytes]]] = set()  # what readers see, and verify found nothing wrong with

    def check_all(self) -> None:
        """Check what a crash leaves after each prefix."""
        for length in range(len(self.operations) + 1):
            if length:
                self.disk.apply(self.operations[length - 1])
            for way, state in enumerate(crashes(self.disk, seed=length, mixed=MIXED)):
                last = self.operations[length - 1].operation if length else None
                self.check(state, f"after {length} operations, the last {last}; way {way}", length)

    def check(self, state: State, moment: str, length: int) -> None:
        """Check one state, unless the same one was there before."""
        known = frozenset(state.items())
        if known in self.checked and length < len(self.operations):
            return
        self.checked.add(known)
        out = self.root / "out"
        shutil.rmtree(out)
        put({name: content for name, content in state.items() if name.startswith("out")}, self.root)
        seen = self.read(out, moment)
        if length == len(self.operations):
            assert seen == self.rows[1], f"what a command has returned from is lost {moment}"
        self.scenario.act(self.root)
        assert bytes_by_name(out) == self.expected, moment
        assert self.read(out, moment, broken=False) == self.rows[1], moment
        assert not any((out / "data").glob("repair")), moment

    def read(self, out: Path, moment: str, *, broken: bool | None = None) -> Rows | None:
        """Return the rows that a reader sees; all of them must be whole."""
        if not (out / "manifest.json").exists():
            assert self.rows[0] is None, f"the manifest is lost {moment}"
            return None
        rows = rows_of(out)
        assert rows in self.rows, moment
        seen = frozenset(files_of(out).items())
        if seen not in self.whole:
            problems = precompute.verify(out, jobs=1).problems
            if not (self.scenario.broken if broken is None else broken):
                assert problems == [], moment
                self.whole.add(seen)
        shutil.rmtree(out / ".leases", ignore_errors=True)
        return rows


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_all_prefixes(name: str, tmp_path: Path) -> None:
    replay = Replay(SCENARIOS[name], tmp_path)
    replay.check_all()
    assert len(replay.operations) > 10
    print(f"\n{name}: {len(replay.operations) + 1} prefixes, {len(replay.checked)} different states")
