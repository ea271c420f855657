"""What must hold of the join and of the view for any history at all, without any node."""

from __future__ import annotations

import functools
import random

from flocksy.sync.names import ancestors, in_repository, parent_of
from flocksy.sync.trees import PathState
from flocksy.sync.version import Kind
from flocksy.sync.view import Wanted
from tests.sync.canopy import history
from tests.sync.engine import current
from tests.sync.flock_in_memory import MemoryTrees
from tests.sync.lives import Message


def join_laws(seed: int) -> None:
    """Over whole histories: any order, any grouping and any repetition give one state, and its
    heads are what nothing supersedes."""
    draw = random.Random(seed)
    said = history(draw)
    join = current().join
    for path in {path for path, _ in said}:
        states = [state for named, state in said if named == path]
        whole = functools.reduce(join, states)
        again = [*states, *draw.choices(states, k=draw.randrange(4))]
        draw.shuffle(again)
        left, right = _parts(draw, again)
        assert join(left, right) == join(right, left) == whole, "the order counts"
        assert join(whole, whole) == whole, "hearing it again counts"
        assert join(whole, left) == join(left, whole) == whole, "hearing an old state counts"
        assert join(whole, None) == join(None, whole) == whole
        for head in (head for state in states for head in state.heads.values()):
            assert current().state_of(head, {}).superseded.keys() == set(head.parents)
        made = {name for state in states for name in state.heads}
        gone = {name for state in states for name in state.superseded}
        assert whole.heads.keys() == made - gone, "the heads are not what nothing supersedes"
        assert whole.superseded.keys() == gone, "what was superseded is forgotten"


def _parts(draw: random.Random, states: list[PathState]) -> tuple[PathState, PathState]:
    """All of them, grouped in some way, as two."""
    join = current().join
    groups = [join(None, state) for state in states]
    while len(groups) > 2:
        first = groups.pop(draw.randrange(len(groups)))
        second = groups.pop(draw.randrange(len(groups)))
        groups.append(join(first, second))
    return (groups[0], groups[1]) if len(groups) == 2 else (groups[0], PathState())


def view_laws(seed: int) -> None:
    """Over any part of any history, heard in any order: what is to be seen is a possible tree, the
    same for everybody, and leaves out no content that anybody may want."""
    draw = random.Random(seed)
    said = [one for one in history(draw) if draw.random() < 0.9]
    tree = _seen(said)
    shuffled = [*said, *draw.choices(said, k=3)] if said else []
    draw.shuffle(shuffled)
    assert _seen(shuffled) == tree, "what is seen depends on the order"
    for path in tree:
        for above in ancestors(path):
            stands = tree.get(above)
            assert stands is not None and stands.version is not None, "a path without directory"
            assert stands.version.kind is Kind.DIRECTORY, "a path below a file"
    roots = {wanted.version.root for wanted in tree.values() if wanted.version is not None}
    states = _states(said)
    for path, state in states.items():
        alive = [head for head in state.heads.values() if head.is_content]
        assert bool(alive) <= (path in tree), "content is deleted"
        for head in alive:
            replaced = head.root in state.superseded.values()
            assert not head.root or head.root in roots or replaced or in_repository(path), (
                "a content that nobody replaced is not seen"
            )
    for path, wanted in tree.items():
        assert wanted.copy_of is None or not in_repository(path), "a copy in a repository"
        beside = [
            other.version.root
            for other in tree.values()
            if other.copy_of is not None
            and other.copy_of[0] == (wanted.copy_of[0] if wanted.copy_of else path)
            and other.version is not None
            and other is not wanted
        ]
        assert wanted.version is None or wanted.version.root not in beside, "seen twice"


def _states(said: list[Message]) -> dict[str, PathState]:
    states: dict[str, PathState] = {}
    for path, state in said:
        states[path] = current().join(states.get(path), state)
    return states


def _seen(said: list[Message]) -> dict[str, Wanted]:
    """Everything that is to stand anywhere, by path."""
    trees = MemoryTrees(states=_states(said))
    view = current().view(trees)
    paths = {above for path, _ in said for above in (path, *ancestors(path))}
    paths |= {copy for path in paths for copy in view.at(path).copies.values()}
    assert all(parent_of(path) in paths or "/" not in path for path in paths)
    seen = {path: view.wanted(path) for path in sorted(paths)}
    return {path: wanted for path, wanted in seen.items() if wanted.version is not None}
