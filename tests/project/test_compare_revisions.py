"""What compares two revisions notices the smallest change, and names it first."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.project import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import compare_difference
import compare_observed
import compare_reading
import compare_revisions

GOLDEN = ROOT / "tests" / "golden" / "format-1" / "class-png" / "golden"
LABELS = ("HEAD", "the working tree")

Observe = Callable[[compare_observed.Observations, Path], None]


@pytest.fixture
def differences(tmp_path: Path) -> Callable[..., list[str]]:
    """Compares what two functions observe, each in a folder of its own."""

    def compare(old: Observe, new: Observe, accepted: tuple[str, ...] = ()) -> list[str]:
        seen = []
        for observe in (old, new):
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            observe(compare_observed.Observations(folder / "seen", folder, "write"), folder)
            seen.append(compare_observed.Seen(folder / "seen", ("write",)))
        found = compare_difference.compare(seen[0], seen[1], LABELS, accepted)
        return [str(difference) for difference in found if not difference.accepted]

    return compare


def dataset(change: Callable[[Path], None] = lambda out: None) -> Observe:
    def observe(observed: compare_observed.Observations, folder: Path) -> None:
        out = shutil.copytree(GOLDEN, folder / "work" / "data")
        change(out)
        observed.add_folder("class/png grown", out)

    return observe


def said(code: int, out: str, err: str) -> Observe:
    def observe(observed: compare_observed.Observations, folder: Path) -> None:
        observed.add_said("refused: precompute inspect nowhere", code, out, err.replace("HERE", str(folder)))

    return observe


def lines(batches: list[tuple[np.ndarray, ...]]) -> Observe:
    def observe(observed: compare_observed.Observations, folder: Path) -> None:
        observed.add("class/png load, keys", "\n".join(compare_reading.lines_of(batches)))

    return observe


def test_equal_trees_are_equal(differences: Callable[..., list[str]]) -> None:
    assert differences(dataset(), dataset()) == []


def test_one_flipped_bit_of_a_shard(differences: Callable[..., list[str]]) -> None:
    name = "data/g0001/golden-train_r0001.tfrecord-00000-of-00001"
    size = (GOLDEN / name).stat().st_size

    def flip(out: Path) -> None:
        content = bytearray((out / name).read_bytes())
        content[size - 9] ^= 4  # of the last of four records
        (out / name).write_bytes(content)

    found = differences(dataset(), dataset(flip))
    assert found == [f"class/png grown: {name}: byte {size - 9:,} of {size:,}, in record 3"]


def test_an_entry_of_the_manifest(differences: Callable[..., list[str]]) -> None:
    def change(out: Path) -> None:
        text = (out / "manifest.json").read_text()
        (out / "manifest.json").write_text(text.replace('"variant": 1', '"variant": 2'))

    [found] = differences(dataset(), dataset(change))
    assert found == "class/png grown: manifest.json: splits.train.rows[2].variant: 1 became 2"


def test_a_file_that_is_new_or_gone(differences: Callable[..., list[str]]) -> None:
    [found] = differences(dataset(), dataset(lambda out: (out / "features.json").unlink()))
    assert found == "class/png grown: features.json: only HEAD has it"
    shard = "data/g0001/golden-train_r0009.tfrecord-00000-of-00001"
    [found] = differences(dataset(), dataset(lambda out: (out / shard).touch()))
    assert found == f"class/png grown: {shard}: only the working tree has it"


def test_one_reordered_tensor(differences: Callable[..., list[str]]) -> None:
    batches = [(np.full((2, 3, 4), i, np.uint8), np.array([i, i + 1])) for i in range(4)]
    assert differences(lines(batches), lines(batches)) == []
    [found] = differences(lines(batches), lines([*batches[:2], *batches[:1:-1]]))
    assert found.startswith("class/png load, keys: line 5: 'batch 2, .0: uint8 [2, 3, 4] ")
    assert " became 'batch 2, .0: uint8 [2, 3, 4] " in found


def test_type_and_shape_of_a_tensor(differences: Callable[..., list[str]]) -> None:
    zeros = np.zeros((4, 2), np.int32)
    for other in (zeros.view(np.float32), zeros.reshape(2, 4), zeros.T):
        assert len(differences(lines([(zeros,)]), lines([(other,)]))) == 1


def test_one_changed_message(differences: Callable[..., list[str]]) -> None:
    old = said(1, "", "error: HERE/data/nowhere: there is no such folder. Check the path.\n")
    new = said(1, "", "error: HERE/data/nowhere: there is no such folder. Check this path.\n")
    assert differences(old, old) == []
    [found] = differences(old, new)
    assert found.startswith("refused: precompute inspect nowhere | said: ") and "Check this path." in found
    assert differences(old, new, compare_difference.MESSAGES) == []


def test_an_exit_code_is_no_message(differences: Callable[..., list[str]]) -> None:
    [found] = differences(said(1, "", "no"), said(2, "", "know"), compare_difference.MESSAGES)
    assert found == "refused: precompute inspect nowhere: exit code: '1' became '2'"


def test_standard_output_is_not_standard_error(differences: Callable[..., list[str]]) -> None:
    assert len(differences(said(0, "done\n", "note\n"), said(0, "note\n", "done\n"))) == 1
    assert len(differences(said(0, "note\n", ""), said(0, "", "note\n"))) == 1


def test_times_are_not_compared(differences: Callable[..., list[str]]) -> None:
    old, new = "wrote 12 records in 0.3 s (40 records/s)\n", "wrote 12 records in 11 s (1 records/s)\n"
    assert differences(said(0, old, ""), said(0, new, "")) == []
    assert len(differences(said(0, old, ""), said(0, new.replace("12", "13"), ""))) == 1
    slow = "6 of 12 records, 1 records/s, 3.1 kB, 6 s left\n"
    assert differences(said(0, old, "note\n"), said(0, new, f"note\n{slow}")) == []


def test_the_first_difference_is_told_on_one_line() -> None:
    found = [
        compare_difference.Difference(name="a", where="byte 1 of 2"),
        compare_difference.Difference(name="b", where="byte 3 of 4"),
        compare_difference.Difference(name="c | said", where="'x' became 'y'", accepted=True),
    ]
    first, count = compare_difference.summary(found, 1234).splitlines()
    assert first == "differs first: a: byte 1 of 2"
    assert count == "2 of 1,234 observations differ, 1 that may differ apart"
    assert compare_difference.summary(found[2:], 9) == "9 observations are equal but for 1 that may differ"
    assert compare_difference.summary([], 9) == "9 observations are equal"


@pytest.mark.slow
def test_a_changed_message_is_all_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A revision beside a working tree that is the same but for a word that `verify` says."""
    tree, message = tmp_path / "tree", "all as written"
    for package in compare_revisions.PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    texts = {path: path.read_text(encoding="utf-8") for path in (tree / "precompute").rglob("*.py")}
    for path, text in texts.items():
        path.write_text(text.replace(message, "all as we wrote it"), encoding="utf-8")
    monkeypatch.setattr(compare_revisions, "ROOT", tree)

    kept = tmp_path / "kept"
    assert compare_revisions.main(["HEAD", "--only", "alpha", "--keep", str(kept)]) == 1
    first, count, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("differs first: alpha/png verified | said: ") and "all as we wrote it" in first
    assert count.startswith("1 of ") and (kept / "differences.txt").read_text().count("\n") == 1
