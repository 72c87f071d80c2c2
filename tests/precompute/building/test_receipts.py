"""Receipts and what is learnt of blocks, as files."""

from __future__ import annotations

import json
from pathlib import Path

from precompute.building.receipts import read_block_facts


def test_facts_of_a_block_that_format_1_left_are_read(tmp_path: Path) -> None:
    old = {"sha256": {}, "mask_sha256": {}, "class_ids": [1], "remarks": {"a": {"overlap": 3}}}
    (tmp_path / "facts.json").write_text(json.dumps(old))
    facts = read_block_facts(tmp_path / "facts.json")
    assert facts is not None and facts.counters == {"a": {"overlap": 3}}
    (tmp_path / "facts.json").write_bytes(facts.to_bytes())
    assert read_block_facts(tmp_path / "facts.json") == facts
