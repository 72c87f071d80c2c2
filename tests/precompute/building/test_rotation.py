"""Which rows are written and which go: the rules of `follow`, over all that readers may do."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from precompute.building.follow import Step, free_rows, make_step, plan_rotation
from precompute.plan.generation import missing_rows


@dataclass(frozen=True)
class Situation:
    """Rows that are listed, those that readers hold, and those that no reader has seen yet."""

    listed: list[int]
    held: set[int]
    unseen: set[int]
    keep: int
    rows_a_pass: int

    @property
    def free(self) -> list[int]:
        return free_rows(self.listed, self.held, self.unseen)

    def step(self, *, is_read: bool = True) -> Step:
        return make_step(self.listed, self.free, keep=self.keep, rows_a_pass=self.rows_a_pass, is_read=is_read)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    listed = sorted(draw(st.sets(st.integers(0, 40), max_size=12)))
    some = st.sets(st.sampled_from(listed)) if listed else st.just(set())
    keep = draw(st.integers(2, 8))
    others = draw(st.sets(st.integers(41, 50)))  # rows that are no longer listed are held as well
    return Situation(listed, draw(some) | others, draw(some), keep, draw(st.integers(1, keep - 1)))


@given(at=situations(), is_read=st.booleans())
def test_what_goes_is_free_and_oldest_first(at: Situation, is_read: bool) -> None:
    step = at.step(is_read=is_read)
    assert not set(step.gone) & (at.held | at.unseen)
    assert set(step.gone) <= set(at.listed)
    assert list(step.gone) == at.free[: len(step.gone)]


@given(at=situations(), is_read=st.booleans())
def test_the_number_of_rows_stays_within_bounds(at: Situation, is_read: bool) -> None:
    step = at.step(is_read=is_read)
    after = len(at.listed) + step.num_new - len(step.gone)
    assert min(at.keep, len(at.listed)) <= after <= max(at.keep, len(at.listed))
    assert step.num_new <= at.keep
    if len(at.listed) < at.keep:
        assert after == at.keep
    if len(at.listed) > at.keep:
        assert step.num_new == 0  # what is too much goes without a successor


@given(at=situations())
def test_nothing_is_replaced_without_readers_or_for_readers_that_hold_all(at: Situation) -> None:
    assert at.step(is_read=False).num_new == max(0, at.keep - len(at.listed))
    if at.held | at.unseen >= set(at.listed) and len(at.listed) >= at.keep:
        assert at.step() == Step()


@given(at=situations())
def test_a_pass_is_worth_it_or_a_reader_would_starve(at: Situation) -> None:
    step = at.step()
    if len(at.listed) == at.keep:
        if len(at.free) >= at.rows_a_pass or at.free == at.listed:
            assert (step.num_new, list(step.gone)) == (len(at.free), at.free)
        else:
            assert step == Step()


@given(at=situations(), num_new=st.integers(0, 8))
def test_at_the_swap_readers_have_gone_on(at: Situation, num_new: int) -> None:
    number, gone = plan_rotation(at.listed, at.free, num_new, keep=at.keep)
    assert number <= num_new
    assert not gone & (at.held | at.unseen)
    assert gone == set(at.free[: len(gone)])
    after = len(at.listed) + number - len(gone)
    assert min(at.keep, len(at.listed)) <= after <= max(at.keep, len(at.listed))
    if num_new <= len(at.free):
        assert number == num_new  # nothing that was written is lost without need


@given(epochs=st.integers(1, 60), keep=st.integers(2, 6), data=st.data())
def test_a_reader_beside_it_always_gets_on(epochs: int, keep: int, data: st.DataObject) -> None:
    """One reader that follows, and steps of the writer in between: each is done at once, or only later."""
    rows_a_pass = data.draw(st.integers(1, keep - 1))
    listed, unseen, next_row = list(range(keep)), set[int](), keep
    times_read = dict.fromkeys(range(1000), 0)
    for _ in range(epochs):
        unread = [row for row in listed if not times_read[row]]
        row = min(unread) if unread else min(listed, key=lambda r: (times_read[r], r))
        times_read[row] += 1
        held = {row, *unread}
        unseen -= held
        if data.draw(st.booleans()):
            free = free_rows(listed, held, unseen)
            step = make_step(listed, free, keep=keep, rows_a_pass=rows_a_pass, is_read=True)
            number, gone = plan_rotation(listed, free, step.num_new, keep=keep)
            assert (number, gone) == (step.num_new, set(step.gone))
            new = list(range(next_row, next_row + number))
            listed, next_row = [r for r in listed if r not in gone] + new, next_row + number
            unseen |= set(new)
            assert row in listed and len(listed) == keep
            assert len(free_rows(listed, held, unseen)) < rows_a_pass  # it does not replace what nobody has seen
    assert all(times_read[row] for row in range(next_row) if row not in listed)  # nothing was written for nothing


COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("build"), st.integers(0, 2), st.integers(1, 9)),  # seed, variants
        st.tuples(st.just("follow"), st.integers(0, 2), st.integers(1, 4)),  # seed, rows
        st.tuples(st.just("drop"), st.integers(0, 30), st.integers(1, 9)),  # which, how many
    ),
    max_size=12,
)


@given(commands=COMMANDS)
def test_the_number_of_a_row_is_a_variant_that_never_was(commands: list[tuple[str, int, int]]) -> None:
    listed, ever, next_row = dict[int, tuple[int, int]](), set[tuple[int, int]](), 0
    for command, number, many in commands:
        if command == "drop":
            listed = {row: pair for i, (row, pair) in enumerate(listed.items()) if not number <= i < number + many}
            continue
        first = next_row if command == "follow" else 0
        wanted = [(number, first + i) for i in range(many)]
        for made in missing_rows(wanted, set(listed.values()), first=next_row):
            pair = (made.seed, made.variant)
            assert made.variant <= made.row
            assert command != "follow" or (pair not in ever and made.variant == made.row)
            listed[made.row] = pair
            ever.add(pair)
            next_row = made.row + 1
        assert len(set(listed.values())) == len(listed)
