"""Valid files made invalid: bytes flipped, cut, spliced; JSON with other values in its places."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

WORDS = [
    "",
    "../../outside",
    "/etc/passwd",
    "\0",
    "\ud800",
    "é" * 300,
    "train",
    "mask",
    "uint8",
    "eps",
    "9" * 30,
    "g٠٠٠١",
]
NUMBERS = [0, 1, -1, 255, 2**31, 2**63, -(2**63) - 1, 10**30, 0.5, float("inf"), float("nan"), 1e308]
ODD_VALUES: list[Any] = [
    None,
    True,
    False,
    *WORDS,
    *NUMBERS,
    [],
    {},
    [[]],
    [{}],
    [None],
    {"": None},
    {"key": 1},
    [1, 2, 3],
]
ODD_TEXTS = [
    b"",
    b"{",
    b"[" * 20_000,
    b"{}",
    b"null",
    b'"',
    b"[1" + b"0" * 5000 + b"]",
    b"\xff\xfe",
    b'{"a":' * 3000,
    b"\n",
]


def mutate_bytes(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """One to four changes of a file, small ones more often."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(changed) + 1)
        end = min(len(changed), at + rng.choice([1, 1, 2, 4, 8, 64]))
        match rng.randrange(8):
            case 0 | 1:
                changed[at:end] = bytes(byte ^ 1 << rng.randrange(8) for byte in changed[at:end])
            case 2:
                changed[at:end] = rng.randbytes(end - at)
            case 3:
                changed[at:end] = b""
            case 4:
                changed[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 5:
                changed[at:end] = rng.choice([b"\0", b"\xff", b"\x7f", b"\x80"]) * (end - at)
            case 6:
                del changed[at:]
            case 7:
                other = rng.choice(others)
                changed[at:] = other[rng.randrange(len(other) + 1) :]
    return bytes(changed)


def mutate_json(rng: random.Random, content: bytes) -> bytes:
    """Another value at a place of the tree, a field too many or too few; now and then changed bytes or no JSON."""
    kind = rng.randrange(20)
    if kind == 0:
        return rng.choice(ODD_TEXTS)
    if kind <= 3:
        return mutate_bytes(rng, content, [content])
    tree = json.loads(content)
    for _ in range(rng.choice([1, 1, 2, 3])):
        tree = _changed(rng, tree)
    return json.dumps(tree).encode()


def _changed(rng: random.Random, tree: Any) -> Any:
    if not isinstance(tree, dict | list) or not tree or rng.random() < 0.02:
        return copy.deepcopy(rng.choice(ODD_VALUES))
    key = rng.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
    deeper = isinstance(tree[key], dict | list) and rng.random() < 0.8
    if deeper:
        tree[key] = _changed(rng, tree[key])
    elif rng.random() < 0.15:
        del tree[key]
    elif rng.random() < 0.1 and isinstance(tree, list):
        tree.append(tree[key])
    elif rng.random() < 0.1 and isinstance(tree, dict):
        tree[rng.choice(WORDS)] = tree.pop(key)
    elif isinstance(tree[key], int) and rng.random() < 0.4:
        tree[key] += rng.choice([-1, 1, 1000])
    else:
        tree[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    return tree
