"""The join, on whole histories: who has seen the same has the same, in whatever order."""

from __future__ import annotations

import functools

from hypothesis import given
from hypothesis import strategies as st

from flocksy.sync.state import ancestry, join, state_of, superseded_by
from flocksy.sync.trees import PathState
from flocksy.sync.version import NO_ROOT, Kind, Version, version_id


@st.composite
def histories(draw: st.DrawFn) -> list[PathState]:
    """States as they travel, from a random graph of versions of one path."""
    made: list[Version] = []
    states = []
    for number in range(draw(st.integers(1, 10))):
        parents = draw(st.sets(st.sampled_from(made), max_size=6)) if made else set()
        names = sorted(version_id(parent) for parent in parents)
        root = draw(st.sampled_from((b"x" * 32, b"y" * 32, bytes([number]) * 32)))
        version = Version(
            Kind.FILE,
            0o644,
            number,
            1,
            root,
            1 + max((parent.generation for parent in parents), default=0),
            tuple(names[-4:]),
        )
        made.append(version)
        old = {version_id(parent): parent.root for parent in parents}
        states.append(state_of(version, superseded_by(root, old)))
    return states


@given(histories(), st.data())
def test_any_order_and_any_grouping_give_one_state(
    states: list[PathState], data: st.DataObject
) -> None:
    whole = functools.reduce(join, states)
    again = data.draw(st.permutations(states + data.draw(st.lists(st.sampled_from(states)))))
    cut = data.draw(st.integers(0, len(again)))
    left = functools.reduce(join, again[:cut], PathState())
    right = functools.reduce(join, again[cut:], PathState())
    assert join(left, right) == join(right, left) == whole
    assert join(whole, whole) == whole
    assert join(whole, None) == join(None, whole) == whole


@given(histories())
def test_heads_are_what_nothing_supersedes(states: list[PathState]) -> None:
    whole = functools.reduce(join, states)
    everything = {name for state in states for name in state.heads}
    assert whole.heads.keys() == everything - whole.superseded.keys()
    assert whole.heads


@st.composite
def lies(draw: st.DrawFn) -> list[PathState]:
    """States as a liar says them: anything supersedes anything, itself too, in any generation."""
    count = draw(st.integers(1, 5))
    made = [
        Version(Kind.FILE, 0o644, number, 1, bytes([number]) * 32, draw(st.integers(1, 3)), ())
        for number in range(count)
    ]
    names = st.sets(st.sampled_from([version_id(version) for version in made]))
    return [state_of(version, dict.fromkeys(draw(names), NO_ROOT)) for version in made]


@given(st.one_of(lies(), st.tuples(histories(), lies()).map(lambda both: both[0] + both[1])))
def test_a_join_leaves_something_of_what_there_was(states: list[PathState]) -> None:
    whole = functools.reduce(join, states)
    true = {name for state in states for name in state.heads} - whole.superseded.keys()
    assert whole.heads.keys() == true if true else len(whole.heads) == 1
    assert join(whole, whole) == whole


@given(lies(), st.data())
def test_whoever_tells_each_other_twice_has_the_same(
    states: list[PathState], data: st.DataObject
) -> None:
    """In whatever order each hears the lies, and then the others; some hear only of a part."""
    nodes = [
        functools.reduce(join, data.draw(st.permutations(states))[: data.draw(some)], PathState())
        for some in [st.integers(1, len(states))] * 3
    ]
    first, second, _ = nodes
    assert join(first, second) == join(second, first)
    for _ in range(2):
        nodes = [functools.reduce(join, data.draw(st.permutations(nodes)), node) for node in nodes]
    assert nodes[0] == nodes[1] == nodes[2]


def test_knowing_what_was_replaced_wins_over_not_knowing() -> None:
    name = b"i" * 16
    knows, does_not = PathState({}, {name: b"r" * 32}), PathState({}, {name: NO_ROOT})
    assert join(knows, does_not) == join(does_not, knows) == knows


def test_a_parent_with_the_same_content_is_superseded_but_not_replaced() -> None:
    assert superseded_by(b"x", {b"1": b"x", b"2": b"y"}) == {b"1": NO_ROOT, b"2": b"y"}


def test_ancestry_begins_with_the_parents_and_says_when_it_is_cut() -> None:
    parent = b"\x00" * 16
    known = {parent: b"", **{bytes([number]) * 16: b"" for number in range(1, 20)}}
    head = Version(Kind.DIRECTORY, 0, 0, 0, b"", 2, (parent,))
    state = PathState({version_id(head): head}, known)
    some, truncated = ancestry(state, head, 3)
    assert [name for name, _ in some] == [parent, bytes([19]) * 16, bytes([18]) * 16]
    assert truncated
    everything, truncated = ancestry(state, head, 100)
    assert dict(everything) == known
    assert not truncated
