"""Every odd file falls under one stated rule and has its outcome; the table of the rules is IMAGE_FILES.md."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.errors import RejectedSource
from precompute.images.decode import decode_mask
from tests.helpers.decoding import decode_image

TABLE = Path(precompute.__file__).parent / "IMAGE_FILES.md"
PNG = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # Source: PNG specification, colour types


@dataclass(frozen=True)
class Facts:
    """What a file says of itself, found without a decoder.

    Attributes:
        jpeg: It is one; all else is about PNGs.
        colour: Colour type.
        depth: Bits a channel.
        transparent: It has a tRNS chunk.
        beyond: It uses indices that its palette has no colour for.
        damage: What is wrong with its chunks.
    """

    jpeg: bool = False
    colour: int = -1
    depth: int = 0
    transparent: bool = False
    beyond: bool = False
    damage: str = ""


def facts_of(path: Path) -> Facts:
    content = path.read_bytes()
    if not content.startswith(PNG):
        return Facts(jpeg=content.startswith(b"\xff\xd8\xff"))
    chunks = chunks_of(content)
    names = [name for name, _, _ in chunks]
    palette = sum(len(data) // 3 for name, data, _ in chunks if name == b"PLTE")
    damage = damage_of(chunks)
    beyond = content[25] == PALETTE and not damage and int(np.asarray(Image.open(path)).max()) >= palette
    return Facts(colour=content[25], depth=content[24], transparent=b"tRNS" in names, beyond=beyond, damage=damage)


def chunks_of(content: bytes) -> list[tuple[bytes, bytes, str]]:
    """Return name, data and damage of each chunk."""
    chunks, start = [], len(PNG)
    while start + 8 <= len(content):
        length, name = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8]
        data, after = content[start + 8 : start + 8 + length], content[start + 8 + length : start + 12 + length]
        fits = int.from_bytes(after, "big") == zlib.crc32(name + data)
        chunks.append((name, data, "" if fits else "cut" if len(after) < 4 else "checksum"))
        start += 12 + length
    return chunks


def damage_of(chunks: list[tuple[bytes, bytes, str]]) -> str:
    beside = {damage for name, _, damage in chunks if name != b"IDAT"}
    if beside != {""}:
        return "cut" if "cut" in beside else "header"
    if any(name in (b"cHRM", b"gAMA", b"pHYs", b"bKGD") and not data for name, data, _ in chunks):
        return "empty"
    try:
        zlib.decompress(b"".join(data for name, data, _ in chunks if name == b"IDAT"))
    except zlib.error:
        return "pixels"
    return "chunk" if any(damage for _, _, damage in chunks) else ""


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Attributes:
        files: What it is about, in words.
        applies: The same, of a file's facts.
        image: Outcome as an image: words of the table; refused when it starts with ``refused``.
        mask: Outcome as a mask, likewise.
        image_says: Part of the message, where it is refused.
        mask_says: Likewise.
        num_files: How many of the odd files it is about.
    """

    files: str
    applies: Callable[[Facts], bool]
    image: str
    mask: str
    num_files: int
    image_says: str = ""
    mask_says: str = ""


def whole(colour: int, wide: bool, transparent: bool | None = None, beyond: bool = False) -> Callable[[Facts], bool]:
    """Facts of an undamaged PNG; `transparent` None: whether or not."""
    return lambda f: (
        (f.colour, f.depth == 16, f.beyond, f.damage) == (colour, wide, beyond, "")
        and transparent in (None, f.transparent)
    )


def damaged(how: str) -> Callable[[Facts], bool]:
    return lambda f: f.damage == how


ALPHA = {"image": "refused: alpha", "image_says": "has an alpha channel, or a transparent colour"}
WIDE = {"image": "refused: 16 bits", "image_says": "has 16 bits a channel; records hold 8"}
NO_CLASS = {"mask": "refused: alpha", "mask_says": "has transparent pixels"}
COLOURS = {"mask": "refused: colours", "mask_says": "holds colours"}
DAMAGED: dict[str, Any] = {"image": "refused: damaged", "mask": "refused: damaged"}
DAMAGED |= {"image_says": "damaged", "mask_says": "damaged"}
AS_WHOLE = "as if whole"
STORED, INDICES = "ids as stored, uint8", "indices, uint8"

RULES = [
    Rule(
        "JPEG, EXIF orientation 0 to 8",
        lambda f: f.jpeg,
        image="RGB, upright",
        mask="refused: lossy",
        mask_says="is a JPEG: lossy compression changes class ids",
        num_files=18,
    ),
    Rule("grey, 1 to 8 bits", whole(GREY, False, False), image="RGB, channels equal", mask=STORED, num_files=26),
    Rule("grey, 1 to 8 bits, one grey transparent", whole(GREY, False, True), **ALPHA, mask=STORED, num_files=22),
    Rule("grey, 16 bits", whole(GREY, True), **WIDE, mask="ids as stored, uint16", num_files=12),
    Rule("RGB, 8 bits", whole(RGB, False, False), image="RGB", **COLOURS, num_files=8),
    Rule("RGB, 8 bits, one colour transparent", whole(RGB, False, True), **ALPHA, **COLOURS, num_files=6),
    Rule("RGB, 16 bits", whole(RGB, True), **WIDE, **COLOURS, num_files=14),
    Rule("palette, 1 to 8 bits", whole(PALETTE, False, False), image="RGB", mask=INDICES, num_files=29),
    Rule("palette, some colours transparent", whole(PALETTE, False, True), **ALPHA, mask=INDICES, num_files=26),
    Rule(
        "palette, indices beyond its end",
        whole(PALETTE, False, beyond=True),
        image="refused: no such colour",
        image_says="of a palette that ends at",
        mask=INDICES,
        num_files=9,
    ),
    Rule("grey and alpha, 8 bits", whole(GREY_ALPHA, False), **ALPHA, **NO_CLASS, num_files=6),
    Rule("grey and alpha, 16 bits", whole(GREY_ALPHA, True), **WIDE, **COLOURS, num_files=6),
    Rule("RGBA, 8 bits", whole(RGBA, False), **ALPHA, **NO_CLASS, num_files=6),
    Rule("RGBA, 16 bits", whole(RGBA, True), **WIDE, **COLOURS, num_files=6),
    Rule("a chunk that is longer than the file", damaged("cut"), **DAMAGED, num_files=18),
    Rule("a header whose checksum does not fit", damaged("header"), **DAMAGED, num_files=1),
    Rule("a chunk that is too short for what it says", damaged("empty"), **DAMAGED, num_files=1),
    Rule("pixels whose own checksum (Adler-32) does not fit", damaged("pixels"), **DAMAGED, num_files=1),
    Rule(
        "pixels whose own checksum fits, their chunk's length or checksum not",
        damaged("chunk"),
        image=AS_WHOLE,
        mask=AS_WHOLE,
        num_files=2,
    ),
]


def table_of(rules: list[Rule]) -> str:
    rows = [("file", "as image", "as mask", "odd files")]
    rows += [(rule.files, rule.image, rule.mask, str(rule.num_files)) for rule in rules]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def odd_files(real_data: Path) -> list[Path]:
    return sorted(path for path in (real_data / "odd").rglob("*") if path.suffix in (".png", ".jpg"))


def rule_of(path: Path) -> Rule:
    return rule_for(facts_of(path), path)


def rule_for(facts: Facts, path: Path) -> Rule:
    applying = [rule for rule in RULES if rule.applies(facts)]
    assert len(applying) == 1, f"{path}: {facts}: {[rule.files for rule in applying]}"
    return applying[0]


def test_the_table_is_that_of_the_rules() -> None:
    assert table_of(RULES) in TABLE.read_text(), f"put this into {TABLE}:\n{table_of(RULES)}"
    assert sum(rule.num_files for rule in RULES) == 217


def test_each_file_falls_under_one_rule(real_data: Path) -> None:
    found = Counter(rule_of(path).files for path in odd_files(real_data))
    assert found == {rule.files: rule.num_files for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.files)
def test_each_file_has_the_outcome_of_its_rule(real_data: Path, rule: Rule) -> None:
    for path in odd_files(real_data):
        if rule_of(path) is rule:
            decisive = rule if rule.image != AS_WHOLE else rule_for(replace(facts_of(path), damage=""), path)
            check_outcome(path, decode_image, decisive.image, decisive.image_says)
            check_outcome(path, decode_mask, decisive.mask, decisive.mask_says)


def check_outcome(path: Path, decode: Callable[[bytes], Any], outcome: str, says: str) -> None:
    content = path.read_bytes()
    if outcome.startswith("refused"):
        with pytest.raises(RejectedSource) as caught:
            decode(content)
        assert says and says in str(caught.value), path
        return
    pixels = decode(content)
    if decode is decode_image:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3, path
        assert "equal" not in outcome or (pixels == pixels[..., :1]).all(), path
    else:
        assert pixels.dtype == np.dtype("uint16" if "uint16" in outcome else "uint8") and pixels.ndim == 2, path
        assert pixels.max() < 2 ** facts_of(path).depth, path


def test_interlaced_files_equal_their_twins(real_data: Path) -> None:
    suite, compared = real_data / "odd" / "png" / "pngsuite", 0
    for path in sorted(suite.rglob("i*.png")):
        twin = (suite / path.name[1:]).read_bytes()
        for decode in (decode_image, decode_mask):
            if decode is decode_mask and facts_of(path).colour == PALETTE:
                continue  # the same colours under other indices
            try:
                got = decode(path.read_bytes())
            except RejectedSource:
                continue
            np.testing.assert_array_equal(got, decode(twin))
            compared += 1
    assert compared == 22
