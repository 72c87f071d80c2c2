"""Bad sources: which are accepted, and whether there are too many."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from precompute.errors import BadSourcesError
from precompute.reasons import describe_reasons
from precompute.run.files import write_whole
from precompute.run.grid import Grid, Receipts, bad_of
from precompute.run.receipts import Bad, Receipt
from precompute.run.work import Work
from precompute.text import format_count

__all__ = ["accepted_keys", "judge", "skipped_entries"]


def accepted_keys(work: Work, grid: Grid, receipts: Receipts) -> dict[str, set[str]]:
    """Return split → keys that are known to be bad, from the plan and from receipts, and accepted as such."""
    skipped: dict[str, set[str]] = {split: set() for split in grid.plan.splits}
    for entry in grid.plan.skipped:
        skipped[entry["split"]].add(entry["key"])
    accepts = work.options.allowed_bad(len(work.sources)) and not work.options.retry_bad
    if accepts and work.known.manifest is None:
        for split, bad in bad_of(receipts).items():
            skipped[split] |= bad.keys()
    return skipped


def judge(work: Work, grid: Grid, bad: Mapping[str, Mapping[str, Bad]]) -> None:
    """Go on only if that many bad sources were accepted; else all of them go to a file.

    Raises:
        BadSourcesError: There are more.
    """
    found = [{"split": s, "key": b.key, "reason": b.reason} for s in bad for b in bad[s].values()]
    total = len({(f["split"], f["key"]) for f in found} | {(e["split"], e["key"]) for e in grid.plan.skipped})
    allowed = work.options.allowed_bad(len(work.sources))
    if total <= allowed:
        return
    content = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in found)
    write_whole(grid.paths.errors, content.encode(), grid.paths.temporary)
    raise BadSourcesError(
        f"{total} of {format_count(len(work.sources), 'source')} {'is' if total == 1 else 'are'} bad, {allowed} "
        f"{'was' if allowed == 1 else 'were'} accepted:\n"
        f"{describe_reasons([entry['reason'] for entry in found])}\n"
        f"All are listed in {grid.paths.errors}. Everything else is written and kept. Mend them and run the same "
        f"command again, or accept them with --skip-bad {total}: they will be left out of all rows."
    )


def skipped_entries(
    grid: Grid, skipped: Mapping[str, set[str]], proven: Mapping[str, Sequence[Receipt]]
) -> list[dict[str, str]]:
    """Return the manifest's entries of the accepted sources: key, split, reason."""
    reasons = {(entry["split"], entry["key"]): entry["reason"] for entry in grid.plan.skipped}
    reasons |= {(split, bad.key): bad.reason for split, of in proven.items() for receipt in of for bad in receipt.bad}
    return [
        {"key": key, "split": split, "reason": reasons.get((split, key), "")}
        for split, keys in skipped.items()
        for key in sorted(keys)
    ]
