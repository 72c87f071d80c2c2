"""Columns in the place of lists: what they hold is what the lists held."""

from __future__ import annotations

import json
import pickle
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precompute.building.cells import Block, SplitPlaces
from precompute.building.make_plan import source_ids
from precompute.building.task import Slot
from precompute.errors import DatasetError
from precompute.fields.boxes import Boxes, Instances
from precompute.fields.column import Column
from precompute.fields.string_column import CHUNK, StringColumn, take
from precompute.plan.blocks import order_places, place_order
from precompute.plan.hashes import hash_all, order_of
from precompute.rendering.render import source_id
from precompute.sources.found import check_keys, key_problem
from precompute.table.listed_sources import compare_listing, sources_of_listing, stored_splits
from precompute.table.listing import Listing, Sha256Column
from precompute.table.listing_file import listing_lines, read_listing
from precompute.table.sources import Sources
from tests.helpers.any_columns import names, some_sources
from tests.helpers.source_columns import extra_images_of, extra_of, named_masks_of

any_text = st.text(st.characters(), max_size=6)  # half of a surrogate pair too: a file's name may hold one
sha256 = st.binary(min_size=32, max_size=32).filter(any).map(bytes.hex)

some = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


# Texts.


@some
@given(texts=st.lists(any_text, max_size=30), more=any_text, data=st.data())
@pytest.mark.slow
def test_texts_are_a_list(texts: list[str], more: str, data: st.DataObject) -> None:
    column = StringColumn(texts)
    column.append(more)
    expected = [*texts, more]
    assert column == expected and expected == column and list(column) == expected and len(column) == len(expected)
    assert [column[i] for i in range(-len(expected), len(expected))] == expected * 2
    first, last = (data.draw(st.none() | st.integers(-35, 35)) for _ in range(2))
    step = data.draw(st.sampled_from([1, 2, -1]))
    assert column[first:last:step] == expected[first:last:step]
    indices = data.draw(st.lists(st.integers(0, len(texts)), max_size=10))
    assert take(column, indices) == take(expected, indices) == [expected[i] for i in indices]
    assert column != [*expected, ""] and column != texts and column == StringColumn(expected)
    with pytest.raises(IndexError):
        column[len(expected)]


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_texts_longer_than_a_chunk(size: int) -> None:
    texts = [f"k{i}" if i % 1000 else "é" * 3 for i in range(size)]
    column = StringColumn(iter(texts))
    assert list(column) == texts and column[CHUNK - 2 : CHUNK + 2] == texts[CHUNK - 2 : CHUNK + 2]


@some
@given(digests=st.lists(st.none() | sha256, max_size=10), data=st.data())
def test_digests_are_a_list(digests: list[str | None], data: st.DataObject) -> None:
    column = Sha256Column()
    column.extend(digests)
    assert list(column) == digests and column[1:4] == digests[1:4] and column[::2] == digests[::2]
    if digests:
        i, other = data.draw(st.integers(0, len(digests) - 1)), data.draw(sha256)
        column[i] = other
        assert list(column) == [*digests[:i], other, *digests[i + 1 :]]
    assert list(Sha256Column(3)) == [None] * 3


@some
@given(
    keys=st.lists(st.one_of(any_text, st.just("a/../b"), st.just("/a"), st.just("x" * 1100), st.just(3)), max_size=8)
)
def test_keys_looked_at_together_are_judged_like_each_alone(keys: list[Any]) -> None:
    wrong = [key for key in keys if key_problem(key) is not None]
    if not wrong:
        check_keys(keys, where="here", remedy="-")
        return
    with pytest.raises(Exception, match="here: keys that cannot be used") as caught:
        check_keys(keys, where="here", remedy="-")
    assert all(ascii(key)[:200] in str(caught.value) for key in wrong[:1] if len(wrong) == 1)


# Places.


@some
@given(keys=st.lists(names, unique=True, max_size=20), data=st.data())
def test_places_are_sorted_by_their_hashes(keys: list[str], data: st.DataObject) -> None:
    copies = data.draw(st.lists(st.integers(1, 3), min_size=len(keys), max_size=len(keys)))

    def rank(place: tuple[int, int]) -> tuple[bytes, str, int]:
        message = keys[place[0]].encode() + place[1].to_bytes(8, "little")
        return blake2b(message, digest_size=16, person=b"augonce-order-1").digest(), keys[place[0]], place[1]

    assert order_places(keys) == sorted(((i, 0) for i in range(len(keys))), key=rank)
    assert order_places(keys, copies) == sorted(
        ((i, copy) for i in range(len(keys)) for copy in range(copies[i])), key=rank
    )
    assert place_order(iter(keys), iter(copies)).pairs() == order_places(keys, copies)


@some
@given(messages=st.lists(st.binary(max_size=5)), size=st.sampled_from([8, 16]))
def test_hashes_order_as_digests_do(messages: list[bytes], size: int) -> None:
    plain = [blake2b(message, digest_size=size, person=b"some use").digest() for message in messages]
    found = hash_all(messages, digest_size=size, person=b"some use")
    assert [row.astype(">u8").tobytes() for row in found] == plain


@some
@given(hashes=st.lists(st.tuples(st.sampled_from([0, 1, 2**63, 2**64 - 1]), st.integers(0, 3)), max_size=20))
def test_hashes_are_ordered_as_a_stable_sort_would(hashes: list[tuple[int, int]]) -> None:
    column = np.array(hashes, np.uint64).reshape(-1, 2)
    assert order_of(column).tolist() == sorted(range(len(hashes)), key=hashes.__getitem__)


@some
@given(keys=st.lists(names, max_size=20))
def test_source_ids_are_those_of_the_records(keys: list[str]) -> None:
    assert source_ids(keys).tolist() == [source_id(key) for key in keys]


# Sources and their list.


def plain_fields(column: Column, i: int) -> dict[str, Any]:
    """What the list says of one source, put together from its value."""
    value = column[i]
    if isinstance(value, Instances):
        return {"instances": value.to_shapes()} | ({} if value.size is None else {"instances_size": list(value.size)})
    if isinstance(value, Boxes):
        points = {} if value.points is None else {"keypoints": value.point_rows()}
        return {"boxes": value.to_rows()} | ({} if value.size is None else {"boxes_size": list(value.size)}) | points
    if column.name in ("label", "labels"):
        return {"label": list(value) if isinstance(value, tuple) else value}
    return {column.name: value}


def plain_entry(sources: Sources, i: int, **hashes: str | None) -> dict[str, Any]:
    targets = [column for column in sources.columns.values() if column.shared_key is None]
    fields = {
        "key": sources.keys[i],
        "image": sources.images[i],
        **{name: value for column in targets for name, value in plain_fields(column, i).items()},
        "masks": named_masks_of(sources, i),
        "extra_images": extra_images_of(sources, i),
        "extra": extra_of(sources, i),
        "group": sources.groups[i] if sources.groups else None,
        "segment": sources.segments[i] or None if sources.segments else None,
        "copies": sources.num_copies(i),
        "num_bytes": sources.num_bytes[i],
        **hashes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def as_json(entry: dict[str, Any]) -> str:
    """The line of an entry: texts among the extra values alone are ASCII."""
    spelled = [
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=name == 'extra')}" for name, value in entry.items()
    ]
    return f"{{{', '.join(spelled)}}}"


def listed(folder: Path, sources: Sources) -> dict[str, Listing]:
    found = {}
    for split in ("train", "validation"):
        (folder / split).write_bytes(b"".join(listing_lines(sources, split)))
        found[split] = read_listing(folder / split)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lists")


@some
@given(sources=some_sources(), data=st.data())
def test_lists_hold_what_json_would_write(folder: Path, sources: Sources, data: st.DataObject) -> None:
    positions = list(sources.of_split("train"))
    known = data.draw(st.lists(st.none() | sha256, min_size=len(positions), max_size=len(positions)))
    digests = Sha256Column()
    digests.extend(known)
    masked = digests if sources.has_files else None
    entries = [
        plain_entry(sources, i, sha256=one, mask_sha256=one if masked else None)
        for i, one in zip(positions, known, strict=True)
    ]
    content = b"".join(listing_lines(sources, "train", digests, masked))
    assert content == "".join(as_json(entry) + "\n" for entry in entries).encode()
    (folder / "one").write_bytes(content)
    listing = read_listing(folder / "one")
    assert dict(listing) == {entry["key"]: entry for entry in entries}
    assert listing.get("no such key") is None


@some
@given(sources=some_sources())
def test_sources_come_back_from_their_list(folder: Path, sources: Sources) -> None:
    stored = listed(folder, sources)
    again = sources_of_listing(stored, "/root", sources.class_names)
    assert compare_listing(stored, again) == compare_listing(stored, sources) == []
    for i, key in enumerate(sources.keys):
        assert plain_entry(again, i) == plain_entry(sources, i)
        assert sources.take([i]).raw(0) == sources.raw(i)
        assert again.splits[i] == sources.splits[i] and sources.position(key) == i
    assert stored_splits(stored, sources.keys) == sources.splits
    assert stored_splits(stored, [*sources.keys, "zz"])[-1] is None
    with pytest.raises(KeyError):
        sources.position("zz")


@some
@given(sources=some_sources(), data=st.data())
def test_sources_taken_are_those_at_their_positions(sources: Sources, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(sources) - 1), max_size=5))
    taken = sources.take(chosen)
    assert [plain_entry(taken, j) for j in range(len(chosen))] == [plain_entry(sources, i) for i in chosen]
    assert [taken.files(j) for j in range(len(chosen))] == [sources.files(i) for i in chosen]
    assert sources.take(list(range(len(sources)))).columns == sources.columns
    for name, column in sources.columns.items():
        here = bytes(i in chosen for i in range(len(sources)))
        assert column.same(column.take(sorted(set(chosen))), here) and (len(chosen) > 0 or not any(here))
        assert column != column.take([*range(len(sources)), 0]) and taken.columns[name].name == name


@some
@given(sources=some_sources(), seed=st.integers(0, 2**32))
def test_another_order_of_classes_moves_every_class(sources: Sources, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(401)
    new, old = order.tolist(), np.argsort(order).tolist()
    for column in sources.columns.values():
        moved = column.relabelled(new)
        assert [set(moved.classes(i)) for i in range(len(moved))] == [
            {new[label] for label in column.classes(i)} for i in range(len(column))
        ]
        assert moved.relabelled(old) == column


@some
@given(old=some_sources(), new=some_sources(), fixed=st.sets(names, max_size=3))
def test_differences_are_those_of_each_entry(folder: Path, old: Sources, new: Sources, fixed: set[str]) -> None:
    was = {key: (old.splits[i], plain_entry(old, i)) for i, key in enumerate(old.keys)}
    lines = []
    for i, key in enumerate(new.keys):
        if key not in was:
            lines.append(f"{key}: new, not in the dataset")
            continue
        split, entry = was.pop(key)
        now = plain_entry(new, i)
        changed = {name for name in now.keys() | entry.keys() if now.get(name) != entry.get(name)}
        changed -= {
            "segment",
            *(["num_bytes"] if key in fixed else []),
        }  # sources do not know of segments when they are found
        changed |= {"split"} if split != new.splits[i] else set()
        lines += [f"{key}: {', '.join(sorted(changed))} changed"] if changed else []
    gone = [
        f"{key}: gone, but in the dataset" for split in ("train", "validation") for key in was if was[key][0] == split
    ]
    assert compare_listing(listed(folder, old), new, fixed=fixed) == [*lines, *gone]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"key": "b", "image": "b", "num_bytes": 1}', '{"key": "a", "image": "a", "num_bytes": 1}'], "line 2: key: "),
        (['{"key": "a", "image": "a", "num_bytes": 1}'] * 2, "line 2: key: expected one after 'a'"),
        (['{"key": "a", "image": "a", "num_bytes": 1, "sha256": "00"}'], "line 1: sha256: expected 64 hexadecimal"),
        (['{"key": "a", "image": "a", "num_bytes": 99999999999999999999}'], "line 1: num_bytes: expected the size"),
        (['{"key": "a", "image": "a", "num_bytes": 1}', '{"key": "b"}'], "line 2: the field 'image' is missing"),
        (
            ['{"key": "a", "image": "a", "num_bytes": 1, "mask": "m"}', '{"key": "b", "image": "a", "num_bytes": 1}'],
            r"mask: expected them for each source \(2\), got 1",
        ),
        (
            [
                '{"key": "a", "image": "a", "num_bytes": 1, "label": 1}',
                '{"key": "b", "image": "b", "num_bytes": 1, "label": [1]}',
            ],
            r"label: expected them for each source \(2\), got 1",
        ),
        (
            [
                '{"key": "a", "image": "a", "num_bytes": 1, "extra": {"v": 1}}',
                '{"key": "b", "image": "b", "num_bytes": 1, "extra": {"v": "x"}}',
            ],
            "v: expected numbers or texts, got both",
        ),
        (['{"key": "a", "image": "a", "num_bytes": 1, "angles": 3}'], "line 1: angles: expected str, got 3"),
        (['{"key": "a", "image": "a", "num_bytes": 1}', "7"], "line 2: expected an object"),
        (['{"key": "a", "image": "a", "num_bytes": 1}', '{"key": "b",'], "not a list of sources in JSON lines"),
    ],
)
def test_lists_that_no_build_writes_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    (tmp_path / "list").write_text("\n".join(lines) + "\n")
    with pytest.raises(DatasetError, match=message):
        read_listing(tmp_path / "list")


@pytest.mark.slow
@some
@given(sources=some_sources(splits=("train",)), data=st.data())
def test_places_sent_to_a_worker_are_those_of_the_block(folder: Path, sources: Sources, data: st.DataObject) -> None:
    known = data.draw(st.lists(st.none() | sha256, min_size=len(sources), max_size=len(sources)))
    digests = Sha256Column()
    digests.extend(known)
    (folder / "known").write_bytes(b"".join(listing_lines(sources, "train", digests)))
    proven = data.draw(st.booleans())
    split = SplitPlaces.of_split(sources, "train", read_listing(folder / "known") if proven else None)
    copies = [sources.num_copies(i) for i in range(len(sources))]
    order = order_places(list(sources.keys), copies, sources.segments)
    plain = [
        Slot(
            key=sources.keys[i],
            copy=copy,
            image=str(sources.path(sources.images[i])),
            raw=sources.raw(i),
            sha256=known[i] if proven else None,
        )
        for i, copy in order
    ]
    cut = data.draw(st.integers(0, len(plain)))
    blocks = [Block(split, 0, cut), Block(split, cut, len(plain))]
    assert [place for block in blocks for place in block] == plain
    assert [place for block in blocks for place in pickle.loads(pickle.dumps(block))] == plain
    assert [key for block in blocks for key in block.source_keys()] == [place.key for place in plain]
    assert [len(block) for block in blocks] == [cut, len(plain) - cut]
    if cut:
        assert blocks[0][-1] == plain[cut - 1] and blocks[0][:2] == plain[:cut][:2]
